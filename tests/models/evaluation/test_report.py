import io
import re
from html import unescape
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from screens import beside, panel

from catalog.catalogue import Catalogue
from configs.schema import GateConfig
from models.evaluation.bootstrap import mean_interval
from models.evaluation.gates import decide
from models.evaluation.metrics import accuracy, macro_f1, rmsle
from models.evaluation.results import Evaluation, Metric
from models.evaluation.slices import slice_metrics
from models.family import EvaluationRun
from models.product.report import paired_differences, write_report

pytestmark = pytest.mark.slow

WORSE = "Worse than the champion"
ATTACK = "<script>alert(1)</script>"
TYPES = {"Shirt": "Topwear", "Jeans": "Bottomwear", f"Belt {ATTACK} $x$": "Accessories"}
ROWS = 240


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Catalogue:
    root = tmp_path_factory.mktemp("catalogue")
    titles = [f"Product {i} {ATTACK}" if i % 2 else None for i in range(ROWS)]
    pd.DataFrame({"product_id": range(ROWS), "title": titles}).to_parquet(root / "products.parquet")
    buffer = io.BytesIO()
    Image.new("RGB", (6, 8), (20, 90, 160)).save(buffer, format="JPEG")
    photos = [buffer.getvalue() if i % 3 else b"broken" for i in range(0, ROWS, 2)]
    pd.DataFrame({"product_id": range(0, ROWS, 2), "jpeg": photos}).to_parquet(root / "images.parquet")
    return Catalogue.open(root)


def predict(share: float, seed: int, noise: float = 0.3) -> pd.DataFrame:
    """Predictions of which `share` of the article types are right."""
    truth, generator = np.random.default_rng(0), np.random.default_rng(seed)
    true = truth.choice(list(TYPES), ROWS, p=[0.6, 0.3, 0.1])
    predicted = np.where(generator.random(ROWS) < share, true, "Jeans")
    price = truth.lognormal(6, 0.5, ROWS)
    estimate = price * generator.lognormal(0, noise, ROWS)
    frame = pd.DataFrame({"product_id": np.arange(ROWS), "true_article_type": true, "predicted_article_type": predicted})
    frame["article_type_confidence"] = generator.uniform(0.3, 1.0, ROWS)
    for side in ("true", "predicted"):
        frame[f"{side}_sub_category"] = frame[f"{side}_article_type"].map(TYPES)
        frame[f"{side}_master_category"] = "Apparel"
    frame["true_price"], frame["predicted_price"] = price, estimate
    frame["price_low"], frame["price_high"] = estimate * 0.7, estimate * 1.4
    return frame.assign(brand="b", has_image=True, has_description=True, price_band="any price", brand_tier="head")


def run(frame: pd.DataFrame, version: str | None = None, **metrics: Metric) -> EvaluationRun:
    def hits(rows: pd.DataFrame) -> Metric:
        return mean_interval((rows["true_article_type"] == rows["predicted_article_type"]).astype(float))

    slices = slice_metrics(frame, ["true_sub_category", "brand_tier"], {"article_type_accuracy": hits}, min_rows=10)
    measured = {"article_type_accuracy": hits(frame)} | metrics
    evaluation = Evaluation(
        model="product", version=version, data="f" * 64, split="unseen", n=len(frame), metrics=measured, slices=slices
    )
    return EvaluationRun(evaluation, frame)


GATES = GateConfig.model_validate(
    {
        "thresholds": [
            {"metric": "article_type_accuracy", "at_least": 0.99},
            {"metric": "price_rmsle", "at_most": 0.5},
            {"metric": "article_type_accuracy", "at_least": 0.1},
        ],
        "no_regression": [{"metric": "article_type_accuracy", "better": "higher"}],
    }
)


