"""All priors of one training run: what is known of a price, an article type or a review before the network looks.

Training rows get the answer of a model that did not see them (stacked generalisation, Wolpert 1992), and are not their own
neighbours.

Shapes: B listings, S segments, N article types, R reviews.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

from catalog.listing import CATEGORY_LEVELS
from catalog.price import PriceScaler
from catalog.vocabulary import Vocabulary
from configs.errors import VitrinaError
from models.product.cleaning import CleanListing, CleanReview
from models.product.config import ProductModelConfig
from models.product.parts import PRIOR_SEGMENTS
from models.product.priors.linear import FOLDS, PRICE_BLOCKS, REVIEW_BLOCKS, Block, LinearPrior, fold_of
from models.product.priors.neighbours import NAMES as NEIGHBOUR_FEATURES
from models.product.priors.neighbours import Neighbours, sketch
from models.product.priors.title import TitlePrior


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
class Priors:
    """Fitted on training rows.

    Attributes:
        types: N, the missing one among them.
        price: What words say about a price; None where there is no price.
        neighbours: What similar training rows cost; None where there is no price prior.
        title: What titles say about the article type; None where fewer than two types have titles in training.
        review: What words say about a review; None where training had no reviews that do and do not recommend.
    """

    types: int
    price: LinearPrior | None
    neighbours: Neighbours | None
    title: TitlePrior | None
    review: LinearPrior | None

    @classmethod
    def fit(
        cls,
        listings: Sequence[CleanListing],
        keys: Sequence[Any],
        types: Vocabulary,
        scaler: PriceScaler | None,
        config: ProductModelConfig,
        reviews: Sequence[CleanReview],
        review_keys: Sequence[Any],
    ) -> "Priors":
        """Fit on training rows and their keys; `types` are the article types, `scaler` standardises prices."""
        price = _fit_price(listings, keys, scaler, config) if scaler else None
        return cls(
            types=len(types),
            price=price,
            neighbours=_fit_neighbours(listings, keys, scaler, price, config.neighbour_rows) if price and scaler else None,
            title=_fit_titles(listings, keys, types, config),
            review=_fit_reviews(reviews, review_keys, config),
        )

    def expect(self, listings: Sequence[CleanListing], keys: Sequence[Any] | None = None) -> Expected:
        """What words and neighbours say about prices and types; 0 where training had no prices, or no titles.

        `keys` of training rows: they are answered by the model that did not see them, and are not their own neighbours.
        """
        rows, found = len(listings), self.expect_types(listings, keys)
        if self.price is None or self.neighbours is None:
            return found
        for start in range(0, rows, _ROWS_AT_ONCE):
            part = slice(start, start + _ROWS_AT_ONCE)
            features = self.price.features(_segments(listings[part]))
            own = None if keys is None else keys[part]
            found.prior[part] = self.price.contributions(features, None if own is None else fold_of(own))
            vectors = sketch(self.price.blocks, features)
            found.neighbours[part] = self.neighbours.features(vectors, None if own is None else _numbers(own))
        return found

    def expect_types(self, listings: Sequence[CleanListing], keys: Sequence[Any] | None = None) -> Expected:
        """What titles say about types, and 0 for all that is about prices, which costs more. `keys` as in `expect`."""
        prior, neighbours = (
            np.zeros((len(listings), len(names)), dtype=np.float32) for names in (PRIOR_SEGMENTS, NEIGHBOUR_FEATURES)
        )
        return Expected(prior, neighbours, self.log_types(listings, keys))

    def log_types(self, listings: Sequence[CleanListing], keys: Sequence[Any] | None = None) -> NDArray[np.float32]:
        """Log probability (B, N) of each article type by the title; 0 without a title or a prior. `keys` as in `expect`."""
        found = np.zeros((len(listings), self.types), dtype=np.float32)
        if self.title is None:
            return found
        told = [i for i, row in enumerate(listings) if row.title]
        for start in range(0, len(told), _ROWS_AT_ONCE):
            part = told[start : start + _ROWS_AT_ONCE]
            fold = None if keys is None else fold_of(keys[i] for i in part)
            found[part] = self.title.log_probabilities([listings[i].title for i in part], fold)
        return found

    def review_logits(self, reviews: Sequence[CleanReview], fold: NDArray[np.int64] | None = None) -> NDArray[np.float32]:
        """Logit (R,) of "recommended"; 0 without a prior."""
        if self.review is None or not reviews:
            return np.zeros(len(reviews), dtype=np.float32)
        return self.review.answers(self.review.features(_review_segments(reviews)), fold)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """What `from_arrays` reads; what only training needs stays behind."""
        return {f"{name}.{key}": array for name, prior in self.fitted().items() for key, array in prior.arrays().items()}

    def fitted(self) -> dict[str, LinearPrior | Neighbours | TitlePrior]:
        """Those that there are, by name."""
        named = {"price": self.price, "neighbours": self.neighbours, "title": self.title, "review": self.review}
        return {name: prior for name, prior in named.items() if prior is not None}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], fitted: Sequence[str], types: int) -> "Priors":
        """Read back what `arrays` gave; `fitted` names the priors that there are.

        Raises:
            VitrinaError: an array is missing or of another size, or there are arrays of other priors.
            KeyError: the neighbours lack one.
        """
        by_name: dict[str, dict[str, NDArray[Any]]] = {}
        for key, array in arrays.items():
            name, _, rest = key.partition(".")
            by_name.setdefault(name, {})[rest] = array

        if set(by_name) != set(fitted):
            raise VitrinaError(f"there are arrays of {', '.join(by_name) or 'no prior'}; expected: {', '.join(fitted) or 'none'}")

        def linear(name: str, blocks: Sequence[Block]) -> LinearPrior | None:
            return LinearPrior.from_arrays(blocks, by_name[name]) if name in by_name else None

        return cls(
            types=types,
            price=linear("price", PRICE_BLOCKS),
            neighbours=Neighbours.from_arrays(by_name["neighbours"]) if "neighbours" in by_name else None,
            title=TitlePrior.from_arrays(by_name["title"]) if "title" in by_name else None,
            review=linear("review", REVIEW_BLOCKS),
        )


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


def _fit_price(
    listings: Sequence[CleanListing], keys: Sequence[Any], scaler: PriceScaler, config: ProductModelConfig
) -> LinearPrior | None:
    """Ridge on the standardised log price; the intercept is part of the network's offset."""
    rows = [i for i, row in enumerate(listings) if row.price is not None]
    fold = fold_of(keys[i] for i in rows)
    if len(np.unique(fold)) < 2:
        return None
    target = scaler.transform(np.array([listings[i].price for i in rows], dtype=np.float64))
    return LinearPrior.fit(
        PRICE_BLOCKS, _segments([listings[i] for i in rows]), target, fold, "ridge", config.prior_bits, config.priors.linear
    )


