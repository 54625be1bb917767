"""Artifacts come back as they were, without pickle, and their hash follows their content."""

from pathlib import Path

import committed
import numpy as np
import pandas as pd
import pytest

from configs.errors import VitrinaError
from steps.materializers import SAFE_SUFFIXES, BundleMaterializer, FrameMaterializer
from steps.results import Bundle


@pytest.fixture
def frame() -> pd.DataFrame:
    return pd.DataFrame({"product_id": [1, 2], "title": ["a,\n", None], "embedding": [[0.5, 1.0], [2.0, 3.0]]})


def test_frame_round_trip(frame: pd.DataFrame, tmp_path: Path) -> None:
    materializer = FrameMaterializer(uri=str(tmp_path))
    materializer.save(frame)
    back = materializer.load(pd.DataFrame)
    pd.testing.assert_frame_equal(back.drop(columns="embedding"), frame.drop(columns="embedding"))
    assert np.stack(back["embedding"].tolist()).tolist() == frame["embedding"].tolist()
    assert [p.name for p in tmp_path.iterdir()] == ["frame.parquet"]


def test_frame_hash_follows_content(frame: pd.DataFrame, tmp_path: Path) -> None:
    materializer = FrameMaterializer(uri=str(tmp_path))
    first = materializer.compute_content_hash(frame)
    assert materializer.compute_content_hash(frame.copy()) == first
    assert materializer.compute_content_hash(frame.assign(product_id=[1, 3])) != first
    assert materializer.compute_content_hash(frame.astype({"product_id": "int32"})) != first


def test_empty_frame_round_trip(tmp_path: Path) -> None:
    materializer = FrameMaterializer(uri=str(tmp_path))
    materializer.save(pd.DataFrame())
    assert materializer.load(pd.DataFrame).empty


def make_bundle(folder: Path) -> Bundle:
    (folder / "nested").mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "nested" / "seen.npy").write_bytes(b"123")
    return Bundle(folder)


def test_bundle_round_trip(tmp_path: Path) -> None:
    materializer = BundleMaterializer(uri=str(tmp_path / "store"))
    bundle = make_bundle(tmp_path / "bundle")
    materializer.save(bundle)
    back = materializer.load(Bundle)
    assert {name: p.read_bytes() for name, p in back.files().items()} == {"config.json": b"{}", "nested/seen.npy": b"123"}
    assert materializer.compute_content_hash(back) == materializer.compute_content_hash(bundle)


def test_a_bundle_inside_a_bundle_comes_back(tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path / "bundle")
    inner = ("model.safetensors", "manifest.json", "seen.npy", "reference.parquet", "card.md", "words.txt", "graphs/photos.onnx")
    for name in inner:
        path = bundle.path / "base" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    materializer = BundleMaterializer(uri=str(tmp_path / "store"))
    materializer.save(bundle)
    back = materializer.load(Bundle).files()
    assert {name: back[f"base/{name}"].read_bytes() for name in inner} == {name: name.encode() for name in inner}
    before = materializer.compute_content_hash(bundle)
    (bundle.path / "base" / "graphs" / "photos.onnx").write_bytes(b"other")
    assert materializer.compute_content_hash(bundle) != before
    (bundle.path / "base" / "run.sh").write_bytes(b"x")
    with pytest.raises(VitrinaError, match=r"base/run\.sh may not be stored"):
        materializer.save(bundle)


@pytest.mark.parametrize("name", ["model.pkl", "model.pt", "run.sh"])
def test_bundle_with_code_is_refused(name: str, tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path / "bundle")
    (bundle.path / name).write_bytes(b"x")
    with pytest.raises(VitrinaError, match=name):
        BundleMaterializer(uri=str(tmp_path / "store")).save(bundle)


def test_whatever_a_committed_bundle_holds_may_be_stored() -> None:
    found = {path.suffix for model in committed.SAID for path in committed.bundle(model).rglob("*") if path.is_file()}
    assert ".png" in found and found <= {*SAFE_SUFFIXES}