def test_report_names_the_verdict_and_every_failed_gate(catalogue: Catalogue, tmp_path: Path):
    new, old = run(predict(0.7, 1)), run(predict(0.95, 2), version="3")
    decision = decide(new.evaluation, GATES, old.evaluation)
    assert len(decision.failures()) == 3
    write_report(new, old, catalogue, decision, tmp_path / "report.html")
    html = unescape((tmp_path / "report.html").read_text())
    assert "Do not ship: 3 of 4 gates failed" in html
    for check in decision.checks:
        assert check.name in html
        assert check.detail in html
    assert panel(html, WORSE)[0] == "Article type: accuracy 0.958 → 0.800"
    assert panel(html, "Better than the champion") == ["On nothing, clearly."]
    assert "vitrina promote" not in html
    assert "no image" in html


def test_report_escapes_titles_and_categories(catalogue: Catalogue, tmp_path: Path):
    new = run(predict(0.7, 1))
    write_report(new, None, catalogue, decide(new.evaluation, GateConfig()), tmp_path / "report.html")
    html = (tmp_path / "report.html").read_text()
    assert "<script" not in html
    assert "&lt;script&gt;" in html


def test_report_of_a_passed_first_version_says_how_to_promote(catalogue: Catalogue, tmp_path: Path):
    gates = GateConfig.model_validate({"thresholds": [{"metric": "article_type_accuracy", "at_least": 0.1}]})
    new = run(predict(0.9, 1), version="7")
    write_report(new, None, catalogue, decide(new.evaluation, gates), tmp_path / "report.html")
    html = (tmp_path / "report.html").read_text()
    assert "May be promoted: its only gate passed" in html
    assert "vitrina promote product 7 " in html
    assert "no champion to compare with: all of it is new to clients" in panel(html, "Riskier")
    assert beside(html) == []
    assert "Champion</th>" not in html


def test_a_slice_that_got_worse_is_named_though_the_gates_passed(catalogue: Catalogue, tmp_path: Path):
    gates = GateConfig.model_validate({"thresholds": [{"metric": "article_type_accuracy", "at_least": 0.1}]})
    better = predict(0.9, 1)
    worse = better.copy()
    topwear = worse["true_sub_category"] == "Bottomwear"
    worse.loc[topwear, "predicted_article_type"] = "Shirt"
    new, old = run(worse), run(better, version="1")
    write_report(new, old, catalogue, decide(new.evaluation, gates, old.evaluation), tmp_path / "report.html")
    html = (tmp_path / "report.html").read_text()
    assert "but it is worse in places" in html
    assert any(line.startswith("True sub category: Bottomwear: Article type: accuracy -") for line in panel(html, WORSE))


@pytest.mark.parametrize("missing", [["true_article_type"], ["true_price"], ["predicted_price", "price_low", "price_high"]])
def test_report_copes_with_a_head_that_has_no_truth(catalogue: Catalogue, tmp_path: Path, missing: list[str]):
    frame = predict(0.8, 1)
    frame[missing] = np.nan
    new = run(frame, article_type_accuracy=Metric(value=None))
    write_report(new, new, catalogue, decide(new.evaluation, GATES), tmp_path / "report.html")
    assert "could not be measured" in (tmp_path / "report.html").read_text()


NO_PRICES = "the catalogue has no prices"
PRICES = ("price_rmsle", "price_interval_coverage")
GATED = GateConfig.model_validate(
    {
        "better_than": [
            {"metric": "article_type_accuracy", "baseline": "majority_accuracy", "better": "higher"},
            {"metric": "price_rmsle", "baseline": "median_price_rmsle", "better": "lower"},
        ],
        "not_worse_than": [{"metric": "article_type_accuracy", "baseline": "linear_title_accuracy", "better": "higher"}],
        "thresholds": [{"metric": "article_type_accuracy", "at_least": 0.99}],
    }
)


