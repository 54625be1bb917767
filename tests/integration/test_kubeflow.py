"""The steps of the real pipelines as processes of a loopback Kubeflow, with PostgreSQL, MLflow, ZenML and S3 beside them."""

import json
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from commands import VITRINA, environment
from s3fs import S3FileSystem
from services import postgres_binaries, until

from catalog.catalogue import Catalogue
from catalog.sample import write_sample
from configs.load import read_yaml
from configs.settings import Settings
from database.events import EventRow, insert_events
from registry.promotion import history
from registry.versions import resolve

pytestmark = [pytest.mark.slow, pytest.mark.trains]

LOOPBACK = Path(__file__).parents[1] / "loopback"
STARTS_WITHIN = 900.0
RUNS_WITHIN = 3600.0
SHOP = "s3://vitrina/catalogues/first"
FAST = ("--env", "demo", "--set", "evaluation.bootstrap_samples=50", "--set", "evaluation.latency_calls=5")
STEPS = {
    "load_catalogue",
    "find_base",
    "validate_data",
    "split_data",
    "augment_data",
    "train_model",
    "index_catalogue",
    "evaluate_model",
    "evaluate_champion",
    "check_gates",
    "write_report",
    "register_model",
}
CACHED = {"validate_data", "split_data", "augment_data", "train_model", "index_catalogue", "evaluate_model"}


class Loopback:
    """What `tests/loopback` started in a folder, as somebody sees it who types what it prints."""

    def __init__(self, folder: Path) -> None:
        exports = [shlex.split(line)[1] for line in (folder / "environment").read_text(encoding="utf-8").splitlines()]
        self.variables: dict[str, str] = dict(export.split("=", 1) for export in exports)
        self.folder, self.home = folder, Path(self.variables["VITRINA_HOME"])
        self.config = read_yaml(folder / "cluster.yaml")
        self.home.mkdir()

    def vitrina(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """A command of whoever uses the stack."""
        variables = environment(self.home) | self.variables
        return subprocess.run(
            [VITRINA, *arguments, "--json"], capture_output=True, text=True, env=variables, cwd=self.home, timeout=RUNS_WITHIN
        )

    def runs(self) -> list[dict[str, Any]]:
        """What was submitted to Kubeflow, the oldest first."""
        answer = httpx.get(f"{self.config['kubeflow']}/apis/v2beta1/runs").raise_for_status()
        return list(answer.json()["runs"])

    def log(self, run: dict[str, Any], task: str) -> str:
        return (self.folder / "runs" / run["run_id"] / f"{task}.log").read_text(encoding="utf-8")

    def artifacts(self) -> list[str]:
        """Addresses of all that steps handed each other."""
        asked = {"size": 200, "hydrate": "false"}
        answer = httpx.get(f"{self.config['zenml']}/api/v1/artifact_versions", params=asked).raise_for_status()
        return [item["body"]["uri"] for item in answer.json()["items"]]

    @property
    def settings(self) -> Settings:
        return Settings(self.home, self.variables["VITRINA_DATABASE_URL"], self.variables["MLFLOW_TRACKING_URI"])

    @property
    def files(self) -> S3FileSystem:
        keys = {"key": self.variables["AWS_ACCESS_KEY_ID"], "secret": self.variables["AWS_SECRET_ACCESS_KEY"]}
        return S3FileSystem(**keys, endpoint_url=self.variables["AWS_ENDPOINT_URL"], use_listings_cache=False)


def states(run: dict[str, Any]) -> dict[str, str]:
    return {task["display_name"]: task["state"] for task in run["run_details"]["task_details"]}


def said(done: "subprocess.CompletedProcess[str]") -> str:
    """The line with which a command says no."""
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("vitrina: ")]
    assert "Traceback" not in done.stderr
    return line


@pytest.fixture(scope="module")
def loopback(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loopback]:
    if postgres_binaries() is None:
        pytest.skip("no PostgreSQL on this machine")
    folder = tmp_path_factory.mktemp("loopback") / "cluster"
    told = folder.with_name("told")
    with told.open("w") as file:
        started = subprocess.Popen(
            [sys.executable, str(LOOPBACK), str(folder)], env=environment(folder), stdout=file, stderr=subprocess.STDOUT
        )
    try:
        until(lambda: "ready" in told.read_text(), lambda: started.poll() is None, told.read_text, within=STARTS_WITHIN)
        yield Loopback(folder)
    finally:
        started.send_signal(signal.SIGINT)
        assert started.wait(120) == 0
    assert told.read_text().endswith("ended\n")


@pytest.fixture(scope="module")
def shop(loopback: Loopback, tmp_path_factory: pytest.TempPathFactory) -> Catalogue:
    """The sample catalogue, which lies in S3 as well; and what users did with it, in PostgreSQL."""
    catalogue = Catalogue.open(write_sample(tmp_path_factory.mktemp("shop") / "first", products=300))
    for table in catalogue.tables():
        loopback.files.put_file(str(catalogue.path(table)), f"{SHOP}/{table}.parquet")
    bought, start = catalogue.purchases().head(20), datetime(2026, 1, 1, tzinfo=UTC)
    happened = [
        EventRow(user_id=str(row.user_id), item_id=str(row.item_id), kind="view", occurred_at=start + timedelta(minutes=number))
        for number, row in enumerate(bought.itertuples())
    ]
    insert_events(loopback.settings.database_url, happened)
    return catalogue


