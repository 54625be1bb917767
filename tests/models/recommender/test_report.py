"""The recommender's page says what a reviewer decides by."""

import re
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from screens import beside, panel

from catalog.catalogue import Catalogue
from configs.schema import GateConfig
from models.evaluation.bootstrap import mean_interval
from models.evaluation.gates import decide
from models.evaluation.results import Evaluation, Metric
from models.evaluation.slices import slice_metrics
from models.family import EvaluationRun
from models.recommender.evaluate import DIVERSITIES, MEANS, SLICED, TIERS, activity
from models.recommender.names import NAMES
from models.recommender.report import paired_differences, write_report

pytestmark = pytest.mark.slow

ATTACK = "<script>alert(1)</script>"
USERS, ITEMS = 600, 80
PARTS = {"co_purchase": 0.7, "sequence": 0.9, "content": 0.4, "popularity": 0.2}
GATES = GateConfig.model_validate(
    {
        "thresholds": [{"metric": "ndcg_at_10", "at_least": 0.05}],
        "no_regression": [{"metric": "ndcg_at_10", "better": "higher"}],
    }
)


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Catalogue:
    root = tmp_path_factory.mktemp("catalogue")
    titles = [f"Product {code} {ATTACK}" if code % 3 else None for code in range(ITEMS)]
    pd.DataFrame({"product_id": range(ITEMS), "title": titles}).to_parquet(root / "products.parquet")
    return Catalogue.open(root)


def users(skill: float, seed: int) -> pd.DataFrame:
    """Predictions: a user buys one of 80 items, and it is in the list with probability `skill`."""
    truth, generator = np.random.default_rng(0), np.random.default_rng(seed)
    lengths = truth.geometric(0.08, USERS)
    bought = truth.integers(0, ITEMS, USERS)
    shown = np.array([generator.permutation(np.delete(np.arange(ITEMS), item))[:10] for item in bought])
    found, place = generator.random(USERS) < skill, generator.integers(0, 10, USERS)
    shown[found, place[found]] = bought[found]
    ndcg = found / np.log2(place + 2)
    frame = pd.DataFrame({"user_id": [f"u{user}" for user in range(USERS)], "history_length": lengths})
    frame["activity"] = activity(lengths)
    frame["relevant"], frame["unknown"] = 1, 0
    values = {"recall_at_20": found, "ndcg_at_20": ndcg, "hit_rate_at_10": found, "ndcg_at_10": ndcg, "mrr": found / (place + 1)}
    frame = frame.assign(**{name: np.asarray(column, dtype=np.float32) for name, column in values.items()})
    frame["novelty"], frame["intra_list_diversity"] = generator.normal(9, 1, USERS), generator.uniform(0.3, 0.9, USERS)
    past = [truth.integers(0, ITEMS, min(10, length)) for length in lengths]
    for column, lists in (("history", past), ("predicted", shown), ("true", bought[:, None])):
        frame[column] = [[str(code) for code in codes] if row < 400 else None for row, codes in enumerate(lists)]
    return frame


def about(value: float, half: float = 0.01) -> Metric:
    return Metric(value=value, low=value - half, high=value + half, n=USERS)


def run(frame: pd.DataFrame, version: str | None = None, **changed: Metric) -> EvaluationRun:
    metrics = {name: mean_interval(frame[name], 50) for name in MEANS} | {"coverage": about(0.6), "gini": about(0.5)}
    for part, share in PARTS.items():
        metrics |= {f"{part}.{name}": about(share * (metrics[name].value or 0.0), 0.001) for name in MEANS}
        metrics |= {f"{part}.coverage": about(0.3), f"{part}.weight": Metric(value=share, n=USERS)}
    for diversity in DIVERSITIES:
        name, ndcg = f"diversity_{round(100 * diversity)}", metrics["ndcg_at_10"].value or 0.0
        metrics |= {
            f"{name}.ndcg_at_10": about(ndcg * (1 - 0.4 * diversity**2)),
            f"{name}.intra_list_diversity": about(0.5 + diversity / 3),
        }
    for tier, shares in zip(TIERS, ((0.4, 0.2), (0.5, 0.6), (0.1, 0.2)), strict=True):
        metrics |= {f"shown.{tier}": about(shares[0]), f"bought.{tier}": about(shares[1])}
    metrics["latency_p50_ms"] = about(12.0, 1.0)
    statistics: Any = {name: lambda rows, name=name: mean_interval(rows[name], 50) for name in SLICED}
    slices = slice_metrics(frame, ["activity"], statistics, min_rows=10)
    evaluation = Evaluation(
        model="recommender", version=version, data="f" * 64, split="test", n=USERS, metrics=metrics | changed, slices=slices
    )
    return EvaluationRun(evaluation, frame)


