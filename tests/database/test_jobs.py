"""Jobs are one transaction with what DBOS is told of them, are known by their request, and end once."""

import base64
import os
import pickle
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy
from ports import free_port

from database import jobs, workflows
from database.engine import reading, writing
from database.errors import DatabaseError, NotFound, QueueFull, RequestReused
from database.jobs import Item
from database.predictions import PredictionRow, newest_predictions

ROOT = Path(__file__).parents[2]
KIND = "embeddings/batch"
HOUR = timedelta(hours=1)


def sent(count: int = 3) -> list[Item]:
    return [Item(place=place, sent={"title": f"product {place}"}) for place in range(count)]


def done(place: int) -> Item:
    return Item(place=place, sent=None, state="done", result={"place": place})


def failed(place: int) -> Item:
    return Item(place=place, sent=None, state="failed", error={"code": "invalid", "message": "no", "field": None})


def told(url: str) -> dict[str, tuple[str, str | None]]:
    with reading(url) as connection:
        return workflows.known(connection, [job.id for job in jobs.newest(url)])


def began(url: str, count: int = 3, taker: str | None = None) -> str:
    job_id = jobs.submit(url, KIND, sent(count))[0].id
    jobs.begin(url, job_id, "product", 3, taker)
    return job_id


def test_a_job_waits_as_it_was_sent_and_dbos_knows_it_as_portable_json(url):
    job, is_new = jobs.submit(url, KIND, sent(), owner="key-1")
    assert is_new
    assert (job.kind, job.owner, job.items, job.done, job.failed, job.state) == (KIND, "key-1", 3, 0, 0, "queued")
    assert (job.model, job.version, job.detail, job.started_at, job.finished_at) == (None, None, None, None, None)
    assert jobs.find(url, job.id) == job == jobs.find(url, job.id, "key-1")
    assert jobs.items(url, job.id) == sent()
    assert told(url) == {job.id: ("ENQUEUED", "portable_json")}


def test_another_owner_sees_no_job(url):
    job, _ = jobs.submit(url, KIND, sent(), owner="key-1")
    for asked in (jobs.find, jobs.cancel):
        with pytest.raises(NotFound, match="does not exist"):
            asked(url, job.id, "key-2")
    assert jobs.newest(url, "key-2") == []
    assert jobs.find(url, job.id).state == "queued"


@pytest.mark.slow
def test_eight_threads_that_send_one_request_at_once_leave_one_job(url):
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: jobs.submit(url, KIND, sent(), request="monday"), range(8)))
    assert len({job.id for job, _ in answers}) == 1
    assert sorted(is_new for _, is_new in answers) == [False] * 7 + [True]
    assert len(told(url)) == 1


@pytest.mark.slow
def test_processes_that_leave_the_first_jobs_of_a_database_at_once_all_succeed(url):
    program = f"from database import jobs; jobs.submit({url!r}, 'k', [jobs.Item(place=0, sent=1)], request='one')"
    running = [subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stderr=subprocess.PIPE, text=True) for _ in range(4)]
    assert [(process.communicate(timeout=60)[1], process.returncode) for process in running] == [("", 0)] * 4
    assert len(jobs.newest(url)) == 1


@pytest.mark.slow
def test_a_request_is_known_by_its_owner_and_its_content(url):
    first, _ = jobs.submit(url, KIND, sent(), owner="a", request="monday")
    assert jobs.submit(url, KIND, sent(), owner="a", request="monday") == (first, False)
    for kind, items in ((KIND, sent(2)), ("quality/assess", sent())):
        with pytest.raises(RequestReused, match="'monday'"):
            jobs.submit(url, kind, items, owner="a", request="monday")
    assert jobs.submit(url, KIND, sent(2), owner="b", request="monday")[1]
    assert jobs.submit(url, KIND, sent())[0].id != jobs.submit(url, KIND, sent())[0].id


def test_keys_of_an_item_may_come_in_any_order(url):
    first = jobs.submit(url, KIND, [Item(place=0, sent={"a": 1, "b": 2})], request="one")[0]
    assert jobs.submit(url, KIND, [Item(place=0, sent={"b": 2, "a": 1})], request="one") == (first, False)


