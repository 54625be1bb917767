"""From listings to the arrays the model reads: everything fitted on training rows, and nothing else."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file
from torch import Tensor

from catalog.listing import CATEGORICAL_FIELDS, CATEGORY_LEVELS, Listing
from catalog.price import PriceScaler
from catalog.text import normalise
from catalog.vocabulary import Vocabulary
from configs.errors import VitrinaError
from models.pretrained.tokenizer import ProductTokenizer
from models.product.config import ProductModelConfig
from models.product.inputs import Inputs, Reviews
from models.product.parts import FACTS, PRIOR_SEGMENTS
from models.product.priors.linear import FOLDS, PRICE_BLOCKS, REVIEW_BLOCKS, Block, LinearPrior, fold_of
from models.product.priors.neighbours import NAMES as NEIGHBOUR_FEATURES
from models.product.priors.neighbours import Neighbours, sketch
from models.product.priors.title import TitlePrior

FILE, PRIORS = "encoders.json", "priors.safetensors"


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


@dataclass(frozen=True)
class CleanReview:
    """A review with its texts normalised; None where the writer's opinion is not known."""

    title: str
    text: str
    recommended: bool | None = None
    rating: float | None = None


def clean_review(title: str | None, text: str | None, recommended: Any = None, rating: Any = None) -> CleanReview:
    """Normalise the texts of a review; a missing opinion (None, NA, NaN) is None."""
    return CleanReview(
        title=normalise(title or ""),
        text=normalise(text or ""),
        recommended=None if pd.isna(recommended) else bool(recommended),
        rating=None if pd.isna(rating) else float(rating),
    )


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
class Expected:
    """What is known before the network looks.

    Attributes:
        prior: What words add to the price (B, S).
        neighbours: What similar listings cost: features (B, 14).
        types: What titles say about the article type: log probabilities (B, N).
    """

    prior: NDArray[np.float32]
    neighbours: NDArray[np.float32]
    types: NDArray[np.float32]

    def at(self, rows: Sequence[int]) -> "Expected":
        """Of some rows, a copy."""
        return Expected(self.prior[rows], self.neighbours[rows], self.types[rows])

    def put(self, rows: Sequence[int], other: "Expected") -> None:
        """Overwrite some rows."""
        self.prior[rows], self.neighbours[rows], self.types[rows] = other.prior, other.neighbours, other.types


