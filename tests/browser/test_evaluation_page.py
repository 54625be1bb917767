"""The page of an evaluation, as a reviewer opens it: all that matters is on the first screen, wide or narrow, light or dark."""

import io
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from PIL import Image

from models.evaluation import page
from models.evaluation.page import Beside, KeyFigure, Panel, Section, Side, Verdict

pytestmark = pytest.mark.slow

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
LONG = "Clearly worse than the champion on a slice of the catalogue with a long name"


def _page(folder: Path) -> Path:
    """As full as a first screen gets."""
    buffer = io.BytesIO()
    Image.new("RGB", (600, 800), (200, 30, 30)).save(buffer, "JPEG")
    figures = [KeyFigure(f"Figure {i}", "0.968", "0.948 to 0.983", ("champion 0.899: clearly better",) * 3) for i in range(3)]
    panels = [Panel(f"Panel {i}", [(f"a line of some words, number {n}", "warn") for n in range(9)], "") for i in range(4)]
    sides = [Side([("Sports Shoes and Sandals (97%)", "good"), ("price 1,499", None)]) for _ in range(2)]
    beside = [Beside(f"{LONG} {i}", "true: Sports Shoes, 1,499", sides[0], sides[1], buffer.getvalue()) for i in range(4)]
    told = ["a gate failed: 0.7 is not at least 0.9"] * 2
    link = ("http://127.0.0.1:3000/playground?tab=versions&model=product", "Open the playground on challenger against champion")
    verdict = Verdict("Do not ship: 2 of 10 gates failed", "bad", told, figures, panels, beside, link)
    table = page.table(pd.DataFrame({f"Column {i}": [LONG] for i in range(6)}))
    html = page.render_page(
        "Evaluation of product candidate", "348 test products", verdict, [Section("Gates", LONG, [table])] * 3
    )
    return page.write_page(folder / "page.html", html)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if CHROMIUM is None:
        pytest.skip("no Chromium: apt-get install chromium")
    from playwright.sync_api import sync_playwright

    flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    with sync_playwright() as started:
        opened = started.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield opened
        opened.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("width", "height"), [(1280, 800), (390, 844)])
def test_the_first_screen(browser: Any, tmp_path: Path, width: int, height: int, scheme: str) -> None:
    from axe_core_python.sync_playwright import Axe

    shown = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
    shown.goto(_page(tmp_path).as_uri())
    assert shown.evaluate("document.documentElement.scrollWidth") == width, "nothing is cut off or scrolls sideways"
    if width == 1280:
        assert shown.evaluate("document.querySelector('.beside').getBoundingClientRect().bottom") <= height
        tops = shown.evaluate("[...document.querySelectorAll('.panels > *')].map(part => part.getBoundingClientRect().top)")
        assert len(set(tops)) == 1, "four questions stand side by side"
    assert all(shown.evaluate("[...document.images].map(image => image.complete && image.naturalWidth > 0)"))
    found = Axe().run(shown)
    assert [fault["id"] for fault in found["violations"] if fault["impact"] in ("serious", "critical")] == []
    shown.close()