@pytest.mark.slow
def test_no_more_jobs_wait_than_may(url):
    first = jobs.submit(url, KIND, sent(), request="one", max_waiting=2)[0]
    jobs.submit(url, KIND, sent(), max_waiting=2)
    with pytest.raises(QueueFull, match="at most 2"):
        jobs.submit(url, KIND, sent(), max_waiting=2)
    assert jobs.submit(url, KIND, sent(), request="one", max_waiting=2) == (first, False), "a repetition is answered"
    jobs.cancel(url, first.id)
    assert jobs.submit(url, KIND, sent(), max_waiting=2)[1]


@pytest.mark.slow
def test_a_job_ends_by_its_items(url):
    for outcomes, state in (
        ([done(0), done(1), done(2)], "succeeded"),
        ([done(0), failed(1), done(2)], "partly_failed"),
        ([failed(0), failed(1), failed(2)], "failed"),
    ):
        job_id = began(url)
        assert jobs.keep(url, job_id, outcomes)
        job = jobs.finish(url, job_id)
        assert (job.state, job.done + job.failed, job.detail) == (state, 3, None)
        assert jobs.finish(url, job_id, "too late") == job == jobs.cancel(url, job_id) == jobs.begin(url, job_id, "other", 9)


@pytest.mark.slow
def test_a_job_of_which_items_wait_has_not_ended(url):
    job_id = began(url)
    jobs.keep(url, job_id, [done(0), done(1)])
    assert jobs.finish(url, job_id).state == "running"
    jobs.keep(url, job_id, [failed(2)])
    assert jobs.finish(url, job_id).state == "partly_failed"


@pytest.mark.slow
def test_a_job_that_cannot_be_done_says_why(url):
    job_id = began(url)
    jobs.keep(url, job_id, [done(0)])
    job = jobs.finish(url, job_id, "model product has no champion")
    assert (job.state, job.done, job.detail) == ("failed", 1, "model product has no champion")


@pytest.mark.slow
def test_a_job_all_of_whose_items_are_wrong_has_ended_and_nobody_is_told(url):
    job, _ = jobs.submit(url, KIND, [failed(0), failed(1)])
    assert (job.state, job.failed) == ("failed", 2)
    assert told(url) == {}
    assert jobs.untold(url) == []


@pytest.mark.slow
def test_items_are_read_by_state_place_and_number(url):
    job_id = began(url, 6)
    jobs.keep(url, job_id, [done(0), failed(2), done(5)])
    assert [item.place for item in jobs.items(url, job_id, states=["done"])] == [0, 5]
    assert [item.place for item in jobs.items(url, job_id, states=["done", "failed"], start=1)] == [2, 5]
    assert [item.place for item in jobs.items(url, job_id, start=2, limit=3)] == [2, 3, 4]
    assert jobs.items(url, job_id, states=["failed"])[0].error == failed(2).error
    assert jobs.items(url, job_id, limit=1)[0].result == {"place": 0}


@pytest.mark.slow
def test_a_job_keeps_the_version_that_it_began_with(url):
    job_id = began(url)
    first = jobs.find(url, job_id)
    again = jobs.begin(url, job_id, "product", 4)
    assert (first.model, first.version, first.state) == ("product", 3, "running")
    assert again == first


def test_a_cancelled_job_takes_nothing_more_and_keeps_what_it_has(url):
    job_id = began(url)
    jobs.keep(url, job_id, [done(0)])
    assert jobs.cancel(url, job_id).state == "cancelled"
    assert not jobs.attempt(url, job_id, [1])
    assert not jobs.keep(url, job_id, [done(1)], predictions=[prediction()])
    assert (jobs.finish(url, job_id).state, jobs.find(url, job_id).done) == ("cancelled", 1)
    assert newest_predictions(url, "product", 10) == []


def test_only_the_run_that_took_a_job_last_may_write(url):
    job_id = began(url, taker="first")
    assert jobs.attempt(url, job_id, [0, 1], "first")
    jobs.begin(url, job_id, "product", 3, "second")
    assert not jobs.attempt(url, job_id, [0, 1], "first")
    assert not jobs.keep(url, job_id, [done(0)], taker="first")
    assert jobs.attempt(url, job_id, [0], "second")
    assert jobs.keep(url, job_id, [done(0)], taker="second")
    assert [item.attempts for item in jobs.items(url, job_id)] == [2, 1, 0]