def page_of(new: EvaluationRun, old: EvaluationRun | None, catalogue: Catalogue, folder: Path) -> str:
    decision = decide(new.evaluation, GATES, old.evaluation if old else None)
    write_report(new, old, catalogue, decision, folder / "report.html")
    return (folder / "report.html").read_text()


def section(html: str, title: str) -> str:
    """The part of a page under a heading, without markup."""
    part = html.split(f">{title}</h2>", 1)[1].split("<h2", 1)[0]
    return " ".join(unescape(re.sub(r"<svg.*?</svg>|<[^>]*>", " ", part, flags=re.DOTALL)).split())


PART_TITLE, DIVERSITY_TITLE = "What does each part add?", "What does diversity cost?"
POPULARITY_TITLE, EXAMPLE_TITLE = "Does it only show best sellers?", "Who is shown what?"


def test_page_of_a_first_version(catalogue: Catalogue, tmp_path: Path) -> None:
    html = page_of(run(users(0.5, 1), "7"), None, catalogue, tmp_path)
    assert "May be promoted: all 2 gates passed" in html
    assert "vitrina promote recommender 7 " in html
    assert "600 test users of catalogue" in html
    assert "no champion to compare with: all of it is new to clients" in panel(html, "Riskier")
    assert panel(html, "Better than simple models")[0].startswith("nDCG@10 ")
    assert "Champion</th>" not in html
    assert "What changed against the champion" not in html
    overall = section(html, "Is it better?")
    assert "popular" not in overall
    beside = section(html, "Is it worth a model?")
    assert "nDCG@10" in beside
    assert beside.count("the most popular items") == len(NAMES.peers)
    assert "co_purchase" not in html
    assert "diversity_20" not in html


def test_a_version_that_got_worse_is_refused_and_says_where(catalogue: Catalogue, tmp_path: Path) -> None:
    new, old = run(users(0.3, 1)), run(users(0.6, 2), "3")
    html = page_of(new, old, catalogue, tmp_path)
    assert "Do not ship: 1 of 2 gates failed" in html
    worse = panel(html, "Worse than the champion")
    assert [line.split(" 0.")[0] for line in worse[:3]] == ["nDCG@10", "Recall@20", "nDCG@20"]
    assert worse[-1].startswith("and ")
    lost = int(((new.predictions["hit_rate_at_10"] == 0) & (old.predictions["hit_rate_at_10"] > 0)).sum())
    assert panel(html, "Riskier")[0].startswith(f"{lost} of 600 users that the champion got right are wrong now; ")
    assert len(beside(html)) == 4
    assert all(re.fullmatch(r"user .+ bought next: .+ challenger \d+\. .+ champion \d+\. .+", one) for one in beside(html))
    changes = section(html, "What changed against the champion")
    won = int(((new.predictions["hit_rate_at_10"] > 0) & (old.predictions["hit_rate_at_10"] == 0)).sum())
    assert f"Of 600 shared users, {won} find" in changes
    assert "1–5" in changes
    assert "Found by the champion, and not now" in section(html, EXAMPLE_TITLE)


def test_metrics_stand_beside_popularity(catalogue: Catalogue, tmp_path: Path) -> None:
    new = run(users(0.5, 1))
    html = page_of(new, None, catalogue, tmp_path)
    value = new.evaluation.metrics["ndcg_at_10"]
    assert f"nDCG@10 {value.value:.3f} {value.low:.3f} to {value.high:.3f}" in section(html, "Is it better?")
    row = f"nDCG@10 {value.value:.3f} the most popular items {0.2 * (value.value or 0):.3f} +{0.8 * (value.value or 0):.3f}"
    assert row in section(html, "Is it worth a model?")


def test_parts_come_by_quality_below_the_blend(catalogue: Catalogue, tmp_path: Path) -> None:
    new = run(users(0.5, 1))
    html = page_of(new, None, catalogue, tmp_path)
    told = section(html, PART_TITLE)
    names = ["The blend –", "Self-attention over the order 0.9", "Bought by the same users 0.7", "Content 0.4", "Popularity 0.2"]
    places = [told.index(name) for name in names]
    assert places == sorted(places)
    assert "better than the blend" not in told.split("The blend –")[1]
    above = {"sequence.ndcg_at_10": about((new.evaluation.metrics["ndcg_at_10"].value or 0) + 0.2)}
    html = page_of(run(users(0.5, 1), **above), None, catalogue, tmp_path)
    assert section(html, PART_TITLE).split("The blend –")[1].count("better than the blend") == 1
    assert len(re.findall(r'<tr class="bad">\s*<td[^>]*>Self-attention', html)) == 1


