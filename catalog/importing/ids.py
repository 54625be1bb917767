# ruff: noqa: S608 (names and values are quoted by catalog.importing.sql)
"""Ids that are likely not what the shop has: rounded or made decimals by a program, or twice but for how they are typed."""

from catalog.importing.relation import Relation
from catalog.importing.source import LINE
from catalog.importing.sql import text

_ROUNDED = r"[0-9]([.,][0-9]+)?E\+[0-9]{1,3}"
_DECIMAL = "-?[0-9]+[.]0+"
_UNSEEN = "[\u00ad\u200b-\u200f\u2060\ufeff]"


def rounded_ids(relation: Relation, rows: str, column: str) -> list[str]:
    """A line where ids are numbers that a spreadsheet cut short: 4.00638E+12."""
    count, first, line = _matching(relation, rows, column, _ROUNDED)
    if not count:
        return []
    of = "1 value is a number" if count == 1 else f"{count:,} values are numbers"
    return [f"{column}: {of} that a spreadsheet rounded, so that several products may share one; first: line {line}: {first!r}"]


def decimal_ids(relation: Relation, rows: str, column: str) -> list[str]:
    """A line where ids are whole numbers that a program wrote as decimals, as it does where some are missing: 1001.0."""
    count, first, line = _matching(relation, rows, column, _DECIMAL)
    if not count:
        return []
    of = "1 value is a whole number" if count == 1 else f"{count:,} values are whole numbers"
    plain = first.partition(".")[0]
    return [f"{column}: {of} written as decimals, which is not the id {plain} of another file; first: line {line}: {first!r}"]


def _matching(relation: Relation, rows: str, column: str, pattern: str) -> tuple[int, str, int]:
    """How many values of a column a pattern fits as a whole, the first of them, and its line."""
    value = relation.expression(column)
    ((count, first, line),) = relation.query(
        f"SELECT count(*), arg_min(value, {LINE}), min({LINE}) FROM (SELECT {LINE}, {value} AS value FROM {rows}) "
        f"WHERE regexp_full_match(value, {text(pattern)})"
    )
    return count, first, line


def twin_ids(relation: Relation, rows: str, column: str) -> list[str]:
    """A line where ids differ in case, leading zeros or characters that are not seen alone; they are kept apart."""
    value = relation.expression(column)
    seen = f"lower(nfc_normalize(regexp_replace(value, {text(_UNSEEN)}, '', 'g')))"
    plain = rf"regexp_replace({seen}, '^0+([0-9]+)$', '\1')"
    given = f"SELECT {LINE}, {value} AS value FROM {rows}"
    each = f"SELECT value, min({LINE}) AS line FROM ({given}) WHERE value IS NOT NULL GROUP BY value"
    found = relation.query(
        f"SELECT count(*) OVER (), list(value ORDER BY line), list(line ORDER BY line) FROM ({each}) "
        f"GROUP BY {plain} HAVING count(*) > 1 ORDER BY min(line) LIMIT 1"
    )
    if not found:
        return []
    count, values, lines = found[0]
    more = f"; {count - 1:,} more such" if count > 1 else ""
    named = " and ".join(f"{one!r} (line {line})" for one, line in list(zip(values, lines, strict=True))[:2])
    return [f"{column}: {named} differ only in how they are typed, and are two{more}"]
