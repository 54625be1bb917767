"""Photos of an import: found, decoded, shrunk, and written as they come; what is missing is named."""

import csv
import io
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from catalog.errors import CatalogueError, ImageError
from catalog.images import decode
from catalog.importing.mapping import ImageMapping
from catalog.importing.photo_files import PhotoFiles
from catalog.importing.relation import Relation, placeholders
from catalog.importing.sql import name, text, trimmed
from catalog.write import PHOTOS_A_GROUP

THREADS = min(4, os.cpu_count() or 1)
"""Photos that are decoded at a time: Pillow lets go of the interpreter meanwhile."""

GROUP_BYTES = 64 * 2**20
"""Encoded photos that are held before they are written, beside the limit on their number."""

_AHEAD = 64  # photos a thread pool is given at a time
_IN_QUOTES = r'"([^"\\]*)"'
_JSON_LIST = r'\["[^"\\]*"(?:\s*,\s*"[^"\\]*")*\s*\]'
_NO_PHOTOS = "CAST([] AS VARCHAR[])"


def photo_names(relation: Relation, images: ImageMapping) -> str:
    """SQL for what a row calls its photos, a list of texts.

    A cell with several has them divided by `separator`, or as a JSON list. Without a word on where they lie, a photo is called
    as its product's id.

    Raises:
        CatalogueError: `file` names no column, or one that is not there.
    """
    if relation.inputs.photos:
        cells = [trimmed(name(column)) for column in relation.inputs.photos]
        lists = [_listed(cell, images) for cell in cells]
        return f"flatten([{', '.join(f'coalesce({found}, {_NO_PHOTOS})' for found in lists)}])"
    template = images.file or "{product_id}"
    if not placeholders(template):
        raise CatalogueError(f"images.file is {template!r}; it must name a column in braces, such as {{product_id}}.jpg")
    parts = [text(template.partition("{")[0])]
    for piece in template.split("{")[1:]:
        column, closed, after = piece.partition("}")
        parts += [relation.named(column), text(after)] if closed else [text("{" + piece)]
    return f"[{' || '.join(parts)}]"


def _listed(cell: str, images: ImageMapping) -> str:
    """SQL for the photos of a cell: a JSON list of texts, or texts with a separator between them."""
    unescaped = f"replace({cell}, '\\/', '/')"
    listed = f"regexp_extract_all({unescaped}, {text(_IN_QUOTES)}, 1)"
    divided = f"string_split({cell}, {text(images.separator)})"
    return f"CASE WHEN regexp_full_match({unescaped}, {text(_JSON_LIST)}) THEN {listed} ELSE {divided} END"


@dataclass
class PhotoWriter:
    """Writes `images.parquet` and the list of what is not in it.

    Attributes:
        files: Where the photos lie.
        mapping: How they are kept.
        table: Parquet file, of product_id, jpeg and position.
        wanting: CSV file, of product_id, file and reason.
        images: Photos written.
        products: Products with a photo.
        unreadable: Photos that are named and could not be used.
        examples: What is wrong with the first of these.
        used: Paths of the files that products name.
    """

    files: PhotoFiles
    mapping: ImageMapping
    table: Any
    wanting: IO[str]
    pool: ThreadPoolExecutor
    images: int = 0
    products: int = 0
    unreadable: int = 0
    examples: list[str] = field(default_factory=list)
    used: set[str] = field(default_factory=set)
    _rows: list[tuple[Any, bytes, int]] = field(default_factory=list)
    _held: int = 0

    def write(self, ids: Sequence[Any], names: Sequence[Sequence[str | None] | None]) -> list[bool]:
        """Take up the photos of products; which of these have any."""
        wanted = [(place, photo) for place, called in enumerate(names) for photo in _distinct(called)]
        positions = [0] * len(ids)
        for (place, photo), found in zip(wanted, self._encoded([photo for _, photo in wanted]), strict=True):
            if isinstance(found, ImageError):
                self._miss(ids[place], photo, str(found))
                continue
            self._rows.append((ids[place], found, positions[place]))
            positions[place] += 1
            self._held += len(found)
            if len(self._rows) >= PHOTOS_A_GROUP or self._held >= GROUP_BYTES:
                self.flush()
        self.products += sum(1 for photos in positions if photos)
        return [photos > 0 for photos in positions]

    def flush(self) -> None:
        """Write what is held, as a row group."""
        if self._rows:
            ids, photos, positions = zip(*self._rows, strict=True)
            self.table.write_table(pa.table([ids, photos, positions], schema=self.table.schema))
            self.images += len(self._rows)
            self._rows, self._held = [], 0

    def _encoded(self, photos: Sequence[str]) -> Iterator[bytes | ImageError]:
        """Each as a JPEG in the order given, or why it is none; a few ahead of what is asked for."""
        waiting = iter(photos)
        while batch := list(islice(waiting, _AHEAD)):
            yield from self.pool.map(self._read, batch)

    def _read(self, photo: str) -> bytes | ImageError:
        try:
            file = self.files.find(photo)
            self.used.add(file.relative_to(self.files.root).as_posix())
            data = file.read_bytes()
            return _jpeg(data, self.mapping)
        except ImageError as error:
            return error
        except OSError as error:
            return ImageError(f"cannot be read: {error.strerror or error}")

    def _miss(self, product: Any, photo: str, reason: str) -> None:
        csv.writer(self.wanting).writerow((product, photo, reason))
        self.unreadable += 1
        if len(self.examples) < 2:
            self.examples.append(f"{photo}: {reason}")


@contextmanager
def photo_writer(files: PhotoFiles, mapping: ImageMapping, table: Path, wanting: Path, integers: bool) -> Iterator[PhotoWriter]:
    """A writer for as long as the block runs; `integers`: whether product ids are such."""
    key = pa.int64() if integers else pa.string()
    schema = pa.schema({"product_id": key, "jpeg": pa.binary(), "position": pa.int64()})
    with (
        pq.ParquetWriter(table, schema, compression="zstd", use_dictionary=["product_id"]) as parquet,
        wanting.open("w", encoding="utf-8", newline="") as listed,
        ThreadPoolExecutor(THREADS) as pool,
    ):
        csv.writer(listed).writerow(("product_id", "file", "reason"))
        writer = PhotoWriter(files, mapping, parquet, listed, pool)
        yield writer
        writer.flush()


def _distinct(called: Sequence[str | None] | None) -> list[str]:
    """Each name once, in order."""
    return list(dict.fromkeys(photo.strip() for photo in called or () if photo and photo.strip()))


def _jpeg(data: bytes, mapping: ImageMapping) -> bytes:
    """At most `max_side` pixels a side."""
    image = Image.fromarray(decode(data, max_side=mapping.max_side))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=mapping.quality)
    return buffer.getvalue()
