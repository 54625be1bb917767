import concurrent.futures
from pathlib import Path

import pytest
from mlflow import MlflowClient

from registry.errors import RegistryError, TamperedBundle
from registry.fetch import fetch
from registry.versions import resolve


def stored(settings, version) -> Path:
    return settings.artifact_root / "vitrina-product" / version.run_id / "artifacts" / "bundle"


def left_in_cache(settings) -> list[str]:
    return sorted(p.name for p in (settings.home / "bundles" / "product").iterdir())


def test_a_bundle_comes_back_as_it_was_registered(settings, make_version, tmp_path):
    version = make_version(settings)
    folder = fetch(settings, version)
    assert folder == settings.home / "bundles" / "product" / "1"
    original = tmp_path / "work" / "bundle-0"
    for path in original.rglob("*"):
        if path.is_file():
            assert (folder / path.relative_to(original)).read_bytes() == path.read_bytes()
    assert fetch(settings, version, cache=tmp_path / "cache") == tmp_path / "cache" / "product" / "1"
    assert left_in_cache(settings) == ["1"]


def test_a_cached_copy_needs_no_store_and_is_verified_again(settings, make_version):
    version = make_version(settings)
    folder = fetch(settings, version)
    (stored(settings, version) / "config.json").unlink()
    assert fetch(settings, version) == folder
    (folder / "config.json").write_text('{"preset": "evil"}')
    with pytest.raises(TamperedBundle, match=r"config\.json has SHA-256 .* delete .*/bundles/product/1 and it is fetched anew"):
        fetch(settings, version)


@pytest.mark.parametrize(
    ("tamper", "said"),
    [
        (lambda b: (b / "model.safetensors").write_bytes(b"1" * 1000), r"product@1: model\.safetensors has SHA-256"),
        (lambda b: (b / "extra.json").write_text("{}"), r"product@1: extra\.json is not in the manifest"),
        (lambda b: (b / "extra.pkl").write_text(""), r"product@1: extra\.pkl may hold pickled code"),
        (lambda b: (b / "manifest.json").unlink(), r"product@1 has no manifest\.json"),
        (lambda b: (b / "manifest.json").write_text('{"files": {}}'), "registered was"),
        (lambda b: (b / "card.md").unlink(), r"product@1: card\.md is missing"),
    ],
)
def test_what_was_tampered_with_in_the_store_never_reaches_the_cache(settings, make_version, tamper, said):
    version = make_version(settings)
    tamper(stored(settings, version))
    with pytest.raises(TamperedBundle, match=said):
        fetch(settings, version)
    assert left_in_cache(settings) == []


def test_a_link_in_the_store_brings_in_no_other_file(settings, make_version, tmp_path):
    version = make_version(settings)
    secret = tmp_path / "secret"
    secret.write_text("s3cret")
    (stored(settings, version) / "card.md").unlink()
    (stored(settings, version) / "card.md").symlink_to(secret)
    with pytest.raises(RegistryError):  # MLflow refuses to read the link before the manifest is looked at
        fetch(settings, version)
    assert left_in_cache(settings) == []


def test_a_version_that_somebody_else_registered_is_not_loaded(settings, make_version):
    run_id = make_version(settings).run_id
    client = MlflowClient(settings.tracking_uri)
    client.create_model_version("vitrina-product", f"runs:/{run_id}/bundle", run_id=run_id)
    with pytest.raises(RegistryError, match=r"product@2 has no tag vitrina\.bundle_sha256"):
        fetch(settings, resolve(settings, "product@2"))


def test_many_that_fetch_at_once_share_one_copy(settings, make_version):
    version = make_version(settings)
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        folders = set(pool.map(lambda _: fetch(settings, version), range(6)))
    assert folders == {settings.home / "bundles" / "product" / "1"}
    assert left_in_cache(settings) == ["1"]


def test_a_cache_that_cannot_be_written_is_named(settings, make_version, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RegistryError, match="cannot fetch product@1 into"):
        fetch(settings, make_version(settings), cache=tmp_path / "file")