@dataclass(frozen=True)
class Encoders:
    """Tokenizer, vocabularies and price scale of one training run.

    Attributes:
        names: Names of fields and attributes.
        values: Their values, one vocabulary for all names, so that "blue" is the same colour everywhere.
        levels: Values of each of `CATEGORY_LEVELS`.
        paths: Category indices [paths, 3] that occur together in training: the leaves of the hierarchical softmax.
        price: None where no training row has a price; there is no price estimate then.
        price_prior: What words say about a price; None where there is no price.
        neighbours: What similar training rows cost; None where there is no price prior.
        title_prior: What titles say about the article type; None where fewer than two types have titles in training.
        review_prior: What words say about a review; None where training had no reviews that do and do not recommend.
    """

    tokenizer: ProductTokenizer
    names: Vocabulary
    values: Vocabulary
    levels: tuple[Vocabulary, ...]
    paths: NDArray[np.int64]
    price: PriceScaler | None
    price_prior: LinearPrior | None
    neighbours: Neighbours | None
    title_prior: TitlePrior | None
    review_prior: LinearPrior | None

    @classmethod
    def fit(
        cls,
        listings: Sequence[CleanListing],
        keys: Sequence[Any],
        config: ProductModelConfig,
        reviews: Sequence[CleanReview] = (),
        review_keys: Sequence[Any] = (),
    ) -> "Encoders":
        """Fit on training rows and their keys.

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
        scaler = PriceScaler.fit(prices) if prices else None
        prior = _fit_price(listings, keys, scaler, config.prior_bits) if scaler else None
        return cls(
            tokenizer=_fit_tokenizer(listings, reviews, config),
            names=Vocabulary.fit((name for row in listings for name, _ in row.pairs), config.attribute_min_count),
            values=Vocabulary.fit((value for row in listings for _, value in row.pairs), config.attribute_min_count),
            levels=levels,
            paths=np.array(sorted(path for path in paths if path[-1]), dtype=np.int64),
            price=scaler,
            price_prior=prior,
            neighbours=_fit_neighbours(listings, keys, scaler, prior, config.neighbour_rows) if prior and scaler else None,
            title_prior=_fit_titles(listings, keys, levels[-1], config.prior_bits),
            review_prior=_fit_reviews(reviews, review_keys, config.prior_bits),
        )

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
        expected = expected or self.expect(listings)
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
            prior=torch.from_numpy(self.review_priors(reviews) if prior is None else prior),
            recommended=torch.tensor(unknown, dtype=torch.float32),
            rating=torch.tensor(ratings, dtype=torch.float32),
        )

    def expect(self, listings: Sequence[CleanListing], keys: Sequence[Any] | None = None) -> Expected:
        """What words and neighbours say about prices and types; 0 where training had no prices, or no titles.

        `keys` of training rows: they are answered by the model that did not see them, and are not their own neighbours.
        """
        rows, found = len(listings), self.expect_types(listings, keys)
        if self.price_prior is None or self.neighbours is None:
            return found
        for start in range(0, rows, _ROWS_AT_ONCE):
            part = slice(start, start + _ROWS_AT_ONCE)
            features = self.price_prior.features(_segments(listings[part]))
            own = None if keys is None else keys[part]
            found.prior[part] = self.price_prior.contributions(features, None if own is None else fold_of(own))
            vectors = sketch(self.price_prior.blocks, features)
            found.neighbours[part] = self.neighbours.features(vectors, None if own is None else _numbers(own))
        return found

    def expect_types(self, listings: Sequence[CleanListing], keys: Sequence[Any] | None = None) -> Expected:
        """What titles say about types, and 0 for all that is about prices, which costs more. `keys` as in `expect`."""
        prior, neighbours = (
            np.zeros((len(listings), len(names)), dtype=np.float32) for names in (PRIOR_SEGMENTS, NEIGHBOUR_FEATURES)
        )
        return Expected(prior, neighbours, self.title_priors(listings, keys))

    def title_priors(self, listings: Sequence[CleanListing], keys: Sequence[Any] | None = None) -> NDArray[np.float32]:
        """Log probability (B, N) of each article type by the title; 0 without a title or a prior. `keys` as in `expect`."""
        found = np.zeros((len(listings), len(self.levels[-1])), dtype=np.float32)
        if self.title_prior is None:
            return found
        told = [i for i, row in enumerate(listings) if row.title]
        for start in range(0, len(told), _ROWS_AT_ONCE):
            part = told[start : start + _ROWS_AT_ONCE]
            fold = None if keys is None else fold_of(keys[i] for i in part)
            found[part] = self.title_prior.log_probabilities([listings[i].title for i in part], fold)
        return found

    def review_priors(self, reviews: Sequence[CleanReview], fold: NDArray[np.int64] | None = None) -> NDArray[np.float32]:
        """Logit (R,) of "recommended"; 0 without a prior."""
        if self.review_prior is None or not reviews:
            return np.zeros(len(reviews), dtype=np.float32)
        return self.review_prior.answers(self.review_prior.features(_review_segments(reviews)), fold)

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
            "priors": [name for name, prior in self._priors().items() if prior],
        }

    def _priors(self) -> dict[str, LinearPrior | TitlePrior | None]:
        return {"price": self.price_prior, "title": self.title_prior, "review": self.review_prior}

    @classmethod
    def from_dict(
        cls, tokenizer: ProductTokenizer, data: Mapping[str, Any], priors: Mapping[str, NDArray[np.float32]]
    ) -> "Encoders":
        """Read back what `to_dict` wrote."""
        return cls(
            tokenizer=tokenizer,
            names=Vocabulary.from_dict(data["names"]),
            values=Vocabulary.from_dict(data["values"]),
            levels=tuple(Vocabulary.from_dict(level) for level in data["levels"]),
            paths=np.array(data["paths"], dtype=np.int64),
            price=PriceScaler.from_dict(data["price"]) if data["price"] else None,
            price_prior=_load_prior(priors, "price", PRICE_BLOCKS) if "price" in data["priors"] else None,
            neighbours=_load_neighbours(priors) if "price" in data["priors"] else None,
            title_prior=TitlePrior.from_arrays(_of_prior(priors, "title")) if "title" in data["priors"] else None,
            review_prior=_load_prior(priors, "review", REVIEW_BLOCKS) if "review" in data["priors"] else None,
        )

    def save(self, folder: Path) -> None:
        """Write `encoders.json`, `tokenizer.json` and `priors.safetensors`."""
        self.tokenizer.save(folder)
        fitted = {name: prior for name, prior in self._priors().items() if prior}
        arrays = {f"{name}.{key}": array for name, prior in fitted.items() for key, array in prior.arrays().items()}
        if self.neighbours:
            arrays |= {f"neighbours.{key}": array for key, array in self.neighbours.arrays().items()}
        save_file(arrays, folder / PRIORS)
        (folder / PRIORS).chmod(0o644)
        (folder / FILE).write_text(json.dumps(self.to_dict(), ensure_ascii=False), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> "Encoders":
        """Read what `save` wrote.

        Raises:
            VitrinaError: a file is missing or damaged.
        """
        tokenizer = ProductTokenizer.load(folder)
        try:
            data = json.loads((folder / FILE).read_text(encoding="utf-8"))
            return cls.from_dict(tokenizer, data, load_file(folder / PRIORS))
        except OSError as error:
            raise VitrinaError(f"cannot read {error.filename or folder}: {error.strerror or error}") from error
        except (KeyError, TypeError, UnicodeDecodeError, json.JSONDecodeError, SafetensorError) as error:
            raise VitrinaError(f"{folder / FILE} or {PRIORS} is damaged: {type(error).__name__} {error}") from error
        except VitrinaError as error:
            raise VitrinaError(f"{folder / PRIORS}: {error}") from error


def _fit_tokenizer(
    listings: Sequence[CleanListing], reviews: Sequence[CleanReview], config: ProductModelConfig
) -> ProductTokenizer:
    """Learnt from the texts, or the pretrained text encoder's own."""
    if config.text_encoder:
        return ProductTokenizer.from_pretrained(config.text_encoder.init_from)
    return ProductTokenizer.fit(_texts(listings, reviews), config.vocab_size)


