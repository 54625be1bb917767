import gc
import threading
import weakref

import pytest

from configs.errors import VitrinaError
from serving.errors import Unavailable
from serving.follower import Follower
from serving.slots import Slot


class Predictor:
    def __init__(self, version):
        self.version = version

    def predict(self, listings):
        return [f"{listing} by {self.version}" for listing in listings]


class Source:
    """A registry in memory."""

    def __init__(self):
        self.at = 1
        self.broken = {}
        self.loads = []
        self.settlements = 0

    def champion(self, model):
        if self.at is None:
            raise VitrinaError("product has no champion")
        return self.at

    def load(self, model, version):
        self.loads.append(version)
        if version in self.broken:
            raise self.broken[version]
        return Predictor(version)

    def digest(self, model, version):
        return f"{model} {version}"

    def settled(self, model):
        self.settlements += 1


class Clock:
    """Seconds that a test says have passed."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


class Log(list):
    def swap(self, *event):
        self.append(event)


@pytest.fixture(scope="module", autouse=True)
def freed():
    """What a follower froze is the collector's again for the tests of other modules."""
    yield
    gc.unfreeze()


@pytest.fixture
def parts():
    source, slot, swaps, failures = Source(), Slot("product"), Log(), []
    follower = Follower(
        source, {"product": slot}, poll_seconds=0.01, drain_seconds=0.2, on_swap=swaps.swap, on_failure=failures.append
    )
    yield source, slot, follower, swaps, failures
    follower.stop()


def test_loads_the_champion_and_follows_it(parts):
    source, slot, follower, swaps, failures = parts
    with pytest.raises(Unavailable, match="cannot answer yet"):
        slot.predict(["shirt"])
    follower.look()
    assert slot.predict(["shirt"])[0].prediction == "shirt by 1"
    source.at = 2
    follower.look()
    follower.look()
    answer = slot.predict(["shirt"])[0]
    assert (answer.prediction, answer.version) == ("shirt by 2", 2)
    assert swaps == [("product", None, 1), ("product", 1, 2)]
    assert (source.loads, source.settlements, failures) == ([1, 2], 2, [])
    assert not slot.stale


@pytest.mark.parametrize(
    "error", [VitrinaError("model.safetensors: hash differs"), RuntimeError("size mismatch"), KeyError("width")]
)
def test_a_version_that_cannot_load_leaves_the_old_one_and_says_so(parts, error):
    source, slot, follower, _, failures = parts
    follower.look()
    source.at, source.broken[2] = 2, error
    follower.look()
    assert slot.predict(["shirt"])[0].version == 1
    state = slot.state()
    assert (state.version, state.champion, state.stale) == (1, 2, True)
    assert str(error).strip("'") in state.last_error
    assert failures == ["product"]
    source.at = 1  # the reviewer rolled back
    follower.look()
    assert slot.state().last_error is None
    assert not slot.stale


def test_a_failing_version_is_tried_again_ever_less_often():
    source, slot, clock = Source(), Slot("product"), Clock()
    follower = Follower(source, {"product": slot}, poll_seconds=5, drain_seconds=0.2, clock=clock)
    source.broken[1] = OSError("disk full")
    tries = []
    for clock.now in range(0, 301, 5):
        follower.look()
        tries += [clock.now] * (len(source.loads) - len(tries))
    assert tries == [0, 10, 30, 70, 130, 190, 250]  # after 2, 4 and 8 polls, then every MAX_BACKOFF_SECONDS
    assert "disk full" in slot.error
    source.at = 2  # another version does not wait
    follower.look()
    assert slot.version == 2
    assert slot.error is None


def test_a_registry_that_is_away_leaves_what_is_served(parts):
    source, slot, follower, _, failures = parts
    follower.look()
    source.at = None
    follower.look()
    assert slot.predict(["shirt"])[0].version == 1
    assert slot.stale
    assert slot.error == "product has no champion"
    assert failures == ["product"]


def test_the_ledger_is_tried_again_when_it_failed(parts, monkeypatch):
    source, slot, follower, _, _ = parts
    calls = []

    def settled(model):
        calls.append(model)
        if len(calls) == 1:
            raise VitrinaError("database is locked")

    monkeypatch.setattr(source, "settled", settled)
    follower.look()
    assert slot.version == 1
    assert slot.error == "database is locked"
    follower.look()
    follower.look()
    assert len(calls) == 2
    assert slot.error is None


def test_a_batch_in_flight_ends_on_the_version_it_began_with(parts):
    source, slot, follower, _, _ = parts
    follower.look()
    begun, go_on = threading.Event(), threading.Event()
    predictor = slot._loaded.predictor

    def slow(listings):
        begun.set()
        assert go_on.wait(60)
        return [f"{listing} by 1" for listing in listings]

    predictor.predict = slow
    answers = []
    thread = threading.Thread(target=lambda: answers.extend(slot.predict(["shirt"])))
    thread.start()
    assert begun.wait(60)
    old = slot._loaded
    source.at = 2
    follower.look()  # swaps, waits drain_seconds for the old one, goes on
    assert slot.predict(["shirt"])[0].version == 2
    assert not slot.drained(old, 0)
    go_on.set()
    thread.join(60)
    assert (answers[0].prediction, answers[0].version) == ("shirt by 1", 1)
    assert slot.drained(old, 1)


def test_a_replaced_version_is_freed_even_when_it_refers_to_itself(parts):
    source, slot, follower, _, _ = parts
    follower.look()
    slot._loaded.predictor.me = slot._loaded.predictor
    gone = weakref.ref(slot._loaded.predictor)
    source.at = 2
    follower.look()
    assert gone() is None


def test_the_thread_follows_by_itself(parts):
    source, _, follower, _, _ = parts
    seen = threading.Event()
    follower._on_swap = lambda model, old, new: new == 2 and seen.set()
    follower.start()
    source.at = 2
    assert seen.wait(60)
    follower.stop()
    follower._thread.join(60)
    assert not follower._thread.is_alive()


def test_a_model_that_was_never_promoted_raises_no_alarm_and_is_served_from_its_first_champion_on():
    source, slot, failures, stale = Source(), Slot("product", awaited=False), [], []
    follower = Follower(
        source,
        {"product": slot},
        poll_seconds=0.01,
        drain_seconds=0.2,
        on_failure=failures.append,
        on_look=lambda _, found: stale.append(found),
    )
    source.at = None
    follower.look()
    assert (slot.unpromoted, slot.error) == (True, "product has no champion")
    assert (failures, stale) == ([], [False])
    source.at = 1
    follower.look()
    assert slot.predict(["shirt"])[0].version == 1
    source.at = None  # its champion is taken away: from now on it is missed
    follower.look()
    assert (slot.unpromoted, failures, stale) == (False, ["product"], [False, False, True])
    follower.stop()
