"""`vitrina export`: a registered version becomes ONNX graphs."""

import json
from pathlib import Path

import pytest
from commands import home_with_product, vitrina, vitrina_here

from catalog.listing import Listing
from models.product.cleaning import clean
from models.product.graphs import OnnxModel
from models.product.heads.embedding import EmbeddingHead
from models.product.predictor import ProductPredictor

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With version 1 of the product model."""
    return home_with_product(tmp_path_factory.mktemp("export"))


def test_a_version_becomes_graphs_that_answer_as_it_does(home: Path, tmp_path: Path) -> None:
    out = tmp_path / "graphs"
    done = vitrina(home, "export", "product@1", "--out", str(out), "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["model"], told["version"], told["quantised"]) == ("product", "1", False)
    assert told["files"] == [str(out / name) for name in ("listings.onnx", "photos.onnx", "reviews.onnx")]
    assert told["largest_difference"] == max(told["differences"].values()) < 1e-3
    assert {"embedding", "fault_logits", "recommended"} <= set(told["differences"])
    predictor = ProductPredictor.load(home / "bundle", "cpu")
    inputs = predictor.encoders.encode([clean(Listing(title="Oakline Men Blue Shirt"))], [None], predictor.config.model)
    expected = predictor.answer(inputs).of(EmbeddingHead).vectors.flatten().tolist()
    assert OnnxModel(out)(inputs)["embedding"].flatten().tolist() == pytest.approx(expected, abs=1e-3)


def test_a_folder_that_exists_is_left_alone(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine").touch()
    done = vitrina_here(monkeypatch, capfd, home, "export", "product@1", "--out", str(tmp_path), "--json")
    assert done.returncode == 2
    assert done.stdout == ""
    lines = [line for line in done.stderr.splitlines() if line.startswith("vitrina: ")]
    assert lines == [f"vitrina: {tmp_path} exists; give a folder that does not"]
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
