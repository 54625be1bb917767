"""Names and values in DuckDB's SQL, quoted: nothing that a person or a file says is ever read as SQL."""

from collections.abc import Iterable

from catalog.errors import CatalogueError

SPACES = " \t\r\n\v\f\u00a0\u2007\u2009\u202f\u3000\ufeff"
"""What is trimmed from a cell's ends before it is compared or read."""


def name(column: str) -> str:
    """A quoted identifier.

    Raises:
        CatalogueError: it holds a NUL, which no column's name can.
    """
    return '"' + _whole(column).replace('"', '""') + '"'


def text(value: str) -> str:
    """A quoted string.

    Raises:
        CatalogueError: it holds a NUL.
    """
    return "'" + _whole(value).replace("'", "''") + "'"


def texts(values: Iterable[str]) -> str:
    """Quoted strings in brackets, as after IN; one that no cell equals where there is none."""
    return f"({', '.join(map(text, values)) or 'NULL'})"


def listed(values: Iterable[str]) -> str:
    """A list of quoted strings."""
    return f"CAST([{', '.join(map(text, values))}] AS VARCHAR[])"


def trimmed(value: str) -> str:
    """An expression for `value` (an expression itself) without spaces around it."""
    return f"trim({value}, {text(SPACES)})"


def _whole(value: str) -> str:
    if "\0" in value or any("\ud800" <= c <= "\udfff" for c in value):
        raise CatalogueError(f"{value!r} holds a NUL or half a character; a mapping may not")
    return value
