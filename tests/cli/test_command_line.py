"""The command line: what it prints where, and how it refuses."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from commands import vitrina_here

VITRINA = str(Path(sys.executable).with_name("vitrina"))
HEAVY = ("torch", "zenml", "mlflow", "bentoml", "evidently", "great_expectations", "pandas", "lightning", "sqlalchemy")
COMMANDS = (
    "train",
    "tune",
    "evaluate",
    "export",
    "embed",
    "promote",
    "rollback",
    "history",
    "serve",
    "worker",
    "build",
    "monitor",
    "up",
    "down",
    "status",
    "doctor",
    "keys",
    "audit",
)


def vitrina(*arguments: str, home: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    import os

    values = os.environ | {"VITRINA_HOME": str(home)} | environment
    if "MLFLOW_TRACKING_URI" not in environment:
        values.pop("MLFLOW_TRACKING_URI", None)  # a pipeline that ran in this process has set it
    return subprocess.run([VITRINA, *arguments], capture_output=True, text=True, env=values, cwd=home, timeout=300)


def test_help_imports_nothing_heavy() -> None:
    code = f"import sys, cli; print([m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_of_the_design_explains_itself(command: str, tmp_path: Path) -> None:
    done = vitrina(command, "--help", home=tmp_path)
    assert done.returncode == 0
    assert f"Usage: vitrina {command}" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        pytest.param(
            ("train", "product", "--data", ".", "--set", "trainer.epohcs=3"),
            ("trainer.epohcs", "epochs"),
            marks=pytest.mark.slow,
        ),
        (("data", "validate", "nowhere"), ("nowhere", "catalogue")),
        (("data", "import", "--mapping", "m.yaml", "--csv", "a.csv", "--out", "out"), ("m.yaml",)),
        (("serve", "--port", "99999"), ("port", "65535")),
        pytest.param(("monitor", "--all"), ("no model has a champion", "vitrina promote"), marks=pytest.mark.slow),
        (("monitor", "--model", "prodcut"), ("prodcut", "product")),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(arguments: tuple[str, ...], words: tuple[str, ...], tmp_path: Path) -> None:
    check_refusal(vitrina(*arguments, home=tmp_path), words)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("train", "prodcut", "--data", "."), ("prodcut", "product")),
        (("train", "product", "--data", "nowhere"), ("nowhere", "catalogue directory")),
        (("train", "product", "--data", ".", "--data", "nowhere"), ("nowhere", "catalogue directory")),
        (("train", "product", "--data", ".", "--set", "trainer.epochs=zero"), ("trainer.epochs", "zero", "integer")),
        (("train", "product", "--data", ".", "--set", "trainer"), ("trainer", "a.b=value")),
        (("train", "product", "--data", ".", "--config", "missing.yaml"), ("missing.yaml", "No such file")),
        (("train", "product", "--data", ".", "--env", "mars"), ("mars", "base")),
    ],
)
def test_what_cannot_be_trained_is_refused_before_anything_begins(
    arguments: tuple[str, ...],
    words: tuple[str, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    check_refusal(vitrina_here(monkeypatch, capfd, tmp_path, *arguments), words)
    assert not [*tmp_path.iterdir()]


def check_refusal(done: "subprocess.CompletedProcess[str]", words: tuple[str, ...]) -> None:
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    lines = [line for line in done.stderr.splitlines() if line.startswith("vitrina: ")]
    assert len(lines) == 1, done.stderr
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in lines[0]


@pytest.mark.slow
def test_empty_folder_is_no_catalogue(tmp_path: Path) -> None:
    done = vitrina("data", "validate", str(tmp_path), home=tmp_path)
    assert done.returncode == 2
    assert "products.parquet" in done.stderr


@pytest.mark.slow
def test_json_is_the_only_thing_on_standard_output(tmp_path: Path) -> None:
    done = vitrina("data", "sample", "--out", str(tmp_path / "first"), "--products", "200", "--json", home=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"data": str(tmp_path / "first")}


@pytest.mark.slow
def test_mlflow_server_down_is_one_line(tmp_path: Path) -> None:
    done = vitrina("history", "product", home=tmp_path, MLFLOW_TRACKING_URI="http://127.0.0.1:9")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "http://127.0.0.1:9" in done.stderr.splitlines()[-1]
