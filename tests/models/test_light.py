"""Processes load what they need: seconds, and hundreds of megabytes, of every start."""

import subprocess
import sys
from pathlib import Path

import pytest

from models import family

ROOT = Path(__file__).parents[2]


def imported(module: str, names: tuple[str, ...], folder: Path) -> str:
    """Which of `names` a fresh process has loaded after it imported a module."""
    script = folder / "script.py"  # ZenML takes the folder of a file as the source's root
    script.write_text(f"import sys, {module}; print(*(name for name in {names!r} if name in sys.modules))")
    environment = {"PYTHONPATH": str(ROOT), "HOME": str(folder), "ZENML_CONFIG_PATH": str(folder), "PATH": ""}
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, env=environment, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1]


@pytest.mark.parametrize("module", ["models.family", "serving.app", "serving.gateway", "serving.workers", "pipelines.training"])
def test_who_stands_in_front_of_models_starts_without_what_computes(module: str, tmp_path: Path) -> None:
    assert imported(module, ("torch", "transformers", "scipy", "sklearn", "matplotlib"), tmp_path) == ""


@pytest.mark.parametrize("model", family.names())
def test_a_model_answers_without_what_trains_it(model: str, tmp_path: Path) -> None:
    assert imported(f"models.{model}.family", ("lightning", "torchmetrics", "optuna", "learn2learn"), tmp_path) == ""
