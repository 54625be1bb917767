"""Answers that are given again: what a version said of one content, from memory or from the database, without computing it.

An answer is kept without its `prediction_id`, and with what monitoring was told: given again it gets a new id and is logged as
any other, so that feedback, drift and cache do not get into each other's way. Keys are digests of the whole content, photos too,
and of the bundle that answers: a registry begun anew over the same database gives version 1 to another one.

A cache that cannot be read or written is no reason to refuse: the answer is computed, the failure counted and said once.
"""

import base64
import hashlib
import json
import logging
import math
import threading
import uuid
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from cachetools import LRUCache

from configs.schema import ResultsConfig
from database.errors import DatabaseError
from database.predictions import PredictionRow
from database.results import keep_results, known_results
from monitoring import metrics
from serving.schemas import RequestModel, ResponseModel

logger = logging.getLogger(__name__)

MEMORY_BYTES = 32 * 1024 * 1024
"""Of the answers that one process holds in front of the database."""
OVER = 0.01
"""Share of the database's bound that one process writes before it is looked at again: the whole table is added up for that."""
ID = "prediction_id"


@dataclass(frozen=True)
class Kept:
    """An answer without its id.

    Attributes:
        body: The JSON object that clients get, but for its id.
        rows: What monitoring was told, as JSON.
    """

    body: bytes
    rows: bytes

    @classmethod
    def of(cls, body: ResponseModel, rows: Sequence[PredictionRow]) -> "Kept":
        """The answer `body`, of which monitoring was told `rows`."""
        told = [[row.model, row.version, row.inputs, row.outputs, _text(row.embedding)] for row in rows]
        return cls(body.model_dump_json(exclude={ID}).encode(), json.dumps(told, allow_nan=False).encode())

    def answer(self, prediction_id: str) -> bytes:
        """The JSON that clients get, by a name of its own."""
        head = f'{{"{ID}":"{prediction_id}"'.encode()
        return head + (b"}" if self.body == b"{}" else b"," + self.body[1:])

    def predictions(self, prediction_id: str, endpoint: str, latency_ms: float) -> list[PredictionRow]:
        """What monitoring is told of it this time; the first row is the answer's own."""
        now = datetime.now(UTC)
        rows = [
            PredictionRow(
                model=model,
                version=version,
                endpoint=endpoint,
                latency_ms=latency_ms,
                inputs=inputs,
                outputs=outputs,
                embedding=None if embedding is None else base64.b64decode(embedding),
                created_at=now,
            )
            for model, version, inputs, outputs, embedding in json.loads(self.rows)
        ]
        return [replace(row, id=prediction_id) if place == 0 else row for place, row in enumerate(rows)]

    def packed(self) -> bytes:
        """For the database."""
        return zlib.compress(len(self.body).to_bytes(4, "big") + self.body + self.rows, 1)

    @classmethod
    def unpacked(cls, data: bytes) -> "Kept":
        """From the database."""
        plain = zlib.decompress(data)
        end = 4 + int.from_bytes(plain[:4], "big")
        return cls(plain[4:end], plain[end:])


def new_id() -> str:
    """Of an answer."""
    return str(uuid.uuid4())


def digest_of(work: str, bundle: str, item: RequestModel) -> str:
    """What a content is known by: the work that is asked for, everything that was sent, and the digest of who answers.

    Two contents that differ in anything but the order of an object's keys differ here.
    """
    content = json.dumps([work, bundle, _plain(item.model_dump())], sort_keys=True, allow_nan=False)
    return hashlib.sha256(content.encode()).hexdigest()


class Results:
    """What is kept, as one process asks for it. Thread-safe."""

    def __init__(self, url: str, config: ResultsConfig, memory_bytes: int = MEMORY_BYTES) -> None:
        self._url, self._max_bytes = url, config.max_bytes
        self._memory: LRUCache[tuple[str, int, str], Kept] = LRUCache(memory_bytes, getsizeof=_size)
        self._used: dict[tuple[str, int], set[str]] = {}
        self._lock = threading.Lock()
        self._away = False
        self._unbounded = math.inf  # bytes that were written since the database was held to its bound

    def remembered(self, model: str, version: int, digests: Sequence[str]) -> dict[str, Kept] | None:
        """What `find` says, where this process holds all of it itself: no wait. None where it does not."""
        found = self._held(model, version, digests)
        if any(digest not in found for digest in digests):
            return None
        self._given(model, version, digests, found)
        return found

    def find(self, model: str, version: int, digests: Sequence[str]) -> dict[str, Kept]:
        """What is kept of these contents, by digest; asks the database for what this process does not hold."""
        if not self._max_bytes:
            return {}
        found = self._held(model, version, digests)
        lacking = [digest for digest in dict.fromkeys(digests) if digest not in found]
        if lacking:
            read = {digest: Kept.unpacked(data) for digest, data in self._read(model, version, lacking).items()}
            self._hold(model, version, read)
            found |= read
        self._given(model, version, digests, found)
        return found

    def keep(self, model: str, version: int, answers: Mapping[str, Kept]) -> None:
        """Keep answers by the digest of their content."""
        if not self._max_bytes:
            return
        self._hold(model, version, answers)
        with self._lock:
            used = self._used.pop((model, version), set())
        values = {digest: kept.packed() for digest, kept in answers.items()}
        bound = self._due(sum(map(len, values.values())))
        try:
            keep_results(self._url, model, version, values, max_bytes=self._max_bytes, used=list(used), bound=bound)
        except DatabaseError as error:
            self._failed(error)
        else:
            self._away = False

    def _due(self, written: int) -> bool:
        """Whether the bound is to be looked at: with the first answer, and whenever `OVER` of it was written."""
        with self._lock:
            self._unbounded += written
            due = self._unbounded > OVER * self._max_bytes
            if due:
                self._unbounded = 0
        return due

    def _held(self, model: str, version: int, digests: Sequence[str]) -> dict[str, Kept]:
        with self._lock:
            held = {digest: self._memory.get((model, version, digest)) for digest in digests}
        return {digest: kept for digest, kept in held.items() if kept is not None}

    def _given(self, model: str, version: int, digests: Sequence[str], found: Mapping[str, Kept]) -> None:
        """Note what is used, and count."""
        with self._lock:
            self._used.setdefault((model, version), set()).update(found)
        hits = sum(digest in found for digest in digests)
        metrics.cache_hit(hits)
        metrics.cache_missed(len(digests) - hits)

    def _hold(self, model: str, version: int, answers: Mapping[str, Kept]) -> None:
        with self._lock:
            for digest, kept in answers.items():
                if _size(kept) <= self._memory.maxsize:
                    self._memory[model, version, digest] = kept

    def _read(self, model: str, version: int, digests: Sequence[str]) -> dict[str, bytes]:
        try:
            found = known_results(self._url, model, version, digests)
        except DatabaseError as error:
            self._failed(error)
            return {}
        self._away = False
        return found

    def _failed(self, error: DatabaseError) -> None:
        metrics.cache_failed()
        if not self._away:
            logger.warning("kept answers: computing what would be kept, as long as the database is away: %s", error)
        self._away = True


def _size(kept: Kept) -> int:
    return len(kept.body) + len(kept.rows)


def _text(embedding: bytes | None) -> str | None:
    return None if embedding is None else base64.b64encode(embedding).decode()


def _plain(value: Any) -> Any:
    """Photos by their digest: JSON holds no bytes."""
    if isinstance(value, bytes):
        return ["bytes", hashlib.sha256(value).hexdigest()]
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, list | tuple) else value
