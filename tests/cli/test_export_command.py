"""`vitrina export`: a registered version becomes ONNX graphs."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from bundles import tiny_bundle

from catalog.listing import Listing
from configs.settings import Settings
from models.product.encoders import clean
from models.product.export import OnnxModel
from models.product.predictor import ProductPredictor
from registry.register import register

pytestmark = pytest.mark.slow

VITRINA = str(Path(sys.executable).with_name("vitrina"))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With version 1 of the product model."""
    root = tmp_path_factory.mktemp("export")
    settings = Settings(root, f"sqlite:///{root / 'vitrina.db'}", f"sqlite:///{root / 'mlflow.db'}")
    tags = {"vitrina.gates": "passed"}
    register(settings, "product", tiny_bundle(root / "training", epochs=1), metrics={}, config={}, tags=tags, reports={})
    return root


def vitrina(home: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    environment = os.environ | {"VITRINA_HOME": str(home)}
    environment.pop("MLFLOW_TRACKING_URI", None)
    return subprocess.run([VITRINA, *arguments], capture_output=True, text=True, env=environment, cwd=home, timeout=300)


def test_a_version_becomes_graphs_that_answer_as_it_does(home: Path, tmp_path: Path) -> None:
    out = tmp_path / "graphs"
    done = vitrina(home, "export", "product@1", "--out", str(out), "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["model"], told["version"], told["quantised"]) == ("product", "1", False)
    assert told["files"] == [str(out / name) for name in ("listings.onnx", "reviews.onnx")]
    assert told["largest_difference"] == max(told["differences"].values()) < 1e-3
    assert {"embedding", "fault_logits", "recommended"} <= set(told["differences"])
    predictor = ProductPredictor.load(home / "training" / "work" / "bundle", "cpu")
    inputs = predictor.encoders.encode([clean(Listing(title="Nordal blue shirt"))], [None], predictor.config.model)
    assert OnnxModel(out)(inputs).embedding.flatten().tolist() == pytest.approx(
        predictor.answer(inputs).embedding.flatten().tolist(), abs=1e-3
    )


def test_a_folder_that_exists_is_left_alone(home: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").touch()
    done = vitrina(home, "export", "product@1", "--out", str(tmp_path), "--json")
    assert done.returncode == 2
    assert done.stdout == ""
    lines = [line for line in done.stderr.splitlines() if line.startswith("vitrina: ")]
    assert lines == [f"vitrina: {tmp_path} exists; give a folder that does not"]
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
