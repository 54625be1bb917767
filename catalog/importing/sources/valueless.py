"""Cells of an xlsx file that python-calamine hands on as empty, or as 0, without saying why: errors, and formulas not calculated.

A program that writes formulas without calculating them saves no value (openpyxl), or 0 (XlsxWriter), and asks whoever opens the
file to calculate all of it (`fullCalcOnLoad`, ECMA-376 part 1, 18.2.2).
"""

import io
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO
from xml.etree.ElementTree import Element, ParseError

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import fromstring, iterparse

_WORKBOOK, _RELATIONS = "xl/workbook.xml", "xl/_rels/workbook.xml.rels"
_OF_INTEREST = (b"<f>", b"<f ", b"<f/", b":f>", b":f ", b":f/", b't="e"', b"t='e'")
"""Of a formula, whose tag may have a prefix, and of an error. Looked for one by one, which takes half as long as one pattern."""
_LONGEST = max(map(len, _OF_INTEREST))
_PIECE = 1 << 20
_UNREADABLE = (
    ParseError,
    DefusedXmlException,
    zipfile.BadZipFile,
    zlib.error,
    LookupError,
    OSError,
    RuntimeError,
)
"""What parsing and zipfile raise where calamine is more lenient."""
_ERRORS = "cells hold an error such as {what} ({where}): they are read as empty"
_UNSAVED = "formulas were saved without their values ({where}) and are read as empty: save the file in a spreadsheet program"
_UNCALCULATED = (
    "formulas were not calculated by the program that saved the file ({where}): their values are read as they are, which may be "
    "0; save the file in a spreadsheet program"
)


@dataclass(frozen=True)
class _Cell:
    """One with an error or a formula; `place` is such as B2."""

    place: str
    kind: str
    formula: bool
    value: str


def valueless(content: bytes, sheet: str, above: int) -> list[str]:
    """Notes on cells below the `above` first rows of a sheet; none of a file that is no xlsx.

    Args:
        content: The file.
        sheet: The sheet's name.
        above: Rows that are left out.
    """
    if not zipfile.is_zipfile(io.BytesIO(content)):
        return []
    try:
        return _notes(content, sheet, above)
    except _UNREADABLE as error:
        return [f"which cells have errors, or formulas without a value, cannot be told: {error}"]


def _notes(content: bytes, sheet: str, above: int) -> list[str]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        if not {_WORKBOOK, _RELATIONS} <= set(archive.namelist()):
            return []
        book = fromstring(archive.read(_WORKBOOK))
        part = _part(archive, book, sheet)
        if not _worth_reading(archive, part):
            return []
        with archive.open(part) as file:
            cells = [cell for cell in _cells(file) if _row(cell.place) > above]
    calculates = any(_local(e.tag) == "calcPr" and e.get("fullCalcOnLoad") in ("1", "true") for e in book.iter())
    errors = [cell for cell in cells if cell.kind == "e"]
    unsaved = [cell for cell in cells if cell.formula and not cell.value and cell.kind != "str"]  # whose text may be empty
    uncalculated = [cell for cell in cells if cell.formula and cell.value and cell.kind != "e" and calculates]
    told = [_UNSAVED.format(where=_where(unsaved))] if unsaved else []
    told += [_UNCALCULATED.format(where=_where(uncalculated))] if uncalculated else []
    return told + ([_ERRORS.format(what=errors[0].value, where=_where(errors))] if errors else [])


def _part(archive: zipfile.ZipFile, book: Element, sheet: str) -> str:
    """The file in the archive that has the cells of a sheet; raises LookupError."""
    wanted = [e for e in book.iter() if _local(e.tag) == "sheet" and e.get("name") == sheet]
    ids = {value for e in wanted for name, value in e.attrib.items() if _local(name) == "id"}
    targets = [r.get("Target", "") for r in fromstring(archive.read(_RELATIONS)) if r.get("Id") in ids]
    parts = {part for target in targets for part in (f"xl/{target}", target.removeprefix("/"))} & set(archive.namelist())
    if len(parts) != 1:
        raise LookupError(f"the cells of sheet {sheet!r} are not where the file says")
    return parts.pop()


def _worth_reading(archive: zipfile.ZipFile, part: str) -> bool:
    """Whether there is a formula or an error at all, which is seen much faster than XML is parsed."""
    with archive.open(part) as file:
        before = b""
        while piece := file.read(_PIECE):
            joined = before + piece
            if any(part in joined for part in _OF_INTEREST):
                return True
            before = joined[-_LONGEST:]
    return False


def _cells(file: IO[bytes]) -> Iterator[_Cell]:
    for _, element in iterparse(file, events=("end",)):
        tag = _local(element.tag)
        if tag == "c":
            parts = {_local(child.tag): child.text or "" for child in element}
            kind = element.get("t", "n")
            if "f" in parts or kind == "e":
                yield _Cell(element.get("r", ""), kind, "f" in parts, parts.get("v", ""))
        elif tag == "row":
            element.clear()


def _where(cells: list[_Cell]) -> str:
    first = cells[0].place or "a cell"
    return first if len(cells) == 1 else f"{first} and {len(cells) - 1:,} more"


def _row(place: str) -> int:
    digits = place.lstrip("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
    return int(digits) if digits.isdecimal() else 1 << 30


def _local(tag: str) -> str:
    """A name without its namespace."""
    return tag.rpartition("}")[2]