def _texts(listings: Iterable[CleanListing], reviews: Iterable[CleanReview]) -> Iterable[str]:
    return chain(
        chain.from_iterable((row.title, row.description) for row in listings),
        chain.from_iterable((row.title, row.text) for row in reviews),
    )


def _sizes(row: CleanListing) -> tuple[int, int, int]:
    """Sizes of `FACTS`."""
    return len(row.title), len(row.description), len(row.pairs)


def _segments(listings: Sequence[CleanListing]) -> dict[str, list[Any]]:
    """Of each of `PRIOR_SEGMENTS`, its text or exact tokens in every listing."""
    levels = {
        level: [[row.categories[i]] if row.categories[i] else [] for row in listings] for i, level in enumerate(CATEGORY_LEVELS)
    }
    return {
        "title": [row.title for row in listings],
        "description": [row.description for row in listings],
        "attributes": [[f"{name}={value}" for name, value in row.pairs] for row in listings],
        **levels,
    }


def _review_segments(reviews: Sequence[CleanReview]) -> dict[str, list[str]]:
    return {"title": [row.title for row in reviews], "text": [row.text for row in reviews]}


def _fit_price(listings: Sequence[CleanListing], keys: Sequence[Any], scaler: PriceScaler, bits: int) -> LinearPrior | None:
    """Ridge on the standardised log price; the intercept is part of the network's offset."""
    rows = [i for i, row in enumerate(listings) if row.price is not None]
    fold = fold_of(keys[i] for i in rows)
    if len(np.unique(fold)) < 2:
        return None
    target = scaler.transform(np.array([listings[i].price for i in rows], dtype=np.float64))
    return LinearPrior.fit(PRICE_BLOCKS, _segments([listings[i] for i in rows]), target, fold, "ridge", bits)


