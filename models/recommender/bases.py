"""The two ways in which most parts score: by a sparse matrix from item to item, and by vectors.

Shapes: B users, I items, d dimensions.
"""

from abc import abstractmethod
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

from scipy.sparse import csr_matrix

from models.recommender.interactions import Histories
from models.recommender.part import Config, Part
from models.recommender.readings import DenseReading, Floats, Reading, SparseReading, Vectors


@dataclass(frozen=True)
class SparsePart(Part[Config]):
    """Items near what the user has: the sum of the matrix's rows over the history.

    Attributes:
        matrix: float32 [I, I], from the item that is had to the one that is scored.
        decay: Rate at which older items count less.
    """

    matrix: csr_matrix
    decay: float

    def read(self, histories: Histories) -> Reading:
        """See `Part`."""
        return SparseReading((histories.matrix(self.matrix.shape[0], self.decay) @ self.matrix).tocsr())

    def fading(self, decay: float) -> Self:
        """The same at another decay."""
        return replace(self, decay=decay)

    @property
    def item_weights(self) -> csr_matrix | None:
        """See `Part`."""
        return self.matrix


class DensePart(Part[Config]):
    """Inner products of a vector that the history leads to with one of each item."""

    @abstractmethod
    def query(self, histories: Histories) -> Floats:
        """Vector of each user [B, d]."""

    @property
    @abstractmethod
    def targets(self) -> Floats:
        """Vectors of the items that are scored [I, d]."""

    def read(self, histories: Histories) -> Reading:
        """See `Part`."""
        return DenseReading(self.query(histories), self._vectors)

    @cached_property
    def _vectors(self) -> Vectors:
        return Vectors.of(self.targets)