def photos_alone(frame: pd.DataFrame, version: str | None = None, **absent: str) -> EvaluationRun:
    """A run on a catalogue of photos with one level of classes: no titles, no prices, no reviews, no faults."""
    frame = frame.assign(brand=None, has_description=False, brand_tier=None, price_band=None)
    for column in ("true_price", "predicted_price", "price_low", "price_high"):
        frame[column] = np.nan
    frame[[f"{side}_{level}" for side in ("true", "predicted") for level in ("sub_category", "master_category")]] = None
    common = (frame["true_article_type"] == "Shirt").mean()
    metrics = {"majority_accuracy": Metric(value=common, low=common - 0.06, high=common + 0.06, n=ROWS)}
    found = run(frame, version, **metrics)
    reasons = dict.fromkeys(PRICES, NO_PRICES) | {"linear_title_accuracy": "no titles", "sub_category_accuracy": "one level"}
    reasons |= {"sentiment_auc": "no reviews", "fault_auc_lowest": "no texts", "fault_auc_unseen": "no texts"} | absent
    has = {f"{key}": metric for key, metric in found.evaluation.metrics.items() if key not in reasons}
    return EvaluationRun(found.evaluation.model_copy(update={"not_applicable": reasons, "metrics": has}), found.predictions)


def test_the_page_of_photos_alone_has_no_holes(catalogue: Catalogue, tmp_path: Path):
    new = photos_alone(predict(0.8, 1))
    decision = decide(new.evaluation, GATED)
    write_report(new, None, catalogue, decision, tmp_path / "report.html")
    html = unescape((tmp_path / "report.html").read_text())
    assert "Do not ship: 1 of 2 gates failed (2 not applicable)" in html
    for title in ("Prices", FAULT_TITLE, REVIEW_TITLE):
        assert f">{title}</h2>" not in html
    for word in ("Price errors", "No product has a known price", "Not measured", "nan", "None"):
        assert word not in html, word
    overall = section(html, "Is it better?")
    assert f"Price: RMSLE, Price: inside the predicted range ({NO_PRICES})" in overall
    assert "Left out, as there is no such task: Sub-category: accuracy (one level); " in overall
    assert "not judged: Sub-category: accuracy (one level)" in panel(html, "Riskier")
    beside = section(html, "Is it worth a model?")
    assert "always the most frequent type" in beside
    assert "median" not in beside
    assert "What is confused with what" in html


def test_gates_read_in_three_states_the_failed_ones_first(catalogue: Catalogue, tmp_path: Path):
    new = photos_alone(predict(0.8, 1))
    write_report(new, None, catalogue, decide(new.evaluation, GATED), tmp_path / "report.html")
    html = (tmp_path / "report.html").read_text()
    gates = section(html, "Gates")
    places = [
        gates.index(f"{name} {state}")
        for name, state in (
            ("article_type_accuracy ≥ 0.99", "failed"),
            ("article_type_accuracy clearly better than majority_accuracy", "passed"),
            ("price_rmsle clearly better than median_price_rmsle", "not applicable"),
        )
    ]
    assert places == sorted(places)
    assert f"price_rmsle is not applicable: {NO_PRICES}" in gates
    assert "linear_title_accuracy is not applicable: no titles" in gates
    assert html.count('<span class="badge plain">not applicable</span>') == 2
    assert html.count('<span class="badge good">passed</span>') == 1


def test_a_version_without_types_or_prices_has_a_page(catalogue: Catalogue, tmp_path: Path):
    frame = predict(0.8, 1)
    frame[["true_article_type", "true_price", "predicted_price"]] = np.nan
    new = photos_alone(frame, article_type_accuracy="no categories")
    write_report(new, new, catalogue, decide(new.evaluation, GATED, new.evaluation), tmp_path / "report.html")
    html = unescape((tmp_path / "report.html").read_text())
    assert "Do not ship: none of its 4 gates is applicable" in html
    assert "no gate is applicable, so nothing says that the version may ship" in html
    for title in ("What is confused with what", "Worst errors", "Where is it worse?", "Prices"):
        assert f">{title}</h2>" not in html


