"""The `vitrina` command as a process, and a home with a registered version for it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import committed
import pytest
from homes import fresh

import cli
from registry.register import register

VITRINA = str(Path(sys.executable).with_name("vitrina"))


def home_with_product(root: Path) -> Path:
    """Version 1 of the product model is registered in `root`: the committed one, of which `bundle` is a copy."""
    return home_with("product", root)


def home_with(model: str, root: Path, version: Path | None = None) -> Path:
    """Version 1 of a model is registered in `root`: a bundle, by default the committed one, of which `bundle` is a copy."""
    settings = fresh(root)
    tags = {"vitrina.gates": "passed"}
    bundle = shutil.copytree(version, root / "bundle") if version else committed.copied(model, root / "bundle")
    register(settings, model, bundle, metrics={}, config={}, tags=tags, reports={})
    return root


OURS = ("VITRINA_", "MLFLOW_", "ZENML_", "BENTOML_", "PROMETHEUS_", "OTEL_")
"""Beginnings of variables that commands within this process leave behind, and that another process must not find."""


def environment(home: Path) -> dict[str, str]:
    """Of a process that keeps its state in `home`, whatever ran in this one before."""
    return {name: value for name, value in os.environ.items() if not name.startswith(OURS)} | {"VITRINA_HOME": str(home)}


def vitrina(home: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """The command's result."""
    return subprocess.run([VITRINA, *arguments], capture_output=True, text=True, env=environment(home), cwd=home, timeout=300)


def vitrina_here(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], home: Path, *arguments: str
) -> "subprocess.CompletedProcess[str]":
    """The same within this process, whose imports are made already: for tests of what a command says, not of the process."""
    monkeypatch.setenv("VITRINA_HOME", str(home))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(home)
    monkeypatch.setattr(sys, "argv", [VITRINA, *arguments])
    capfd.readouterr()
    with pytest.raises(SystemExit) as ended:
        cli.main()
    out, err = capfd.readouterr()
    return subprocess.CompletedProcess(list(arguments), int(ended.value.code or 0), out, err)
