"""A model that rests on another goes through the pipelines with the champion of that one, and no other version of it."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import committed
import pandas as pd
import pytest

from catalog.catalogue import Catalogue
from catalog.listing import Listing
from configs.schema import EvaluationConfig, GateConfig, RunConfig, Threshold
from configs.settings import Settings
from models import family
from models.bundles import BASE, BUNDLE, RESTS_ON, BaseVersion, copy_base, new_bundle, read_base
from models.evaluation.results import Evaluation, Metric
from models.evaluation.verdict import Headline
from models.family import Base, Embedder, EvaluationRun, Predictor
from operations.run import TrainingOutcome, run_promotion, run_training
from operations.tuning import run_tuning
from registry.errors import RegistryError
from registry.fetch import fetch
from registry.promotion import promote
from registry.register import register
from registry.versions import ModelVersion, resolve, versions

pytestmark = [pytest.mark.slow]


class UpperPredictor:
    name = "upper"

    def __init__(self, folder: Path) -> None:
        self.base, self.under = read_base(folder), family.load("product", folder / BASE, "cpu")


class Upper:
    """Rests on product, and learns nothing itself."""

    name, tables, events, config = "upper", ("products",), False, RunConfig
    rests_on: str | None = "product"

    def __init__(self) -> None:
        self.bases: list[Base] = []

    def split(self, catalogue: Catalogue, config: RunConfig) -> pd.DataFrame:
        ids = catalogue.products()["product_id"]
        parts = ("train", "validation", "test")
        return pd.DataFrame({"product_id": ids, "split": [parts[i % 3] for i in range(len(ids))]})

    def augment(self, catalogue: Catalogue, split: pd.DataFrame, config: RunConfig) -> pd.DataFrame:
        return split.iloc[:0]

    def train(
        self,
        catalogue: Catalogue,
        split: pd.DataFrame,
        augmented: pd.DataFrame,
        config: RunConfig,
        workdir: Path,
        loggers: Sequence[Any] = (),
        base: Base | None = None,
    ) -> Path:
        assert base is not None
        self.bases.append(base)
        with new_bundle(workdir) as folder:
            copy_base(folder, base)
            (folder / "config.json").write_text(json.dumps({"seed": config.trainer.seed}))
        for logger in loggers:
            logger.log_metrics({"validation/loss": config.trainer.learning_rate}, step=0)
        return workdir / BUNDLE

    def evaluate_rows(self, bundle: Path, catalogue: Catalogue, config: EvaluationConfig, rows: Any) -> EvaluationRun:
        under = UpperPredictor(bundle).under
        assert isinstance(under, Embedder)
        length = float((under.features([Listing(title="Kestrel Men Blue Jeans")]) ** 2).sum())
        metrics = {"length": Metric(value=length)}
        evaluation = Evaluation(model="upper", data=catalogue.fingerprint(), split="test", n=len(rows), metrics=metrics)
        return EvaluationRun(evaluation, pd.DataFrame({"product_id": rows}))

    def report(self, run: Any, champion: Any, catalogue: Any, gates: Any, out: Path, playground: Any = None) -> Headline:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text("<!doctype html>", encoding="utf-8")
        return Headline("May be promoted", "good", (), (), ())

    def load(self, bundle: Path, device: str = "auto") -> Predictor:
        return UpperPredictor(bundle)


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VITRINA_HOME", str(home))
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        patch.delenv("VITRINA_DATABASE_URL", raising=False)
        yield Settings.from_environment()


@pytest.fixture(scope="module")
def upper() -> Iterator[Upper]:
    """The family, found beside those that exist."""
    get, made = family.get, Upper()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(family, "get", lambda name: made if name == "upper" else get(name))
        patch.setattr("steps.results.model_source", lambda model: f"source of {model}")
        patch.setattr("steps.results.index_source", lambda model: f"source of the index of {model}")
        yield made


def run(settings: Settings, sample: Path) -> TrainingOutcome:
    config = RunConfig(gates=GateConfig(thresholds=(Threshold(metric="length", at_least=0.99),)))
    return run_training(settings, "upper", [sample], config)


def champion_of_product(settings: Settings, folder: Path) -> ModelVersion:
    """The committed bundle, with a card of its own, as the newest champion."""
    bundle = committed.copied("product", folder)
    (bundle / "card.md").write_text(f"# {len(versions(settings, 'product'))}")
    made = register(settings, "product", bundle, metrics={}, config={}, tags={"vitrina.gates": "passed"}, reports={})
    return promote(settings, "product", made.version, "ana")


def says(version: ModelVersion) -> BaseVersion:
    return BaseVersion(model="product", version=version.version, digest=version.tags["vitrina.bundle_sha256"])


def test_a_model_follows_the_champion_that_it_rests_on(settings: Settings, upper: Upper, sample: Path, tmp_path: Path) -> None:
    with pytest.raises(RegistryError, match=r"^upper rests on product, which has no champion; `vitrina promote product VERSION"):
        run(settings, sample)
    assert upper.bases == []

    product = champion_of_product(settings, tmp_path / "first")
    first = run(settings, sample)
    assert [(base.model, base.version, base.digest) for base in upper.bases] == [
        ("product", 1, product.tags["vitrina.bundle_sha256"])
    ]
    version = resolve(settings, "upper@challenger")
    assert version.version == first.version == 1
    assert BaseVersion.parse(version.tags[RESTS_ON]) == says(product)
    assert "\n\nRests on product version 1, of which it holds a copy.\n\n[Evaluation report]" in version.description
    bundle = fetch(settings, version)
    assert read_base(bundle) == says(product)
    assert (bundle / BASE / "card.md").read_text() == "# 0"
    assert run_promotion(settings, "upper", 1, "ana", "") == 1  # which loads it

    again = run(settings, sample)
    cached = {stage.name for stage in again.stages if stage.cached}
    assert (again.version, {"train_model", "evaluate_model"} & cached) == (1, {"train_model", "evaluate_model"})
    assert "find_base" not in cached
    assert len(upper.bases) == 1

    other = champion_of_product(settings, tmp_path / "second")
    second = run(settings, sample)
    assert "train_model" not in {stage.name for stage in second.stages if stage.cached}
    assert second.version == 2
    assert BaseVersion.parse(resolve(settings, "upper@2").tags[RESTS_ON]) == says(other)
    assert read_base(fetch(settings, resolve(settings, "upper@1"))) == says(product)  # as it was
    assert len(list((settings.home / "training" / "upper").iterdir())) == 2


def test_trials_rest_on_the_champion_too(settings: Settings, upper: Upper, sample: Path, tmp_path: Path) -> None:
    def values(trials: int) -> dict[str, Any]:
        space = {"trainer.learning_rate": {"low": 0.001, "high": 0.01}}
        return {"tuning": {"space": space, "metric": "validation/loss", "trials": trials, "epochs": 1}}

    before, product = len(upper.bases), champion_of_product(settings, tmp_path / "product")
    found = run_tuning(settings, "upper", [sample], values(2))
    assert found.trials == {"completed": 2}
    assert {base.version for base in upper.bases[before:]} == {product.version}
    assert run_tuning(settings, "upper", [sample], values(3)).study == found.study
    champion_of_product(settings, tmp_path / "next")
    assert run_tuning(settings, "upper", [sample], values(2)).study != found.study  # trials on two bases are not compared
