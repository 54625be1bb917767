"""Writing a catalogue directory: all of it or nothing."""

import hashlib
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from catalog.errors import CatalogueError
from catalog.schema import TABLES, is_key

PHOTOS_A_GROUP = 4096
"""Rows of a row group in images.parquet: what a reader holds at once."""


@contextmanager
def new_catalogue(out: Path) -> Iterator[Path]:
    """A folder beside `out` that becomes `out` when the block ends well, and is gone when it does not.

    Raises:
        CatalogueError: `out` exists and is not an empty folder, or cannot be written.
    """
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise CatalogueError(f"{out} exists and is not an empty folder; choose another or remove it")
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
