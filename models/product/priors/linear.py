"""Linear priors: what a bag of words says before the network looks.

A wide linear model beside a deep one (Cheng et al. 2016): word and character n-grams are hashed (Weinberger et al. 2009),
weighted by TF-IDF and read by ridge or logistic regression. A prior is a sum over the parts of a listing, so that it holds for
any subset of them. The network learns what is left; for that, training rows get the answer of a model that did not see them
(stacked generalisation, Wolpert 1992).

Shapes: n rows, S segments.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Literal
from zlib import crc32

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, hstack
from sklearn.feature_extraction.text import HashingVectorizer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.preprocessing import normalize

from configs.errors import VitrinaError
from models.product.priors.config import LinearPriorConfig

FOLDS = 4

Kind = Literal["ridge", "logistic"]
Segments = Mapping[str, Sequence[Any]]
"""Of each segment, its text (or list of exact tokens) in every row; empty means missing."""


@dataclass(frozen=True)
class Block:
    """N-grams of one segment: words, characters within words, or its tokens as they are."""

    segment: str
    analyzer: Literal["word", "char_wb", "exact"] = "exact"
    low: int = 1
    high: int = 1

    @property
    def name(self) -> str:
        """Names its arrays."""
        return f"{self.segment}.{self.analyzer}"


PRICE_BLOCKS = (
    Block("title", "word", 1, 3),
    Block("title", "char_wb", 3, 5),
    Block("description", "word", 1, 2),
    Block("attributes"),
    Block("master_category"),
    Block("sub_category"),
    Block("article_type"),
)
REVIEW_BLOCKS = (
    Block("title", "word", 1, 3),
    Block("title", "char_wb", 2, 5),
    Block("text", "word", 1, 3),
    Block("text", "char_wb", 2, 5),
)


@dataclass(frozen=True)
class Weights:
    """Coefficients of each block (features,), the mean contribution of each segment (S,), and the intercept."""

    coefficients: tuple[NDArray[np.float32], ...]
    means: NDArray[np.float32]
    intercept: float


@dataclass(frozen=True)
class LinearPrior:
    """A fitted prior.

    Attributes:
        blocks: What is read.
        idf: Inverse document frequency (features,) of each block.
        weights: Fitted on every training row.
        folds: The same without each fold; only while training.
    """

    blocks: tuple[Block, ...]
    idf: tuple[NDArray[np.float32], ...]
    weights: Weights
    folds: tuple[Weights, ...] = field(default=(), repr=False)

    @property
    def segments(self) -> tuple[str, ...]:
        """Parts that contribute, in the order of the answers."""
        return _segments(self.blocks)

    @classmethod
    def fit(
        cls,
        blocks: Sequence[Block],
        segments: Segments,
        target: NDArray[Any],
        fold: NDArray[np.int64],
        kind: Kind,
        bits: int,
        config: LinearPriorConfig,
    ) -> "LinearPrior":
        """Fit on all rows, and once without each fold.

        Args:
            target: (n,) float for ridge, {0, 1} for logistic; NaN where it is not known, of which only the words are counted.
            fold: (n,) which of the `FOLDS` a row belongs to (`fold_of`); rows that are copies of each other share one.
        """
        raw = [counts(block, segments[block.segment], bits) for block in blocks]
        idf = tuple(inverse_document_frequency(matrix, config.min_documents) for matrix in raw)
        return cls._solved(
            blocks, idf, [weighted(matrix, weights) for matrix, weights in zip(raw, idf, strict=True)], target, fold, kind, config
        )

    def refitted(
        self,
        features: Sequence[csr_matrix],
        target: NDArray[Any],
        fold: NDArray[np.int64],
        kind: Kind,
        config: LinearPriorConfig,
    ) -> "LinearPrior":
        """A prior of another target of the same rows, whose `features` are known; arguments as in `fit`."""
        return self._solved(self.blocks, self.idf, features, target, fold, kind, config)

    @classmethod
    def _solved(
        cls,
        blocks: Sequence[Block],
        idf: tuple[NDArray[np.float32], ...],
        features: Sequence[csr_matrix],
        target: NDArray[Any],
        fold: NDArray[np.int64],
        kind: Kind,
        config: LinearPriorConfig,
    ) -> "LinearPrior":
        joined = hstack(features, format="csr")
        used = np.flatnonzero(np.bincount(joined.indices, minlength=joined.shape[1]))  # most hashed columns are empty
        narrow = joined[:, used]
        present, known = _present(blocks, features), ~np.isnan(target)

        def fitted(rows: NDArray[np.bool_]) -> Weights:
            rows = rows & known
            slope, intercept = _solve(narrow[rows], target[rows], kind, config)
            coefficients = np.zeros(joined.shape[1], dtype=np.float32)
            coefficients[used] = slope
            by_block = tuple(np.split(coefficients, len(blocks)))
            means = _means(blocks, [matrix[rows] for matrix in features], by_block, present[rows])
            return Weights(by_block, means, intercept + float(means.sum()))

        folds = tuple(fitted(fold != number) for number in range(FOLDS))
        return cls(tuple(blocks), idf, fitted(np.ones(len(target), dtype=bool)), folds)

    def features(self, segments: Segments) -> list[csr_matrix]:
        """TF-IDF (n, features) of each block, rows of unit length."""
        bits = len(self.idf[0]).bit_length() - 1
        return [weighted(counts(b, segments[b.segment], bits), idf) for b, idf in zip(self.blocks, self.idf, strict=True)]

    def contributions(self, features: Sequence[csr_matrix], fold: NDArray[np.int64] | None = None) -> NDArray[np.float32]:
        """What each segment adds to the intercept (n, S), 0 where it is missing.

        `fold` (n,): ask for each row the model that did not see its fold.
        """
        if fold is None:
            return _contributions(self.blocks, features, self.weights)

        def ask(number: int, rows: NDArray[np.int64]) -> NDArray[np.float32]:
            return _contributions(self.blocks, [f[rows] for f in features], self.folds[number])

        return out_of_fold(fold, ask, len(self.segments))

    def answers(self, features: Sequence[csr_matrix], fold: NDArray[np.int64] | None = None) -> NDArray[np.float32]:
        """What was fitted says (n,): a missing segment counts as nothing, not as an average one. `fold` as above."""
        if fold is None:
            return _answers(features, self.weights)
        return out_of_fold(fold, lambda number, rows: _answers([f[rows] for f in features], self.folds[number]))

    def joined(
        self,
        other: "LinearPrior",
        share: float,
        features: Sequence[csr_matrix],
        target: NDArray[np.int64],
        fold: NDArray[np.int64],
    ) -> "LinearPrior":
        """This prior and a `share` of another of the same rows, each in its standard deviations, as a logit of target (n,).

        Deviations, and the slope and intercept of the logit, are those of what both say of rows that they did not see (stacked
        generalisation, Wolpert 1992; Platt 1999).
        """
        told = np.stack([self.answers(features, fold), other.answers(features, fold)], axis=1)
        shares = np.array([1.0, share]) / np.maximum(told.std(axis=0), 1e-6)
        model = LogisticRegression().fit(told @ shares[:, None], target)
        own, others = (float(x) for x in model.coef_[0, 0] * shares)
        intercept = float(model.intercept_[0])

        def summed(one: Weights, two: Weights) -> Weights:
            pairs = zip(one.coefficients, two.coefficients, strict=True)
            return Weights(
                tuple(np.float32(own) * a + np.float32(others) * b for a, b in pairs),
                np.float32(own) * one.means + np.float32(others) * two.means,
                own * one.intercept + others * two.intercept + intercept,
            )

        folds = tuple(summed(one, two) for one, two in zip(self.folds, other.folds, strict=True))
        return LinearPrior(self.blocks, self.idf, summed(self.weights, other.weights), folds)

    def arrays(self) -> dict[str, NDArray[np.float32]]:
        """What `from_arrays` reads; the folds stay behind."""
        named = {f"idf.{block.name}": idf for block, idf in zip(self.blocks, self.idf, strict=True)}
        named |= {f"coefficients.{b.name}": c for b, c in zip(self.blocks, self.weights.coefficients, strict=True)}
        return named | {"means": self.weights.means, "intercept": np.array([self.weights.intercept], dtype=np.float32)}

    @classmethod
    def from_arrays(cls, blocks: Sequence[Block], arrays: Mapping[str, NDArray[np.float32]]) -> "LinearPrior":
        """Read back what `arrays` gave.

        Raises:
            VitrinaError: an array is missing or of another size.
        """
        try:
            idf = tuple(arrays[f"idf.{block.name}"] for block in blocks)
            coefficients = tuple(arrays[f"coefficients.{block.name}"] for block in blocks)
            weights = Weights(coefficients, arrays["means"], float(arrays["intercept"][0]))
        except (KeyError, IndexError) as error:
            raise VitrinaError(f"the linear prior lacks {error}") from error
        features = {array.shape for array in (*idf, *coefficients)}
        if len(features) != 1 or idf[0].shape != (1 << len(idf[0]).bit_length() - 1,):
            raise VitrinaError(f"the blocks of the linear prior have shapes {sorted(features)}; one power of two is allowed")
        if weights.means.shape != (len(_segments(blocks)),):
            raise VitrinaError(
                f"the linear prior has means of shape {weights.means.shape}; it has {len(_segments(blocks))} segments"
            )
        return cls(tuple(blocks), idf, weights)


def fold_of(keys: Iterable[Any]) -> NDArray[np.int64]:
    """Fold of each row by its key, the same for 5 and "5"."""
    return np.array([crc32(str(key).encode()) % FOLDS for key in keys], dtype=np.int64)


def out_of_fold(
    fold: NDArray[np.int64], ask: Callable[[int, NDArray[np.int64]], NDArray[np.float32]], *columns: int
) -> NDArray[np.float32]:
    """What `ask(number, rows)` says of the rows of each fold, (n,) or (n, columns) in the order of `fold` (n,)."""
    found = np.zeros((len(fold), *columns), dtype=np.float32)
    for number in np.unique(fold):
        rows = np.flatnonzero(fold == number)
        found[rows] = ask(int(number), rows)
    return found


@lru_cache(maxsize=32)
def _vectorizer(block: Block, bits: int) -> HashingVectorizer:
    analyzer = _exact if block.analyzer == "exact" else block.analyzer
    return HashingVectorizer(
        n_features=2**bits,
        ngram_range=(block.low, block.high),
        analyzer=analyzer,
        norm=None,
        alternate_sign=False,
        lowercase=False,
        dtype=np.float32,
        token_pattern=r"[\w']+|[!?]+" if block.analyzer == "word" else None,
    )


def _exact(tokens: Iterable[str]) -> Iterable[str]:
    return tokens


def counts(block: Block, texts: Sequence[Any], bits: int) -> csr_matrix:
    """Sublinear frequencies (n, 2^bits) of a block's n-grams in each text."""
    matrix: csr_matrix = _vectorizer(block, bits).transform(texts)
    matrix.data = 1.0 + np.log(matrix.data)  # sublinear term frequency
    return matrix


