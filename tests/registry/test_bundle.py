import hashlib
import json
import os
from pathlib import Path

import pytest

from registry.bundle import manifest_sha256, verify, write_manifest
from registry.errors import TamperedBundle


@pytest.fixture
def sealed(make_bundle) -> Path:
    bundle = make_bundle()
    write_manifest(bundle)
    return bundle


def rewrite(bundle: Path, change) -> None:
    path = bundle / "manifest.json"
    manifest = json.loads(path.read_text())
    change(manifest["files"])
    path.write_text(json.dumps(manifest))


def test_the_manifest_names_every_file_with_size_and_digest(sealed):
    files = json.loads((sealed / "manifest.json").read_text())["files"]
    assert sorted(files) == ["card.md", "config.json", "model.safetensors", "vocabulary/brand.json"]
    weights = (sealed / "model.safetensors").read_bytes()
    assert files["model.safetensors"] == {"sha256": hashlib.sha256(weights).hexdigest(), "size": 1000}
    assert set(verify(sealed).files) == set(files)


def test_the_same_files_give_the_same_manifest(sealed):
    before = manifest_sha256(sealed)
    write_manifest(sealed)
    assert manifest_sha256(sealed) == before
    assert verify(sealed, before)


def test_a_flipped_bit_is_found(sealed):
    path = sealed / "model.safetensors"
    weights = bytearray(path.read_bytes())
    weights[500] ^= 1
    path.write_bytes(weights)
    with pytest.raises(TamperedBundle, match=r"model\.safetensors has SHA-256 .*, the manifest says"):
        verify(sealed)


def test_a_longer_file_is_found(sealed):
    with (sealed / "config.json").open("a") as file:
        file.write(" ")
    with pytest.raises(TamperedBundle, match=r"config\.json has 19 bytes, the manifest says 18"):
        verify(sealed)


def test_files_that_came_or_went_are_found(sealed):
    (sealed / "vocabulary" / "more.json").write_text("[]")
    with pytest.raises(TamperedBundle, match=r"vocabulary/more\.json is not in the manifest"):
        verify(sealed)
    (sealed / "vocabulary" / "more.json").unlink()
    (sealed / "card.md").unlink()
    with pytest.raises(TamperedBundle, match=r"card\.md is missing"):
        verify(sealed)


def test_files_and_manifest_changed_together_are_found_by_the_registered_digest(sealed):
    registered = manifest_sha256(sealed)
    (sealed / "model.safetensors").write_bytes(b"other weights")
    write_manifest(sealed)
    verify(sealed)
    with pytest.raises(TamperedBundle, match="registered was"):
        verify(sealed, registered)


def test_a_link_is_refused_even_to_the_same_content(sealed, tmp_path):
    outside = tmp_path / "outside"
    os.replace(sealed / "model.safetensors", outside)  # noqa: PTH105
    (sealed / "model.safetensors").symlink_to(outside)
    with pytest.raises(TamperedBundle, match=r"model\.safetensors is not a regular file"):
        verify(sealed)
    with pytest.raises(TamperedBundle, match=r"model\.safetensors is not a regular file"):
        write_manifest(sealed)


def test_a_linked_folder_and_a_linked_manifest_are_refused(sealed, tmp_path):
    os.replace(sealed / "vocabulary", tmp_path / "vocabulary")  # noqa: PTH105
    (sealed / "vocabulary").symlink_to(tmp_path / "vocabulary")
    with pytest.raises(TamperedBundle, match="vocabulary is not a regular file"):
        verify(sealed)
    os.replace(sealed / "manifest.json", tmp_path / "manifest.json")  # noqa: PTH105
    (sealed / "manifest.json").symlink_to(tmp_path / "manifest.json")
    with pytest.raises(TamperedBundle, match=r"has no manifest\.json"):
        verify(sealed)


def test_a_pipe_is_refused_and_does_not_hang(sealed):
    os.mkfifo(sealed / "pipe.json")
    with pytest.raises(TamperedBundle, match=r"pipe\.json is not a regular file"):
        verify(sealed)


ELSEWHERE = [
    "../evil.json",
    "/etc/passwd",
    "a/../../b.json",
    "a//b.json",
    ".hidden",
    "a\\b.json",
    "C:b.json",
    "a\nb.json",
    "",
    ".",
]


@pytest.mark.parametrize("name", ELSEWHERE)
def test_a_manifest_that_points_elsewhere_is_refused(sealed, name):
    rewrite(sealed, lambda files: files.update({name: files["card.md"]}))
    with pytest.raises(TamperedBundle, match="is not a plain relative path"):
        verify(sealed)


@pytest.mark.parametrize("name", ["model.pkl", "model.PT", "weights.bin", "last.ckpt", "sub/x.joblib", "w.pth"])
def test_what_may_hold_pickles_is_neither_sealed_nor_accepted(sealed, name):
    (sealed / name).parent.mkdir(exist_ok=True)
    (sealed / name).write_bytes(b"\x80\x04.")
    with pytest.raises(TamperedBundle, match="may hold pickled code"):
        write_manifest(sealed)
    rewrite(sealed, lambda files: files.update({name: {"sha256": hashlib.sha256(b"\x80\x04.").hexdigest(), "size": 3}}))
    with pytest.raises(TamperedBundle, match="may hold pickled code"):
        verify(sealed)


BAD_DIGEST = '{"files": {"a": {"sha256": "short", "size": 1}}}'
NO_MANIFESTS = ["", "{", "[]", "{}", BAD_DIGEST, '{"files": {}, "more": 1}', "[" * 100_000, "\ufeff{}"]


@pytest.mark.parametrize("text", NO_MANIFESTS)
def test_what_is_no_manifest_is_refused(sealed, text):
    (sealed / "manifest.json").write_text(text, encoding="utf-8")
    with pytest.raises(TamperedBundle, match="is not a manifest"):
        verify(sealed)


def test_an_empty_folder_and_no_folder_are_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(TamperedBundle, match="is empty"):
        write_manifest(tmp_path / "empty")
    with pytest.raises(TamperedBundle, match=r"has no manifest\.json"):
        verify(tmp_path / "empty")
    with pytest.raises(TamperedBundle, match="is not a folder"):
        write_manifest(tmp_path / "nowhere")