def test_the_first_screen_holds_three_figures_beside_champion_and_simple_models(catalogue: Catalogue, tmp_path: Path):
    metrics = {
        "price_rmsle": auc(0.21),
        "median_price_rmsle": auc(0.85),
        "linear_title_price_rmsle": auc(0.34),
        "majority_accuracy": auc(0.6),
        "knn_f1": auc(0.9),
        "expected_calibration_error": auc(0.02),
    }
    new, old = run(predict(0.9, 1), **metrics), run(predict(0.5, 2), "3", **metrics | {"price_rmsle": auc(0.2)})
    decision = decide(new.evaluation, GATES, old.evaluation)
    write_report(new, old, catalogue, decision, tmp_path / "report.html")
    html = (tmp_path / "report.html").read_text()
    first = html.split('class="key"', 1)[1].split("</ul>", 1)[0]
    told = " ".join(unescape(re.sub(r"<[^>]*>", " ", first)).split())
    accuracies = [f"{r.evaluation.metrics['article_type_accuracy'].value:.3f}" for r in (new, old)]
    assert f"Article type: accuracy {accuracies[0]} 95 % interval" in told
    assert f"champion {accuracies[1]}: clearly better always the most frequent type 0.600" in told
    assert "Price: RMSLE, lower is better 0.210 95 % interval 0.200 to 0.220 champion 0.200" in told
    assert "always the median price 0.850 a linear model on titles 0.340" in told
    assert "Embedding: nearest-neighbour F1 0.900" in told
    assert "Calibration error" not in told  # the fourth


def auc(value: float, half: float = 0.01, n: int = 2000) -> Metric:
    return Metric(value=value, low=value - half, high=min(1.0, value + half), n=n)


FAULTS = {"mismatched_image": auc(0.97), "swapped_description": auc(0.83), "wrong_price": auc(0.999), "dark_image": auc(0.96)}


def judged(frame: pd.DataFrame, faults: dict[str, Metric], version: str | None = None, **metrics: Metric) -> EvaluationRun:
    """A run with faults, of which swapped_description was kept out of training."""
    of_kind = {f"fault_auc_{kind}": metric for kind, metric in faults.items()}
    lowest = min((m for kind, m in faults.items() if kind != "swapped_description"), key=lambda m: m.value or 0.0)
    extremes = {"fault_auc_unseen": faults["swapped_description"], "fault_auc_lowest": lowest}
    return run(frame, version, **of_kind, **extremes, **metrics)


def section(html: str, title: str) -> str:
    """The part of a page under a heading, without markup."""
    part = html.split(f">{title}</h2>", 1)[1].split("<h2", 1)[0]
    return " ".join(unescape(re.sub(r"<svg.*?</svg>|<[^>]*>", " ", part, flags=re.DOTALL)).split())


FAULT_TITLE, REVIEW_TITLE = "Does it see what is wrong with a listing?", "Does it understand reviews?"


def test_report_lists_faults_from_the_hardest_on_and_marks_the_one_never_shown(catalogue: Catalogue, tmp_path: Path):
    new = judged(predict(0.9, 1), FAULTS, sentiment_auc=auc(0.961, n=4015))
    write_report(new, None, catalogue, decide(new.evaluation, GateConfig()), tmp_path / "report.html")
    html = (tmp_path / "report.html").read_text()
    faults = section(html, FAULT_TITLE)
    rows = ["Swapped description 0.830", "Dark image 0.960", "Mismatched image 0.970", "Wrong price 0.999"]
    places = [faults.index(row) for row in rows]
    assert places == sorted(places)
    assert faults.count("never shown in training") == 1
    assert faults[places[0] : places[1]].count("0.820 to 0.840 never shown in training") == 1
    assert "No listing here can carry: Truncated description, Wrong category, Blurred image, Missing attributes." in faults
    assert "Champion" not in faults
    assert "4,015 0.961 0.951 to 0.971" in section(html, REVIEW_TITLE)
    overall = section(html, "Is it better?")
    assert "Faults: AUC, worst known kind 0.960" in overall
    assert "Faults: AUC, unseen kind 0.830" in overall
    assert "fault_auc_" not in html


