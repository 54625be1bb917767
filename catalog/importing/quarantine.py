# ruff: noqa: S608 (names and values are quoted by catalog.importing.sql)
"""Rows that do not come in, each with its line and what is wrong with it."""

import csv
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa

from catalog.errors import CatalogueError
from catalog.importing.mapping import Unreadable
from catalog.importing.source import TABLE, Source
from catalog.importing.sql import name

SHOWN = 300
"""Characters of a row that the list shows."""

MISFIT, REPEATED = "does not fit the header", "id is repeated"
"""Kinds of faults that several modules name."""
_ROWS = "quarantined"


@dataclass(frozen=True)
class Fault:
    """A row that does not come in.

    Attributes:
        line: Of the file.
        kind: What is wrong, in words that many rows share.
        detail: What is wrong with this one.
        row: Its place in the table; None where it is not in it.
        counts: Whether the row is at fault and counts towards `max_quarantined`; one that only says nothing does not.
        text: The row, where it is not in the table.
    """

    line: int
    kind: str
    detail: str
    row: int | None = None
    counts: bool = True
    text: str = ""


@dataclass
class Quarantine:
    """The faults of a file, and values that were dropped without their row.

    Attributes:
        path: Of the file.
        actions: What a value that cannot be read does, by our column; quarantines its row by default.
        faults: Rows that do not come in.
        dropped: Number of values that are missing because they could not be read, by our column.
        examples: What was wrong with the first of them.
    """

    path: Path
    actions: Mapping[str, Unreadable] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    dropped: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, source: Source, actions: Mapping[str, Unreadable]) -> "Quarantine":
        """With those rows that the reader could not bring in."""
        return cls(source.path, actions, [Fault(fit.line, MISFIT, fit.reason, text=fit.text) for fit in source.misfits])

    def unreadable(self, column: str, line: int, row: int, detail: str, default: Unreadable = "quarantine") -> bool:
        """Take up a value that cannot be read; whether its row stays.

        Raises:
            CatalogueError: the mapping refuses the file for it.
        """
        action = self.actions.get(column, default)
        if action == "refuse":
            raise CatalogueError(f"{self.path}, line {line}: {column}: {detail}")
        if action == "quarantine":
            self.faults.append(Fault(line, f"{column} cannot be read", f"{column}: {detail}", row))
            return False
        self.dropped[column] += 1
        self.examples.setdefault(column, f"line {line}: {detail}")
        return True

    def notes(self) -> list[str]:
        """A line for each column of which values were dropped."""
        return [
            f"{column}: {count:,} value{'s' * (count > 1)} could not be read and will be missing; first: {self.examples[column]}"
            for column, count in self.dropped.items()
        ]

    def by_kind(self, counts: bool) -> dict[str, int]:
        """Rows by what is wrong with them, most frequent first: those at fault, or those that only say nothing."""
        return dict(Counter(fault.kind for fault in self.faults if fault.counts is counts).most_common())

    def check(self, rows: int, allowed: float) -> None:
        """See that no larger share of `rows` than `allowed` is at fault.

        Raises:
            CatalogueError: it is; names the first.
        """
        wrong = [fault for fault in self.faults if fault.counts]
        if not wrong or len(wrong) <= allowed * rows:
            return
        first = min(wrong, key=lambda fault: fault.line)
        found = 100 * len(wrong) / max(rows, 1)
        share = f"{found:.{0 if found >= 10 else 1}f} %"
        raise CatalogueError(
            f"{self.path}: {share} of the rows do not fit; at most {100 * allowed:g} % may be quarantined (max_quarantined); "
            f"first: line {first.line}: {first.detail}"
        )

    def write(self, file: Path, source: Source) -> None:
        """The list as CSV: line, reason, text."""
        shown = _texts(source, [fault.row for fault in self.faults if fault.row is not None])
        with file.open("w", encoding="utf-8", newline="") as out:
            writer = csv.writer(out)
            writer.writerow(("line", "reason", "text"))
            for fault in sorted(self.faults, key=lambda fault: (fault.line, fault.row or 0)):
                row = fault.text if fault.row is None else shown[fault.row]
                writer.writerow((fault.line, fault.detail, row[:SHOWN]))


def _texts(source: Source, rows: Sequence[int]) -> dict[int, str]:
    """Rows by their place, their values with commas between."""
    if not rows:
        return {}
    connection = source.connection
    connection.register(_ROWS, pa.table({"place": pa.array(rows, pa.int64())}))
    values = ", ".join(f"coalesce({name(column)}, '')" for column in source.columns)
    found = connection.execute(
        f"SELECT s.rowid, left(concat_ws(', ', {values}), {SHOWN}) FROM {TABLE} s SEMI JOIN {_ROWS} ON place = s.rowid"
    ).fetchall()
    connection.unregister(_ROWS)
    return {int(place): str(row) for place, row in found}
