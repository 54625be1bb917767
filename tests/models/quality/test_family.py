"""The quality model from a catalogue to its page, on the committed product bundle."""

from pathlib import Path

import committed
import numpy as np
import pandas as pd
import pytest

from catalog.catalogue import Catalogue
from catalog.corruption import PART
from configs.errors import VitrinaError
from configs.load import environment_file, load, validate
from models import family
from models.bundles import BASE, REFERENCE, content_sha256, read_base
from models.errors import NotSupported
from models.evaluation.gates import decide
from models.family import EvaluationRun
from models.quality.answers import Candidate
from models.quality.bundle import load_config
from models.quality.config import QualityRunConfig
from models.quality.family import FAMILY
from models.quality.predictor import QualityPredictor
from models.quality.summary import INPUTS, OF_AXES, REFERENCE_SPEC, summarise

pytestmark = pytest.mark.slow

CONFIG = {
    "model": {"memory": {"dimensions": 16}, "fit": {"listings": 60, "pairs": 40}, "measured": 24},
    "evaluation": {"bootstrap_samples": 50, "latency_calls": 2},
}


@pytest.fixture(scope="module")
def config() -> QualityRunConfig:
    return validate(QualityRunConfig, CONFIG, where="test")


@pytest.fixture(scope="module")
def split(product_catalogue: Catalogue, config: QualityRunConfig) -> pd.DataFrame:
    return FAMILY.split(product_catalogue, config)


