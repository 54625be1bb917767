"""A process holds a bundle once, however often it is loaded and wherever a copy of it lies."""

import gc
import threading
import weakref
from pathlib import Path

import committed
import pytest

from configs.errors import ConfigError, VitrinaError
from models import family
from models.family import Predictor


class Slow:
    """A family that takes its time to load."""

    def __init__(self) -> None:
        self.loaded: list[tuple[Path, str]] = []
        self.together = threading.Barrier(4)

    def load(self, folder: Path, device: str) -> Predictor:
        self.loaded.append((folder, device))
        threading.Event().wait(0.05)
        return Named()


class Named:
    name = "slow"


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Slow:
    made = Slow()
    monkeypatch.setattr(family, "get", lambda name: made)
    return made


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "bundle" / "base").mkdir(parents=True)
    (tmp_path / "bundle" / "config.json").write_text("{}")
    (tmp_path / "bundle" / "base" / "config.json").write_text("{}")
    return tmp_path / "bundle"


def test_a_bundle_and_its_copy_are_one_predictor(tmp_path: Path) -> None:
    first = family.load("product", committed.bundle("product"), "cpu")
    assert family.load("product", committed.bundle("product"), "cpu") is first
    copy = committed.copied("product", tmp_path / "base")
    assert family.load("product", copy, "cpu") is first
    (copy / "card.md").write_text("# Another card")
    other = family.load("product", copy, "cpu")
    assert other is not first
    assert other.name == first.name == "product"


def test_another_model_or_device_is_another_predictor(slow: Slow, folder: Path) -> None:
    held = [family.load(model, folder, device) for model in ("a", "b") for device in ("cpu", "auto")]
    assert len(set(map(id, held))) == len(slow.loaded) == 4
    (folder / "base" / "config.json").write_text('{"a": 1}')
    assert family.load("a", folder, "cpu") not in held


def test_a_predictor_that_nobody_holds_is_freed(slow: Slow, folder: Path) -> None:
    seen = weakref.ref(family.load("a", folder))
    gc.collect()
    assert seen() is None
    assert family.load("a", folder).name == "slow"
    assert len(slow.loaded) == 2


def test_those_who_load_at_once_get_the_same(slow: Slow, folder: Path) -> None:
    found: list[Predictor] = []

    def load() -> None:
        slow.together.wait(60)
        found.append(family.load("a", folder))

    threads = [threading.Thread(target=load) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(found) == 4
    assert len(set(map(id, found))) == len(slow.loaded) == 1


def test_a_model_that_rests_on_another_loads_it_while_it_is_loaded(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Resting(Named):
        def __init__(self, base: Predictor) -> None:
            self.under = base

    class Upper:
        def load(self, bundle: Path, device: str) -> Predictor:
            return Resting(family.load("lower", bundle / "base", device))

    families = {"upper": Upper(), "lower": Slow()}
    monkeypatch.setattr(family, "get", families.__getitem__)
    lower = family.load("lower", folder / "base")
    upper = family.load("upper", folder)
    assert isinstance(upper, Resting)
    assert upper.under is lower


def test_what_cannot_be_loaded_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="model 'nothing' does not exist; allowed: "):
        family.load("nothing", tmp_path)
    with pytest.raises(VitrinaError, match="missing is not a folder"):
        family.load("product", tmp_path / "missing")
