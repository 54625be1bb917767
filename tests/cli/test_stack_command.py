"""`vitrina stack`: a bad file is one line and registers nothing."""

import json
from pathlib import Path

import pytest
import yaml
from commands import vitrina_here
from ports import free_port

from configs.load import environment_file, read_yaml

CLUSTER = environment_file("kubeflow", "cluster")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "cluster.yaml"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"kubflow": "x"}, "cluster.yaml: unknown key 'kubflow'; allowed here: artifacts, data, database, "),
        ({"mlflow": "mlflow:5000"}, "cluster.yaml: mlflow = 'mlflow:5000': "),
        ({"steps": {"train": {}}}, "steps.train: no such step; allowed: "),
    ],
)
def test_a_bad_file_is_one_line(
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    tmp_path: Path,
    file: Path,
    values: dict[str, object],
    message: str,
) -> None:
    file.write_text(yaml.safe_dump(read_yaml(CLUSTER) | values))
    done = vitrina_here(monkeypatch, capfd, tmp_path, "stack", "kubeflow", "--config", str(file))
    assert (done.returncode, done.stdout) == (2, "")
    [line] = done.stderr.splitlines()
    assert message in line
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.slow
def test_without_a_zenml_server_nothing_is_registered(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.delenv("ZENML_STORE_URL", raising=False)
    command = ("stack", "kubeflow", "--config", str(CLUSTER))
    done = vitrina_here(monkeypatch, capfd, tmp_path, *command)
    assert (done.returncode, done.stdout) == (2, "")
    assert "pods cannot reach the ZenML store sqlite:" in done.stderr
    away = f"http://127.0.0.1:{free_port()}"
    done = vitrina_here(monkeypatch, capfd, tmp_path, *command, "--set", f"zenml={away}")
    assert (done.returncode, done.stdout) == (2, "")
    assert f"vitrina: no ZenML server answers at {away}: " in done.stderr
    done = vitrina_here(monkeypatch, capfd, tmp_path, "stack", "show", "--json")
    shown = json.loads(done.stdout)
    assert (shown["stack"], shown["runs"]) == ("default", "on this machine")
    assert vitrina_here(monkeypatch, capfd, tmp_path, "stack", "local", "--json").stdout == done.stdout
    from zenml.client import Client

    assert [stack.name for stack in Client().list_stacks()] == ["default"]
