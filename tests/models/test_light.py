"""Who only names models, or stands in front of those that answer, starts without what computes."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HEAVY = ("torch", "transformers", "scipy", "sklearn", "matplotlib")


@pytest.mark.parametrize("module", ["models.family", "serving.app", "serving.gateway", "serving.workers", "pipelines.training"])
def test_nothing_that_computes_is_imported(module: str, tmp_path: Path) -> None:
    script = tmp_path / "script.py"  # ZenML takes the folder of a file as the source's root
    script.write_text(f"import sys, {module}; print([name for name in {HEAVY!r} if name in sys.modules])")
    environment = {"PYTHONPATH": str(ROOT), "HOME": str(tmp_path), "ZENML_CONFIG_PATH": str(tmp_path), "PATH": ""}
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, env=environment, timeout=120)
    assert done.stdout.splitlines()[-1:] == ["[]"], done.stderr
