"""Reads bytes or text as a source, and hands on all of it as plain values."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from catalog.importing.mapping import ReadingMapping
from catalog.importing.source import LINE, TABLE, Misfit
from catalog.importing.sources.open import open_source


@dataclass(frozen=True)
class Reading:
    """A source after it was closed; `rows` are (line, values…)."""

    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]
    misfits: tuple[Misfit, ...]
    notes: tuple[str, ...]

    def column(self, name: str) -> list[str | None]:
        at = self.columns.index(name) + 1
        return [row[at] for row in self.rows]

    @property
    def lines(self) -> list[int]:
        return [row[0] for row in self.rows]


def read(path: Path, **reading: Any) -> Reading:
    with open_source(path, ReadingMapping(**reading)) as source:
        names = ", ".join('"' + name.replace('"', '""') + '"' for name in (LINE, *source.columns))
        rows = source.connection.execute(f"SELECT {names} FROM {TABLE}").fetchall()
        assert len(rows) == source.rows
        assert len(source.connection.execute(f"SELECT * FROM {TABLE} LIMIT 0").description or ()) == len(source.columns) + 1
        return Reading(source.columns, rows, source.misfits, source.notes)


def read_text(folder: Path, content: str | bytes, name: str = "table.csv", **reading: Any) -> Reading:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read(path, **reading)
