import base64
import io
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from bundles import COLOURS, draw
from PIL import Image
from screens import beside, panel

from catalog.catalogue import Catalogue
from configs.schema import BetterThan, GateConfig
from models.evaluation.gates import decide
from models.family import EvaluationRun
from models.fewshot.episodes import Pool
from models.fewshot.pictures import SIDE
from models.fewshot.report import write_report

pytestmark = pytest.mark.slow

GATES = GateConfig(
    better_than=(BetterThan(metric="accuracy_5way_1shot", baseline="chance.accuracy_5way_1shot", better="higher"),)
)


@pytest.fixture(scope="module")
def shop(tested: Pool, tmp_path_factory: pytest.TempPathFactory) -> Catalogue:
    """The products of the made-up types: large photos, none, and one that is damaged; one title is no markup."""
    folder = tmp_path_factory.mktemp("shop")
    titles = [f"Product {row}" if row % 5 else f"<b>Product {row}</b>" for row in tested.product_ids]
    products = pd.DataFrame({"product_id": tested.product_ids, "title": titles})
    products.to_parquet(folder / "products.parquet", index=False)
    small = Image.open(io.BytesIO(draw("ring", COLOURS["Red"], np.random.default_rng(0))))
    buffer = io.BytesIO()
    small.resize((900, 1200)).save(buffer, "JPEG")
    photos = [b"no photo" if row == 7 else buffer.getvalue() for row in range(0, len(tested.product_ids), 2)]
    images = pd.DataFrame({"product_id": range(0, len(tested.product_ids), 2), "jpeg": photos})
    images.to_parquet(folder / "images.parquet", index=False)
    return Catalogue.open(folder)


def page(run: EvaluationRun, champion: EvaluationRun | None, shop: Catalogue, out: Path) -> str:
    write_report(run, champion, shop, decide(run.evaluation, GATES, champion.evaluation if champion else None), out)
    return out.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def html(made_up_run: EvaluationRun, shop: Catalogue, tmp_path_factory: pytest.TempPathFactory) -> str:
    return page(made_up_run, None, shop, tmp_path_factory.mktemp("page") / "report.html")


def test_it_says_first_whether_it_may_ship(made_up_run: EvaluationRun, shop: Catalogue, tmp_path: Path) -> None:
    told = write_report(made_up_run, None, shop, decide(made_up_run.evaluation, GATES), tmp_path / "report.html")
    assert told.verdict == "May be promoted: its only gate passed"
    assert [figure.label for figure in told.figures] == [
        "5 classes, 1 example: accuracy",
        "5 classes, 5 examples: accuracy",
        "Strangers rejected, 5 examples",
    ]
    assert dict(told.figures[0].peers)["guessing"] == pytest.approx(0.2)


def test_it_has_a_section_for_each_question(html: str) -> None:
    titles = re.findall(r"<h2>(.*?)</h2>", html)
    assert titles == [
        "Gates",
        "Is it better?",
        "Are the types new to it?",
        "Is it worth a model?",
        "What does each learner reach?",
        "Does it know what it does not know?",
        "Where is it worse?",
        "What is confused with what?",
        "Tasks, the worst first",
        "What does a new department cost?",
        "What is confused in the new department?",
        "Tasks of the new department",
        "What to do",
        "What was measured",
    ]


def test_tasks_are_shown_with_what_was_taught_and_the_mistakes(html: str, made_up_run: EvaluationRun) -> None:
    section = html[html.index("Tasks, the worst first</h2>") : html.index("What does a new department cost?</h2>")]
    frame = made_up_run.predictions
    asked = frame[(frame["kind"] == "asked") & (frame["setting"] == "5way_5shot")]
    assert (
        len(re.findall(r"Task \d, among the worst", section)) == 5
        and len(re.findall(r"Task \d, one of the others", section)) == 2
    )
    assert section.count("<span>taught</span>") == 35
    wrong = asked[asked["true"].notna() & (asked["stranger"] <= 0.5) & (asked["true"] != asked["answered"])]
    assert 0 < section.count("taken for type") <= len(wrong)
    assert ("falsely rejected</span>" in section) == bool((asked["true"].notna() & (asked["stranger"] > 0.5)).any())
    assert ("let through as" in section) == bool((asked["true"].isna() & (asked["stranger"] <= 0.5)).any())


def test_nothing_of_the_catalogue_becomes_markup_and_photos_are_small(html: str) -> None:
    assert "<b>Product" not in html and "&lt;b&gt;Product" in html
    photos = re.findall(r'src="data:image/jpeg;base64,([^"]+)"', html)
    assert photos
    assert {max(Image.open(io.BytesIO(base64.b64decode(photo))).size) for photo in photos[:5]} == {SIDE}
    assert len(html) < 6_000_000


def test_without_a_department_held_back_there_is_no_section_of_one(
    made_up_run: EvaluationRun, shop: Catalogue, tmp_path: Path
) -> None:
    frame = made_up_run.predictions
    plain = replace(made_up_run, predictions=frame[~frame["setting"].str.startswith("novel")].reset_index(drop=True))
    told = page(plain, None, shop, tmp_path / "report.html")
    assert "Tasks, the worst first" in told and "What does a new department cost?" not in told


def test_types_that_training_has_seen_are_told(made_up_run: EvaluationRun, shop: Catalogue, tmp_path: Path) -> None:
    assert "they are as new to it as a shop" in page(made_up_run, None, shop, tmp_path / "new.html")
    frame = made_up_run.predictions
    seen = frame.assign(known=frame["known"].where(frame["true"] != "type 3.0", "yes"))
    told = page(replace(made_up_run, predictions=seen), None, shop, tmp_path / "seen.html")
    assert "Of the 28 types that are tested, 1 are known" in told and "the figures flatter" in told


def test_a_champion_is_compared_on_the_same_tasks(made_up_run: EvaluationRun, shop: Catalogue, tmp_path: Path) -> None:
    frame = made_up_run.predictions
    worse = replace(made_up_run, predictions=frame.assign(accuracy=frame["accuracy"] - 0.05))
    told = page(made_up_run, worse, shop, tmp_path / "report.html")
    assert panel(told, "Better than the champion")[0].startswith("5 classes, 1 example: accuracy ")
    same = page(made_up_run, made_up_run, shop, tmp_path / "same.html")
    assert panel(same, "Better than the champion") == panel(same, "Worse than the champion") == ["On nothing, clearly."]


def test_questions_that_turned_stand_side_by_side(made_up_run: EvaluationRun, shop: Catalogue, tmp_path: Path) -> None:
    frame = made_up_run.predictions
    asked = frame["kind"] == "asked"
    other = frame["answered"].where(~asked, "another class")
    old = replace(made_up_run, predictions=frame.assign(answered=other, stranger=frame["stranger"].where(~asked, 0.0)))
    shown = beside(page(made_up_run, old, shop, tmp_path / "report.html"))
    assert len(shown) == 4
    assert all("true: type " in one and "champion another class" in one for one in shown)
    assert beside(page(made_up_run, None, shop, tmp_path / "alone.html")) == []
