"""Turns a CSV file, and a folder of photos, into a catalogue directory, through a YAML column mapping."""

import io
import json
import re
from collections.abc import Iterator, Sequence
from csv import reader
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from PIL import Image
from pydantic import Field, model_validator

from catalog.errors import CatalogueError, ImageError
from catalog.images import decode
from catalog.schema import REQUIRED, TABLES, is_key
from catalog.write import PHOTOS_A_GROUP, new_catalogue, write_table
from configs.schema import PositiveInt, StrictModel

_PLACEHOLDER = re.compile(r"\{([^{}]+)\}")
_INTEGER = re.compile(r"0|-?[1-9][0-9]{0,17}")


class ImageMapping(StrictModel):
    """Where a product's photo lies, and how it is kept."""

    file: str = Field("{product_id}.jpg", description="path inside the image folder; {name} is a mapped or a CSV column")
    max_side: PositiveInt = Field(512, description="pixels; larger photos are shrunk to this")
    quality: int = Field(88, ge=1, le=95, description="JPEG quality")


class ImportMapping(StrictModel):
    """How the columns of a CSV file become those of a catalogue table."""

    table: Literal["products", "reviews", "purchases"] = Field("products", description="table to make")
    columns: dict[str, str] = Field(description="our column: column of the CSV file")
    constants: dict[str, str] = Field(default_factory=dict, description="our column: one value for all rows")
    attributes: tuple[str, ...] = Field((), description="columns of the CSV file that become the attributes of a product")
    images: ImageMapping = ImageMapping()
    separator: str = Field(",", min_length=1, max_length=1, description="between two values")
    encoding: str = Field("utf-8", description="of the CSV file")
    decimal: str = Field(".", min_length=1, max_length=1, description="decimal mark of numbers")
    thousands: str | None = Field(None, min_length=1, max_length=1, description="mark between thousands, where there is one")
    date_format: str = Field("ISO8601", description="of dates, as in strptime, or ISO8601")

    @model_validator(mode="after")
    def _columns_fit_the_table(self) -> Self:
        known = TABLES[self.table]
        given = [*self.columns, *self.constants]
        if unknown := [column for column in given if column not in known]:
            raise ValueError(f"{self.table} has no column {', '.join(unknown)}; allowed: {', '.join(known)}")
        if lacking := [column for column in REQUIRED[self.table] if column not in self.columns]:
            raise ValueError(f"columns must map {', '.join(lacking)}")
        if twice := [column for column in self.columns if column in self.constants]:
            raise ValueError(f"{', '.join(twice)} is in columns and in constants")
        if self.attributes and (self.table != "products" or "attributes" in given):
            raise ValueError("attributes are folded into products only, and not beside a mapped attributes column")
        return self


class ImportSummary(StrictModel):
    """What an import made."""

    out: str
    table: str
    rows: int
    images: int = 0
    missing_images: int = Field(0, description="products without a file in the image folder")
    undecodable: tuple[str, ...] = Field((), description="files that hold no readable photo")


def import_csv(mapping: ImportMapping, csv: Path, images: Path | None, out: Path) -> ImportSummary:
    """Make the catalogue directory `out`; all of it or nothing.

    Raises:
        CatalogueError: a file is missing, not in the stated encoding, or no table; a header occurs twice; a mapped column
            does not exist; a value is no number or date; a photo's path leads out of its folder; `out` exists.
    """
    if images is not None and not images.is_dir():
        raise CatalogueError(f"{images} is not a folder of photos")
    if images is not None and mapping.table != "products":
        raise CatalogueError(f"photos belong to products, not to {mapping.table}; leave out the image folder")
    raw = _read(csv, mapping)
    table = _mapped(raw, mapping, csv)
    with new_catalogue(out) as folder:
        write_table(folder, mapping.table, table)
        summary = ImportSummary(out=str(out), table=mapping.table, rows=len(table))
        if images is not None:
            summary = _import_images(table, raw, mapping.images, images, folder / "images.parquet", summary)
    return summary


