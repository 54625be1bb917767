"""Writes what was served to the database, from a thread of its own: no request ever waits for it."""

import json
import logging
import queue
import threading
import time
from collections.abc import Sequence

from database.errors import DatabaseError
from database.predictions import PredictionRow, insert_predictions
from monitoring import metrics

logger = logging.getLogger(__name__)

BATCH = 256
FIRST_RETRY_SECONDS = 0.1
LAST_RETRY_SECONDS = 1.0
"""Well within the time that feedback waits for the prediction that it names (`serving.storage`)."""
_IDLE_SECONDS = 0.2


class PredictionLog:
    """A bounded queue in front of the prediction table; one a worker process, started after it forked.

    While the database is away the batch in hand is tried again, at most `LAST_RETRY_SECONDS` apart, and the queue fills;
    rows that find it full are dropped and counted. Rows have ids, so a batch that is written twice is in the table once.

    Args:
        database_url: Where to write.
        capacity: Rows that may wait.

    Attributes:
        written: Rows that reached the database.
        dropped: Rows that never will: the queue was full, the log closed, or a value is no JSON.
    """

    def __init__(self, database_url: str, capacity: int) -> None:
        self._url = database_url
        self._queue: queue.Queue[PredictionRow] = queue.Queue(capacity)
        self._closing = threading.Event()
        self._deadline = float("inf")
        self._thread = threading.Thread(target=self._run, name="prediction-log", daemon=True)
        self._counting = threading.Lock()
        self.written = 0
        self.dropped = 0

    def start(self) -> None:
        """Begin to write; rows recorded before wait."""
        self._thread.start()

    def record(self, row: PredictionRow) -> bool:
        """Hand over one row; never blocks, never raises. False where it was dropped."""
        if not self._closing.is_set():
            try:
                self._queue.put_nowait(row)
            except queue.Full:
                pass
            else:
                return True
        self._drop(1)
        return False

    def close(self, seconds: float = 5.0) -> None:
        """Write what waits, for at most `seconds`; what is left then is dropped."""
        self._deadline = time.monotonic() + seconds
        self._closing.set()
        if self._thread.ident is not None:
            self._thread.join(seconds + 1.0)
        left = len(self._take(self._queue.qsize()))
        if left:
            self._drop(left)
            logger.error("prediction log: %d rows were not written before the service stopped", left)

    def _run(self) -> None:
        while not (self._closing.is_set() and self._queue.empty()) and time.monotonic() < self._deadline:
            batch = self._next_batch()
            metrics.predictions_waiting(self._queue.qsize())
            if batch:
                self._write(batch)

    def _next_batch(self) -> list[PredictionRow]:
        try:
            first = self._queue.get(timeout=_IDLE_SECONDS)
        except queue.Empty:
            return []
        return [row for row in (first, *self._take(BATCH - 1)) if self._is_json(row)]

    def _take(self, most: int) -> list[PredictionRow]:
        rows: list[PredictionRow] = []
        while len(rows) < most:
            try:
                rows.append(self._queue.get_nowait())
            except queue.Empty:
                break
        return rows

    def _is_json(self, row: PredictionRow) -> bool:
        try:
            json.dumps([row.inputs, row.outputs], allow_nan=False)
        except (TypeError, ValueError) as error:
            logger.error("prediction log: a row of %s cannot be stored as JSON: %s", row.endpoint, error)
            self._drop(1)
            return False
        return True

    def _write(self, batch: Sequence[PredictionRow]) -> None:
        wait, away = FIRST_RETRY_SECONDS, False
        while True:
            try:
                insert_predictions(self._url, batch)
            except DatabaseError as error:
                if not away:
                    logger.warning("prediction log: waiting for the database: %s", error)
                away = True
            else:
                break
            if time.monotonic() + wait >= self._deadline:
                self._drop(len(batch))
                logger.error("prediction log: %d rows were not written before the service stopped", len(batch))
                return
            # Closing cuts a wait short, so that its deadline is kept; waits after that are slept in full.
            (time.sleep if self._closing.is_set() else self._closing.wait)(wait)
            wait = min(2 * wait, LAST_RETRY_SECONDS)
        if away:
            logger.warning("prediction log: the database is back")
        self.written += len(batch)
        metrics.predictions_written(len(batch))

    def _drop(self, count: int) -> None:
        with self._counting:
            self.dropped += count
        metrics.predictions_dropped(count)
