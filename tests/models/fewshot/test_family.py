"""The few-shot model from a catalogue to its page, on the committed product bundle."""

import json
from pathlib import Path

import committed
import numpy as np
import pandas as pd
import pytest

from catalog.catalogue import Catalogue
from configs.errors import VitrinaError
from configs.load import environment_file, load, validate
from models import family
from models.bundles import BASE, content_sha256, read_base
from models.errors import NotSupported
from models.evaluation.gates import decide
from models.family import EvaluationRun, RestsOnBase
from models.fewshot.config import FewshotRunConfig
from models.fewshot.family import FAMILY
from models.fewshot.predictor import FewshotPredictor

pytestmark = pytest.mark.slow

CONFIG = {
    "model": {
        "types": {"most_products": 24},
        "episodes": {"choosing": 4, "measuring": 6},
        "unknown": {"episodes": 4},
        "learners": ["shrunk_prototypes", "nearest_centroid"],
        "shrunk_prototypes": {"shrinkage": [1.0, 0.5], "pull": [0.0, 1.0]},
    },
    "evaluation": {"bootstrap_samples": 50, "latency_calls": 2},
}


@pytest.fixture(scope="module")
def config() -> FewshotRunConfig:
    return validate(FewshotRunConfig, CONFIG, where="test")


@pytest.fixture(scope="module")
def split(product_catalogue: Catalogue, config: FewshotRunConfig) -> pd.DataFrame:
    return FAMILY.split(product_catalogue, config)


@pytest.fixture(scope="module")
def trained(
    product_catalogue: Catalogue, split: pd.DataFrame, config: FewshotRunConfig, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    base = committed.base("fewshot")
    return FAMILY.train(product_catalogue, split, split[:0], config, tmp_path_factory.mktemp("work"), base=base)


@pytest.fixture(scope="module")
def run(trained: Path, product_catalogue: Catalogue, split: pd.DataFrame, config: FewshotRunConfig) -> EvaluationRun:
    rows = split.loc[split["split"] == "test", "product_id"]
    return FAMILY.evaluate_rows(trained, product_catalogue, config, rows)


def test_it_is_found_by_its_folder_and_rests_on_product() -> None:
    assert family.get("fewshot") is FAMILY and FAMILY.rests_on == "product"


@pytest.mark.parametrize("environment", ["base", "demo"])
def test_its_configurations_load_and_its_gates_name_metrics_that_there_are(environment: str) -> None:
    gates = load(FewshotRunConfig, environment_file(environment, "fewshot")).gates
    asked = [*gates.better_than, *gates.not_worse_than, *gates.no_regression, *gates.thresholds]
    assert asked
    assert {rule.metric for rule in asked} <= set(FAMILY.metric_names.metrics)


def test_none_of_the_test_rows_was_learned_from(run: EvaluationRun) -> None:
    assert run.evaluation.known == 0


def test_a_type_is_in_one_part_and_has_so_many_products_at_most(product_catalogue: Catalogue, split: pd.DataFrame) -> None:
    types = product_catalogue.products().drop_duplicates("product_id").set_index("product_id")["article_type"]
    parts = split.assign(article_type=split["product_id"].map(types)).groupby("article_type")["split"]
    assert (parts.nunique() == 1).all() and parts.size().max() == 24
    assert set(split["split"]) == {"train", "validation", "test"}


def test_the_bundle_holds_its_base_and_says_what_it_learned(trained: Path, split: pd.DataFrame) -> None:
    assert content_sha256(trained / BASE) == content_sha256(committed.bundle("product")) == read_base(trained).digest
    predictor = FAMILY.load(trained)
    assert isinstance(predictor, FewshotPredictor) and isinstance(predictor, RestsOnBase)
    settings = predictor.settings
    assert sum(settings.products.values()) == len(split) and set(settings.chosen) == {1, 2, 5, 10, 20}
    known = json.loads((committed.bundle("product") / "encoders.json").read_text(encoding="utf-8"))
    assert set(settings.learned_by_base) == {
        name for name, part in settings.types.items() if part != "train" and name in predictor.embedder.types
    }
    assert known and settings.learned_by_base
    assert "the figures flatter" in (trained / "card.md").read_text(encoding="utf-8")


def test_it_is_measured_on_types_that_no_learner_knows(run: EvaluationRun, trained: Path, split: pd.DataFrame) -> None:
    evaluation = run.evaluation
    assert evaluation.n == (split["split"] == "test").sum() and evaluation.split == "test"
    accuracy = evaluation.metrics["accuracy_5way_5shot"].value
    assert accuracy is not None and accuracy > 0.5
    assert "20 ways need 20" in evaluation.not_applicable["accuracy_20way_5shot"]
    assert evaluation.metrics["types_seen_before"].value == 1.0
    types = FewshotPredictor.load(trained).settings.types
    assert {types[name] for name in run.predictions.loc[run.predictions["kind"] == "type", "true"]} == {"test"}


def test_the_same_rows_give_the_same_figures(
    run: EvaluationRun, trained: Path, product_catalogue: Catalogue, config: FewshotRunConfig
) -> None:
    again = FAMILY.evaluate(trained, product_catalogue, config.evaluation)
    timed = {"adapt_p50_ms", "adapt_p95_ms"}
    for name in run.evaluation.metrics.keys() - timed:
        expected = run.evaluation.metrics[name].model_dump()
        assert again.evaluation.metrics[name].model_dump() == pytest.approx(expected, abs=1e-6), name
    pd.testing.assert_frame_equal(again.predictions, run.predictions)


def test_the_page_is_written(run: EvaluationRun, product_catalogue: Catalogue, config: FewshotRunConfig, tmp_path: Path) -> None:
    told = FAMILY.report(
        run, run, product_catalogue, decide(run.evaluation, config.gates, run.evaluation), tmp_path / "page.html"
    )
    html = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert told.verdict == "Do not ship: no gate was checked"
    assert "Tasks, the worst first" in html and "data:image/jpeg;base64," in html
    assert "the figures flatter" in html


def test_what_cannot_be_measured_is_refused(trained: Path, product_catalogue: Catalogue, config: FewshotRunConfig) -> None:
    with pytest.raises(VitrinaError, match="split 'all' is not known; allowed: unseen, validation, train"):
        FAMILY.evaluate(trained, product_catalogue, config.evaluation, "all")
    with pytest.raises(NotSupported, match="--modalities is for product"):
        FAMILY.evaluate(trained, product_catalogue, config.evaluation, modalities=["title"])
    with pytest.raises(VitrinaError, match="there is nothing to measure"):
        FAMILY.evaluate_rows(trained, product_catalogue, config, pd.Series(np.array([-1])))
    with pytest.raises(NotSupported, match="vitrina export product"):
        FAMILY.export(trained, Path("out"))