def test_report_shows_which_faults_got_worse(catalogue: Catalogue, tmp_path: Path):
    frame = predict(0.9, 1)
    new = judged(frame, FAULTS | {"dark_image": auc(0.80)}, sentiment_auc=auc(0.90))
    old = judged(frame, FAULTS, version="1", sentiment_auc=auc(0.96))
    write_report(new, old, catalogue, decide(new.evaluation, GATES, old.evaluation), tmp_path / "report.html")
    html = (tmp_path / "report.html").read_text()
    assert "Dark image 0.800 0.790 to 0.810 0.960 -0.160 worse" in section(html, FAULT_TITLE)
    assert len(re.findall(r'<tr class="bad">\s*<td[^>]*>Dark image', html)) == 1
    assert "0.960 -0.060 worse" in section(html, REVIEW_TITLE)
    assert [line.split(": AUC")[0] for line in panel(html, WORSE)] == ["Reviews", "Faults"]


def test_two_faults_found_equally_well_are_not_taken_for_unseen(catalogue: Catalogue, tmp_path: Path):
    new = judged(predict(0.9, 1), dict.fromkeys(FAULTS, Metric(value=1.0, low=1.0, high=1.0, n=200)))
    write_report(new, None, catalogue, decide(new.evaluation, GateConfig()), tmp_path / "report.html")
    assert "never shown in training" not in section((tmp_path / "report.html").read_text(), FAULT_TITLE)


def test_report_says_what_was_not_measured_and_copes_with_a_champion_that_has_it(catalogue: Catalogue, tmp_path: Path):
    frame = predict(0.9, 1)
    new, old = run(frame, sentiment_auc=Metric(value=None)), judged(frame, FAULTS, version="1", sentiment_auc=auc(0.96))
    for challenger, champion in ((new, old), (old, new)):
        decision = decide(challenger.evaluation, GATES, champion.evaluation)
        write_report(challenger, champion, catalogue, decision, tmp_path / "report.html")
        html = (tmp_path / "report.html").read_text()
        assert ("Not measured" in section(html, FAULT_TITLE)) == (challenger is new)
        assert ("Not measured" in section(html, REVIEW_TITLE)) == (challenger is new)


def test_paired_differences_are_differences_of_the_metrics():
    new, old = predict(0.7, 1, noise=0.2), predict(0.9, 2, noise=0.4)
    found = paired_differences(new, old)
    true = new["true_article_type"]
    types = [f["predicted_article_type"] for f in (new, old)]
    assert found["article_type_accuracy"].value == pytest.approx(accuracy(true, types[0]) - accuracy(true, types[1]))
    assert found["article_type_macro_f1"].value == pytest.approx(macro_f1(true, types[0]) - macro_f1(true, types[1]))
    errors = [rmsle(new["true_price"], f["predicted_price"]) for f in (new, old)]
    assert found["price_rmsle"].value == pytest.approx(errors[0] - errors[1])
    assert found["price_rmsle"].high < 0 < abs(found["article_type_accuracy"].low)


def test_a_version_does_not_differ_from_itself():
    frame = predict(0.8, 1)
    for name, metric in paired_differences(frame, frame).items():
        assert (metric.value, metric.low, metric.high) == (0.0, 0.0, 0.0), name


def test_pairing_sees_what_independent_intervals_cannot():
    old = predict(0.8, 1)
    new = old.copy()
    wrong = np.flatnonzero(new["true_article_type"] != new["predicted_article_type"])[:8]
    new.loc[wrong, "predicted_article_type"] = new.loc[wrong, "true_article_type"]
    paired = paired_differences(new, old)["article_type_accuracy"]
    assert paired.low > 0
    intervals = [run(f).evaluation.metrics["article_type_accuracy"] for f in (new, old)]
    assert intervals[0].low < intervals[1].high
