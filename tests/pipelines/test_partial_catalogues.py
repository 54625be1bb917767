"""Photo data sets as people publish them, from their tables to a registered version."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from bundles import COLOURS, TYPES, draw

from configs.load import environment_file, load
from configs.settings import Settings
from models.evaluation.results import Evaluation
from models.product.config import ProductRunConfig
from operations.run import TrainingOutcome, run_training
from registry.versions import resolve

pytestmark = [pytest.mark.slow, pytest.mark.trains]

OVERRIDES = [
    "trainer.epochs=1",
    "evaluation.bootstrap_samples=50",
    "evaluation.latency_calls=5",
    "gates={thresholds: [{metric: article_type_accuracy, at_least: 0.0}, {metric: price_rmsle, at_most: 0.4}]}",
]
ROWS = 320


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VITRINA_HOME", str(tmp_path_factory.mktemp("home")))
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        yield Settings.from_environment()


def photos(folder: Path, columns: list[str]) -> Path:
    """Photos named after their files, a class each of 16 kinds in four groups; published parts are 200, 40 and 80 rows."""
    rng, kinds = np.random.default_rng(0), list(TYPES)
    folder.mkdir()
    products, images = [], []
    for i in range(ROWS):
        group, colour = kinds[i % 4], list(COLOURS)[i // 4 % 4]
        key = f"{colour}/{group}_{i:03}.jpg"
        part = "train" if i < 200 else "validation" if i < 240 else "test"
        products.append({"product_id": key, "master_category": group, "article_type": f"{colour} {group}", "split": part})
        images.append({"product_id": key, "jpeg": draw(TYPES[group][-1], COLOURS[colour], rng)})
    pd.DataFrame(products)[["product_id", *columns]].to_parquet(folder / "products.parquet", index=False)
    pd.DataFrame(images).to_parquet(folder / "images.parquet", index=False)
    return folder


def outcome(settings: Settings, folder: Path) -> TrainingOutcome:
    return run_training(settings, "product", [folder], load(ProductRunConfig, environment_file("demo", "product"), OVERRIDES))


def check_photos_alone(settings: Settings, found: TrainingOutcome) -> Evaluation:
    """A challenger whose gate on prices does not apply."""
    assert found.challenger
    assert resolve(settings, "product@challenger").version == found.version
    assert [(check.metric, check.state) for check in found.gates.checks] == [
        ("article_type_accuracy", "passed"),
        ("price_rmsle", "not applicable"),
    ]
    reasons = found.evaluation.not_applicable
    assert reasons["price_rmsle"] == "no prices"
    assert reasons["title_to_image_recall_at_10"] == "no titles"
    assert reasons["invariance_case_whitespace"] == "no texts"
    assert reasons["sub_category_accuracy"] == "no sub-categories"
    assert {"article_type_accuracy", "linear_photo_accuracy", "knn_f1"} <= set(found.evaluation.metrics)
    assert "no prices" in Path(found.report).read_text(encoding="utf-8")
    return found.evaluation


def test_photos_with_two_class_levels_and_a_published_split(settings: Settings, tmp_path: Path) -> None:
    found = outcome(settings, photos(tmp_path / "groceries", ["master_category", "article_type", "split"]))
    evaluation = check_photos_alone(settings, found)
    assert evaluation.n == 80  # the published test rows, all of them and no other
    assert evaluation.metrics["master_category_accuracy"].n == 80


def test_photos_with_one_class_level_and_no_split(settings: Settings, tmp_path: Path) -> None:
    found = outcome(settings, photos(tmp_path / "clothes", ["article_type"]))
    evaluation = check_photos_alone(settings, found)
    assert evaluation.not_applicable["master_category_accuracy"] == "no master categories"
    assert evaluation.n < 80
