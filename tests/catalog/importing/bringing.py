"""Importing small files in tests."""

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from catalog.importing.mapping import ImportMapping
from catalog.importing.run import import_table
from catalog.importing.summary import ImportSummary

PRODUCTS = {"product_id": "sku", "title": "name"}


def mapping_of(**said: Any) -> ImportMapping:
    """sku and name of products, and what is said beside."""
    columns = {**PRODUCTS, **said.pop("more", {})}
    return ImportMapping.model_validate({"columns": columns, **said})


class Imports:
    """A folder in which a file is written and imported."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.out = folder / "out"
        self.photos = folder / "photos"

    def file(self, content: str | bytes, name: str = "shop.csv") -> Path:
        path = self.folder / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def bring(self, content: str | bytes, mapping: ImportMapping | None = None, *, name: str = "shop.csv") -> ImportSummary:
        """Import a file with that content into `out`."""
        images = self.photos if self.photos.is_dir() else None
        return import_table(mapping or mapping_of(), self.file(content, name), images, out=self.out)

    def rows(self, table: str = "products") -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = pq.read_table(self.out / f"{table}.parquet").to_pylist()
        return found

    def column(self, column: str, table: str = "products") -> list[Any]:
        return [row[column] for row in self.rows(table)]

    def attributes(self) -> list[Any]:
        return [None if text is None else json.loads(text) for text in self.column("attributes")]

    def listed(self, name: str) -> list[str]:
        """Lines of a list of the import, without its header."""
        return (self.out / "import" / name).read_text(encoding="utf-8").splitlines()[1:]
