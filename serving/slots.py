"""What a worker serves of each model: the loaded version, swapped as one reference, and what is known about it."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from models.family import Predictor, RestsOnBase
from registry.versions import CHAMPION
from serving.errors import ApiError, NoChallenger, Unavailable
from serving.schemas import ModelState, Served

if TYPE_CHECKING:
    from serving.search.searcher import Searcher

SEARCHES = ("similar",)
"""Methods that are asked of the searcher of a version."""


@dataclass
class Loaded:
    """One version in memory. `users` counts the batches that compute with it now.

    Attributes:
        digest: Of its bundle: in a registry begun anew another bundle has its number.
        searcher: That finds products with it; None where the model's routes ask for none.
    """

    version: int
    predictor: Predictor
    loaded_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    users: int = 0
    searcher: "Searcher | None" = None
    digest: str = ""

    def ask(self, method: str, items: Sequence[Any]) -> Sequence[Any]:
        """What a method of the predictor, or of the searcher, answers to `items`."""
        asked: Any = self.searcher if method in SEARCHES else self.predictor
        answers: Sequence[Any] = getattr(asked, method)(items)
        return answers


@dataclass(frozen=True)
class Answer:
    """A model's own prediction, and the version that computed it, with the digest of its bundle."""

    prediction: Any
    version: int
    digest: str = ""


class Slot:
    """The place of one model. Thread-safe: the follower writes, batches read.

    Attributes:
        alias: Of the version that answers here.
        wanted: The version that the alias points at, when last asked.
    """

    def __init__(self, name: str, awaited: bool = True, alias: str = CHAMPION) -> None:
        self.name, self.alias = name, alias
        self.awaited = awaited
        self.wanted: int | None = None
        self.error: str | None = None
        self._loaded: Loaded | None = None
        self._changed = threading.Condition()

    @property
    def version(self) -> int | None:
        """The version that answers now."""
        loaded = self._loaded
        return loaded.version if loaded else None

    @property
    def answering(self) -> tuple[int, str] | None:
        """That version and the digest of its bundle, of one moment; None where nothing is loaded here."""
        loaded = self._loaded
        return (loaded.version, loaded.digest) if loaded else None

    @property
    def predictor(self) -> Predictor:
        """The predictor of that version; a batch may be answered by the one that follows it.

        Raises:
            Unavailable: nothing is loaded yet.
        """
        loaded = self._loaded
        if loaded is None:
            raise self._not_ready()
        return loaded.predictor

    @property
    def searcher(self) -> "Searcher":
        """The searcher of that version, likewise.

        Raises:
            Unavailable: nothing is loaded yet.
        """
        loaded = self._loaded
        if loaded is None:
            raise self._not_ready()
        assert loaded.searcher is not None, f"no route of {self.name} searches"
        return loaded.searcher

    @property
    def unpromoted(self) -> bool:
        """Whether nobody waits for it: it has had no champion since the service started."""
        return not self.awaited and self.wanted is None and self.version is None

    @property
    def stale(self) -> bool:
        """Whether what answers may not be what the registry wants."""
        if self.unpromoted:
            return False
        return self.error is not None or self.wanted is None or self.version != self.wanted

    def swap(self, new: Loaded | None) -> Loaded | None:
        """Answer with `new` from the next batch on, or with nothing; returns what it replaces."""
        with self._changed:
            old, self._loaded = self._loaded, new
        return old

    def drained(self, old: Loaded, timeout: float) -> bool:
        """Wait until no batch computes with `old`; False when `timeout` seconds were not enough."""
        with self._changed:
            return self._changed.wait_for(lambda: old.users == 0, timeout)

    def predict(self, items: Sequence[Any], method: str = "predict") -> list[Answer]:
        """Answers of one and the same version for all `items`, by a method of the predictor that gives one an item.

        Raises:
            Unavailable: nothing is loaded yet.
        """
        with self._held() as loaded:
            return [Answer(prediction, loaded.version, loaded.digest) for prediction in loaded.ask(method, items)]

    @contextmanager
    def _held(self) -> Iterator[Loaded]:
        with self._changed:
            loaded = self._loaded
            if loaded is None:
                raise self._not_ready()
            loaded.users += 1
        try:
            yield loaded
        finally:
            with self._changed:
                loaded.users -= 1
                self._changed.notify_all()

    def _not_ready(self) -> ApiError:
        if self.alias != CHAMPION:
            return NoChallenger.of(self.name)
        return Unavailable("not_ready", f"model {self.name} cannot answer yet; /readyz says why", retry_after_seconds=5)

    def state(self, challenger: int | None = None) -> ModelState:
        """For /readyz and /v1/models, with the version that answers as its challenger."""
        loaded = self._loaded
        base = loaded.predictor.base if loaded and isinstance(loaded.predictor, RestsOnBase) else None
        return ModelState(
            name=self.name,
            version=loaded.version if loaded else None,
            champion=self.wanted,
            stale=self.stale,
            loaded_at=loaded.loaded_at.isoformat(timespec="seconds") if loaded else None,
            last_error=self.error,
            rests_on=Served(name=base.model, version=base.version) if base else None,
            challenger=challenger,
        )
