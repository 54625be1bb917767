"""What a model rests on: the champion of another, its files, and whether it still is champion."""

import hashlib
import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from configs.errors import VitrinaError
from models import family
from models.bundles import RESTS_ON, BaseVersion, copy_base, read_base
from registry.bases import base_of, behind, fetch_base
from registry.bundle import manifest_sha256, verify, write_manifest
from registry.errors import RegistryError, TamperedBundle
from registry.fetch import fetch
from registry.promotion import promote
from registry.register import register
from registry.versions import CHAMPION, registered_name, resolve


@pytest.fixture(autouse=True)
def families(monkeypatch):
    """upper rests on product."""
    found = {"product": SimpleNamespace(rests_on=None), "upper": SimpleNamespace(rests_on="product")}
    monkeypatch.setattr(family, "get", found.__getitem__)


@pytest.fixture
def product(settings, make_version):
    """Registers versions of product and promotes the newest."""

    def make():
        version = make_version(settings)
        return promote(settings, "product", version.version, "ana")

    return make


def register_upper(settings, folder: Path, tags):
    return register(
        settings, "upper", folder, metrics={}, config={}, tags={"vitrina.gates": "passed", **tags}, reports={}
    ).version


def resting(settings, make_bundle, seed="upper") -> Path:
    """A bundle of upper with the champion of product inside."""
    folder = make_bundle(seed)
    copy_base(folder, fetch_base(settings, base_of(settings, "upper")))
    return folder


def test_the_base_is_the_champion(settings, product):
    first, second = product(), product()
    found = base_of(settings, "upper")
    assert found == BaseVersion(model="product", version=2, digest=second.tags["vitrina.bundle_sha256"])
    assert first.tags["vitrina.bundle_sha256"] != found.digest
    assert BaseVersion.parse(str(found)) == found
    base = fetch_base(settings, found)
    assert (base.model, base.version, base.digest) == ("product", 2, found.digest)
    assert base.folder == settings.home / "bundles" / "product" / "2"
    assert manifest_sha256(base.folder) == found.digest


def test_a_model_that_rests_on_none_has_no_base(settings):
    assert base_of(settings, "product") is None
    assert behind(settings, "product") is None


def test_without_a_champion_there_is_nothing_to_rest_on(settings, make_version):
    with pytest.raises(RegistryError) as refused:
        base_of(settings, "upper")
    said = "upper rests on product, which has no champion; `vitrina promote product VERSION --reviewer WHO` makes one"
    assert str(refused.value) == said
    assert refused.value.exit_code == 2
    make_version(settings)
    with pytest.raises(RegistryError, match="which has no champion"):
        base_of(settings, "upper")


def test_files_that_differ_from_what_was_found_are_refused(settings, product):
    product()
    found = base_of(settings, "upper")
    other = found.model_copy(update={"digest": "0" * 64})
    with pytest.raises(TamperedBundle, match=r"product@1 is registered with SHA-256 .*…, it was 0{12}…"):
        fetch_base(settings, other)
    with pytest.raises(RegistryError, match="version 9"):
        fetch_base(settings, found.model_copy(update={"version": 9}))
    (fetch_base(settings, found).folder / "model.safetensors").write_bytes(b"evil")
    with pytest.raises(TamperedBundle, match=r"model\.safetensors"):
        fetch_base(settings, found)


@pytest.mark.slow
def test_a_sealed_bundle_inside_a_bundle_is_sealed_file_by_file_and_comes_back(settings, product, make_bundle):
    product()
    folder, base = resting(settings, make_bundle), base_of(settings, "upper")
    write_manifest(folder)
    files = json.loads((folder / "manifest.json").read_text())["files"]
    inner = (folder / "base" / "manifest.json").read_bytes()
    assert files["base/manifest.json"]["sha256"] == hashlib.sha256(inner).hexdigest()
    assert {"base/model.safetensors", "base/vocabulary/brand.json", "base.json", "config.json"} <= set(files)
    number = register_upper(settings, folder, {RESTS_ON: str(base)})
    back = fetch(settings, resolve(settings, f"upper@{number}"))
    assert read_base(back) == base
    assert verify(back / "base", base.digest)  # the copy is what was registered as product
    (back / "base" / "vocabulary" / "brand.json").write_text('["Evil"]')
    with pytest.raises(TamperedBundle, match=r"base/vocabulary/brand\.json"):
        verify(back)


def test_the_copy_of_a_base_can_be_resealed_without_touching_the_cache(settings, product, make_bundle):
    product()
    folder, base = resting(settings, make_bundle), base_of(settings, "upper")
    write_manifest(folder)
    write_manifest(folder / "base")
    assert fetch_base(settings, base).digest == base.digest


@pytest.mark.slow
def test_a_champion_whose_base_moved_on_is_behind(settings, product, make_bundle):
    product()
    tags = {RESTS_ON: str(base_of(settings, "upper"))}
    number = register_upper(settings, resting(settings, make_bundle), tags)
    assert behind(settings, "upper") is None  # no champion
    promote(settings, "upper", number, "ana")
    assert behind(settings, "upper") is None
    product()
    said = "upper version 1 rests on product version 1; champion is 2: `vitrina train upper` follows it"
    assert behind(settings, "upper") == said


@pytest.mark.slow
def test_a_champion_whose_base_has_no_champion_or_is_not_named_is_told(settings, product, make_bundle):
    from mlflow import MlflowClient

    product()
    bundle = resting(settings, make_bundle)
    promote(settings, "upper", register_upper(settings, bundle, {}), "ana")
    said = "upper version 1 does not say what it rests on: `vitrina train upper` makes one that does"
    assert behind(settings, "upper") == said
    tags = {RESTS_ON: str(base_of(settings, "upper")), "vitrina.config": "other"}
    promote(settings, "upper", register_upper(settings, bundle, tags), "ana")
    MlflowClient(settings.tracking_uri).delete_registered_model_alias(registered_name("product"), CHAMPION)
    assert behind(settings, "upper") == (
        "upper version 2 rests on product version 1; product has no champion: "
        "`vitrina promote product VERSION --reviewer WHO` makes one"
    )


@pytest.mark.parametrize("text", ["", "product", "product@3", "product@x " + "d" * 64, "product@3 short"])
def test_a_tag_that_nobody_of_us_wrote_is_refused(text):
    with pytest.raises(VitrinaError, match="does not name what a version rests on; allowed: MODEL@VERSION SHA-256"):
        BaseVersion.parse(text)
