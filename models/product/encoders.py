"""From listings to the arrays the model reads: everything fitted on training rows, and nothing else."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from catalog.listing import CATEGORICAL_FIELDS, CATEGORY_LEVELS, Listing
from catalog.price import PriceScaler
from catalog.text import normalise
from catalog.vocabulary import Vocabulary
from configs.errors import VitrinaError
from models.product.config import ProductModelConfig
from models.product.inputs import Inputs
from models.product.tokenizer import ProductTokenizer

FILE = "encoders.json"


@dataclass(frozen=True)
class CleanListing:
    """A listing with its texts normalised; '' and empty mean missing.

    Attributes:
        pairs: Name and value of each descriptive field, then of each attribute in the order of their names.
        categories: Value of each of `CATEGORY_LEVELS`, None where it is missing.
    """

    title: str
    description: str
    pairs: tuple[tuple[str, str], ...]
    price: float | None
    categories: tuple[str | None, ...]


def clean(listing: Listing) -> CleanListing:
    """Normalise everything that is text."""
    fields = [(name, listing.fields[name]) for name in CATEGORICAL_FIELDS if listing.fields.get(name)]
    pairs = ((_short(name), _short(value)) for name, value in [*fields, *sorted(listing.attributes.items())])
    return CleanListing(
        title=normalise(listing.title or ""),
        description=normalise(listing.description or ""),
        pairs=tuple((name, value) for name, value in pairs if name and value),
        price=listing.price,
        categories=tuple(listing.categories.get(level) for level in CATEGORY_LEVELS),
    )


@lru_cache(maxsize=16384)
def _short(text: str) -> str:
    return normalise(text)


@dataclass(frozen=True)
class Encoders:
    """Tokenizer, vocabularies and price scale of one training run.

    Attributes:
        names: Names of fields and attributes.
        values: Their values, one vocabulary for all names, so that "blue" is the same colour everywhere.
        levels: Values of each of `CATEGORY_LEVELS`.
        paths: Category indices [paths, 3] that occur together in training: the leaves of the hierarchical softmax.
        price: None where no training row has a price; there is no price estimate then.
    """

    tokenizer: ProductTokenizer
    names: Vocabulary
    values: Vocabulary
    levels: tuple[Vocabulary, ...]
    paths: NDArray[np.int64]
    price: PriceScaler | None

    @classmethod
    def fit(cls, listings: Sequence[CleanListing], config: ProductModelConfig) -> "Encoders":
        """Fit on training rows.

        Raises:
            VitrinaError: fewer than two article types, or no text at all.
        """
        levels = tuple(Vocabulary.fit(row.categories[i] for row in listings) for i in range(len(CATEGORY_LEVELS)))
        if len(levels[-1]) < 3:
            known = ", ".join(levels[-1].values) or "none"
            raise VitrinaError(f"training rows have article types: {known}; at least two are needed to train a classifier")
        if not any(row.title or row.description for row in listings):
            raise VitrinaError("no training row has a title or a description; a tokenizer needs text")
        paths = {tuple(v.encode(c) for v, c in zip(levels, row.categories, strict=True)) for row in listings}
        prices = [row.price for row in listings if row.price is not None]
        return cls(
            tokenizer=ProductTokenizer.fit(_texts(listings), config.vocab_size),
            names=Vocabulary.fit((name for row in listings for name, _ in row.pairs), config.attribute_min_count),
            values=Vocabulary.fit((value for row in listings for _, value in row.pairs), config.attribute_min_count),
            levels=levels,
            paths=np.array(sorted(path for path in paths if path[-1]), dtype=np.int64),
            price=PriceScaler.fit(prices) if prices else None,
        )

    def encode(
        self, listings: Sequence[CleanListing], photos: Sequence[NDArray[np.uint8] | None], config: ProductModelConfig
    ) -> Inputs:
        """A batch on the CPU, padded to its own longest row; photos are height × width × 3 of the configured size."""
        pairs = [row.pairs[: config.max_attributes] for row in listings]
        names, values = (np.zeros((len(pairs), max(map(len, pairs), default=0)), dtype=np.int64) for _ in range(2))
        for i, row in enumerate(pairs):
            # Index 0 of a name is padding, so an unknown name is moved to the end of the table.
            names[i, : len(row)] = [self.names.encode(name) or len(self.names) for name, _ in row]
            values[i, : len(row)] = [self.values.encode(value) for _, value in row]
        image = np.zeros((len(photos), config.image_height, config.image_width, 3), dtype=np.uint8)
        for i, photo in enumerate(photos):
            if photo is not None:
                image[i] = photo
        prices = np.array([np.nan if row.price is None else row.price for row in listings])
        scaled = self.price.transform(prices) if self.price else np.full(len(listings), np.nan, dtype=np.float32)
        codes = [[v.encode(c) for v, c in zip(self.levels, row.categories, strict=True)] for row in listings]
        return Inputs(
            title=torch.from_numpy(self.tokenizer.encode([row.title for row in listings], config.title_tokens)),
            description=torch.from_numpy(self.tokenizer.encode([row.description for row in listings], config.description_tokens)),
            image=torch.from_numpy(image).permute(0, 3, 1, 2),
            has_image=torch.tensor([photo is not None for photo in photos], dtype=torch.bool),
            names=torch.from_numpy(names),
            values=torch.from_numpy(values),
            price=torch.from_numpy(scaled),
            categories=torch.tensor(codes, dtype=torch.int64).view(len(listings), len(CATEGORY_LEVELS)),
        )

    def labels(self) -> dict[str, tuple[str, ...]]:
        """Category values the model can answer, by level."""
        return {level: vocabulary.values for level, vocabulary in zip(CATEGORY_LEVELS, self.levels, strict=True)}

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; the tokenizer has a file of its own."""
        return {
            "names": self.names.to_dict(),
            "values": self.values.to_dict(),
            "levels": [v.to_dict() for v in self.levels],
            "paths": self.paths.tolist(),
            "price": self.price.to_dict() if self.price else None,
        }

    @classmethod
    def from_dict(cls, tokenizer: ProductTokenizer, data: Mapping[str, Any]) -> "Encoders":
        """Read back what `to_dict` wrote."""
        return cls(
            tokenizer=tokenizer,
            names=Vocabulary.from_dict(data["names"]),
            values=Vocabulary.from_dict(data["values"]),
            levels=tuple(Vocabulary.from_dict(level) for level in data["levels"]),
            paths=np.array(data["paths"], dtype=np.int64),
            price=PriceScaler.from_dict(data["price"]) if data["price"] else None,
        )

    def save(self, folder: Path) -> None:
        """Write `encoders.json` and `tokenizer.json`."""
        self.tokenizer.save(folder)
        (folder / FILE).write_text(json.dumps(self.to_dict(), ensure_ascii=False), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> "Encoders":
        """Read what `save` wrote.

        Raises:
            VitrinaError: a file is missing or damaged.
        """
        try:
            data = json.loads((folder / FILE).read_text(encoding="utf-8"))
            return cls.from_dict(ProductTokenizer.load(folder), data)
        except OSError as error:
            raise VitrinaError(f"cannot read {folder / FILE}: {error.strerror}") from error
        except (KeyError, TypeError, UnicodeDecodeError, json.JSONDecodeError) as error:
            raise VitrinaError(f"{folder / FILE} is damaged: {type(error).__name__} {error}") from error


def _texts(listings: Iterable[CleanListing]) -> Iterable[str]:
    return chain.from_iterable((row.title, row.description) for row in listings)
