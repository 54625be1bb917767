"""Where a worker's versions come from: what is loaded twice is held once, and what was changed is not loaded."""

import committed
import pytest

from configs.schema import ServingConfig
from models import family
from models.bundles import BaseVersion
from registry.bundle import write_manifest
from registry.errors import TamperedBundle
from registry.promotion import promote
from registry.register import register
from serving.slots import Loaded, Slot
from serving.source import PackedSource, RegistrySource, with_packed


def test_a_packed_bundle_and_its_copy_are_one_predictor(tmp_path):
    packed = committed.copied("product", tmp_path / "packed" / "product" / "3")
    write_manifest(packed)
    source = PackedSource(tmp_path / "packed")
    assert source.champion("product") == 3
    found = source.load("product", 3)
    copy = committed.copied("product", tmp_path / "upper" / "base")
    write_manifest(copy)
    assert family.load("product", copy) is found
    (packed / "card.md").write_text("# Another")
    with pytest.raises(TamperedBundle, match=r"card\.md"):
        source.load("product", 3)


@pytest.mark.slow
def test_a_registered_bundle_and_its_copy_are_one_predictor(settings, trained_bundle, tmp_path):
    register(settings, "product", trained_bundle, metrics={}, config={}, tags={"vitrina.gates": "passed"}, reports={})
    promote(settings, "product", 1, "me")
    source = RegistrySource(settings)
    found = source.load("product", source.champion("product"))
    assert family.load("product", trained_bundle) is found  # which registering has sealed


@pytest.mark.parametrize(
    ("named", "served"), [({}, ("quality", "recommender")), ({"models": ["describer"]}, ("describer",)), ({"models": []}, ())]
)
def test_what_was_packed_is_served_where_no_model_is_named(tmp_path, named, served):
    for model in ("recommender", "quality"):
        (tmp_path / "packed" / model / "3").mkdir(parents=True)
    assert with_packed(ServingConfig.model_validate(named), tmp_path / "packed").models == served


def test_without_packed_bundles_the_configuration_stays(tmp_path):
    assert with_packed(ServingConfig(), tmp_path / "packed") == ServingConfig()


class Resting:
    name = "upper"
    base = BaseVersion(model="product", version=3, digest="d" * 64)


class Standing:
    name = "product"


def test_a_slot_tells_what_its_version_rests_on():
    slot = Slot("upper")
    assert slot.state().rests_on is None
    slot.swap(Loaded(2, Resting()))
    state = slot.state()
    assert (state.version, state.rests_on.name, state.rests_on.version) == (2, "product", 3)
    slot.swap(Loaded(1, Standing()))
    assert slot.state().rests_on is None