def test_items_are_taken_in_order_and_those_that_were_tried_come_last_and_alone(url):
    job_id = began(url, 5)
    assert [(item.place, item.attempts) for item in jobs.take(url, job_id, 2)] == [(0, 0), (1, 0)]
    assert [item.place for item in jobs.take(url, job_id, 2)] == [2, 3]
    jobs.keep(url, job_id, [done(0), done(2), done(3)])
    assert [item.place for item in jobs.take(url, job_id, 2)] == [4]
    assert [(item.place, item.attempts) for item in jobs.take(url, job_id, 2)] == [(1, 1)]
    jobs.keep(url, job_id, [done(1), failed(4)])
    assert jobs.take(url, job_id, 2) == []
    assert [item.attempts for item in jobs.items(url, job_id)] == [1, 2, 1, 1, 1]


@pytest.mark.slow
def test_nothing_is_taken_of_a_job_that_was_cancelled_or_that_another_run_has(url):
    job_id = began(url, taker="first")
    jobs.begin(url, job_id, "product", 3, "second")
    assert jobs.take(url, job_id, 2, "first") == []
    jobs.cancel(url, job_id)
    assert jobs.take(url, job_id, 2, "second") == []
    assert [item.attempts for item in jobs.items(url, job_id)] == [0, 0, 0]


@pytest.mark.slow
def test_what_is_kept_stays_and_its_predictions_are_written_with_it(url):
    job_id = began(url)
    row = prediction()
    assert jobs.keep(url, job_id, [done(0)], predictions=[row])
    assert jobs.keep(url, job_id, [failed(0)])
    assert jobs.items(url, job_id)[0].result == {"place": 0}
    assert newest_predictions(url, "product", 10) == [row]


@pytest.mark.slow
def test_outcomes_that_cannot_be_kept_leave_nothing_behind(url):
    job_id = began(url)
    bad = Item(place=1, sent=None, state="done", result={"score": float("nan")})
    with pytest.raises(DatabaseError, match="cannot be stored as JSON"):
        jobs.keep(url, job_id, [done(0), bad], predictions=[prediction()])
    assert jobs.find(url, job_id).done == 0
    assert newest_predictions(url, "product", 10) == []


@pytest.mark.slow
def test_jobs_that_dbos_does_not_know_are_told_again_once(url):
    job_id = jobs.submit(url, KIND, sent())[0].id
    assert jobs.untold(url) == []
    schema = "dbos." if url.startswith("postgresql") else ""
    with writing(url) as connection:
        connection.execute(sqlalchemy.text(f"DELETE FROM {schema}workflow_status"))
    assert jobs.untold(url) == [job_id]
    assert jobs.untold(url) == []
    assert told(url) == {job_id: ("ENQUEUED", "portable_json")}


def test_newest_goes_by_the_order_in_which_jobs_came_though_the_clock_moved_back(url, monkeypatch):
    first = jobs.submit(url, KIND, sent(), owner="a")[0]
    clock(monkeypatch, datetime.now(UTC) - HOUR)
    second = jobs.submit(url, KIND, sent(), owner="a")[0]
    assert second.created_at < first.created_at
    assert [job.id for job in jobs.newest(url, "a")] == [second.id, first.id]
    assert [job.id for job in jobs.newest(url, limit=1)] == [second.id]


@pytest.mark.slow
def test_no_job_ends_before_it_began_though_the_clock_moved_back(url, monkeypatch):
    waiting = jobs.submit(url, KIND, sent())[0].id
    job_id = began(url)
    clock(monkeypatch, datetime.now(UTC) - HOUR)
    job = jobs.finish(url, job_id, "no")
    assert job.created_at <= job.started_at == job.finished_at
    job = jobs.begin(url, waiting, "product", 3)
    assert job.started_at == job.created_at


@pytest.mark.slow
def test_old_jobs_are_forgotten_with_their_items_and_workflows(url):
    old, waiting = began(url), jobs.submit(url, KIND, sent(), request="kept")[0].id
    jobs.keep(url, old, [done(0), done(1), done(2)])
    jobs.finish(url, old)
    end_in_dbos(url, old, "SUCCESS")
    assert jobs.forget(url, datetime.now(UTC) - HOUR) == 0
    assert jobs.forget(url, datetime.now(UTC) + HOUR) == 1
    with pytest.raises(NotFound):
        jobs.find(url, old)
    assert jobs.items(url, old) == []
    assert [job.id for job in jobs.newest(url)] == [waiting]
    with reading(url) as connection:
        assert list(workflows.known(connection, [old, waiting])) == [waiting]