@pytest.fixture(scope="module")
def trained(
    product_catalogue: Catalogue, split: pd.DataFrame, config: QualityRunConfig, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    base = committed.base("quality")
    return FAMILY.train(product_catalogue, split, split[:0], config, tmp_path_factory.mktemp("work"), base=base)


@pytest.fixture(scope="module")
def run(trained: Path, product_catalogue: Catalogue, split: pd.DataFrame, config: QualityRunConfig) -> EvaluationRun:
    rows = split.loc[split["split"] == "test", "product_id"]
    return FAMILY.evaluate_rows(trained, product_catalogue, config, rows)


def test_it_is_found_by_its_folder_and_rests_on_product() -> None:
    assert family.get("quality") is FAMILY and FAMILY.rests_on == "product"


@pytest.mark.parametrize("environment", ["base", "demo"])
def test_its_configurations_load_and_its_gates_name_metrics_that_there_are(environment: str) -> None:
    gates = load(QualityRunConfig, environment_file(environment, "quality")).gates
    asked = [*gates.better_than, *gates.not_worse_than, *gates.no_regression, *gates.thresholds]
    assert asked
    assert {rule.metric for rule in asked} <= set(FAMILY.metric_names.metrics)


def test_none_of_the_test_rows_was_learned_from(run: EvaluationRun) -> None:
    assert run.evaluation.known == 0


def test_it_divides_products_as_their_product_model_does(product_catalogue: Catalogue, split: pd.DataFrame) -> None:
    product = family.get("product").split(product_catalogue, committed.config("product"))
    pd.testing.assert_frame_equal(split, product)


def test_the_bundle_holds_its_base_and_says_what_it_learned_from(trained: Path, split: pd.DataFrame) -> None:
    assert content_sha256(trained / BASE) == content_sha256(committed.bundle("product")) == read_base(trained).digest
    settings = load_config(trained)
    known = split.loc[split["split"].isin(["train", "validation"]), "product_id"].nunique()
    assert settings.remembered == settings.known_to_base == known
    assert (settings.fitted, settings.chosen) == (40, 20) and settings.not_learned == {}
    assert "learned from 40 listings" in (trained / "card.md").read_text(encoding="utf-8")


def test_the_threshold_holds_back_the_share_of_good_listings_that_it_may(trained: Path) -> None:
    reference = pd.read_parquet(trained / REFERENCE)
    held = (reference["predicted_verdict"] == "hold").mean()
    assert held <= 0.1 and load_config(trained).threshold == pytest.approx(QualityPredictor.load(trained).threshold)


def test_a_threshold_from_the_configuration_counts(product_catalogue: Catalogue, split: pd.DataFrame, tmp_path: Path) -> None:
    model = {**CONFIG["model"], "overall": {"publish": 0.123}}
    config = validate(QualityRunConfig, {**CONFIG, "model": model}, where="test")
    folder = FAMILY.train(product_catalogue, split, split[:0], config, tmp_path, base=committed.base("quality"))
    assert QualityPredictor.load(folder).threshold == 0.123


def test_it_is_measured_on_the_rows_that_are_named(run: EvaluationRun) -> None:
    evaluation = run.evaluation
    assert (evaluation.n, evaluation.split) == (24, "test") and evaluation.not_applicable == {}
    order, peer = (evaluation.metrics[name].value for name in ("twin_order", "completeness.twin_order"))
    assert order is not None and peer is not None and order > 0.9 > 0.5 > peer
    faulty = run.predictions[run.predictions["kind"].isin(PART)]
    lower = faulty["score"].astype(float) < faulty["score_before"].astype(float)
    assert order == pytest.approx(lower.groupby(faulty["product_id"]).mean().mean())
    assert {f"twin_order.{kind}" for kind in PART} <= evaluation.metrics.keys()
    assert evaluation.metrics["improvement_violations"].value == 0 and evaluation.metrics["improvement_violations"].n == 48


def test_the_same_rows_give_the_same_figures(
    run: EvaluationRun, trained: Path, product_catalogue: Catalogue, config: QualityRunConfig
) -> None:
    again = FAMILY.evaluate(trained, product_catalogue, config.evaluation)
    timed = {"assess_p50_ms", "assess_p95_ms"}
    assert again.evaluation.split == "unseen"
    for name in run.evaluation.metrics.keys() - timed:
        expected = run.evaluation.metrics[name].model_dump()
        assert again.evaluation.metrics[name].model_dump() == pytest.approx(expected, abs=1e-6), name


def test_a_version_is_not_worse_than_itself(
    run: EvaluationRun, product_catalogue: Catalogue, config: QualityRunConfig, tmp_path: Path
) -> None:
    gates = load(QualityRunConfig, environment_file("base", "quality")).gates.model_copy(update={"thresholds": ()})
    told = FAMILY.report(run, run, product_catalogue, decide(run.evaluation, gates, run.evaluation), tmp_path / "page.html")
    html = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert told.failed == () and [figure.change for figure in told.figures] == ["unclear"] * 3
    for said in ("Which faults are found?", "How is evidence weighed?", "made worse: slipped decimal point"):
        assert said in html
    assert html.count("data:image/jpeg;base64,") > 10


def test_the_page_escapes_what_merchants_write(
    run: EvaluationRun, product_catalogue: Catalogue, config: QualityRunConfig, tmp_path: Path
) -> None:
    told = run.predictions["told"].notna()
    hostile = run.predictions.assign(title=run.predictions["title"].where(~told, "<script>alert(1)</script>"))
    FAMILY.report(
        EvaluationRun(run.evaluation, hostile), None, product_catalogue, decide(run.evaluation, config.gates), tmp_path / "p.html"
    )
    html = (tmp_path / "p.html").read_text(encoding="utf-8")
    assert "<script>alert" not in html and "&lt;script&gt;alert" in html


def test_predictions_are_stored_as_they_are(run: EvaluationRun, tmp_path: Path) -> None:
    run.predictions.to_parquet(tmp_path / "rows.parquet")
    again = pd.read_parquet(tmp_path / "rows.parquet")
    assert again["key"].is_unique and len(again) == len(run.predictions)


def test_what_monitoring_compares_has_the_columns_that_are_logged(trained: Path, unseen: list[Candidate]) -> None:
    reference = pd.read_parquet(trained / REFERENCE)
    [answer] = QualityPredictor.load(trained).predict(unseen[:1])
    row = summarise(unseen[0], answer)
    watched = [column for kind in ("numerical", "categorical", "prediction", "match") for column in REFERENCE_SPEC[kind]]
    assert {*watched, *INPUTS} <= row.keys() <= {*reference.columns}
    assert {*OF_AXES} <= {*watched} and row["score"] == answer.score and row["worst_axis"] == answer.worst
    assert len(reference) == 60 and set(reference["true_verdict"]) == {"publish"}


def test_what_cannot_be_measured_is_refused(trained: Path, product_catalogue: Catalogue, config: QualityRunConfig) -> None:
    with pytest.raises(VitrinaError, match="split 'some' is not known; allowed: unseen, validation, train, all"):
        FAMILY.evaluate(trained, product_catalogue, config.evaluation, "some")
    with pytest.raises(NotSupported, match="--modalities is for product"):
        FAMILY.evaluate(trained, product_catalogue, config.evaluation, modalities=["title"])
    with pytest.raises(VitrinaError, match="there is nothing to measure"):
        FAMILY.evaluate_rows(trained, product_catalogue, config, pd.Series(np.array([-1])))
    with pytest.raises(NotSupported, match="vitrina export product"):
        FAMILY.export(trained, Path("out"))


def test_too_few_listings_to_learn_from_are_refused(
    product_catalogue: Catalogue, split: pd.DataFrame, config: QualityRunConfig, tmp_path: Path
) -> None:
    two = pd.concat([split[split["split"] == "train"], split[split["split"] == "validation"].head(2)])
    with pytest.raises(VitrinaError, match=r"three listings of the validation split .* it has 2"):
        FAMILY.train(product_catalogue, two, two[:0], config, tmp_path, base=committed.base("quality"))
