"""The version that a job is answered with, loaded when it is needed; a worker holds one at a time."""

import gc
import threading
import time
from collections.abc import Callable
from typing import Protocol

from models.family import Predictor
from registry.errors import RegistryError, RegistryUnreachable
from serving.kinds import Kind
from serving.slots import Loaded


class Source(Protocol):
    """Where versions come from."""

    def champion(self, model: str) -> int:
        """The version that should answer. Raises VitrinaError where there is none or nobody to ask."""
        ...

    def load(self, model: str, version: int) -> Predictor:
        """The warmed-up predictor of a version whose files were verified."""
        ...

    def digest(self, model: str, version: int) -> str:
        """Of the bundle of a version that was loaded."""
        ...


class Models:
    """What a worker computes with. Thread-safe; a version is freed when another is needed, or nobody asked for it for a while."""

    def __init__(self, source: Source, clock: Callable[[], float] = time.monotonic) -> None:
        self._source = source
        self._clock = clock
        self._lock = threading.Lock()
        self._held: tuple[str, Loaded] | None = None
        self._used = clock()

    def choose(self, kind: Kind) -> tuple[str, int]:
        """Model and version that a job of this kind begins with: the champion, or that of its stand-in while it has none.

        Raises:
            RegistryError: neither has a champion, or the registry does not answer.
        """
        try:
            return kind.model, self._source.champion(kind.model)
        except RegistryUnreachable:
            raise
        except RegistryError:
            if kind.stand_in is None:
                raise
            return kind.stand_in, self._source.champion(kind.stand_in)

    def loaded(self, model: str, version: int) -> Loaded:
        """A version, ready to answer.

        Raises:
            VitrinaError: it cannot be fetched or read.
        """
        with self._lock:
            self._used = self._clock()
            if self._held is None or (self._held[0], self._held[1].version) != (model, version):
                self._free()
                predictor = self._source.load(model, version)
                self._held = model, Loaded(version, predictor, digest=self._source.digest(model, version))
            return self._held[1]

    def free_unused(self, seconds: float) -> bool:
        """Free what nobody asked for in so many seconds; whether there was something."""
        with self._lock:
            if self._held is None or self._clock() - self._used < seconds:
                return False
            self._free()
            return True

    def _free(self) -> None:
        self._held = None
        gc.collect()  # a model may refer to itself
