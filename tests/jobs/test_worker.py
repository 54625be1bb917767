"""A worker takes what was left, ends when it is told to, and reads no pickle."""

import base64
import os
import pickle
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy
from dbos._sys_db import SystemDatabase
from jobs_fakes import CONFIG, Computing

from configs.settings import Settings
from database import jobs, workers, workflows
from database.engine import reading, writing
from database.jobs import Item
from jobs.errors import NameTaken
from jobs.worker import Worker

pytestmark = pytest.mark.slow


def left(url: str, count: int = 4, **named) -> str:
    return jobs.submit(url, "fake", [Item(place=i, sent={"value": i}) for i in range(count)], **named)[0].id


def until(condition: Callable[[], object], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true"
        time.sleep(0.02)


def ended(url: str, job_id: str) -> jobs.Job:
    until(lambda: jobs.find(url, job_id).state in jobs.ENDED)
    return jobs.find(url, job_id)


def dbos_states(url: str) -> set[str]:
    schema = "dbos." if url.startswith("postgresql") else ""
    with reading(url) as connection:
        return set(connection.scalars(sqlalchemy.text(f"SELECT status FROM {schema}workflow_status")))


def test_jobs_that_were_left_before_and_after_the_worker_started_are_done(url, working):
    before = left(url)
    working(Computing(lambda _: None))
    assert (ended(url, before).state, ended(url, left(url)).state) == ("succeeded", "succeeded")
    until(lambda: dbos_states(url) == {"SUCCESS"})


def test_fifty_identical_requests_are_computed_once(url, working):
    computing = Computing(lambda _: None)
    working(computing)
    ids = {left(url, request="monday") for _ in range(50)}
    assert len(ids) == 1
    assert ended(url, ids.pop()).done == 4
    assert computing.calls == [[0, 1, 2, 3]]


def test_a_job_that_is_cancelled_makes_room_for_the_next(url, working):
    began, go_on = threading.Event(), threading.Event()

    def note(values: list[int]) -> None:
        began.set()
        assert go_on.wait(60)

    computing = Computing(note)
    working(computing)
    first = left(url, 8)
    assert began.wait(60)
    second = left(url)
    assert jobs.cancel(url, first).state == "cancelled"
    go_on.set()
    assert ended(url, second).state == "succeeded"
    assert computing.calls == [[0, 1, 2, 3], [0, 1, 2, 3]]
    assert jobs.find(url, first).done == 0


class Trap:
    """Unpickling it makes a folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return (os.mkdir, (str(self.path),))


def test_a_pickled_row_is_refused_by_the_worker_and_its_job_says_why(url, working, tmp_path):
    trap = tmp_path / "sprung"
    job_id, other = left(url), left(url)
    schema = "dbos." if url.startswith("postgresql") else ""
    pickled = base64.b64encode(pickle.dumps({"args": (Trap(trap),), "kwargs": {}})).decode()
    with writing(url) as connection:
        values = {"id": job_id, "inputs": pickled}
        for change in (
            "workflow_status SET serialization = 'py_pickle' WHERE workflow_uuid = :id",
            "workflow_input SET inputs = :inputs WHERE workflow_uuid = :id",
        ):
            connection.execute(sqlalchemy.text(f"UPDATE {schema}{change}"), values)
    working(Computing(lambda _: None))
    job = ended(url, job_id)
    assert (job.state, job.done) == ("failed", 0)
    assert job.detail == "refused: its row of DBOS says serializer 'py_pickle', only portable_json is read"
    assert ended(url, other).state == "succeeded"
    assert not trap.exists()


def test_what_a_dead_worker_left_goes_on_in_another(url, working):
    job_id = left(url, 8)
    schema = "dbos." if url.startswith("postgresql") else ""
    with writing(url) as connection:  # as a worker leaves it that took the job, did a batch and was killed
        taken = "status = 'PENDING', executor_id = 'worker-7', application_version = '1', owner_xid = 'x'"
        connection.execute(sqlalchemy.text(f"UPDATE {schema}workflow_status SET {taken}"))
    jobs.begin(url, job_id, "fake", 1, "dead")
    jobs.attempt(url, job_id, [0, 1, 2, 3], "dead")
    jobs.keep(url, job_id, [Item(place=i, sent=None, state="done", result={"i": i}) for i in range(4)], taker="dead")
    computing = Computing(lambda _: None)
    working(computing)
    assert ended(url, job_id).state == "succeeded"
    assert computing.calls == [[4, 5, 6, 7]]


def test_what_a_worker_of_an_earlier_release_left_begins_anew_with_the_items_that_wait(url, working):
    job_id = left(url, 8)
    schema = "dbos." if url.startswith("postgresql") else ""
    with writing(url) as connection:
        taken = "status = 'PENDING', executor_id = 'worker-7', application_version = '0', owner_xid = 'x'"
        connection.execute(sqlalchemy.text(f"UPDATE {schema}workflow_status SET {taken}"))
        step = "(workflow_uuid, function_id, function_name, output, serialization)"
        values = "(:id, 1, 'a step that is no more', 'true', 'portable_json')"
        connection.execute(sqlalchemy.text(f"INSERT INTO {schema}operation_outputs {step} VALUES {values}"), {"id": job_id})
    jobs.begin(url, job_id, "fake", 1, "dead")
    jobs.keep(url, job_id, [Item(place=i, sent=None, state="done", result={"i": i}) for i in range(4)], taker="dead")
    computing = Computing(lambda _: None)
    working(computing)
    assert ended(url, job_id).state == "succeeded"
    assert computing.calls == [[4, 5, 6, 7]]


def test_what_a_living_worker_does_is_left_to_it(url, working):
    job_id = left(url)
    schema = "dbos." if url.startswith("postgresql") else ""
    with writing(url) as connection:
        taken = "status = 'PENDING', executor_id = 'worker-7', application_version = '1', owner_xid = 'x'"
        connection.execute(sqlalchemy.text(f"UPDATE {schema}workflow_status SET {taken}"))
    alive = workers.take(url, "worker-7")
    assert alive is not None
    computing = Computing(lambda _: None)
    worker = working(computing)
    for _ in range(3):
        worker.look()
    assert workflows.under_way(url) == [(job_id, "worker-7")]
    alive.free()
    assert ended(url, job_id).state == "succeeded"


def test_a_job_that_ended_here_without_a_word_goes_on(url, working):
    """As after a disk that was full when DBOS wanted to write how the job ended."""
    worker = working(Computing(lambda _: None))
    first = left(url)
    ended(url, first)
    until(lambda: dbos_states(url) == {"SUCCESS"})
    schema = "dbos." if url.startswith("postgresql") else ""
    second = left(url)
    ended(url, second)
    until(lambda: dbos_states(url) == {"SUCCESS"})
    with writing(url) as connection:
        values = {"id": second, "name": worker.name}
        lost = "status = 'PENDING', executor_id = :name WHERE workflow_uuid = :id"
        connection.execute(sqlalchemy.text(f"UPDATE {schema}workflow_status SET {lost}"), values)
    until(lambda: dbos_states(url) == {"SUCCESS"})


def test_a_job_goes_on_after_dbos_could_not_write_that_a_batch_is_done(url, working, monkeypatch):
    """As on a full disk that has room again when DBOS notes that the workflow failed."""
    worker = working(Computing(lambda _: None))
    record, left_to_fail = SystemDatabase.record_operation_result, [True]

    def sometimes(*arguments, **named):
        if left_to_fail and left_to_fail.pop():
            raise sqlalchemy.exc.InternalError("INSERT", {}, Exception("could not extend file: No space left on device"))
        return record(*arguments, **named)

    monkeypatch.setattr(SystemDatabase, "record_operation_result", sometimes)
    job_id = left(url, 8)
    until(lambda: dbos_states(url) == {"ERROR"} or jobs.find(url, job_id).state == "succeeded")
    worker._mend()
    assert ended(url, job_id).state == "succeeded"
    assert not left_to_fail
    assert [item.attempts for item in jobs.items(url, job_id)] == [1] * 8


def test_workers_take_the_lowest_free_names(url):
    first, second = workers.take_lowest(url), workers.take_lowest(url)
    assert (first.name, second.name) == ("worker-1", "worker-2")
    assert workers.take(url, "worker-1") is None
    first.free()
    assert workers.take_lowest(url).name == "worker-1"
    assert second.is_held()


def test_a_name_that_a_running_worker_has_is_refused(url, tmp_path):
    held = workers.take(url, "mine")
    assert held is not None
    with pytest.raises(NameTaken, match="'mine' runs; choose another name with --id"):
        Worker(Settings(tmp_path, url, ""), CONFIG, lambda _: pytest.fail("no work is made"), name="mine").start()


def lose_names(url: str) -> None:
    """The server ends the connections that hold the workers' names."""
    held = "locktype = 'advisory' AND granted AND pid <> pg_backend_pid()"
    with writing(url) as connection:
        connection.execute(sqlalchemy.text(f"SELECT pg_terminate_backend(pid) FROM pg_locks WHERE {held}"))


def test_a_worker_whose_name_another_one_got_ends(postgres_url, tmp_path):
    worker = Worker(Settings(tmp_path, postgres_url, ""), CONFIG, lambda _: pytest.fail("no work is made"))
    worker.start()
    lose_names(postgres_url)
    until(lambda: not worker._held.is_held())
    other = workers.take(postgres_url, "worker-1")
    assert other is not None
    assert worker.run() is False
    other.free()


def test_a_worker_that_lost_its_connection_holds_its_name_again(postgres_url, working):
    worker = working(Computing(lambda _: None))
    lose_names(postgres_url)
    until(lambda: worker._held.is_held())
    assert workers.take(postgres_url, worker.name) is None
    assert ended(postgres_url, left(postgres_url)).state == "succeeded"


def test_a_worker_that_runs_touches_its_file_and_takes_it_away(url, working, tmp_path: Path):
    alive = tmp_path / "workers" / "worker-1.alive"
    worker = working(Computing(lambda _: None))
    until(alive.exists)
    first = alive.stat().st_mtime_ns
    until(lambda: alive.stat().st_mtime_ns > first)
    worker.tell_to_stop()
    until(lambda: not alive.exists())
