"""What a cluster's file leaves out is not in a pod, and no token of ZenML's is either."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from configs.cluster import ClusterConfig
from configs.errors import VitrinaError
from configs.load import validate
from pipelines.kubeflow.orchestrator import _variables
from pipelines.kubeflow.specification import QUIET, USER, Step, write

ROOT = Path(__file__).parents[2]
LEAST: dict[str, Any] = {
    "kubeflow": "http://kubeflow:8888",
    "image": {"registry": "registry.example.org"},
    "artifacts": {"path": "s3://shop/zenml"},
    "mlflow": "http://mlflow:5000",
    "database": {"secret": "vitrina", "key": "database-url"},
}
STEPS = [
    Step("load_catalogue", ["python", "-m", "zenml.entrypoints.entrypoint", "--step_name", "load_catalogue"], {"A": "1"}, ()),
    Step("train_model", ["python", "-m", "zenml.entrypoints.entrypoint"], {}, ["load_catalogue"]),
]


def configured(**values: Any) -> ClusterConfig:
    return validate(ClusterConfig, LEAST | values, where="cluster.yaml")


def written(path: Path, cluster: ClusterConfig) -> tuple[dict[str, Any], dict[str, Any]]:
    """Containers and Kubernetes' wishes, by executor."""
    write(path, "training", STEPS, cluster)
    spec, platform = yaml.safe_load_all(path.read_text())
    wishes: dict[str, Any] = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    return {label: one["container"] for label, one in spec["deploymentSpec"]["executors"].items()}, wishes


def test_the_least_configuration_gives_the_least_pod(tmp_path: Path) -> None:
    containers, wishes = written(tmp_path / "s.yaml", configured())
    assert set(containers) == set(wishes) == {"exec-load-catalogue", "exec-train-model"}
    plain = [{"name": name, "value": value} for name, value in (QUIET | {"MLFLOW_TRACKING_URI": "http://mlflow:5000"}).items()]
    assert containers["exec-load-catalogue"] == {
        "image": "registry.example.org/vitrina:0.1",
        "command": ["python"],
        "args": ["-m", "zenml.entrypoints.entrypoint", "--step_name", "load_catalogue"],
        "env": [*plain, {"name": "A", "value": "1"}],
        "resources": {
            "cpuRequest": 2.0,
            "memoryLimit": 8.589934592,
            "memoryRequest": 8.589934592,
            "resourceCpuRequest": "2",
            "resourceMemoryLimit": "8Gi",
            "resourceMemoryRequest": "8Gi",
        },
    }
    assert containers["exec-train-model"]["env"] == plain
    assert set(wishes["exec-train-model"]) == {"secretAsEnv", "fieldPathAsEnv", "emptyDirMounts", "securityContext"}
    [database] = wishes["exec-train-model"]["secretAsEnv"]
    assert (database["secretName"], database["keyToEnv"]) == (
        "vitrina",
        [{"envVar": "VITRINA_DATABASE_URL", "secretKey": "database-url"}],
    )


def test_a_server_that_asks_is_answered_by_a_key_of_the_cluster(tmp_path: Path) -> None:
    told = {"ZENML_STORE_URL": "https://zenml.example.org", "ZENML_STORE_API_TOKEN": "of-ana", "ZENML_VERSION": "0.98.0"}
    with pytest.raises(
        VitrinaError, match=r"^the ZenML server https://zenml\.example\.org asks who its clients are: .* zenml_key "
    ):
        _variables(told, configured())
    cluster = configured(zenml_key={"secret": "zenml", "key": "key"}, zenml="http://zenml.vitrina.svc:8080")
    assert _variables(told, cluster) == {"ZENML_STORE_URL": "http://zenml.vitrina.svc:8080", "ZENML_VERSION": "0.98.0"}
    _, wishes = written(tmp_path / "s.yaml", cluster)
    for wish in wishes.values():
        pairs = {
            pair["envVar"]: (one["secretName"], pair["secretKey"]) for one in wish["secretAsEnv"] for pair in one["keyToEnv"]
        }
        assert pairs["ZENML_STORE_API_KEY"] == ("zenml", "key")


def test_a_server_that_lets_everybody_in_needs_none() -> None:
    told = {"ZENML_STORE_URL": "http://zenml:8080"}
    assert _variables(told, configured()) == told


def test_pods_run_as_the_user_of_the_image_which_finds_python_by_its_name() -> None:
    containerfile = (ROOT / "deploy" / "Containerfile").read_text()
    assert f"USER {USER}:{USER}\n" in containerfile
    assert re.search(r"^ENV .*\\\n    PATH=/opt/venv/bin:", containerfile, re.MULTILINE)
    copied = set(re.findall(r"^COPY ([a-z_]+) \1$", containerfile, re.MULTILINE))
    assert {"steps", "pipelines", "configs", "models"} <= copied