@pytest.fixture(scope="module")
def trained(loopback: Loopback, shop: Catalogue) -> dict[str, Any]:
    stack = loopback.vitrina("stack", "kubeflow", "--config", str(loopback.folder / "cluster.yaml"))
    assert stack.returncode == 0, stack.stderr
    done = loopback.vitrina("train", "recommender", "--data", SHOP, *FAST)
    assert done.returncode == 0, done.stderr[-3000:]
    outcome: dict[str, Any] = json.loads(done.stdout)
    return outcome


def test_the_steps_run_as_pods_and_end_with_a_challenger_in_the_shared_registry(
    loopback: Loopback, trained: dict[str, Any]
) -> None:
    assert (trained["version"], trained["challenger"]) == (1, True)
    assert {stage["name"] for stage in trained["stages"]} == STEPS
    assert not any(stage["cached"] for stage in trained["stages"])
    assert Path(trained["report"]).read_text(encoding="utf-8").startswith("<!")

    (run,) = loopback.runs()
    assert [step["state"] for step in run["state_history"]] == ["PENDING", "RUNNING", "SUCCEEDED"]
    assert states(run) == dict.fromkeys(STEPS, "SUCCEEDED")

    version = resolve(loopback.settings, "recommender@challenger")
    assert version.version == 1
    assert version.tags["vitrina.gates"] == "passed"
    assert version.tags["vitrina.zenml_run"] == trained["zenml_run"]


def test_what_was_made_lies_in_the_shared_stores(loopback: Loopback, trained: dict[str, Any], shop: Catalogue) -> None:
    artifacts = loopback.artifacts()
    assert artifacts
    assert [uri for uri in artifacts if not uri.startswith("s3://vitrina/zenml/")] == []
    version = resolve(loopback.settings, "recommender@challenger")
    (manifest,) = loopback.files.glob("vitrina/mlflow/*/*/artifacts/bundle/manifest.json")
    assert version.run_id in manifest

    address, events = version.tags["vitrina.data_path"].splitlines()
    assert address == SHOP
    assert Path(events).is_relative_to(loopback.folder / "claims" / "vitrina-home" / "events")
    assert len(Catalogue.open(Path(events)).events()) == 20  # from PostgreSQL, which no file says anything of
    assert version.tags["vitrina.data_fingerprint"] == Catalogue.open(shop.root, Path(events)).fingerprint()
    assert not (loopback.home / "mlflow.db").exists()
    assert not (loopback.home / "vitrina.db").exists()


def test_no_secret_is_in_what_was_submitted(loopback: Loopback, trained: dict[str, Any]) -> None:
    (run,) = loopback.runs()
    text = json.dumps(run)
    for name in ("VITRINA_DATABASE_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        assert name in text
        assert loopback.variables[name] not in text


def test_a_second_run_trains_nothing_and_a_gate_that_says_no_ends_the_command_with_1(
    loopback: Loopback, trained: dict[str, Any]
) -> None:
    strict = "gates.thresholds=[{metric: coverage, at_least: 2.0}]"
    done = loopback.vitrina("train", "recommender", "--data", SHOP, *FAST, "--set", strict)
    assert done.returncode == 1, done.stderr[-3000:]
    assert said(done).startswith("vitrina: recommender version 2 did not pass its gates: coverage")
    outcome = json.loads(done.stdout)
    assert {stage["name"] for stage in outcome["stages"] if stage["cached"]} == CACHED
    assert (outcome["version"], outcome["challenger"]) == (2, False)
    assert outcome["metrics"] == trained["metrics"]
    assert loopback.runs()[-1]["state"] == "SUCCEEDED"  # that the gates say no is a result
    assert resolve(loopback.settings, "recommender@challenger").version == 1


def test_a_step_that_fails_ends_the_command_with_its_one_line(
    loopback: Loopback, trained: dict[str, Any], shop: Catalogue
) -> None:
    loopback.files.put_file(str(shop.path("products")), "vitrina/catalogues/lacking/products.parquet")
    done = loopback.vitrina("train", "recommender", "--data", "s3://vitrina/catalogues/lacking", *FAST)
    assert (done.returncode, done.stdout) == (2, "")
    assert said(done).endswith(" has no purchases.parquet; it has: products")
    run = loopback.runs()[-1]
    assert run["state"] == "FAILED"
    assert "has no purchases.parquet" in loopback.log(run, "load-catalogue")
    begun = {"find_base": "SUCCEEDED", "load_catalogue": "FAILED"}
    assert states(run) == dict.fromkeys(STEPS, "SKIPPED") | begun


def test_promotion_and_monitoring_run_on_the_cluster(loopback: Loopback, trained: dict[str, Any]) -> None:
    done = loopback.vitrina("promote", "recommender", "challenger", "--reviewer", "Ada", "--note", "looks right")
    assert done.returncode == 0, done.stderr[-3000:]
    assert resolve(loopback.settings, "recommender@champion").version == 1
    (row,) = history(loopback.settings, "recommender")
    assert (row.to_version, row.who, row.why) == (1, "Ada", "looks right")

    done = loopback.vitrina("monitor", "--model", "recommender", "--env", "demo")
    assert done.returncode == 0, done.stderr[-3000:]
    outcome = json.loads(done.stdout)
    assert (outcome["version"], outcome["rows"]) == (1, 0)
    assert outcome["verdict"].startswith("not enough data")
    assert Path(outcome["report"]).is_file()
    assert [run["state"] for run in loopback.runs()[-2:]] == ["SUCCEEDED", "SUCCEEDED"]
