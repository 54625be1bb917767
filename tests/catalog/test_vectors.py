"""Embeddings of a catalogue: read as one matrix, or refused by product."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from catalog.catalogue import Catalogue
from catalog.errors import CatalogueError
from catalog.vectors import Vectors, faults
from catalog.write import write_embeddings, write_table


def delivered(folder: Path, ids: object, vectors: object, kind: pa.DataType | None = None) -> Catalogue:
    folder.mkdir(exist_ok=True)
    table = pa.table({"product_id": ids, "embedding": pa.array(vectors, type=kind)})
    pq.write_table(table, folder / "embeddings.parquet", row_group_size=2)
    return Catalogue.open(folder)


@pytest.mark.parametrize(
    "kind",
    [
        pa.list_(pa.float32()),
        pa.large_list(pa.float64()),
        pa.list_(pa.float32(), 2),
        pa.list_(pa.float16()),
        pa.list_(pa.int64()),
    ],
    ids=str,
)
def test_vectors_of_any_width_are_read_as_float32(tmp_path: Path, kind: pa.DataType) -> None:
    values = np.array([[1, 2], [0, 0], [-3, 4], [5, 6], [7, 8]])
    ids, vectors = delivered(tmp_path, ["007", "8", "8", "x", "y"], values.astype(np.float16).tolist(), kind).embeddings()
    assert ids.tolist() == ["007", "8", "8", "x", "y"]
    assert vectors.dtype == np.float32
    assert vectors.tolist() == values.tolist()


def test_ids_that_are_missing_stay_missing(tmp_path: Path) -> None:
    ids, vectors = delivered(tmp_path, [3, None], [[1.0], [2.0]]).embeddings()
    assert ids.dtype == pd.Int64Dtype()
    assert ids.isna().tolist() == [False, True]
    assert vectors.shape == (2, 1)


def test_a_table_without_rows_is_read(tmp_path: Path) -> None:
    ids, vectors = delivered(tmp_path, pa.array([], pa.int64()), [], pa.list_(pa.float32())).embeddings()
    assert len(ids) == 0
    assert vectors.shape == (0, 0)


@pytest.mark.parametrize(
    ("vector", "message"),
    [
        (None, "is missing"),
        ([], "is empty"),
        ([1.0], "is of length 1 where 2 is usual"),
        ([1.0, 2.0, 3.0], "is of length 3 where 2 is usual"),
        ([1.0, None], "holds a value that is missing or not finite"),
        ([float("nan"), 1.0], "holds a value that is missing or not finite"),
        ([1.0, float("-inf")], "holds a value that is missing or not finite"),
        ([1e300, 1.0], "holds a value that is missing or not finite"),
    ],
    ids=str,
)
@pytest.mark.parametrize("row", [0, 3, 4])
def test_a_vector_with_a_fault_is_refused_by_product(tmp_path: Path, row: int, vector: object, message: str) -> None:
    vectors: list[object] = [[1.0, 2.0]] * 5
    vectors[row] = vector
    catalogue = delivered(tmp_path, [10, 11, 12, 13, 14], vectors, pa.list_(pa.float64()))
    with pytest.raises(CatalogueError, match=rf"embeddings\.parquet: the embedding of product {10 + row} {message}"):
        catalogue.embeddings()
    clean = catalogue.without(pd.DataFrame({"table": ["embeddings"], "row": [row]}))
    ids, found = clean.embeddings()
    assert row + 10 not in ids.tolist()
    assert found.tolist() == [[1.0, 2.0]] * 4


@pytest.mark.parametrize("vectors", [[1.0, 2.0], ["a", "b"], [["a"], ["b"]], [None, None]], ids=str)
def test_a_column_that_holds_no_lists_of_numbers_is_refused(tmp_path: Path, vectors: list[object]) -> None:
    with pytest.raises(CatalogueError, match=r"embeddings\.parquet: embedding is .*; allowed: a list of numbers"):
        delivered(tmp_path, [1, 2], vectors).embeddings()


def test_without_the_table_the_catalogue_says_what_there_is(tmp_path: Path) -> None:
    write_table(tmp_path, "products", pd.DataFrame({"product_id": [1], "title": ["a"]}))
    with pytest.raises(CatalogueError, match=r"has no embeddings\.parquet; it has: products"):
        Catalogue.open(tmp_path).embeddings()


def test_faults_of_several_pieces_are_judged_together() -> None:
    pieces = [Vectors.of(pa.array(part)) for part in ([[1.0], [float("nan")]], [[1.0, 2.0], [3.0, 4.0], None], [[5.0, 6.0], []])]
    assert faults(pieces).tolist() == [
        "is of length 1 where 2 is usual",
        "is of length 1 where 2 is usual",
        None,
        None,
        "is missing",
        None,
        "is empty",
    ]
    assert faults([piece.without_values() for piece in pieces]).equals(faults(pieces))


def test_a_slice_of_a_column_is_measured_by_itself() -> None:
    column = pa.array([[float("nan"), 1.0], [1.0, 2.0], None, [3.0, float("inf")]])
    found = Vectors.of(column.slice(1))
    assert found.lengths.tolist() == [2, -1, 2]
    assert found.finite.tolist() == [True, True, False]
    assert found.values.tolist() == [1.0, 2.0, 3.0, float("inf")]


@pytest.mark.parametrize("keys", [[1, 2, 3], ["a", "b", "c"]])
def test_embeddings_are_written_piece_by_piece(tmp_path: Path, keys: list[object]) -> None:
    vectors = np.arange(12, dtype=np.float32).reshape(3, 4)
    ids = pd.Series(keys)
    write_embeddings(tmp_path, ((ids[part], vectors[part]) for part in (slice(0, 2), slice(2, 3))))
    assert pq.ParquetFile(tmp_path / "embeddings.parquet").num_row_groups == 2
    found, read = Catalogue.open(tmp_path).embeddings()
    assert found.tolist() == keys
    assert read.tolist() == vectors.tolist()


def test_no_embedding_at_all_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(CatalogueError, match="no embedding to write"):
        write_embeddings(tmp_path, iter(()))
    assert not list(tmp_path.iterdir())


def test_batches_hold_every_row_and_refuse_what_is_damaged(tmp_path: Path) -> None:
    catalogue = delivered(tmp_path, list(range(4000)), np.random.default_rng(0).random((4000, 8)).tolist())
    lengths = [batch.num_rows for batch in catalogue.batches("embeddings", ["embedding"], 1500)]
    assert sum(lengths) == 4000
    assert max(lengths) <= 1500
    with pytest.raises(CatalogueError, match="has no column norm; it has: product_id, embedding"):
        next(catalogue.batches("embeddings", ["norm"], 10))
    path = catalogue.path("embeddings")
    content = bytearray(path.read_bytes())
    content[100:40_000] = bytes(39_900)
    path.write_bytes(content)
    with pytest.raises(CatalogueError, match=r"embeddings\.parquet is corrupt"):
        list(catalogue.batches("embeddings", ["embedding"], 1500))