def inverse_document_frequency(matrix: csr_matrix, min_documents: int) -> NDArray[np.float32]:
    """Of each column (features,); 0 where fewer than `min_documents` rows have it."""
    documents = np.bincount(matrix.indices, minlength=matrix.shape[1])
    weights = np.log((1 + matrix.shape[0]) / (1 + documents)) + 1
    return np.where(documents < min_documents, 0.0, weights).astype(np.float32)


def weighted(matrix: csr_matrix, idf: NDArray[np.float32]) -> csr_matrix:
    """TF-IDF (n, features), rows of unit length."""
    found = matrix.copy()
    found.data = found.data * idf[found.indices]
    found.eliminate_zeros()
    return normalize(found, copy=False)


def _solve(
    features: csr_matrix, target: NDArray[Any], kind: Kind, config: LinearPriorConfig
) -> tuple[NDArray[np.float32], float]:
    """Slope and intercept; where no row says anything, the intercept alone."""
    if not features.shape[1]:
        share = float(np.mean(target))
        return np.zeros(0, dtype=np.float32), share if kind == "ridge" else float(np.log(share / (1 - share)))
    if kind == "ridge":
        model = Ridge(alpha=config.ridge_alpha, solver="lsqr", tol=1e-3).fit(features, target)
    else:
        model = LogisticRegression(C=config.logistic_c, solver="liblinear", dual=True, random_state=0, max_iter=300).fit(
            features, target
        )
    return np.ravel(model.coef_).astype(np.float32), float(np.ravel(model.intercept_)[0])


