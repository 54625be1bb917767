"""What every part of the blend is: a function from a user's history to a score of every item.

A part knows no users, only items, so that a new purchase changes the next answer without training, and a user who was never
seen is no special case. Shapes: B users, I items, d dimensions.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Protocol, Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from models.recommender.interactions import Histories
from models.recommender.readings import ConstantReading, DenseReading, Floats, Reading, SparseReading, Vectors

State = dict[str, NDArray[Any]]
"""Arrays by name: what a bundle stores of a part."""


class Part(Protocol):
    """A score of every item from any history."""

    kind: ClassVar[str]

    def read(self, histories: Histories) -> Reading:
        """Scores, and their spread over the items, by which parts become comparable."""
        ...

    def scores(self, histories: Histories) -> Floats:
        """Scores [B, I]."""
        ...

    def state(self) -> State:
        """What `restore` needs."""
        ...


class Scored:
    """`scores` of a part that can `read`."""

    def read(self, histories: Histories) -> Reading:
        """See `Part`."""
        raise NotImplementedError

    def scores(self, histories: Histories) -> Floats:
        """See `Part`."""
        return self.read(histories).all()


@dataclass(frozen=True)
class Neighbours(Scored):
    """Items near what the user has: a sparse matrix, from the item that is had to the one that is scored.

    Attributes:
        matrix: float32 [I, I].
        decay: Rate at which older items count less.
    """

    matrix: csr_matrix
    decay: float
    kind: ClassVar[str] = "neighbours"

    def read(self, histories: Histories) -> Reading:
        """Sums over the history."""
        return SparseReading((histories.matrix(self.matrix.shape[0], self.decay) @ self.matrix).tocsr())

    def state(self) -> State:
        """See `Part`."""
        m = self.matrix
        offsets = m.indptr.astype(np.int64)
        return {"data": m.data, "indices": m.indices, "offsets": offsets, "decay": np.array([self.decay], dtype=np.float32)}

    @classmethod
    def restore(cls, state: Mapping[str, NDArray[Any]]) -> Self:
        """The part that `state` was taken of."""
        count = len(state["offsets"]) - 1
        matrix = csr_matrix((state["data"], state["indices"], state["offsets"]), shape=(count, count))
        return cls(matrix, float(state["decay"][0]))


@dataclass(frozen=True)
class Projection(Scored):
    """Inner products with the sum of the vectors of what the user has.

    Attributes:
        reading: float32 [I, d], vectors of items that are had.
        answering: float32 [I, d], vectors of items that are scored.
        decay: Rate at which older items count less.
    """

    reading: Floats
    answering: Floats
    decay: float
    kind: ClassVar[str] = "projection"

    def query(self, histories: Histories) -> Floats:
        """Vector of each user [B, d]."""
        found: Floats = histories.matrix(len(self.reading), self.decay) @ self.reading
        return found

    def read(self, histories: Histories) -> Reading:
        """See `Part`."""
        return DenseReading(self.query(histories), self._vectors)

    @cached_property
    def _vectors(self) -> Vectors:
        return Vectors.of(self.answering)

    def state(self) -> State:
        """See `Part`."""
        return {"reading": self.reading, "answering": self.answering, "decay": np.array([self.decay], dtype=np.float32)}

    @classmethod
    def restore(cls, state: Mapping[str, NDArray[Any]]) -> Self:
        """The part that `state` was taken of."""
        return cls(state["reading"], state["answering"], float(state["decay"][0]))


@dataclass(frozen=True)
class Popularity(Scored):
    """The same for everyone: the logarithm of how many bought an item. Decides where nothing else is known."""

    buyers: Floats
    kind: ClassVar[str] = "popularity"

    @cached_property
    def _row(self) -> Floats:
        found: Floats = np.log1p(self.buyers).astype(np.float32)
        return found

    def read(self, histories: Histories) -> Reading:
        """See `Part`."""
        return ConstantReading(self._row, len(histories))

    def state(self) -> State:
        """See `Part`."""
        return {"buyers": self.buyers}

    @classmethod
    def restore(cls, state: Mapping[str, NDArray[Any]]) -> Self:
        """The part that `state` was taken of."""
        return cls(state["buyers"])
