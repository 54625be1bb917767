"""Writing a catalogue directory: all of it or nothing."""

import hashlib
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from catalog.errors import CatalogueError
from catalog.schema import TABLES, is_key

PHOTOS_A_GROUP = 4096
"""Rows of a row group in images.parquet: what a reader holds at once."""


def check_new(out: Path) -> None:
    """Check that the folder `out` can be made: before long work, not after it.

    Raises:
        CatalogueError: it exists and is not an empty folder.
    """
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise CatalogueError(f"{out} exists and is not an empty folder; choose another or remove it")


@contextmanager
def new_catalogue(out: Path) -> Iterator[Path]:
    """A folder beside `out` that becomes `out` when the block ends well, and is gone when it does not.

    Raises:
        CatalogueError: `out` exists and is not an empty folder, or cannot be written.
    """
    check_new(out)
    folder = None
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
        yield folder
        folder.chmod(0o755)
        folder.rename(out)
    except OSError as error:
        raise CatalogueError(f"cannot write {out}: {error.strerror or error}") from error
    finally:
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)


def write_table(folder: Path, name: str, table: pd.DataFrame) -> None:
    """Write one table under the types of `catalog.schema`; keys may be integers or strings, further columns keep their type.

    Raises:
        CatalogueError: a value does not fit its column.
    """
    rows = PHOTOS_A_GROUP if name == "images" else None
    pq.write_table(_typed(name, table), folder / f"{name}.parquet", compression="zstd", row_group_size=rows)


def write_embeddings(folder: Path, pieces: Iterable[tuple["pd.Series[Any]", NDArray[np.float32]]]) -> None:
    """Write product ids [n] and their vectors [n, d] as the table embeddings; one piece is in memory at a time.

    Raises:
        CatalogueError: there is no piece.
    """
    kind = TABLES["embeddings"]["embedding"]
    with ExitStack() as stack:
        writer: pq.ParquetWriter | None = None
        for ids, vectors in pieces:
            keys = pa.array(ids, type=pa.int64() if pd.api.types.is_integer_dtype(ids.dtype) else pa.string())
            offsets = np.arange(0, vectors.size + 1, vectors.shape[1], dtype=np.int32)
            lists = pa.ListArray.from_arrays(pa.array(offsets), pa.array(vectors.ravel()), type=kind)
            table = pa.table({"product_id": keys, "embedding": lists})
            if writer is None:
                path = folder / "embeddings.parquet"
                writer = stack.enter_context(pq.ParquetWriter(path, table.schema, compression="zstd", use_dictionary=False))
            writer.write_table(table)
        if writer is None:
            raise CatalogueError("there is no embedding to write")


def keep_table(parent: Path, name: str, table: pd.DataFrame) -> Path:
    """Write one table into a folder of `parent` named by the file's SHA-256; the same rows have the same folder.

    Raises:
        CatalogueError: a value does not fit its column, or the folder cannot be written.
    """
    try:
        parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=parent, prefix=".writing-") as temporary:
            write_table(Path(temporary), name, table)
            file = Path(temporary) / f"{name}.parquet"
            with file.open("rb") as written:
                folder = parent / hashlib.file_digest(written, "sha256").hexdigest()[:16]
            folder.mkdir(exist_ok=True)
            file.replace(folder / file.name)
    except OSError as error:
        raise CatalogueError(f"cannot write below {parent}: {error.strerror or error}") from error
    return folder


def _typed(name: str, table: pd.DataFrame) -> pa.Table:
    arrays = {}
    for column in table.columns:
        wanted = TABLES[name].get(column)
        if is_key(column) and not pd.api.types.is_integer_dtype(table[column].dtype):
            wanted = pa.string()
        try:
            arrays[column] = pa.array(table[column], type=wanted, from_pandas=True)
        except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
            raise CatalogueError(f"{name}: {column} holds a value that is no {wanted}: {str(error).splitlines()[0]}") from error
    return pa.table(arrays)
