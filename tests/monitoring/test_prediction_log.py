import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from database.predictions import PredictionRow, insert_predictions, newest_predictions
from monitoring import metrics, prediction_log
from monitoring.prediction_log import PredictionLog


def row(number: int = 0, **values: object) -> PredictionRow:
    inputs = {"title": f"shirt {number}", **values}
    return PredictionRow(model="product", version=1, endpoint="analyze", latency_ms=1.0, inputs=inputs, outputs={})


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'vitrina.db'}"


def eventually(condition: Callable[[], bool], seconds: float = 15.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


def test_rows_arrive_in_the_background_and_closing_flushes(url: str) -> None:
    log = PredictionLog(url, 1000)
    log.start()
    assert all(log.record(row(i)) for i in range(600))
    log.close(10.0)
    assert log.written == len(newest_predictions(url, "product", 10_000)) == 600
    assert log.dropped == 0


def test_a_full_queue_drops_counts_and_does_not_block(url: str) -> None:
    log = PredictionLog(url, 5)  # not started: nobody empties the queue, and whoever waits for that waits forever
    kept = [log.record(row(i)) for i in range(2000)]
    assert sum(kept) == 5
    assert log.dropped == 1995
    assert b"vitrina_predictions_dropped_total" in metrics.exposition()


@pytest.fixture
def writers(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The thread of each attempt to write, when it begins."""
    found: list[str] = []

    def insert(url: str, rows: Sequence[PredictionRow]) -> None:
        found.append(threading.current_thread().name)
        insert_predictions(url, rows)

    monkeypatch.setattr(prediction_log, "insert_predictions", insert)
    return found


def test_a_locked_database_blocks_no_request_and_loses_nothing(url: str, tmp_path: Path, writers: list[str]) -> None:
    newest_predictions(url, "product", 1)  # makes the schema
    log = PredictionLog(url, 1000)
    log.start()
    holder = sqlite3.connect(tmp_path / "vitrina.db", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    assert all(log.record(row(i)) for i in range(300))
    eventually(lambda: bool(writers))
    assert log.written == 0
    holder.execute("ROLLBACK")
    eventually(lambda: log.written == 300)
    log.close()
    assert len(newest_predictions(url, "product", 1000)) == 300
    assert set(writers) == {"prediction-log"}, "no request writes, so that none waits"


@pytest.mark.slow
def test_the_log_waits_for_a_database_that_is_away(tmp_path: Path, writers: list[str]) -> None:
    blocked = tmp_path / "folder"
    blocked.write_text("a file where the database's folder should be")
    url = f"sqlite:///{blocked / 'vitrina.db'}"
    log = PredictionLog(url, 100)
    log.start()
    assert log.record(row())
    eventually(lambda: len(writers) > 2)  # two attempts have failed
    assert (log.written, log.dropped) == (0, 0)
    blocked.unlink()
    eventually(lambda: log.written == 1)
    log.close()


def test_closing_keeps_its_deadline_and_counts_what_is_lost(tmp_path: Path) -> None:
    blocked = tmp_path / "folder"
    blocked.write_text("")
    log = PredictionLog(f"sqlite:///{blocked / 'vitrina.db'}", 1000)
    log.start()
    for i in range(400):
        log.record(row(i))
    start = time.monotonic()
    log.close(0.5)
    assert time.monotonic() - start < 30
    assert (log.written, log.dropped) == (0, 400)
    assert not log.record(row())


def test_a_value_that_is_no_json_costs_its_own_row_alone(url: str) -> None:
    log = PredictionLog(url, 100)
    log.start()
    log.record(row(1))
    log.record(row(2, price=float("nan")))
    log.record(row(3, photo=b"bytes"))
    log.record(row(4))
    log.close(10.0)
    assert (log.written, log.dropped) == (2, 2)


def test_many_threads_record_at_once(url: str) -> None:
    log = PredictionLog(url, 10_000)
    log.start()
    threads = [threading.Thread(target=lambda: [log.record(row(i)) for i in range(200)]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    log.close(20.0)
    assert log.written == 1600