def _means(
    blocks: Sequence[Block],
    features: Sequence[csr_matrix],
    coefficients: Sequence[NDArray[np.float32]],
    present: NDArray[np.bool_],
) -> NDArray[np.float32]:
    """What each segment adds on average (S,) where it is present."""
    raw = Weights(tuple(coefficients), np.zeros(present.shape[1], dtype=np.float32), 0.0)
    found = _contributions(blocks, features, raw)
    means: NDArray[np.float32] = found.sum(axis=0) / np.maximum(present.sum(axis=0), 1)
    return means.astype(np.float32)


def _contributions(blocks: Sequence[Block], features: Sequence[csr_matrix], weights: Weights) -> NDArray[np.float32]:
    names = _segments(blocks)
    found = np.zeros((features[0].shape[0], len(names)), dtype=np.float32)
    for block, matrix, coefficients in zip(blocks, features, weights.coefficients, strict=True):
        found[:, names.index(block.segment)] += matrix @ coefficients
    return np.where(_present(blocks, features), found - weights.means, 0.0).astype(np.float32)


def _answers(features: Sequence[csr_matrix], weights: Weights) -> NDArray[np.float32]:
    told = sum(matrix @ coefficients for matrix, coefficients in zip(features, weights.coefficients, strict=True))
    return np.asarray(told + weights.intercept - weights.means.sum(), dtype=np.float32)


def _present(blocks: Sequence[Block], features: Sequence[csr_matrix]) -> NDArray[np.bool_]:
    """Which segments (n, S) say anything."""
    names = _segments(blocks)
    present = np.zeros((features[0].shape[0], len(names)), dtype=bool)
    for block, matrix in zip(blocks, features, strict=True):
        present[:, names.index(block.segment)] |= np.diff(matrix.indptr) > 0
    return present


def _segments(blocks: Sequence[Block]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(block.segment for block in blocks))
