"""From listings to the arrays the model reads: everything fitted on training rows, and nothing else."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file
from torch import Tensor

from catalog.listing import CATEGORY_LEVELS
from catalog.price import PriceScaler
from catalog.vocabulary import Vocabulary
from configs.errors import VitrinaError
from models.pretrained.tokenizer import TextTokenizer
from models.product.cleaning import CleanListing, CleanReview
from models.product.config import ProductModelConfig
from models.product.inputs import Inputs, Reviews
from models.product.parts import FACTS
from models.product.priors.priors import Expected, Priors
from models.product.tasks import Lacks

FILE, PRIORS = "encoders.json", "priors.safetensors"
_NOTHING = Lacks()


@dataclass(frozen=True)
class Encoders:
    """Tokenizer, vocabularies and price scale of one training run.

    Attributes:
        names: Names of fields and attributes.
        values: Their values, one vocabulary for all names, so that "blue" is the same colour everywhere.
        levels: Values of each of `CATEGORY_LEVELS`.
        paths: Category indices [paths, 3] that occur together in training: the leaves of the hierarchical softmax.
        price: None where prices are no task; there is no price estimate then.
        priors: What is known before the network looks.
        unread: Parts of a listing that training hardly saw: they are passed over in every listing.
    """

    tokenizer: TextTokenizer
    names: Vocabulary
    values: Vocabulary
    levels: tuple[Vocabulary, ...]
    paths: NDArray[np.int64]
    price: PriceScaler | None
    priors: Priors
    unread: tuple[str, ...] = ()

    @classmethod
    def fit(
        cls,
        listings: Sequence[CleanListing],
        keys: Sequence[Any],
        config: ProductModelConfig,
        reviews: Sequence[CleanReview] = (),
        review_keys: Sequence[Any] = (),
        lacks: Lacks = _NOTHING,
    ) -> "Encoders":
        """Fit on training rows and their keys; what belongs to a task that the rows lack is fitted on nothing."""
        levels = tuple(
            Vocabulary.fit(() if level in lacks.tasks else (row.categories[i] for row in listings))
            for i, level in enumerate(CATEGORY_LEVELS)
        )
        prices = [row.price for row in listings if row.price is not None and "price" not in lacks.tasks]
        scaler = PriceScaler.fit(prices) if prices else None
        opinions = () if "sentiment" in lacks.tasks else reviews
        return cls(
            tokenizer=_fit_tokenizer(listings, reviews, config),
            names=Vocabulary.fit((name for row in listings for name, _ in row.pairs), config.attribute_min_count),
            values=Vocabulary.fit((value for row in listings for _, value in row.pairs), config.attribute_min_count),
            levels=levels,
            paths=_paths(listings, levels),
            price=scaler,
            priors=Priors.fit(listings, keys, levels[-1], scaler, config, opinions, review_keys),
            unread=tuple(lacks.parts),
        )

    def read(self, row: CleanListing) -> CleanListing:
        """The listing without what is not read: parts that training hardly saw, and values of levels that are no task."""
        if not self.unread and self.price is not None and all(len(level) > 1 for level in self.levels):
            return row
        hidden: dict[str, Any] = {name: "" for name in ("title", "description") if name in self.unread}
        if "attributes" in self.unread:
            hidden["pairs"] = ()
        if self.price is None:
            hidden["price"] = None
        known = tuple(value if len(level) > 1 else None for level, value in zip(self.levels, row.categories, strict=True))
        return replace(row, **hidden, categories=known)

    def encode(
        self,
        listings: Sequence[CleanListing],
        photos: Sequence[NDArray[np.uint8] | None],
        config: ProductModelConfig,
        expected: Expected | None = None,
    ) -> Inputs:
        """A batch on the CPU, padded to its own longest row.

        Args:
            photos: Height × width × 3 of the configured size.
            expected: What words and neighbours say, where it was computed before.
        """
        listings = [self.read(row) for row in listings]
        if "image" in self.unread:
            photos = [None] * len(photos)
        expected = expected or self.priors.expect(listings)
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
        if all(photo is None for photo in photos):
            image = image[:, :0, :0]  # no photo at all: the tower is not asked
        prices = np.array([np.nan if row.price is None else row.price for row in listings])
        scaled = self.price.transform(prices) if self.price else np.full(len(listings), np.nan, dtype=np.float32)
        codes = [[v.encode(c) for v, c in zip(self.levels, row.categories, strict=True)] for row in listings]
        return Inputs(
            title=torch.from_numpy(self.tokenizer.encode([row.title for row in listings], config.title_tokens)),
            description=self._long([row.description for row in listings], config.description_tokens, config.endings),
            image=torch.from_numpy(image).permute(0, 3, 1, 2),
            has_image=torch.tensor([photo is not None for photo in photos], dtype=torch.bool),
            names=torch.from_numpy(names),
            values=torch.from_numpy(values),
            price=torch.from_numpy(scaled),
            categories=torch.tensor(codes, dtype=torch.int64).view(len(listings), len(CATEGORY_LEVELS)),
            price_prior=torch.from_numpy(expected.prior),
            neighbours=torch.from_numpy(expected.neighbours),
            title_prior=torch.from_numpy(expected.types),
            facts=torch.tensor([[math.log1p(size) for size in _sizes(row)] for row in listings], dtype=torch.float32).view(
                len(listings), len(FACTS)
            ),
        )

    def encode_reviews(
        self, reviews: Sequence[CleanReview], config: ProductModelConfig, prior: NDArray[np.float32] | None = None
    ) -> Reviews:
        """A batch of reviews on the CPU; `prior` (R,) where it was computed before."""
        unknown = [math.nan if row.recommended is None else float(row.recommended) for row in reviews]
        ratings = [math.nan if row.rating is None else row.rating for row in reviews]
        return Reviews(
            title=torch.from_numpy(self.tokenizer.encode([row.title for row in reviews], config.title_tokens)),
            text=self._long([row.text for row in reviews], config.review_tokens, config.endings),
            prior=torch.from_numpy(self.priors.review_logits(reviews) if prior is None else prior),
            recommended=torch.tensor(unknown, dtype=torch.float32),
            rating=torch.tensor(ratings, dtype=torch.float32),
        )

    def _long(self, texts: Sequence[str], limit: int, ending: int) -> Tensor:
        """Tokens (n, limit): the beginning of each text, then its last `ending` tokens, aligned to the right; (n, 0) without any.

        Without an ending, (n, longest ≤ limit): the beginnings alone.
        The ending has the same place in every batch: what a text says must not depend on its neighbours' lengths.
        """
        ids = self.tokenizer.encode(texts, _LONGEST if ending else limit)
        if not ending or not ids.shape[1]:
            return torch.from_numpy(ids)
        lengths = (ids != 0).sum(axis=1)
        where = lengths[:, None] - ending + np.arange(ending)
        last = np.where(where >= 0, np.take_along_axis(ids, where.clip(min=0), axis=1), 0)
        first = ids[:, : limit - ending]
        gap = np.zeros((len(ids), limit - ending - first.shape[1]), dtype=np.int64)
        return torch.from_numpy(np.concatenate([first, gap, last], axis=1))

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
            "priors": list(self.priors.fitted()),
            "unread": list(self.unread),
        }

    @classmethod
    def from_dict(
        cls, tokenizer: TextTokenizer, data: Mapping[str, Any], priors: Mapping[str, NDArray[np.float32]]
    ) -> "Encoders":
        """Read back what `to_dict` wrote."""
        levels = tuple(Vocabulary.from_dict(level) for level in data["levels"])
        return cls(
            tokenizer=tokenizer,
            names=Vocabulary.from_dict(data["names"]),
            values=Vocabulary.from_dict(data["values"]),
            levels=levels,
            paths=np.array(data["paths"], dtype=np.int64),
            price=PriceScaler.from_dict(data["price"]) if data["price"] else None,
            priors=Priors.from_arrays(priors, data["priors"], types=len(levels[-1])),
            unread=tuple(data.get("unread", ())),  # bundles made before there was such a list read every part
        )

    def save(self, folder: Path) -> None:
        """Write `encoders.json`, `tokenizer.json` and `priors.safetensors`."""
        self.tokenizer.save(folder)
        save_file(self.priors.arrays(), folder / PRIORS)
        (folder / PRIORS).chmod(0o644)
        (folder / FILE).write_text(json.dumps(self.to_dict(), ensure_ascii=False), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> "Encoders":
        """Read what `save` wrote.

        Raises:
            VitrinaError: a file is missing or damaged.
        """
        tokenizer = TextTokenizer.load(folder)
        try:
            data = json.loads((folder / FILE).read_text(encoding="utf-8"))
            return cls.from_dict(tokenizer, data, load_file(folder / PRIORS))
        except OSError as error:
            raise VitrinaError(f"cannot read {error.filename or folder}: {error.strerror or error}") from error
        except (KeyError, TypeError, UnicodeDecodeError, json.JSONDecodeError, SafetensorError) as error:
            raise VitrinaError(f"{folder / FILE} or {PRIORS} is damaged: {type(error).__name__} {error}") from error
        except VitrinaError as error:
            raise VitrinaError(f"{folder / PRIORS}: {error}") from error


def _paths(listings: Sequence[CleanListing], levels: Sequence[Vocabulary]) -> NDArray[np.int64]:
    """Paths [P, 3] that occur and reach the finest level with values; one of missing values alone where no level has any."""
    finest = max((i for i, level in enumerate(levels) if len(level) > 1), default=None)
    if finest is None:
        return np.zeros((1, len(levels)), dtype=np.int64)
    paths = {tuple(v.encode(c) for v, c in zip(levels, row.categories, strict=True)) for row in listings}
    return np.array(sorted(path for path in paths if path[finest]), dtype=np.int64)


def _fit_tokenizer(listings: Sequence[CleanListing], reviews: Sequence[CleanReview], config: ProductModelConfig) -> TextTokenizer:
    """Learnt from the texts, of which there may be none, or the pretrained text encoder's own."""
    if config.text_encoder:
        return TextTokenizer.from_pretrained(config.text_encoder.init_from)
    return TextTokenizer.fit(_texts(listings, reviews), config.vocab_size)


def _texts(listings: Iterable[CleanListing], reviews: Iterable[CleanReview]) -> Iterable[str]:
    return chain(
        chain.from_iterable((row.title, row.description) for row in listings),
        chain.from_iterable((row.title, row.text) for row in reviews),
    )


def _sizes(row: CleanListing) -> tuple[int, int, int]:
    """Sizes of `FACTS`."""
    return len(row.title), len(row.description), len(row.pairs)


_LONGEST = 4096
