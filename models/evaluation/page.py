"""The one look of all HTML reports: a self-contained page from a title, a verdict and sections of blocks.

Light and dark by the reader's preference, printable, no script, nothing fetched. All text is escaped: it comes from catalogues.
"""

import base64
import io
import math
import os
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup
from PIL import Image

from catalog.errors import ImageError
from catalog.thumbnails import small

Tone = Literal["good", "bad", "warn"]
Format = str | Callable[[Any], Any]
MISSING = "–"
PANEL_LINES = 5
"""Lines of a panel: four panels and the examples below them are to be seen at once."""
SHOWN_SIDE = 96
"""Pixels of the longer side of photos beside examples."""


@dataclass(frozen=True)
class KeyFigure:
    """A figure that is told before all others: what it is, its value, the range that is meant, and what to hold it against."""

    label: str
    value: str
    between: str | None = None
    against: Sequence[str] = ()


@dataclass(frozen=True)
class Panel:
    """A question and its answer in a few lines, each with its own tone or none; `empty` where there is none."""

    title: str
    lines: Sequence[tuple[str, Tone | None]]
    empty: str

    @property
    def shown(self) -> Sequence[tuple[str, Tone | None]]:
        """The first lines, and how many more there are."""
        more = len(self.lines) - PANEL_LINES
        return self.lines if more <= 0 else [*self.lines[:PANEL_LINES], (f"and {more:,} more", None)]


@dataclass(frozen=True)
class Side:
    """What one of two says, in short lines with a tone or none; `image` where it drew one."""

    lines: Sequence[tuple[str, Tone | None]]
    image: bytes | None = None


@dataclass(frozen=True)
class Beside:
    """What challenger and champion say of the same; `note` is what is true, `image` a photo that may be missing."""

    title: str
    note: str
    challenger: Side
    champion: Side
    image: bytes | None = None


@dataclass(frozen=True)
class Verdict:
    """The answer on top of the page: a short sentence, its tone, lines that explain it, and the figures behind it.

    Below them stand panels and examples; `link` is where to go on, and what that is called.
    """

    text: str
    tone: Tone
    details: Sequence[str] = ()
    figures: Sequence[KeyFigure] = ()
    panels: Sequence[Panel] = ()
    beside: Sequence[Beside] = ()
    link: tuple[str, str] | None = None


@dataclass(frozen=True)
class Badge:
    """A short coloured word in a table cell or a list of facts."""

    text: str
    tone: Tone | Literal["plain"] = "plain"


@dataclass(frozen=True)
class ImageItem:
    """A photo with its caption; `lines` go below the title, each with its own tone or none. `image` may be missing."""

    image: bytes | None
    title: str
    lines: Sequence[tuple[str, Tone | None]] = ()


@dataclass(frozen=True)
class ImageRow:
    """Small photos in a row, and what they are; a photo that is missing shows its title."""

    name: str
    items: Sequence[ImageItem]
    note: str = ""
    tone: Tone | None = None


@dataclass(frozen=True)
class Bar:
    """A share from 0 to 1 with its name, drawn as a bar."""

    name: str
    share: float
    tone: Tone | None = None


@dataclass(frozen=True)
class Card:
    """Something with a photo, bars, and paragraphs below headings; `image` may be missing."""

    image: bytes | None
    title: str
    subtitle: str
    badge: Badge
    bars: Sequence[Bar]
    paragraphs: Mapping[str, Sequence[tuple[str, Tone | None]]]


@dataclass(frozen=True)
class Block:
    """One rendered element of a section; made by the functions below."""

    html: Markup


@dataclass(frozen=True)
class Section:
    """A heading, a sentence that says what to look for, and its blocks."""

    title: str
    intro: str = ""
    blocks: Sequence[Block] = ()


def render_page(title: str, subtitle: str, verdict: Verdict | None, sections: Sequence[Section]) -> str:
    """The whole page as HTML."""
    return _template("page.html.jinja").render(
        title=title, subtitle=subtitle, verdict=verdict, sections=sections, thumbnail=_thumbnail
    )


