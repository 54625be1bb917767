"""What is imported for a validation, and that leaving things out hurts nobody else."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from threading import Thread

import pandas as pd
import pytest

from catalog.catalogue import Catalogue
from data_validation.light import light_imports

ROOT = Path(__file__).parents[2]
Deliver = Callable[[dict[str, pd.DataFrame]], Catalogue]

PROGRAM = """
import json, sys
from pathlib import Path
from cli import app
try:
    app(sys.argv[1:])
except SystemExit as ended:
    loaded = sorted({name.partition(".")[0] for name in sys.modules})
    import scipy.stats, sqlalchemy
    peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    mebibytes = int(peak.split()[1]) / 1024  # of this program alone: ru_maxrss is at least that of the process that started it
    print(json.dumps({"code": ended.code, "loaded": loaded, "mebibytes": mebibytes, "cdf": scipy.stats.norm.cdf(0.0)}))
"""


def validated(catalogue: Catalogue, tmp_path: Path, *options: str) -> tuple[dict[str, object], str]:
    command = [
        sys.executable,
        "-c",
        PROGRAM,
        "data",
        "validate",
        str(catalogue.root),
        "--out",
        str(tmp_path / "report"),
        *options,
    ]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "VITRINA_HOME": str(tmp_path / "home")}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path)
    lines = done.stdout.splitlines()
    return json.loads(lines[-1]) if lines else {}, done.stderr


@pytest.mark.slow
def test_a_small_table_is_validated_without_models_and_in_little_memory(
    delivered: Deliver, tables: dict[str, pd.DataFrame], tmp_path: Path
) -> None:
    found, _ = validated(delivered({"products": tables["products"]}), tmp_path, "--set", "validation.min_products=7")
    assert found["code"] == 0
    assert not {"torch", "sklearn", "transformers", "sqlalchemy", "google", "mlflow", "zenml"} & set(found["loaded"])  # type: ignore[call-overload]
    assert found["mebibytes"] < 500  # type: ignore[operator]
    assert found["cdf"] == 0.5  # what was put off works when it is asked for


def test_bounds_of_validation_are_named_by_their_path(
    delivered: Deliver, tables: dict[str, pd.DataFrame], tmp_path: Path
) -> None:
    _, said = validated(delivered({"products": tables["products"]}), tmp_path, "--set", "validation.min_product=7")
    assert "unknown key 'validation.min_product'" in said


def test_what_is_left_out_here_is_there_for_other_threads() -> None:
    found: list[object] = []

    def elsewhere() -> None:
        import wsgiref

        found.append(wsgiref)

    sys.modules.pop("wsgiref", None)
    sys.modules.pop("colorsys", None)
    with light_imports(without=("wsgiref",), later=("colorsys",)):
        with pytest.raises(ModuleNotFoundError, match="wsgiref is left out here"):
            import wsgiref
        thread = Thread(target=elsewhere)
        thread.start()
        thread.join()
        import colorsys
    assert len(found) == 1
    assert "rgb_to_hls" not in object.__getattribute__(colorsys, "__dict__")
    assert colorsys.rgb_to_hls(1.0, 1.0, 1.0) == (0.0, 1.0, 0.0)
    import wsgiref

    assert wsgiref is found[0]
