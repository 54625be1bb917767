"""Writing a catalogue directory: all of it or nothing."""

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from catalog.errors import CatalogueError
from catalog.schema import TABLES, is_key

_PHOTOS_A_GROUP = 4096


def write_catalogue(out: Path, tables: Mapping[str, pd.DataFrame]) -> Path:
    """Write tables under the types of `catalog.schema`; keys may be integers or strings, further columns keep their type.

    Raises:
        CatalogueError: `out` exists and is not an empty folder, a value does not fit its column, or the disk is full.
    """
    check_free(out)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    except OSError as error:
        raise CatalogueError(f"cannot write {out}: {error.strerror or error}") from error
    try:
        for name, table in tables.items():
            rows = _PHOTOS_A_GROUP if name == "images" else None
            pq.write_table(_typed(name, table), folder / f"{name}.parquet", compression="zstd", row_group_size=rows)
        folder.chmod(0o755)
        folder.rename(out)
    except OSError as error:
        raise CatalogueError(f"cannot write {out}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return out


def check_free(out: Path) -> None:
    """Refuse to overwrite.

    Raises:
        CatalogueError: `out` exists and is not an empty folder.
    """
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise CatalogueError(f"{out} exists and is not an empty folder; choose another or remove it")


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
