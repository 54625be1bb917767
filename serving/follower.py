"""Each worker follows the registry by itself: a moved champion is loaded beside the old one, swapped in, the old drained.

Challengers, where they are served, are followed after all champions, by the same thread; one that is none any more is freed.

A look that fails, whatever the reason, leaves what is served as it is; the reason stands in /readyz and the metrics.
"""

import gc
import logging
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from configs.errors import VitrinaError
from models.family import Predictor
from registry.versions import CHAMPION
from serving.search.index import Index
from serving.slots import Loaded, Slot

logger = logging.getLogger(__name__)

MAX_BACKOFF_SECONDS = 60.0


class Source(Protocol):
    """Where versions come from."""

    def champion(self, model: str) -> int:
        """The version that should answer; cheap. Raises VitrinaError where there is none or nobody to ask."""
        ...

    def challenger(self, model: str) -> int | None:
        """The version that a reviewer may promote next, likewise; None where there is none."""
        ...

    def load(self, model: str, version: int) -> Predictor:
        """The warmed-up predictor of a version whose files were verified."""
        ...

    def digest(self, model: str, version: int) -> str:
        """Of the bundle of a version that was loaded."""
        ...

    def index(self, model: str, version: int) -> Index | None:
        """The index that was registered with a version that was loaded; None where there is none."""
        ...

    def settled(self, model: str) -> None:
        """The worker answers with another version than before: bring the ledger up to date."""
        ...


class Follower:
    """A thread that asks `source` every `poll_seconds` which version each slot should answer with, and follows.

    A version that fails to load is tried again after 2, 4, 8 … polls, at most `MAX_BACKOFF_SECONDS` apart.

    Args:
        challengers: Slots whose alias is the challenger; of them `before_swap` is told, and nobody else.
        clock: Seconds that never go back, by which a failed version is tried again.
        before_swap: Told (slot, what was loaded for it); what it does belongs to the load.
        on_swap: Told (model, old version or None, new version).
        on_failure: Told the model of every failed look or load.
        on_look: Told (model, stale) after every look.
        on_load: Told (model, whether a version of it is being loaded).
    """

    def __init__(
        self,
        source: Source,
        slots: Mapping[str, Slot],
        *,
        poll_seconds: float,
        drain_seconds: float,
        challengers: Mapping[str, Slot] | None = None,
        clock: Callable[[], float] = time.monotonic,
        before_swap: Callable[[Slot, Loaded], None] = lambda *_: None,
        on_swap: Callable[[str, int | None, int], None] = lambda *_: None,
        on_failure: Callable[[str], None] = lambda _: None,
        on_look: Callable[[str, bool], None] = lambda *_: None,
        on_load: Callable[[str, bool], None] = lambda *_: None,
    ) -> None:
        self._source = source
        self._slots, self._challengers = slots, challengers or {}
        self._poll = poll_seconds
        self._drain = drain_seconds
        self._clock = clock
        self._before_swap = before_swap
        self._on_swap, self._on_failure, self._on_look, self._on_load = on_swap, on_failure, on_look, on_load
        self._failed: dict[Slot, tuple[int, int, float]] = {}  # its version, failed loads of it, time of the next try
        self._unsettled: set[str] = set()
        self._frozen = False
        self._stopped, self._looked = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._follow, name="follower", daemon=True)
        self._looks = ThreadPoolExecutor(1, thread_name_prefix="look")

    def start(self) -> None:
        """Begin to follow."""
        self._thread.start()

    def stop(self) -> None:
        """Stop after the look in progress; does not wait for it."""
        self._stopped.set()

    def wait(self) -> None:
        """Until the first look at champions is over: every model is loaded, or its slot says why not."""
        self._looked.wait()

    def look(self) -> None:
        """Ask once for every model, and follow where a champion or a challenger moved."""
        self._look_at(self._slots)
        self._look_at(self._challengers)

    def _look_at(self, slots: Mapping[str, Slot]) -> None:
        for slot in slots.values():
            # The future is the boundary at which any failure of a look becomes a state of the slot.
            error = self._looks.submit(self._look, slot).exception()
            if error is not None:
                reason = " ".join(str(error).split()) or type(error).__name__
                if reason != slot.error and not slot.unpromoted:
                    unforeseen = None if isinstance(error, VitrinaError) else error
                    what = "model" if _is_champions(slot) else "challenger of model"
                    logger.error("%s %s stays on version %s: %s", what, slot.name, slot.version, reason, exc_info=unforeseen)
                slot.error = reason
                if not slot.unpromoted and _is_champions(slot):
                    self._on_failure(slot.name)
            if _is_champions(slot):
                self._on_look(slot.name, slot.stale)

    def _follow(self) -> None:
        while not self._stopped.is_set():
            self._look_at(self._slots)
            self._looked.set()
            self._look_at(self._challengers)
            self._stopped.wait(self._poll)
        self._looks.shutdown(wait=False)

    def _look(self, slot: Slot) -> None:
        ask = self._source.champion if _is_champions(slot) else self._source.challenger
        slot.wanted = version = ask(slot.name)
        if version is None:
            if slot.version is not None:
                logger.info("model %s has no challenger any more", slot.name)
                self._swap(slot, None)
        elif version != slot.version:
            failed, _, next_try = self._failed.get(slot, (0, 0, 0.0))
            if failed == version and self._clock() < next_try:
                return
            self._load(slot, version)
        if _is_champions(slot) and slot.name in self._unsettled:
            self._source.settled(slot.name)
            self._unsettled.discard(slot.name)
        slot.error = None

    def _load(self, slot: Slot, version: int) -> None:
        failed, times, _ = self._failed.get(slot, (version, 0, 0.0))
        times = times + 1 if failed == version else 1
        self._failed[slot] = (version, times, self._clock() + min(self._poll * 2**times, MAX_BACKOFF_SECONDS))
        self._freeze()
        of_champions = _is_champions(slot)
        if of_champions:
            self._on_load(slot.name, True)
        try:
            new = Loaded(version, self._source.load(slot.name, version), digest=self._source.digest(slot.name, version))
            self._before_swap(slot, new)
        finally:
            if of_champions:
                self._on_load(slot.name, False)
        del self._failed[slot]
        if of_champions:
            self._unsettled.add(slot.name)
        logger.info("model %s answers with version %s%s", slot.name, version, "" if of_champions else " as its challenger")
        self._swap(slot, new)

    def _swap(self, slot: Slot, new: Loaded | None) -> None:
        """Let `new`, or nothing, answer, and free what it replaces when nobody computes with that any more."""
        old = slot.swap(new)
        if new is not None and _is_champions(slot):
            self._on_swap(slot.name, old.version if old else None, new.version)
        if old is not None and not slot.drained(old, self._drain):
            logger.warning(
                "model %s version %s still computes after %g s; it is freed when it is done", slot.name, old.version, self._drain
            )
        del old
        gc.collect()  # a model may refer to itself; walks little, see _freeze

    def _freeze(self) -> None:
        """Keep the collector from walking what the imports left, some 10^6 objects: its walks are the latency tail.

        Models come later and stay out of it, so that a replaced one can be collected.
        """
        if not self._frozen:
            gc.collect()
            gc.freeze()
            self._frozen = True


def _is_champions(slot: Slot) -> bool:
    return slot.alias == CHAMPION