def write_page(path: Path, html: str) -> Path:
    """Write `html` to `path` in one step: a reader sees the old page or the whole new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(html)
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return path


def text(paragraph: str) -> Block:
    """A paragraph of plain text."""
    return Block(Markup("<p>{}</p>").format(paragraph))


def commands(lines: Sequence[str]) -> Block:
    """Commands to copy, a line each."""
    return Block(Markup('<pre class="commands">{}</pre>').format("\n".join(lines)))


def facts(items: Mapping[str, Any]) -> Block:
    """Names and values as a compact list; floats get four significant digits."""
    return _block("facts", items=[(name, _cell(value, None)) for name, value in items.items()])


def table(
    rows: pd.DataFrame | Iterable[Mapping[str, Any]],
    formats: Mapping[str, Format] | None = None,
    *,
    tones: Sequence[Tone | None] | None = None,
    caption: str = "",
    empty: str = "Nothing to show.",
) -> Block:
    """A table; columns of numbers are right-aligned.

    `formats` maps a column to a format specification such as ".3f" or a function; `tones` colours rows.
    Cells may be `Badge`s. `empty` is shown instead of a table without rows.
    """
    frame = rows if isinstance(rows, pd.DataFrame) else pd.DataFrame(list(rows))
    if not len(frame):
        return text(empty)
    columns = [str(c) for c in frame.columns]
    values = [frame.iloc[:, i].tolist() for i in range(len(columns))]
    cells = [[_cell(v, (formats or {}).get(name)) for v in column] for name, column in zip(columns, values, strict=True)]
    head = [(name, all(_is_number(v) or _is_missing(v) for v in column)) for name, column in zip(columns, values, strict=True)]
    body = list(zip(tones or [None] * len(frame), zip(*cells, strict=True), strict=True))
    return _block("table", head=head, body=body, caption=caption)


def lines(items: Sequence[tuple[str, Tone | None]]) -> Markup:
    """A table cell of several lines, each with its own tone or none."""
    toned = Markup('<span class="{}">{}</span>')
    return Markup("<br>").join([toned.format(tone, line) if tone else Markup("{}").format(line) for line, tone in items])


def picture(image: bytes | None, alt: str) -> Markup:
    """A table cell with a picture in its own size; an empty frame where it is missing or cannot be read."""
    source = _data_uri(image) if image else None
    if source is None:
        return Markup('<span class="noimage">no image</span>')
    return Markup('<img src="{}" alt="{}">').format(source, alt)


def figure(source: str | bytes, alt: str, caption: str = "") -> Block:
    """A picture: SVG text of `models.evaluation.plots.svg` (inlined, never from user input), or PNG or JPEG bytes."""
    if isinstance(source, bytes):
        picture = Markup('<img src="{}" alt="{}">').format(_data_uri(source), alt)
    else:
        picture = Markup('<div role="img" aria-label="{}">{}</div>').format(alt, Markup(source))  # noqa: S704 (our own SVG)
    return _block("figure", picture=picture, caption=caption)


def columns(*blocks: Block) -> Block:
    """Blocks side by side where the page is wide enough."""
    return _block("columns", blocks=blocks)


def image_grid(items: Sequence[ImageItem], empty: str = "Nothing to show.") -> Block:
    """Photos with captions; a photo that is missing or cannot be read shows as an empty frame."""
    if not items:
        return text(empty)
    return _block("image_grid", items=[(_source(i), i) for i in items])


def cards(items: Sequence[Card], empty: str = "Nothing to show.") -> Block:
    """Cards, one below the other; a photo that is missing or cannot be read shows as an empty frame."""
    if not items:
        return text(empty)
    return _block("cards", items=[(_source(i), i) for i in items])


def image_rows(rows: Sequence[ImageRow]) -> Block:
    """Rows of small photos, each with its name before it."""
    return _block("image_rows", rows=[(r.name, r.tone, r.note, [(_source(i), i) for i in r.items]) for r in rows])


def _source(item: ImageItem | Card) -> str | None:
    return _data_uri(item.image) if item.image else None


def _thumbnail(image: bytes | None) -> str | None:
    """A photo as a small data URI; None where there is none that can be read."""
    try:
        return _data_uri(small(image, SHOWN_SIDE)) if image else None
    except ImageError:
        return None


def _data_uri(image: bytes) -> str | None:
    """A PNG, JPEG or WebP as a data URI; None where it is none of these."""
    try:
        with Image.open(io.BytesIO(image), formats=("PNG", "JPEG", "WEBP")) as opened:
            kind = opened.format
    except (OSError, Image.DecompressionBombError):
        return None
    return f"data:image/{str(kind).lower()};base64,{base64.b64encode(image).decode('ascii')}"


def _cell(value: Any, form: Format | None) -> Any:
    """What a cell shows: a Badge as it is, anything else as text."""
    if isinstance(value, Badge | Markup):
        return value
    if _is_missing(value):
        return MISSING
    if callable(form):
        return _cell(form(value), None)
    if form is not None:
        return format(value, form)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.0f}" if value.is_integer() or abs(value) >= 1000 else f"{value:.4g}"
    return value


def _is_missing(value: Any) -> bool:
    return value is None or value is pd.NA or value is pd.NaT or (isinstance(value, float) and math.isnan(value))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _block(macro: str, **context: Any) -> Block:
    return Block(Markup(getattr(_template("blocks.html.jinja").module, macro)(**context)))  # noqa: S704 (escaped by the template)


@cache
def _template(name: str) -> Template:
    folder = Path(__file__).parent / "templates"
    environment = Environment(
        loader=FileSystemLoader(folder), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.tests["badge"] = lambda value: isinstance(value, Badge)
    return environment.get_template(name)
