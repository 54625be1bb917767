"""Category values as indices; the vocabulary travels with the model that was trained on it."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from catalog.errors import CatalogueError

UNKNOWN = ""
"""What index 0 decodes to: a value that is missing or was not seen in training."""


@dataclass(frozen=True)
class Vocabulary:
    """Values in a fixed order; index 0 is unknown or missing, `values[i]` has index i + 1."""

    values: tuple[str, ...]

    @classmethod
    def fit(cls, values: Iterable[Any], min_count: int = 1) -> "Vocabulary":
        """Values seen at least `min_count` times, most frequent first and ties by name; missing ones are passed over."""
        counts = Counter(v for v in values if isinstance(v, str) and v not in ("", "NA"))
        kept = (value for value, count in counts.items() if count >= min_count)
        return cls(tuple(sorted(kept, key=lambda value: (-counts[value], value))))

    def encode(self, value: str | None) -> int:
        """Index of a value, 0 where it is missing or unknown."""
        return self._index.get(value, 0) if isinstance(value, str) else 0

    def decode(self, index: int) -> str:
        """Value at an index; `UNKNOWN` for 0.

        Raises:
            IndexError: outside the vocabulary.
        """
        if not 0 <= index < len(self):
            raise IndexError(f"index {index} is outside a vocabulary of {len(self)}")
        return self.values[index - 1] if index else UNKNOWN

    def __len__(self) -> int:
        return len(self.values) + 1

    def to_dict(self) -> dict[str, list[str]]:
        """What `from_dict` reads."""
        return {"values": list(self.values)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Vocabulary":
        """Read back what `to_dict` wrote.

        Raises:
            CatalogueError: not a list of distinct, non-empty strings.
        """
        values = data.get("values")
        if not isinstance(values, list) or not all(isinstance(v, str) and v for v in values) or len(set(values)) < len(values):
            raise CatalogueError("vocabulary needs `values`: a list of distinct, non-empty strings")
        return cls(tuple(values))

    @cached_property
    def _index(self) -> dict[str, int]:
        return {value: index for index, value in enumerate(self.values, start=1)}
