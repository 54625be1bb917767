"""Writes small xlsx files cell by cell."""

import zipfile
from pathlib import Path
from xml.sax.saxutils import escape

_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_SHEET_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml"


def text(column: str, value: str) -> str:
    """A cell with text; {row} is filled in later."""
    return f'<c r="{column}{{row}}" t="inlineStr"><is><t xml:space="preserve">{escape(value)}</t></is></c>'


def number(column: str, digits: str, style: int = 0) -> str:
    """A cell with a number; style 1 makes it a day, 2 a moment."""
    return f'<c r="{column}{{row}}" s="{style}"><v>{digits}</v></c>'


def formula(column: str, value: str | None, kind: str = "n") -> str:
    """A cell with a formula, and the value that was saved with it; of kind str a text, of e an error."""
    saved = "" if value is None else f"<v>{escape(value)}</v>"
    return f'<c r="{column}{{row}}" t="{kind}"><f>A1</f>{saved}</c>'


def write_xlsx(
    path: Path, sheets: dict[str, dict[int, list[str]]], merged: tuple[str, ...] = (), calculates: bool = False
) -> Path:
    """A book of sheets, each of rows by number; `merged` are ranges of each sheet, such as B2:B3.

    `calculates` asks whoever opens it to calculate all formulas.
    """
    joined = "".join(f'<mergeCell ref="{cells}"/>' for cells in merged)
    joined = f"<mergeCells>{joined}</mergeCells>" if joined else ""
    names = list(sheets)
    parts = {
        "_rels/.rels": _relations([("officeDocument", "xl/workbook.xml")]),
        "xl/_rels/workbook.xml.rels": _relations(
            [("worksheet", f"worksheets/sheet{n}.xml") for n in range(len(names))] + [("styles", "styles.xml")]
        ),
        "xl/workbook.xml": f'<workbook xmlns="{_MAIN}" xmlns:r="{_OFFICE}"><sheets>'
        + "".join(f'<sheet name="{name}" sheetId="{n + 1}" r:id="r{n}"/>' for n, name in enumerate(names))
        + "</sheets>"
        + ('<calcPr fullCalcOnLoad="1"/>' if calculates else "")
        + "</workbook>",
        "xl/styles.xml": f'<styleSheet xmlns="{_MAIN}"><cellXfs count="3"><xf numFmtId="0"/><xf numFmtId="14"/>'
        '<xf numFmtId="22"/></cellXfs></styleSheet>',
        "[Content_Types].xml": f'<Types xmlns="{_PACKAGE}/content-types"><Default Extension="xml" ContentType="application/xml"/>'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        f'<Override PartName="/xl/workbook.xml" ContentType="{_SHEET_TYPE}.sheet.main+xml"/></Types>',
    }
    for n, rows in enumerate(sheets.values()):
        cells = "".join(f'<row r="{row}">{"".join(cells).format(row=row)}</row>' for row, cells in rows.items())
        parts[f"xl/worksheets/sheet{n}.xml"] = f'<worksheet xmlns="{_MAIN}"><sheetData>{cells}</sheetData>{joined}</worksheet>'
    with zipfile.ZipFile(path, "w") as archive:
        for name, part in parts.items():
            archive.writestr(name, f'<?xml version="1.0"?>{part}')
    return path


def _relations(targets: list[tuple[str, str]]) -> str:
    each = (f'<Relationship Id="r{n}" Type="{_OFFICE}/{kind}" Target="{target}"/>' for n, (kind, target) in enumerate(targets))
    return f'<Relationships xmlns="{_PACKAGE}/relationships">{"".join(each)}</Relationships>'
