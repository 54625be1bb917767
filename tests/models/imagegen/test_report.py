"""The page from which a reviewer decides."""

import re

import pytest

from catalog.catalogue import Catalogue
from configs.schema import BetterThan, GateConfig, Threshold
from models.evaluation.gates import decide
from models.family import EvaluationRun
from models.imagegen.report import paired_differences, write_report
from models.imagegen.sweeps import PRODUCT, SWEPT

GATES = GateConfig(
    better_than=(BetterThan(metric="fid", baseline="prior.fid", better="lower"),),
    thresholds=(Threshold(metric="type_agreement", at_least=0.5), Threshold(metric="colour_agreement", at_least=0.99)),
)


@pytest.fixture(scope="module")
def html(run: EvaluationRun, shop: Catalogue, tmp_path_factory: pytest.TempPathFactory) -> str:
    out = tmp_path_factory.mktemp("report") / "report.html"
    told = write_report(run, run, shop, decide(run.evaluation, GATES), out)
    assert told.verdict == "Do not ship: 1 of 3 gates failed"
    return out.read_text(encoding="utf-8")


@pytest.mark.slow
def test_it_shows_images_with_what_the_judge_saw(run: EvaluationRun, html: str) -> None:
    rows = run.predictions[run.predictions["kind"] == PRODUCT]
    gallery = html[html.index("What does it draw?</h2>") : html.index("What would simple models show?</h2>")]
    assert gallery.count("<img") == len(rows)
    for _, row in rows.iterrows():
        assert f"product {row['product_id']}" in gallery
    wrong = int((rows["seen_base_colour"] != rows["base_colour"]).sum())
    assert wrong > 0 and len(re.findall(r"seen: [^,<]+, not ", gallery)) >= wrong


def test_it_has_a_table_for_each_sweep(html: str) -> None:
    for title in SWEPT.values():
        part = html[html.index(f"<h2>{title}</h2>") :]
        table = part[: part.index("</section>")]
        assert table.count("<tr>") == 1 + 2  # a head, and two prompts
        assert "no image" not in table


def test_it_tells_what_lies_nearest_beside_the_photo(html: str) -> None:
    part = html[html.index("<h2>Does it copy?</h2>") :]
    table = part[: part.index("</section>")]
    assert table.count("<img") == 2 * 12
    assert "yes" in table


def test_a_version_is_no_different_from_itself(run: EvaluationRun) -> None:
    rows = run.predictions[run.predictions["kind"] == PRODUCT]
    found = paired_differences(rows, rows)
    assert {"type_agreement", "best.colour_agreement", "score", "memorised"} <= set(found)
    assert all(metric.value == metric.low == metric.high == 0.0 for metric in found.values())
