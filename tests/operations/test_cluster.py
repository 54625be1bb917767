"""Which deliveries a stack can read, which steps may be given resources, and what a failed pod's error becomes."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from configs.cluster import ClusterConfig
from configs.errors import CheckFailed, ConfigError, VitrinaError
from configs.load import environment_file, load
from configs.settings import Settings
from operations import run as runs
from operations.cluster import ActiveStack, deliveries, register_cluster, told

CLUSTER = load(ClusterConfig, environment_file("kubeflow", "cluster"))
HERE = ActiveStack(name="default", store="sqlite:///z.db", cluster=None)
THERE = ActiveStack(name="kubeflow", store="http://zenml", cluster=CLUSTER)


def test_folders_of_this_machine_are_named_by_their_whole_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "shop").mkdir()
    monkeypatch.chdir(tmp_path)
    assert deliveries(HERE, ["shop", "s3://bucket/shop"]) == [str(tmp_path / "shop"), "s3://bucket/shop"]
    with pytest.raises(ConfigError, match=r"^nowhere is not a catalogue directory; `vitrina data import` makes one from a CSV$"):
        deliveries(HERE, ["nowhere"])


def test_pods_get_what_lies_on_a_volume_or_in_a_store(tmp_path: Path) -> None:
    given = ["s3://bucket/shop", "/var/lib/vitrina/spring", Path("/var/lib/vitrina/summer")]
    assert deliveries(THERE, given) == [str(one) for one in given]
    with pytest.raises(ConfigError, match=f"--data {tmp_path}: pods of the active stack kubeflow do not see it; allowed: an "):
        deliveries(THERE, [tmp_path])
    bare = THERE.model_copy(update={"cluster": CLUSTER.model_copy(update={"home": None})})
    with pytest.raises(ConfigError, match=r"allowed: an address such as s3://bucket/catalogue$"):
        deliveries(bare, ["/var/lib/vitrina/spring"])


def test_resources_of_a_step_that_does_not_exist_are_refused(tmp_path: Path) -> None:
    settings = Settings(tmp_path / "home", "sqlite://", "sqlite://")
    cluster = CLUSTER.model_copy(update={"steps": {"train_modle": CLUSTER.resources}})
    with pytest.raises(ConfigError, match=r"^steps\.train_modle: no such step; allowed: augment_data, .*train_model, "):
        register_cluster(settings, cluster)
    assert not settings.home.exists()


def test_a_stack_is_told_without_its_secrets() -> None:
    assert told(HERE) == {"stack": "default", "zenml": "sqlite:///z.db", "runs": "on this machine"}
    facts = told(THERE)
    assert facts["runs"] == f"on Kubeflow at {CLUSTER.kubeflow}"
    assert facts["volumes"] == {"vitrina-home": "/var/lib/vitrina"}
    assert "secret" not in str(facts)


def ended(*steps: tuple[str, Any], exception_info: Any = None) -> Any:
    """ZenML's run after steps that failed, each with what was kept of its error."""
    failed = SimpleNamespace(is_failed=True)
    found = {name: SimpleNamespace(name=name, status=failed, exception_info=info) for name, info in steps}
    status = SimpleNamespace(value="failed", is_successful=False)
    return SimpleNamespace(name="training-1", status=status, steps=found, exception_info=exception_info)


def info(source: str | None, message: str | None, traceback: str = "Traceback\n  line\nOSError: full\n") -> Any:
    return SimpleNamespace(source=source, message=message, traceback=traceback)


@pytest.mark.parametrize(
    ("run", "kind", "message"),
    [
        (ended(("train_model", info("configs.errors.CheckFailed", "no"))), CheckFailed, "no"),
        (ended(("validate_data", info("catalog.errors.CatalogueError", "x.parquet: bad"))), VitrinaError, "x.parquet: bad"),
        (
            ended(("train_model", info("torch.OutOfMemoryError", "CUDA out of memory"))),
            CheckFailed,
            "step train_model of run training-1 failed: CUDA out of memory",
        ),
        (ended(("a", info("os.path.evil", "m"))), CheckFailed, "step a of run training-1 failed: m"),
        (ended(("a", info("configs.load.load", "m"))), CheckFailed, "step a of run training-1 failed: m"),
        (ended(("a", info(None, None))), CheckFailed, "step a of run training-1 failed: OSError: full"),
        (ended(exception_info=info(None, "Kubeflow says FAILED")), CheckFailed, "run training-1 failed: Kubeflow says FAILED"),
        (ended(), CheckFailed, "pipeline run training-1 ended as failed; see its log in the ZenML dashboard"),
    ],
)
def test_the_error_of_a_step_in_a_pod_is_told_as_if_it_had_run_here(run: Any, kind: type[VitrinaError], message: str) -> None:
    with pytest.raises(VitrinaError) as caught:
        runs.execute(lambda: run)
    assert str(caught.value) == message
    assert caught.value.exit_code == kind.exit_code
