"""Processes load what they need: seconds, and hundreds of megabytes, of every start."""

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from models import family

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


def imported(modules: Iterable[str], names: tuple[str, ...], folder: Path) -> str:
    """Which of `names` a fresh process has loaded after it imported some modules."""
    script = folder / "script.py"  # ZenML takes the folder of a file as the source's root
    script.write_text(f"import sys, {', '.join(modules)}; print(*(name for name in {names!r} if name in sys.modules))")
    environment = {"PYTHONPATH": str(ROOT), "HOME": str(folder), "ZENML_CONFIG_PATH": str(folder), "PATH": ""}
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, env=environment, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1]


def test_modules_that_only_name_models_load_nothing_that_computes(tmp_path: Path) -> None:
    modules = ("models.family", "serving.service", "serving.gateway", "serving.workers", "pipelines.training")
    modules += ("models.describer.family",)  # its settings are asked for in every step; the model is not
    assert imported(modules, ("torch", "transformers", "sklearn", "scipy.optimize", "matplotlib"), tmp_path) == ""


def test_models_answer_without_what_trains_them(tmp_path: Path) -> None:
    modules = [f"models.{name}.{module}" for name in family.names() for module in ("family", "predictor")]
    assert imported(modules, ("lightning", "torchmetrics", "optuna", "learn2learn"), tmp_path) == ""