def test_diversity_is_a_curve_and_a_table(catalogue: Catalogue, tmp_path: Path) -> None:
    new = run(users(0.5, 1))
    html = page_of(new, None, catalogue, tmp_path)
    told = section(html, DIVERSITY_TITLE)
    first = new.evaluation.metrics["diversity_0.ndcg_at_10"].value or 0
    assert f"0 0.500 {first:.3f} 100%" in told
    assert f"0.5 0.667 {0.9 * first:.3f} 90%" in told
    assert html.split(f">{DIVERSITY_TITLE}</h2>")[1].count("<svg") >= 1


def test_popularity_of_what_is_shown_stands_beside_what_is_bought(catalogue: Catalogue, tmp_path: Path) -> None:
    new = run(users(0.5, 1))
    told = section(page_of(new, None, catalogue, tmp_path), POPULARITY_TITLE)
    assert "Best sellers 20.0% 40.0%" in told
    assert "Slow sellers 20.0% 10.0%" in told
    assert "does not know" not in told
    partly = EvaluationRun(new.evaluation, new.predictions.assign(unknown=np.arange(USERS) < 30))
    assert "5.0% of what was bought are items that this version does not know" in section(
        page_of(partly, None, catalogue, tmp_path), POPULARITY_TITLE
    )
    told = section(page_of(new, new, catalogue, tmp_path), POPULARITY_TITLE)
    assert "Champion shows" in told
    assert "Best sellers 20.0% 40.0% 40.0%" in told


def test_examples_read_as_titles_where_there_are_any_and_are_escaped(catalogue: Catalogue, tmp_path: Path) -> None:
    frame = users(0.5, 1)
    html = page_of(run(frame), None, catalogue, tmp_path)
    assert "<script" not in html
    assert "&lt;script&gt;" in html
    told = section(html, EXAMPLE_TITLE)
    assert re.search(r" \d\. item \d+ ", told)
    assert "Something was found" in told
    found = re.findall(r"<td[^>]*>(u\d+)</td>", html)
    assert len(found) == 8
    assert set(found) <= set(frame.loc[:399, "user_id"])
    assert (
        html.split(f">{EXAMPLE_TITLE}</h2>")[1].count('<span class="good">') == 8
    )  # of four users, where shown and where bought
    assert "before" in told


def test_examples_are_ids_without_a_products_table(tmp_path: Path) -> None:
    pd.DataFrame({"user_id": ["u1"], "item_id": [3]}).to_parquet(tmp_path / "purchases.parquet")
    html = page_of(run(users(0.5, 1)), None, Catalogue.open(tmp_path), tmp_path)
    assert "item 3" in section(html, EXAMPLE_TITLE)


def test_page_copes_with_predictions_that_were_stored(catalogue: Catalogue, tmp_path: Path) -> None:
    new = run(users(0.5, 1))
    new.predictions.to_parquet(tmp_path / "predictions.parquet")
    stored = EvaluationRun(new.evaluation, pd.read_parquet(tmp_path / "predictions.parquet"))
    assert page_of(stored, stored, catalogue, tmp_path) == page_of(new, new, catalogue, tmp_path)


def test_page_says_what_was_not_measured(catalogue: Catalogue, tmp_path: Path) -> None:
    frame = users(0.0, 1)
    bare = Evaluation(model="recommender", data="f" * 64, split="test", n=USERS, metrics={"ndcg_at_10": Metric(value=None)})
    full = run(users(0.5, 2), "1")
    for new, old in ((EvaluationRun(bare, frame), full), (full, EvaluationRun(bare, frame))):
        html = page_of(new, old, catalogue, tmp_path)
        for title in (PART_TITLE, DIVERSITY_TITLE, POPULARITY_TITLE):
            assert ("Not measured." in section(html, title)) == (new is not full), title
    html = page_of(EvaluationRun(bare, frame.assign(predicted=None)), None, catalogue, tmp_path)
    assert "No user's items are named." in section(html, EXAMPLE_TITLE)


def test_paired_differences_are_those_of_the_same_users() -> None:
    new, old = users(0.6, 1), users(0.4, 2)
    found = paired_differences(new, old)
    for name in MEANS:
        assert found[name].value == pytest.approx(float(new[name].mean()) - float(old[name].mean()), abs=1e-6), name
    assert (found["hit_rate_at_10"].low or 0) > 0
    old.loc[0, "novelty"] = np.nan  # nothing was shown
    assert paired_differences(new, old)["novelty"].n == USERS - 1
