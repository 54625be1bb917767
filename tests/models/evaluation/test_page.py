import io
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from models.evaluation import charts, page, plots
from models.evaluation.results import Metric

ATTACK = "<script>alert('x')</script>\" onerror=\"x&"


class Tags(HTMLParser):
    """Collects elements, and fails on what a page must not have."""

    VOID = frozenset({"meta", "img", "br", "link", "path", "use", "image", "rect"})

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.attributes += attrs
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag


def parse(html: str) -> Tags:
    tags = Tags()
    tags.feed(html)
    tags.close()
    return tags


def jpeg() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (6, 8), (200, 30, 30)).save(buffer, format="JPEG")
    return buffer.getvalue()


def picture() -> str:
    figure, axes = plots.axes(x=ATTACK, y="y")
    axes.plot([0, 1], [1, 0], color=plots.ACCENT, label=ATTACK)
    axes.set_xticks([0, 1], [ATTACK, "b"], parse_math=False)
    plots.legend(axes)
    return plots.svg(figure)


@pytest.fixture(scope="module")
def attacked() -> str:
    frame = pd.DataFrame({ATTACK: [ATTACK, "b"], "n": [1.0, None]})
    blocks = [
        page.text(ATTACK),
        page.commands([ATTACK]),
        page.facts({ATTACK: ATTACK, "badge": page.Badge(ATTACK, "good")}),
        page.table(frame, caption=ATTACK),
        page.table([{"a": page.Badge(ATTACK, "bad")}], tones=["bad"]),
        page.figure(picture(), ATTACK, ATTACK),
        page.figure(jpeg(), ATTACK),
        page.image_grid(
            [page.ImageItem(jpeg(), ATTACK, [(ATTACK, "bad")]), page.ImageItem(b"no photo", ATTACK), page.ImageItem(None, "")]
        ),
        page.image_rows([page.ImageRow(ATTACK, [page.ImageItem(jpeg(), ATTACK), page.ImageItem(None, ATTACK)], ATTACK, "good")]),
        page.columns(page.text(ATTACK), page.text("b")),
        page.table([], empty=ATTACK),
    ]
    return page.render_page(ATTACK, ATTACK, page.Verdict(ATTACK, "bad", [ATTACK]), [page.Section(ATTACK, ATTACK, blocks)] * 3)


def test_nothing_from_a_catalogue_becomes_markup(attacked):
    tags = parse(attacked)
    assert "script" not in tags.names
    assert not [name for name, _ in tags.attributes if name.startswith("on")]
    assert attacked.count("&lt;script&gt;") > 30


def test_page_is_well_formed_and_fetches_nothing(attacked):
    tags = parse(attacked)
    assert tags.open == []
    assert "link" not in tags.names
    sources = [value or "" for name, value in tags.attributes if name in ("src", "href", "xlink:href")]
    assert sources
    assert all(source.startswith(("data:", "#")) for source in sources)
    assert not re.search(r"@import|url\((?!#)", attacked)


def test_page_has_both_colour_schemes_and_prints(attacked):
    assert "prefers-color-scheme: dark" in attacked
    assert "@media print" in attacked


def test_drawing_uses_the_colours_of_the_page():
    drawing = picture()
    assert "var(--accent)" in drawing
    assert "var(--muted)" in drawing
    assert not [colour for colour in plots.VARIABLES if colour in drawing]


def test_ids_of_two_drawings_differ():
    first, _ = plots.axes(x="one")
    second, _ = plots.axes(x="two")
    ids = [set(re.findall(r'\bid="([^"]+)"', plots.svg(figure))) for figure in (first, second)]
    assert all(ids)
    assert not ids[0] & ids[1]


def test_references_inside_a_drawing_resolve():
    drawing = picture()
    ids = set(re.findall(r'\bid="([^"]+)"', drawing))
    used = set(re.findall(r'url\(#([^)]+)\)|href="#([^"]+)"', drawing))
    assert used
    assert {a or b for a, b in used} <= ids


def test_table_aligns_numbers_and_shows_what_is_missing():
    html = page.table(pd.DataFrame({"name": ["a", None], "n": [1234.5678, np.nan], "ok": [True, False]}), {"n": ".1f"}).html
    assert '<td class="number">1234.6</td>' in html
    assert f'<td class="number">{page.MISSING}</td>' in html
    assert f"<td>{page.MISSING}</td>" in html
    assert "<td>yes</td>" in html
    assert '<th scope="col">name</th>' in html


def test_unreadable_photo_is_an_empty_frame():
    assert "no image" in page.image_grid([page.ImageItem(b"<svg onload=alert(1)>", "x")]).html


def test_a_row_of_photos_shows_the_title_of_a_product_without_one():
    told = str(
        page.image_rows([page.ImageRow("Boots", [page.ImageItem(jpeg(), "One"), page.ImageItem(b"no photo", "Two")])]).html
    )
    assert told.count("<img") == 1 and 'alt="One"' in told and ">Two</span>" in told


def test_page_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    target = page.write_page(tmp_path / "deep" / "report.html", "old")

    def fail(self: Path, other: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OSError, match="No space"):
        page.write_page(target, "new")
    assert [p.name for p in target.parent.iterdir()] == ["report.html"]
    assert target.read_text() == "old"


@pytest.mark.parametrize(
    "drawing",
    [
        lambda: charts.dots(
            ["a$b$", "b"], [Metric(value=None), Metric(value=0.5, low=0.4, high=0.6)], [None, Metric(value=0.4)], None, "m"
        ),
        lambda: charts.curves([1, 5], {"a$b$": [Metric(value=0.4, low=0.3, high=0.5), Metric(value=0.6)]}, "x", "y"),
        lambda: charts.heat_map(np.array([[1.0, 0.0], [0.3, 0.7]]), ["<b>", "$x_$"]),
        lambda: charts.price_scatter(np.array([1.0, 20.0]), np.array([2.0, 19.0])),
        lambda: charts.price_ratios(["under 500"], [np.array([0.5, 1.0, 2.0])]),
        lambda: charts.reliability(
            pd.DataFrame({"low": [0.0], "high": [1.0], "rows": [1], "confidence": [0.5], "accuracy": [1.0]})
        ),
    ],
)
def test_charts_survive_odd_input(drawing):
    svg = drawing()
    assert parse(svg).open == []
    assert svg.startswith("<svg")