def _fit_reviews(reviews: Sequence[CleanReview], keys: Sequence[Any], config: ProductModelConfig) -> LinearPrior | None:
    """Logistic regression on "recommended", joined with ridge regression on the rating, which tells a fault from a disaster.

    None unless both answers occur outside every fold; logistic regression alone where no two ratings do.
    """
    rows = [i for i, row in enumerate(reviews) if row.recommended is not None and (row.title or row.text)]
    segments = _review_segments([reviews[i] for i in rows])
    target = np.array([reviews[i].recommended for i in rows], dtype=np.int64)
    ratings = np.array([np.nan if reviews[i].rating is None else reviews[i].rating for i in rows], dtype=np.float64)
    fold = fold_of(keys[i] for i in rows)

    linear = config.priors.linear
    if not told_apart(target, fold):
        return None
    prior = LinearPrior.fit(REVIEW_BLOCKS, segments, target, fold, "logistic", config.prior_bits, linear)
    if not told_apart(ratings, fold):
        return prior
    features = prior.features(segments)
    rated = prior.refitted(features, ratings, fold, "ridge", linear)
    return prior.joined(rated, linear.rating_share, features, target, fold)


def told_apart(values: NDArray[Any], fold: NDArray[np.int64]) -> bool:
    """Whether two different values (n,), NaN where one is not known, occur outside every fold (n,)."""
    return all(len(np.unique(values[(fold != number) & ~np.isnan(values)])) > 1 for number in range(FOLDS))


def _fit_titles(
    listings: Sequence[CleanListing], keys: Sequence[Any], types: Vocabulary, config: ProductModelConfig
) -> TitlePrior | None:
    """On the rows that have a title and an article type."""
    labels = np.array([types.encode(row.categories[-1]) for row in listings], dtype=np.int64)
    rows = [i for i, row in enumerate(listings) if row.title and labels[i]]
    fold = fold_of(keys[i] for i in rows)
    return TitlePrior.fit([listings[i].title for i in rows], labels[rows], fold, len(types), config.prior_bits, config.priors)


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


def _numbers(keys: Iterable[Any]) -> NDArray[np.uint64]:
    """64 bits of each key, the same for 5 and "5"."""
    digests = b"".join(blake2b(str(key).encode(), digest_size=8).digest() for key in keys)
    return np.frombuffer(digests, dtype="<u8").astype(np.uint64)


_ROWS_AT_ONCE = 4096