@pytest.mark.slow
def test_states_are_counted(url):
    jobs.finish(url, began(url), "no")
    began(url)
    jobs.submit(url, KIND, sent())
    expected = {"queued": 1, "running": 1, "succeeded": 0, "partly_failed": 0, "failed": 1, "cancelled": 0}
    assert jobs.states(url) == expected


@pytest.mark.slow
@pytest.mark.parametrize(("state", "runs"), [("ERROR", 20), ("CANCELLED", 1)])
def test_a_job_that_dbos_gave_up_ends_and_says_so(url, state, runs):
    job_id = began(url)
    assert jobs.given_up(url) == []
    end_in_dbos(url, job_id, state, runs)
    [job] = jobs.given_up(url)
    assert (job.id, job.state) == (job_id, "failed")
    assert job.detail == f"its workflow ended as {state} before it did; see the worker's log"
    assert jobs.given_up(url) == []


@pytest.mark.slow
@pytest.mark.parametrize("state", ["ERROR", "SUCCESS"])
def test_a_job_whose_workflow_failed_or_ended_before_it_begins_anew(url, state):
    """One ends well before its job where another worker took that while the database was away."""
    job_id = began(url)
    end_in_dbos(url, job_id, state, 19)
    assert jobs.given_up(url) == []
    assert told(url) == {job_id: ("ENQUEUED", "portable_json")}
    assert jobs.find(url, job_id).state == "running"


@pytest.mark.slow
def test_a_workflow_is_released_once_and_only_from_the_worker_that_had_it(url):
    job_id = began(url)
    schema = "dbos." if url.startswith("postgresql") else ""
    with writing(url) as connection:
        taken = "status = 'PENDING', executor_id = 'worker-2', application_version = '0'"
        connection.execute(sqlalchemy.text(f"UPDATE {schema}workflow_status SET {taken}"))
    assert workflows.under_way(url) == [(job_id, "worker-2")]
    assert not workflows.release(url, job_id, "worker-1")
    assert workflows.release(url, job_id, "worker-2")
    assert not workflows.release(url, job_id, "worker-2")
    assert told(url)[job_id][0] == "ENQUEUED"


class Trap:
    """Unpickling it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return (os.mkdir, (str(self.path),))


def test_a_pickled_row_is_refused_unread(url, tmp_path):
    from dbos._serialization import DBOSDefaultSerializer, deserialize_args

    workflows.ensure(url)
    trap = tmp_path / "sprung"
    row = base64.b64encode(pickle.dumps({"args": (Trap(trap),), "kwargs": {}})).decode()
    for read in (DBOSDefaultSerializer.deserialize, lambda text: deserialize_args(text, "py_pickle", workflows.serializer())):
        with pytest.raises(workflows.Unportable, match="pickled; only portable_json is read"):
            read(row)
    assert not trap.exists()


def test_a_database_that_is_away_is_told_quickly():
    url = f"postgresql://vitrina@127.0.0.1:{free_port()}/vitrina"
    for ask in (lambda: jobs.submit(url, KIND, sent()), lambda: jobs.find(url, "a"), lambda: jobs.states(url)):
        over = threading.Event()
        watch = threading.Timer(20, over.set)
        watch.start()
        with pytest.raises(DatabaseError):
            ask()
        watch.cancel()
        assert not over.is_set()


def prediction() -> PredictionRow:
    return PredictionRow(model="product", version=3, endpoint=KIND, latency_ms=1.0, inputs={}, outputs={})


def clock(monkeypatch: pytest.MonkeyPatch, now: datetime) -> None:
    class Clock(datetime):
        @classmethod
        def now(cls, tz=None):
            return now

    monkeypatch.setattr(jobs, "datetime", Clock)


def end_in_dbos(url: str, job_id: str, state: str, runs: int = 1) -> None:
    schema = "dbos." if url.startswith("postgresql") else ""
    values = {"id": job_id, "state": state, "runs": runs}
    ended = "status = :state, recovery_attempts = :runs WHERE workflow_uuid = :id"
    with writing(url) as connection:
        connection.execute(sqlalchemy.text(f"UPDATE {schema}workflow_status SET {ended}"), values)
