"""`vitrina embed`: a catalogue's products become vectors that lie beside it."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import committed
import pandas as pd
import pytest
from bundles import tiny_catalogue
from commands import home_with_product, vitrina, vitrina_here

from catalog.catalogue import Catalogue

pytestmark = pytest.mark.slow

DIMENSIONS = committed.config("product").model.embedding_dim


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With version 1 of the product model."""
    return home_with_product(tmp_path_factory.mktemp("embed"))


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A catalogue that it has never seen."""
    return tiny_catalogue(tmp_path_factory.mktemp("shop") / "catalogue", products=120)


@pytest.fixture
def refused(home: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """The line with which a command is refused."""

    def line(*arguments: str) -> str:
        return _line(vitrina_here(monkeypatch, capfd, home, *arguments, "--json"))

    return line


def _line(done: "subprocess.CompletedProcess[str]") -> str:
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("vitrina: ")]
    return line


def test_embeddings_lie_beside_the_catalogue_and_pass_validation(
    home: Path, shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "new" / "vectors"
    done = vitrina(home, "embed", "product@1", "--data", str(shop), "--out", str(out), "--json")
    assert done.returncode == 0, done.stderr
    counts = {"products": 120, "dimensions": DIMENSIONS, "says_nothing": 0, "undecodable": 0, "repeated": 0}
    assert json.loads(done.stdout) == {"model": "product", "version": "1", "out": str(out)} | counts
    assert [path.name for path in out.iterdir()] == ["embeddings.parquet"]
    ids, vectors = Catalogue.open(shop, out).embeddings()
    assert ids.tolist() == list(range(1000, 1120))
    assert vectors.shape == (120, DIMENSIONS)
    checked = vitrina_here(monkeypatch, capfd, home, "data", "validate", str(out), "--json")
    assert checked.returncode == 0, checked.stderr
    assert json.loads(checked.stdout)["quarantined"] == {"embeddings": 0}


def test_people_read_what_was_left_out(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    shop = tmp_path / "shop"
    shop.mkdir()
    products = pd.DataFrame({"product_id": ["a", "b", "b", None], "title": ["Nordal blue shirt", "NA", "x", "y"]})
    products.to_parquet(shop / "products.parquet", index=False)
    pd.DataFrame({"product_id": ["a"], "jpeg": [b"no photo"]}).to_parquet(shop / "images.parquet", index=False)
    done = vitrina_here(monkeypatch, capfd, home, "embed", "product", "--data", str(shop), "--out", str(tmp_path / "out"))
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        f"product version 1: 1 products, {DIMENSIONS} dimensions each",
        "1 products left out: no title, description, photo or attribute",
        "1 photos that cannot be decoded: their products are embedded without them",
        "2 rows left out: the id is missing or repeated",
        f"written: {tmp_path / 'out'}; train with it: --data DIR --data {tmp_path / 'out'}",
    ]


def test_bad_input_is_one_line_and_nothing_is_written(refused: Callable[..., str], shop: Path, tmp_path: Path) -> None:
    data, out = str(shop), str(tmp_path / "out")
    line = refused("embed", "recommender@1", "--data", data, "--out", out)
    assert line.startswith("vitrina: model 'recommender' ")
    assert line.endswith("allowed: product")
    assert "exists and is not an empty folder" in refused("embed", "product@1", "--data", data, "--out", data)
    pd.DataFrame({"item_id": [1], "attribute_id": [2]}).to_parquet(tmp_path / "item_attributes.parquet", index=False)
    line = refused("embed", "product@1", "--data", str(tmp_path), "--out", out)
    assert "has no products.parquet; it has: item_attributes" in line
    assert [path.name for path in tmp_path.iterdir()] == ["item_attributes.parquet"]
