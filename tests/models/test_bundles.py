"""A bundle is there whole, or not at all."""

import errno
import json
import os
import shutil
from pathlib import Path

import committed
import pandas as pd
import pytest

from configs.errors import VitrinaError
from models.bundles import (
    BASE,
    INDEX,
    BaseVersion,
    content_sha256,
    copy_base,
    count_seen,
    digests,
    new_bundle,
    read_base,
    save_card,
    save_reference,
    save_seen,
)
from models.family import Base


def test_a_bundle_takes_its_place_when_it_is_whole(tmp_path: Path) -> None:
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle" / "old.json").write_text("{}")
    (tmp_path / "bundle.partial").mkdir()
    (tmp_path / "bundle.partial" / "of a killed run").write_text("")
    with new_bundle(tmp_path) as folder:
        assert list(folder.iterdir()) == []
        assert not (tmp_path / "bundle").exists()
        save_reference(folder, [{"price": 1.0}, {"price": None}], {"numerical": ["price"]})
        save_card(folder, "# Card")
    assert not folder.exists()
    bundle = tmp_path / "bundle"
    assert {path.name for path in bundle.iterdir()} == {"reference.parquet", "reference.json", "card.md"}
    assert pd.read_parquet(bundle / "reference.parquet")["price"].tolist()[0] == 1.0
    assert json.loads((bundle / "reference.json").read_text()) == {"numerical": ["price"]}


def test_a_bundle_that_fails_leaves_none(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="disk full"), new_bundle(tmp_path):
        raise OSError("disk full")
    assert not (tmp_path / "bundle").exists()


@pytest.fixture
def base(tmp_path: Path) -> Base:
    """A bundle with a folder inside."""
    folder = committed.copied("product", tmp_path / "product")
    (folder / "graphs").mkdir()
    (folder / "graphs" / "photos.onnx").write_bytes(b"graph")
    return Base("product", 3, "d" * 64, folder)


@pytest.mark.parametrize("linked", [True, False])
def test_a_base_lies_whole_in_the_bundle_that_rests_on_it(
    base: Base, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, linked: bool
) -> None:
    def elsewhere(source: str, target: str) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    if not linked:
        monkeypatch.setattr(os, "link", elsewhere)
    with new_bundle(tmp_path) as folder:
        copy_base(folder, base)
    copy = tmp_path / "bundle" / BASE
    assert content_sha256(copy) == content_sha256(base.folder)
    assert (copy / "graphs" / "photos.onnx").samefile(base.folder / "graphs" / "photos.onnx") == linked
    assert read_base(tmp_path / "bundle") == BaseVersion(model="product", version=3, digest="d" * 64)
    assert str(read_base(tmp_path / "bundle")) == "product@3 " + "d" * 64


def test_the_index_of_a_base_is_not_copied_and_changes_no_digest(base: Base, tmp_path: Path) -> None:
    before = content_sha256(base.folder)
    for folder in (INDEX, f"graphs/{INDEX}"):
        (base.folder / folder).mkdir()
        (base.folder / folder / "vectors.npy").write_text("1")
    whole = content_sha256(base.folder)
    assert whole != before  # for what is called so further inside is no index
    shutil.rmtree(base.folder / INDEX)
    assert content_sha256(base.folder) == whole
    (base.folder / INDEX).mkdir()
    with new_bundle(tmp_path) as folder:
        copy_base(folder, base)
    copy = tmp_path / "bundle" / BASE
    assert not (copy / INDEX).exists()
    assert (copy / "graphs" / INDEX / "vectors.npy").is_file()
    assert content_sha256(copy) == whole


@pytest.mark.parametrize(
    ("text", "message"),
    [(None, r"cannot read .*base\.json"), ("{}", r"base\.json: model: Field required"), ("no", r"base\.json: \(whole file\)")],
)
def test_a_bundle_that_does_not_say_what_it_rests_on_is_refused(tmp_path: Path, text: str | None, message: str) -> None:
    if text is not None:
        (tmp_path / "base.json").write_text(text)
    with pytest.raises(VitrinaError, match=message):
        read_base(tmp_path)


def test_a_digest_follows_names_and_contents(tmp_path: Path) -> None:
    def digest(**files: str) -> str:
        folder = tmp_path / f"bundle-{len(list(tmp_path.iterdir()))}"
        for name, text in files.items():
            path = folder / name.replace("_", "/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return content_sha256(folder)

    first = digest(a="1", base_a="2")
    assert digest(base_a="2", a="1") == first
    others = [digest(a="2", base_a="1"), digest(a="1", base_b="2"), digest(a="1", base_a="3"), digest(a="1", base_a="2", c="")]
    assert len({first, *others}) == 5
    with pytest.raises(VitrinaError, match="nowhere is not a folder"):
        content_sha256(tmp_path / "nowhere")


def test_rows_are_counted_that_a_bundle_or_its_base_has_seen(tmp_path: Path) -> None:
    (tmp_path / "base").mkdir()
    keys = digests(range(6), "abcdef")
    save_seen(tmp_path, keys[:2])
    save_seen(tmp_path / "base", keys[1:4])
    assert count_seen(keys, tmp_path) == 2
    assert count_seen(keys, tmp_path, tmp_path / "base") == 4
    assert count_seen(keys[4:], tmp_path, tmp_path / "base") == count_seen(keys[:0], tmp_path) == 0
