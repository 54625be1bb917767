"""The tuning pipeline on a small catalogue: one study over several runs, what it leaves behind, what stops it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import cli
from configs.errors import CheckFailed, ConfigError
from configs.load import load
from configs.settings import Settings
from models.product.config import ProductRunConfig
from operations.tuning import TuningOutcome, run_tuning
from registry.connection import connected

pytestmark = [pytest.mark.slow, pytest.mark.trains]

METRIC = "validation/loss"
SPACE = {"trainer.learning_rate": {"low": 0.001, "high": 0.01, "log": True}, "model.heads": {"choices": [2, 4]}}


def values(**tuning: Any) -> dict[str, Any]:
    search = {"space": SPACE, "metric": METRIC, "trials": 2, "epochs": 1, "rows": 100} | tuning
    trainer = {"batch_size": 32, "workers": 0, "precision": "32-true"}
    return {"model": {"preset": "tiny"}, "trainer": trainer, "split": {"validation": 0.1}, "tuning": search}


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VITRINA_HOME", str(home))
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        patch.delenv("VITRINA_DATABASE_URL", raising=False)
        yield Settings.from_environment()


@pytest.fixture(scope="module")
def tuned(settings: Settings, sample: Path) -> TuningOutcome:
    return run_tuning(settings, "product", [sample], values())


def children(settings: Settings, outcome: TuningOutcome) -> list[Any]:
    with connected(settings) as client:
        experiment = client.get_run(outcome.mlflow_run).info.experiment_id
        return list(client.search_runs([experiment], f"tags.`mlflow.parentRunId` = '{outcome.mlflow_run}'"))


def test_a_study_gives_a_configuration_to_train_with(settings: Settings, tuned: TuningOutcome) -> None:
    assert tuned.trials == {"completed": 2}
    assert tuned.study.startswith("product-")
    config = load(ProductRunConfig, Path(tuned.config))
    assert config.trainer.learning_rate == tuned.best.params["trainer.learning_rate"]
    assert config.model.heads == tuned.best.params["model.heads"]
    assert (config.trainer.batch_size, config.trainer.epochs) == (32, ProductRunConfig().trainer.epochs)
    assert tuned.study in Path(tuned.report).read_text()
    assert not list((settings.home / "tuning" / "product" / tuned.study).iterdir())  # folders of trials are gone


def test_mlflow_has_a_run_a_study_and_below_it_a_run_a_trial(settings: Settings, tuned: TuningOutcome) -> None:
    with connected(settings) as client:
        parent = client.get_run(tuned.mlflow_run)
        files = {file.path for file in client.list_artifacts(tuned.mlflow_run, "reports")}
    assert files == {"reports/best.yaml", "reports/study.html"}
    assert parent.data.metrics["best"] == pytest.approx(tuned.best.value)
    found = {run.data.tags["vitrina.trial"]: run for run in children(settings, tuned)}
    assert set(found) >= {"0", "1"}
    best = found[str(tuned.best.number)]
    assert best.info.status == "FINISHED"
    assert best.data.params["trainer.learning_rate"] == str(tuned.best.params["trainer.learning_rate"])
    assert best.data.metrics[METRIC] == pytest.approx(tuned.best.values[1])


def test_trials_saw_no_test_rows(settings: Settings, tuned: TuningOutcome) -> None:
    from zenml.client import Client

    split = Client().get_pipeline_run(tuned.zenml_run).steps["select_rows"].outputs["trial_split"][0].load()
    assert split["split"].value_counts()["train"] == 100
    assert set(split["split"]) == {"train", "validation"}


def test_the_same_command_with_more_trials_goes_on_with_its_study(settings: Settings, tuned: TuningOutcome, sample: Path) -> None:
    from zenml.client import Client

    more = run_tuning(settings, "product", [sample], values(trials=3))
    assert (more.study, more.mlflow_run, more.trials) == (tuned.study, tuned.mlflow_run, {"completed": 3})
    assert len(children(settings, more)) == 3
    steps = Client().get_pipeline_run(more.zenml_run).steps
    assert {name for name, step in steps.items() if step.status.value == "cached"} >= {"validate_data", "split_data"}


def test_a_named_study_of_something_else_is_refused(settings: Settings, tuned: TuningOutcome, sample: Path) -> None:
    with pytest.raises(ConfigError, match=f"study '{tuned.study}' exists and differs in direction"):
        run_tuning(settings, "product", [sample], values(direction="maximize"), tuned.study)


def test_a_study_without_a_completed_trial_says_why(settings: Settings, sample: Path) -> None:
    wild = values(space={"trainer.learning_rate": {"choices": [1e30]}}, trials=1, epochs=2)
    with pytest.raises(CheckFailed, match=r"study wild: no trial completed; .*not finite") as refused:
        run_tuning(settings, "product", [sample], wild, "wild")
    assert "\n" not in str(refused.value)
    page = settings.reports / "tuning" / "product" / "wild.html"
    assert "No trial completed" in page.read_text()
    with connected(settings) as client:
        experiment = client.get_experiment_by_name("vitrina-product").experiment_id
        (trial,) = client.search_runs([experiment], "tags.`vitrina.trial_state` = 'pruned'")
    assert trial.info.status == "KILLED"
    assert "not finite" in trial.data.tags["vitrina.trial_why"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--set", "tuning.space={trainer.epohcs: {low: 1, high: 2}}"], "unknown key 'trainer.epohcs'"),
        (["--set", "tuning.space={}"], "tuning.space is empty"),
        (["--study", "../up"], "study name '../up' is not allowed"),
        (["--set", "tuning.trials=0"], "tuning.trials = 0"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    arguments: list[str], message: str, sample: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    monkeypatch.setenv("VITRINA_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("sys.argv", ["vitrina", "tune", "product", "--data", str(sample), "--json", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    printed = capfd.readouterr()
    assert ended.value.code == 2
    assert printed.out == ""
    assert message in printed.err.strip().splitlines()[-1]
    assert not (tmp_path / "home").exists()


def test_the_command_prints_one_json_object(
    settings: Settings, tuned: TuningOutcome, sample: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    file = tmp_path / "search.yaml"
    file.write_text(json.dumps(values()))
    monkeypatch.setattr("sys.argv", ["vitrina", "tune", "product", "--data", str(sample), "--config", str(file), "--json"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code in (0, None)
    told = json.loads(capfd.readouterr().out)
    assert told["study"] == tuned.study  # it had its trials: nothing was trained
    assert told["best"]["params"].keys() == SPACE.keys()
