"""What a reader makes of a file: a table of text, with the line that each row came from."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

LINE = "__line"
"""Column of the table with the row's line, or its number where the file has no lines; 1 is the first."""

TABLE = "source"
"""Name of the table in the connection."""


@dataclass(frozen=True)
class Misfit:
    """A row that did not come in.

    Attributes:
        line: Of the file, 1 being the first; a spreadsheet's row, an XML element's first line.
        reason: What is wrong, and what was expected.
        text: The row as it stands in the file, shortened.
    """

    line: int
    reason: str
    text: str = ""


@dataclass(frozen=True)
class Source:
    """A file as a table of text.

    Attributes:
        path: The file.
        columns: Names as in the header, without spaces around them; 1, 2, 3 … where there is no header. Unique.
        rows: Rows that fit.
        misfits: Rows that do not.
        notes: What was found by itself (encoding, separator, what was skipped): a line each, for the person.
        connection: Holds the table `TABLE` of `LINE` (BIGINT) and `columns` (VARCHAR, null where the cell is empty), in the order
            of the file; larger than memory where need be.
    """

    path: Path
    columns: tuple[str, ...]
    rows: int
    misfits: tuple[Misfit, ...]
    notes: tuple[str, ...]
    connection: "DuckDBPyConnection"


Progress = Callable[[str, int, int | None], None]
"""Called with what is being done, how much of it is done, and how much there is (None: unknown)."""