def _read(path: Path, mapping: ImportMapping) -> pd.DataFrame:
    """The CSV file, every value a string or missing."""
    encoding = "utf-8-sig" if mapping.encoding.lower().replace("_", "-") in ("utf-8", "utf8") else mapping.encoding
    try:
        content = path.read_bytes()
        text = content.decode(encoding)
    except OSError as error:
        raise CatalogueError(f"cannot read {path}: {error.strerror or error}") from error
    except LookupError as error:
        raise CatalogueError(f"encoding {mapping.encoding!r} is not known; utf-8, latin-1 and cp1252 are") from error
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise CatalogueError(
            f"{path}, line {line}: byte 0x{content[error.start]:02x} is not {mapping.encoding}; set encoding in the mapping"
        ) from error
    header = next(reader(io.StringIO(text), delimiter=mapping.separator), [])
    if not header:
        raise CatalogueError(f"{path} is empty; its first line must name the columns")
    if twice := sorted({name for name in header if header.count(name) > 1}):
        raise CatalogueError(f"{path}: column {', '.join(twice)} occurs more than once in the header")
    try:
        return pd.read_csv(
            io.StringIO(text),
            sep=mapping.separator,
            dtype=str,
            keep_default_na=False,
            na_values=[""],
            index_col=False,
            on_bad_lines="error",
        )
    except (pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise CatalogueError(f"{path} is no table: {' '.join(str(error).split())}") from error


def _mapped(raw: pd.DataFrame, mapping: ImportMapping, path: Path) -> pd.DataFrame:
    """Our columns, typed, in the order of the schema."""
    wanted = [*mapping.columns.values(), *mapping.attributes]
    if lacking := sorted({column for column in wanted if column not in raw.columns}):
        raise CatalogueError(f"{path} has no column {', '.join(lacking)}; it has: {', '.join(map(str, raw.columns))}")
    table: dict[str, Any] = {}
    for name, kind in TABLES[mapping.table].items():
        if name in mapping.columns:
            source = mapping.columns[name]
            table[name] = _typed(raw[source], name, kind, mapping, f"{path}, column {source}")
        elif name in mapping.constants:
            constant = pd.Series(mapping.constants[name], index=raw.index, dtype=object)
            table[name] = _typed(constant, name, kind, mapping, f"constant {name}")
        elif name == "attributes" and mapping.attributes:
            table[name] = _folded(raw[list(mapping.attributes)])
    return pd.DataFrame(table, index=raw.index)


def _typed(values: "pd.Series[Any]", name: str, kind: pa.DataType, mapping: ImportMapping, where: str) -> "pd.Series[Any]":
    if is_key(name):
        return values.astype("Int64") if all(_INTEGER.fullmatch(v) for v in values.dropna()) else values
    if pa.types.is_timestamp(kind):
        dates = pd.to_datetime(values, utc=True, format=mapping.date_format, errors="coerce").astype("datetime64[ns, UTC]")
        return _all_understood(values, dates, f"{where}: {{}} is not a date of the form {mapping.date_format}")
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
        return values
    digits = values.str.strip()
    if mapping.thousands:
        digits = digits.str.replace(mapping.thousands, "", regex=False)
    numbers = pd.to_numeric(digits.str.replace(mapping.decimal, ".", regex=False), errors="coerce")
    numbers = _all_understood(values, numbers, f"{where}: {{}} is not a number")
    if pa.types.is_floating(kind):
        return numbers.astype(np.float64)
    whole = numbers.where(numbers.isna() | (numbers == numbers.round()))
    return _all_understood(values, whole, f"{where}: {{}} is not a whole number").astype("Int64")


def _all_understood(values: "pd.Series[Any]", read: "pd.Series[Any]", message: str) -> "pd.Series[Any]":
    """`read`, unless a value that is there could not be read."""
    failed = np.flatnonzero(values.notna() & read.isna())
    if failed.size:
        first = int(failed[0])
        raise CatalogueError(f"{message.format(repr(values.iloc[first]))} (row {first + 1}, {failed.size} such rows)")
    return read


def _folded(attributes: pd.DataFrame) -> list[str]:
    rows = attributes.to_dict("records")
    return [json.dumps({str(k): v for k, v in row.items() if isinstance(v, str)}, ensure_ascii=False) for row in rows]


def _import_images(
    table: pd.DataFrame, raw: pd.DataFrame, mapping: ImageMapping, images: Path, out: Path, summary: ImportSummary
) -> ImportSummary:
    ids = pa.array(table["product_id"], from_pandas=True)
    schema = pa.schema({"product_id": ids.type, "jpeg": pa.binary()})
    undecodable: list[str] = []
    found, seen = 0, set()
    keys: list[Any] = []
    photos: list[bytes] = []
    with pq.ParquetWriter(out, schema) as writer:
        for key, file in zip(ids.to_pylist(), _files(table, raw, mapping, images), strict=True):
            if key is None or key in seen or not file.is_file():
                continue
            seen.add(key)
            try:
                photos.append(_encoded(decode(file.read_bytes()), mapping))
                keys.append(key)
            except PermissionError as error:
                raise CatalogueError(f"cannot read photo {file}: {error.strerror}") from error
            except ImageError:
                undecodable.append(file.relative_to(images.resolve()).as_posix())
            if len(keys) == PHOTOS_A_GROUP:
                writer.write_table(pa.table([keys, photos], schema=schema))
                found, keys, photos = found + len(keys), [], []
        writer.write_table(pa.table([keys, photos], schema=schema))
    products = table["product_id"].nunique()
    return summary.model_copy(
        update={"images": found + len(keys), "missing_images": products - len(seen), "undecodable": tuple(undecodable)}
    )


def _files(table: pd.DataFrame, raw: pd.DataFrame, mapping: ImageMapping, images: Path) -> Iterator[Path]:
    """Path of each row's photo; never outside the folder."""
    names: Sequence[str] = _PLACEHOLDER.findall(mapping.file)
    if unknown := [name for name in names if name not in table and name not in raw]:
        raise CatalogueError(
            f"images.file names {', '.join(unknown)}; columns: {', '.join([*table.columns, *map(str, raw.columns)])}"
        )
    if not names:
        raise CatalogueError(f"images.file is {mapping.file!r}; it must name a column in braces, such as {{product_id}}.jpg")
    root = images.resolve()
    columns = {name: (table[name] if name in table else raw[name]).astype("string").fillna("") for name in names}
    for row in range(len(table)):
        file = _PLACEHOLDER.sub(lambda match: str(columns[match[1]].iloc[row]), mapping.file)  # noqa: B023 (called at once)
        path = (root / file).resolve() if "\0" not in file else root.parent
        if not path.is_relative_to(root):
            raise CatalogueError(f"row {row + 1}: photo {file!r} lies outside {images}; allowed: paths inside it")
        yield path


def _encoded(photo: NDArray[np.uint8], mapping: ImageMapping) -> bytes:
    image = Image.fromarray(photo)
    image.thumbnail((mapping.max_side, mapping.max_side), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=mapping.quality)
    return buffer.getvalue()
