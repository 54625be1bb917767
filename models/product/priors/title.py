"""What the n-grams of a title say about its article type, before the network looks.

Linear support vector machines, one type against the rest (Fan et al. 2008), on hashed word and character n-grams name more types
from a title alone than a network's token embeddings do after an hour of training. One temperature (Guo et al. 2017) makes their
margins logarithms of probabilities, and the network learns what is left; for that, training rows get the answer of machines that
did not see them (stacked generalisation, Wolpert 1992).

Shapes: n titles, F hashed features of all blocks, T article types with the missing one at 0.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.sparse import csr_matrix, hstack
from scipy.special import log_softmax
from sklearn.svm import LinearSVC

from configs.errors import VitrinaError
from models.product.priors.config import PriorsConfig
from models.product.priors.linear import FOLDS, Block, counts, inverse_document_frequency, out_of_fold, weighted

BLOCKS = (Block("title", "word", 1, 3), Block("title", "char_wb", 3, 5))
TOLERANCE = 0.1  # of the solver: ten times finer answers are the same
ABSENT = -1.0
"""Margin of a type that a fold's training rows lack."""

SHARPEST = 10.0
"""Of the softmax: on few rows all of them may be told, and nothing else bounds it; 5 on a catalogue of 40,000."""


@dataclass(frozen=True)
class Machines:
    """Coefficients (F, T), rounded to half precision, and intercepts (T,) of one type against the rest."""

    coefficients: NDArray[np.float32]
    intercepts: NDArray[np.float32]

    @classmethod
    def fit(cls, features: csr_matrix, labels: NDArray[np.int64], types: int, cost: float) -> "Machines":
        """Of features (n, F) and their labels (n,), at least two; `cost` is C."""
        used = np.flatnonzero(np.bincount(features.indices, minlength=features.shape[1]))  # most hashed columns are empty
        svm = LinearSVC(C=cost, tol=TOLERANCE, dual=True, random_state=0).fit(features[:, used], labels)
        slopes, intercepts = svm.coef_, svm.intercept_
        if len(svm.classes_) == 2:  # one machine tells both
            slopes, intercepts = np.concatenate([-slopes, slopes]), np.concatenate([-intercepts, intercepts])
        coefficients = np.zeros((features.shape[1], types), dtype=np.float32)
        coefficients[np.ix_(used, svm.classes_)] = slopes.T.astype(np.float16)
        offsets = np.full(types, ABSENT, dtype=np.float32)
        offsets[svm.classes_] = intercepts
        return cls(coefficients, offsets)

    def margins(self, features: csr_matrix) -> NDArray[np.float32]:
        """Of features (n, F), (n, T)."""
        found: NDArray[np.float32] = features @ self.coefficients + self.intercepts
        return found


@dataclass(frozen=True)
class TitlePrior:
    """A fitted prior.

    Attributes:
        idf: Inverse document frequency of each of `BLOCKS`.
        machines: Fitted on every training title.
        sharpness: What margins are multiplied by before the softmax.
        folds: The same machines without each fold; only while training.
    """

    idf: tuple[NDArray[np.float32], ...]
    machines: Machines
    sharpness: float
    folds: tuple[Machines, ...] = field(default=(), repr=False)

    @classmethod
    def fit(
        cls,
        titles: Sequence[str],
        labels: NDArray[np.int64],
        fold: NDArray[np.int64],
        types: int,
        bits: int,
        config: PriorsConfig,
    ) -> "TitlePrior | None":
        """Fit on all titles, once without each fold, and the sharpness on what those say about the fold they did not see.

        Args:
            titles: n of them, none empty.
            labels: (n,) article types in 1…T-1.
            fold: (n,) which of the `FOLDS` a row belongs to; rows that are copies of each other share one.
            types: T.
            bits: log2 of the hashed features of each block; more than the configuration's are not used.

        Returns:
            None unless at least two types occur outside every fold, and some n-gram in several titles.
        """
        if any(len(np.unique(labels[fold != number])) < 2 for number in range(FOLDS)):
            return None
        raw = [counts(block, titles, min(bits, config.title.bits)) for block in BLOCKS]
        idf = tuple(inverse_document_frequency(matrix, config.linear.min_documents) for matrix in raw)
        features = hstack([weighted(matrix, w) for matrix, w in zip(raw, idf, strict=True)], format="csr")
        if not features.nnz:
            return None
        cost = config.title.cost
        folds = tuple(Machines.fit(features[fold != number], labels[fold != number], types, cost) for number in range(FOLDS))
        unseen = _of_folds(folds, features, fold)
        return cls(idf, Machines.fit(features, labels, types, cost), _sharpness(unseen, labels), folds)

    def log_probabilities(self, titles: Sequence[str], fold: NDArray[np.int64] | None = None) -> NDArray[np.float32]:
        """Of each type (n, T); the missing type has the lowest of its row. All 0 for a title that says nothing.

        `fold` (n,): ask for each title the machines that did not see its fold.
        """
        bits = len(self.idf[0]).bit_length() - 1
        blocks = [weighted(counts(block, titles, bits), w) for block, w in zip(BLOCKS, self.idf, strict=True)]
        features = hstack(blocks, format="csr")
        margins = self.machines.margins(features) if fold is None else _of_folds(self.folds, features, fold)
        found = np.zeros_like(margins)
        found[:, 1:] = log_softmax(self.sharpness * margins[:, 1:], axis=1)
        found[:, 0] = found[:, 1:].min(axis=1)
        return np.where((np.diff(features.indptr) > 0)[:, None], found, 0.0).astype(np.float32)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """What `from_arrays` reads; the folds stay behind."""
        named: dict[str, NDArray[Any]] = {f"idf.{block.name}": idf for block, idf in zip(BLOCKS, self.idf, strict=True)}
        sharpness = np.array([self.sharpness], dtype=np.float32)
        return named | {
            "coefficients": self.machines.coefficients.astype(np.float16),
            "intercepts": self.machines.intercepts,
            "sharpness": sharpness,
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> "TitlePrior":
        """Read back what `arrays` gave.

        Raises:
            VitrinaError: an array is missing or of another size.
        """
        try:
            idf = tuple(arrays[f"idf.{block.name}"] for block in BLOCKS)
            machines = Machines(arrays["coefficients"].astype(np.float32), arrays["intercepts"])
            sharpness = float(arrays["sharpness"][0])
        except (KeyError, IndexError) as error:
            raise VitrinaError(f"the prior of titles lacks {error}") from error
        expected = (sum(map(len, idf)), len(machines.intercepts))
        if machines.coefficients.shape != expected or idf[0].shape != (1 << len(idf[0]).bit_length() - 1,):
            raise VitrinaError(f"the prior of titles has coefficients {machines.coefficients.shape}; {expected} is allowed")
        return cls(idf, machines, sharpness)


def _of_folds(folds: Sequence[Machines], features: csr_matrix, fold: NDArray[np.int64]) -> NDArray[np.float32]:
    """Margins (n, T) of machines that did not see a row's fold (n,)."""
    return out_of_fold(fold, lambda number, rows: folds[number].margins(features[rows]), len(folds[0].intercepts))


def _sharpness(margins: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    """That under whose softmax the labels (n,) are most likely."""

    def loss(logarithm: float) -> float:
        told = log_softmax(np.exp(logarithm) * margins[:, 1:], axis=1)
        return -float(told[np.arange(len(labels)), labels - 1].mean())

    return float(np.exp(minimize_scalar(loss, bounds=(0.0, np.log(SHARPEST)), method="bounded").x))
