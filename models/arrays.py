"""How bundles store arrays: sparse matrices in compressed rows, and the fields of a fitted part."""

from collections.abc import Mapping
from dataclasses import Field, fields
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

State = dict[str, NDArray[Any]]
"""Arrays by name."""

NOT_STORED: Mapping[str, Any] = {"stored": False}
"""Metadata of a field that a bundle does not hold; it needs a default."""

T = TypeVar("T")


def csr_state(name: str, matrix: csr_matrix) -> State:
    """`name.data`, `name.indices` and `name.offsets` of a sparse matrix."""
    return {
        f"{name}.data": matrix.data,
        f"{name}.indices": matrix.indices,
        f"{name}.offsets": matrix.indptr.astype(np.int64),
    }


def csr_restored(name: str, state: Mapping[str, NDArray[Any]], columns: int | None = None) -> csr_matrix:
    """The matrix [n, columns] that `csr_state` was taken of; square where no number of columns is given.

    Raises:
        KeyError: an array is missing.
        ValueError: the arrays do not fit each other.
    """
    data, indices, offsets = (state[f"{name}.{array}"] for array in ("data", "indices", "offsets"))
    rows = len(offsets) - 1
    return csr_matrix((data, indices, offsets), shape=(rows, rows if columns is None else columns))


def fields_state(held: Any) -> State:
    """The fields of a dataclass of arrays, sparse matrices and floats; these become float32 [1]."""
    found: State = {}
    for field in _stored(type(held)):
        value = getattr(held, field.name)
        if field.type is csr_matrix:
            found |= csr_state(field.name, value)
        else:
            found[field.name] = np.array([value], dtype=np.float32) if field.type is float else value
    return found


def fields_restored(kind: type[T], state: Mapping[str, NDArray[Any]]) -> T:
    """The dataclass that `fields_state` was taken of.

    Raises:
        KeyError: an array is missing.
        ValueError: the arrays of a sparse matrix do not fit each other.
    """
    found: dict[str, Any] = {}
    for field in _stored(kind):
        if field.type is csr_matrix:
            found[field.name] = csr_restored(field.name, state)
        else:
            found[field.name] = float(state[field.name][0]) if field.type is float else state[field.name]
    return kind(**found)


def below(prefix: str, state: Mapping[str, NDArray[Any]]) -> State:
    """The arrays whose name begins with `prefix`, without it."""
    return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}


def _stored(kind: Any) -> list[Field[Any]]:
    return [field for field in fields(kind) if field.metadata.get("stored", True)]
