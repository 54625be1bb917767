"""Rows that do not come in, each with its line and what is wrong with it."""

import csv
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa

from catalog.errors import CatalogueError
from catalog.importing.source import LINE, TABLE, Misfit, Source
from catalog.importing.sql import name

SHOWN = 300
"""Characters of a row that the list shows."""

MISFIT = "does not fit the header"
_LINES = "quarantined_lines"


@dataclass(frozen=True)
class Fault:
    """A row that does not come in.

    Attributes:
        line: Of the file.
        kind: What is wrong, in words that many rows share.
        detail: What is wrong with this one.
        counts: Whether the row is at fault and counts towards `max_quarantined`; one that only says nothing does not.
        text: The row; None where it is still to be looked up.
    """

    line: int
    kind: str
    detail: str
    counts: bool = True
    text: str | None = None


@dataclass
class Quarantine:
    """The faults of a file."""

    faults: list[Fault] = field(default_factory=list)

    @classmethod
    def of(cls, misfits: Iterable[Misfit]) -> "Quarantine":
        """Those rows that a reader could not bring in."""
        return cls([Fault(misfit.line, MISFIT, misfit.reason, text=misfit.text) for misfit in misfits])

    def add(self, line: int, kind: str, detail: str, counts: bool = True) -> None:
        """One more."""
        self.faults.append(Fault(line, kind, detail, counts))

    def by_kind(self, counts: bool) -> dict[str, int]:
        """Rows by what is wrong with them, most frequent first: those at fault, or those that only say nothing."""
        return dict(Counter(fault.kind for fault in self.faults if fault.counts is counts).most_common())

    def check(self, path: Path, rows: int, allowed: float) -> None:
        """See that no larger share of `rows` than `allowed` is at fault.

        Raises:
            CatalogueError: it is; names the first.
        """
        wrong = [fault for fault in self.faults if fault.counts]
        if not wrong or len(wrong) <= allowed * rows:
            return
        first = min(wrong, key=lambda fault: fault.line)
        share = 100 * len(wrong) / max(rows, 1)
        raise CatalogueError(
            f"{path}: {share:.{0 if share >= 10 else 1}f} % of the rows do not fit; at most {100 * allowed:g} % may be quarantined "
            f"(max_quarantined); first: line {first.line}: {first.detail}"
        )

    def write(self, file: Path, source: Source) -> None:
        """The list as CSV: line, reason, text."""
        shown = _texts(source, [fault.line for fault in self.faults if fault.text is None])
        with file.open("w", encoding="utf-8", newline="") as out:
            writer = csv.writer(out)
            writer.writerow(("line", "reason", "text"))
            for fault in sorted(self.faults, key=lambda fault: fault.line):
                row = fault.text if fault.text is not None else shown.get(fault.line, "")
                writer.writerow((fault.line, fault.detail, row[:SHOWN]))


def _texts(source: Source, lines: Sequence[int]) -> dict[int, str]:
    """Rows by their line, their values with commas between."""
    if not lines:
        return {}
    connection = source.connection
    connection.register(_LINES, pa.table({LINE: pa.array(sorted(set(lines)), pa.int64())}))
    values = ", ".join(f"coalesce({name(column)}, '')" for column in source.columns)
    found = connection.execute(
        f"SELECT {name(LINE)}, left(concat_ws(', ', {values}), {SHOWN}) FROM {TABLE} SEMI JOIN {_LINES} USING ({name(LINE)})"  # noqa: S608 (quoted)
    ).fetchall()
    connection.unregister(_LINES)
    return {int(line): str(row) for line, row in found}
