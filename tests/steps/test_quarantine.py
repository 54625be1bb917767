"""Rows that validation put into quarantine are read by no step after it, whichever table they are in."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from catalog.catalogue import Catalogue
from configs.schema import EvaluationConfig, ValidationConfig
from data_validation.run import validate
from models import family
from models.evaluation.results import Evaluation
from models.product.config import ProductRunConfig
from steps import evaluate_champion, run_trials, train_model
from steps.augment_data import augment_data
from steps.evaluate_model import evaluate_model
from steps.results import Bundle, Delivery, MaybeBase, ModelRun

RUN = ModelRun(model="product", config=ProductRunConfig(), source="here")
SPLIT = pd.DataFrame({"product_id": [1], "split": ["test"]})


class Reads:
    """A family that notes down the ratings and the purchases that it is given."""

    def __init__(self) -> None:
        self.ratings: set[int] = set()
        self.purchases = 0

    def _read(self, catalogue: Catalogue) -> None:
        self.ratings = set(catalogue.reviews()["rating"])
        self.purchases = len(catalogue.purchases())

    def augment(self, catalogue: Catalogue, split: pd.DataFrame, config: Any) -> pd.DataFrame:
        self._read(catalogue)
        return split

    def train(self, catalogue: Catalogue, *rest: Any) -> Path:
        self._read(catalogue)
        return Path("bundle")

    def evaluate_rows(self, bundle: Path, catalogue: Catalogue, *rest: Any) -> Any:
        self._read(catalogue)
        evaluation = Evaluation(model="product", data="0", split="test", n=1, metrics={})
        return SimpleNamespace(evaluation=evaluation, predictions=SPLIT)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Reads:
    found = Reads()
    monkeypatch.setenv("VITRINA_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(family, "get", lambda _: found)
    monkeypatch.setattr(train_model, "start_run", lambda *_: "run")
    monkeypatch.setattr(train_model, "fetch_base", lambda *_: None)
    monkeypatch.setattr(evaluate_champion, "find_alias", lambda *_: SimpleNamespace(version=1))
    monkeypatch.setattr(evaluate_champion, "fetch", lambda *_: tmp_path)
    return found


@pytest.fixture
def delivery(tmp_path: Path) -> Delivery:
    """One rating of eight is out of range, and one purchase of eight is in the future."""
    folder = tmp_path / "shop"
    folder.mkdir()
    rows = range(8)
    reviews = {"review_id": rows, "review": [f"nice thing {i}" for i in rows], "rating": [99, 5, 1, 5, 5, 1, 5, 5]}
    pd.DataFrame(reviews).to_parquet(folder / "reviews.parquet")
    when = [pd.Timestamp("2999-01-01", tz="UTC"), *(pd.Timestamp("2024-01-01", tz="UTC"),) * 7]
    pd.DataFrame({"user_id": rows, "item_id": rows, "timestamp": when}).to_parquet(folder / "purchases.parquet")
    return Delivery(paths=(str(folder),), fingerprint=Catalogue.open(folder).fingerprint())


@pytest.fixture
def quarantine(delivery: Delivery) -> pd.DataFrame:
    outcome = validate(delivery.open(), ValidationConfig())
    assert outcome.result.quarantined == {"purchases": 1, "reviews": 1}
    return outcome.quarantine


def augment(delivery: Delivery, quarantine: pd.DataFrame) -> None:
    augment_data.entrypoint(delivery, quarantine, SPLIT, RUN)


def train(delivery: Delivery, quarantine: pd.DataFrame) -> None:
    train_model.train_model.entrypoint(delivery, quarantine, SPLIT, SPLIT, RUN, MaybeBase())


def evaluate(delivery: Delivery, quarantine: pd.DataFrame) -> None:
    evaluate_model.entrypoint(Bundle(Path("bundle")), delivery, quarantine, SPLIT, RUN, EvaluationConfig())


def champion(delivery: Delivery, quarantine: pd.DataFrame) -> None:
    evaluate_champion.evaluate_champion.entrypoint(delivery, quarantine, SPLIT, RUN, EvaluationConfig())


@pytest.mark.slow
@pytest.mark.parametrize("step", [augment, train, evaluate, champion])
def test_rows_in_quarantine_are_not_read(
    step: Callable[[Delivery, pd.DataFrame], None], delivery: Delivery, quarantine: pd.DataFrame, reads: Reads
) -> None:
    step(delivery, quarantine)
    assert reads.ratings == {1, 5}
    assert reads.purchases == 7


def test_trials_do_not_read_them(
    delivery: Delivery, quarantine: pd.DataFrame, reads: Reads, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[Catalogue] = []

    class Found(Exception):
        """There is nothing more to see."""

    def note(chosen: Any, catalogue: Catalogue, *rest: Any) -> None:
        found.append(catalogue)
        raise Found

    monkeypatch.setattr(run_trials, "join_study", lambda *_: (SimpleNamespace(study_name="study"), "run"))
    monkeypatch.setattr(run_trials.study, "objective_of", note)
    search = SimpleNamespace(name="", values={}, tuning=SimpleNamespace(heartbeat_seconds=60, retries=1))
    monkeypatch.setattr(run_trials, "study_about", lambda *_: {})
    with pytest.raises(Found):
        run_trials.run_trials.entrypoint(delivery, quarantine, SPLIT, "product", search, MaybeBase())
    assert set(found[0].reviews()["rating"]) == {1, 5}


@pytest.mark.slow
def test_a_training_goes_on_only_from_a_checkpoint_of_the_same_rows(
    delivery: Delivery, quarantine: pd.DataFrame, reads: Reads, tmp_path: Path
) -> None:
    folders = tmp_path / "home" / "training" / "product"
    train(delivery, quarantine)
    train(delivery, quarantine)
    assert len(list(folders.iterdir())) == 1
    train(delivery, quarantine.iloc[:1])
    assert len(list(folders.iterdir())) == 2
