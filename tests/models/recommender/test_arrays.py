"""What a bundle stores of sparse matrices and of the fields of a part."""

from dataclasses import dataclass, field

import numpy as np
import pytest
from recommender_cases import random_cells
from scipy.sparse import csr_matrix

from models.arrays import NOT_STORED, below, csr_restored, csr_state, fields_restored, fields_state
from models.recommender.readings import Floats


@dataclass(frozen=True)
class Held:
    matrix: csr_matrix
    vectors: Floats
    decay: float
    left_out: str = field(default="none", metadata=NOT_STORED)


def test_a_matrix_is_its_cells_columns_and_offsets() -> None:
    state = csr_state("m", csr_matrix(np.array([[0, 2.0, 0], [3.0, 0, 4.0]], dtype=np.float32)))
    assert {name: array.tolist() for name, array in state.items()} == {
        "m.data": [2, 3, 4],
        "m.indices": [1, 0, 2],
        "m.offsets": [0, 1, 3],
    }
    assert csr_restored("m", state, columns=3).toarray().tolist() == [[0, 2, 0], [3, 0, 4]]


def test_fields_are_restored_as_they_were() -> None:
    held = Held(random_cells(6, 6, 0.4, seed=0), np.eye(6, 2, dtype=np.float32), 0.1, "not stored")
    state = fields_state(held)
    assert set(state) == {"matrix.data", "matrix.indices", "matrix.offsets", "vectors", "decay"}
    restored = fields_restored(Held, state)
    assert restored.matrix.toarray().tolist() == held.matrix.toarray().tolist()
    assert restored.vectors.tolist() == held.vectors.tolist()
    assert restored.decay == np.float32(0.1)
    assert restored.left_out == "none"


def test_what_is_missing_is_named() -> None:
    state = fields_state(Held(random_cells(6, 6, 0.4, seed=0), np.eye(6, 2, dtype=np.float32), 0.1))
    for name in state:
        with pytest.raises(KeyError, match=name):
            fields_restored(Held, {other: array for other, array in state.items() if other != name})


def test_names_below_a_prefix() -> None:
    assert list(below("a.", {"a.b.c": np.zeros(1), "ab.c": np.zeros(1), "b.a.": np.zeros(1)})) == ["b.c"]