def _fit_reviews(reviews: Sequence[CleanReview], keys: Sequence[Any], bits: int) -> LinearPrior | None:
    """Logistic regression on "recommended", joined with ridge regression on the rating, which tells a fault from a disaster.

    None unless both answers occur outside every fold; logistic regression alone where no two ratings do.
    """
    rows = [i for i, row in enumerate(reviews) if row.recommended is not None and (row.title or row.text)]
    segments = _review_segments([reviews[i] for i in rows])
    target = np.array([reviews[i].recommended for i in rows], dtype=np.int64)
    ratings = np.array([np.nan if reviews[i].rating is None else reviews[i].rating for i in rows], dtype=np.float64)
    fold = fold_of(keys[i] for i in rows)

    def least(values: NDArray[Any]) -> int:
        return min(len(np.unique(values[(fold != number) & ~np.isnan(values)])) for number in range(FOLDS))

    if least(target) < 2:
        return None
    prior = LinearPrior.fit(REVIEW_BLOCKS, segments, target, fold, "logistic", bits)
    if least(ratings) < 2:
        return prior
    features = prior.features(segments)
    return prior.joined(prior.refitted(features, ratings, fold, "ridge"), features, target, fold)


def _fit_titles(listings: Sequence[CleanListing], keys: Sequence[Any], types: Vocabulary, bits: int) -> TitlePrior | None:
    """On the rows that have a title and an article type."""
    labels = np.array([types.encode(row.categories[-1]) for row in listings], dtype=np.int64)
    rows = [i for i, row in enumerate(listings) if row.title and labels[i]]
    fold = fold_of(keys[i] for i in rows)
    return TitlePrior.fit([listings[i].title for i in rows], labels[rows], fold, len(types), bits)


def _load_prior(arrays: Mapping[str, NDArray[np.float32]], name: str, blocks: Sequence[Block]) -> LinearPrior:
    return LinearPrior.from_arrays(blocks, _of_prior(arrays, name))


def _of_prior(arrays: Mapping[str, NDArray[Any]], name: str) -> dict[str, NDArray[Any]]:
    return {key.removeprefix(f"{name}."): array for key, array in arrays.items() if key.startswith(f"{name}.")}


def _fit_neighbours(
    listings: Sequence[CleanListing], keys: Sequence[Any], scaler: PriceScaler, prior: LinearPrior, limit: int
) -> Neighbours:
    """At most `limit` rows with a price, drawn at random."""
    rows = [i for i, row in enumerate(listings) if row.price is not None]
    if len(rows) > limit:
        rows = sorted(np.random.default_rng(0).permutation(rows)[:limit].tolist())
    parts = [rows[start : start + _ROWS_AT_ONCE] for start in range(0, len(rows), _ROWS_AT_ONCE)]
    vectors = [sketch(prior.blocks, prior.features(_segments([listings[i] for i in part]))) for part in parts]
    prices = scaler.transform(np.array([listings[i].price for i in rows], dtype=np.float64))
    return Neighbours(np.concatenate(vectors).astype(np.float16), prices, _numbers([keys[i] for i in rows]))


def _load_neighbours(arrays: Mapping[str, NDArray[Any]]) -> Neighbours:
    vectors, prices = arrays["neighbours.vectors"], arrays["neighbours.prices"]
    return Neighbours(vectors, prices, np.zeros(len(prices), dtype=np.uint64))


def _numbers(keys: Iterable[Any]) -> NDArray[np.uint64]:
    """64 bits of each key, the same for 5 and "5"."""
    digests = b"".join(blake2b(str(key).encode(), digest_size=8).digest() for key in keys)
    return np.frombuffer(digests, dtype="<u8").astype(np.uint64)


_LONGEST = 4096
_ROWS_AT_ONCE = 4096
