"""Items end by themselves: one that is wrong, breaks the model or kills its worker takes no other with it."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from jobs_fakes import CONFIG, Computing, Source, kind
from sqlalchemy import event

from configs.schema import JobsConfig, ServingConfig
from database import jobs
from database.engine import engine
from database.errors import DatabaseError
from database.jobs import Item, Job
from database.predictions import newest_predictions
from jobs.errors import Stopping
from jobs.models import Models
from jobs.work import Work
from registry.errors import RegistryUnreachable


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'vitrina.db'}"


def left(url: str, *then: str, **named: str) -> str:
    """A job of an item for each word of what happens at it."""
    return jobs.submit(url, "fake", [Item(place=i, sent={"value": i, "then": word}) for i, word in enumerate(then)], **named)[
        0
    ].id


def worker(url: str, computing: Computing | None = None, source: Source | None = None, config=CONFIG, **more) -> Work:
    computing = computing or Computing(lambda _: None)
    return Work(url, config, {"fake": kind(computing, **more)}, source or Source(fake=1), threading.Event())


def do(work: Work, url: str, job_id: str) -> Job:
    """What the workflow does, without DBOS."""
    job = work.begin(job_id, "one")
    while job and work.batch(job, "one"):
        pass
    if job:
        work.finish(job_id)
    return jobs.find(url, job_id)


def outcomes(url: str, job_id: str) -> list[str]:
    return [item.error["code"] if item.error else item.state for item in jobs.items(url, job_id)]


def test_items_are_computed_in_batches_and_kept_with_their_predictions(url):
    computing = Computing(lambda _: None)
    job_id = left(url, *[""] * 10)
    job = do(worker(url, computing), url, job_id)
    assert (job.state, job.done, job.model, job.version) == ("succeeded", 10, "fake", 1)
    assert computing.calls == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert [item.result for item in jobs.items(url, job_id)] == [{"doubled": 2.0 * i, "version": 1} for i in range(10)]
    assert {item.attempts for item in jobs.items(url, job_id)} == {1}
    assert sorted(row.inputs["value"] for row in newest_predictions(url, "fake", 100)) == list(range(10))


def test_an_item_that_is_wrong_is_named_and_not_tried_again(url):
    computing = Computing(lambda _: None)
    job_id = left(url, "", "wrong", "")
    assert do(worker(url, computing), url, job_id).state == "partly_failed"
    assert outcomes(url, job_id) == ["done", "invalid_input", "done"]
    assert jobs.items(url, job_id)[1].error == {"code": "invalid_input", "message": "value: is wrong", "field": "value"}
    assert computing.calls == [[0, 1, 2]]


def test_an_item_that_fits_no_schema_is_never_computed(url):
    computing = Computing(lambda _: None)
    sent = [{"value": 1}, {"value": "one"}, {"valu": 1}, None, [1]]
    job_id = jobs.submit(url, "fake", [Item(place=i, sent=body) for i, body in enumerate(sent)])[0].id
    do(worker(url, computing, batch=5), url, job_id)
    assert outcomes(url, job_id) == ["done"] + ["invalid_input"] * 4
    assert computing.calls == [[1]]


def test_an_item_that_breaks_the_model_fails_alone(url, caplog):
    computing = Computing(lambda _: None)
    job_id = left(url, "", "breaks", "", "")
    assert do(worker(url, computing), url, job_id).state == "partly_failed"
    assert outcomes(url, job_id) == ["done", "internal", "done", "done"]
    assert [item.attempts for item in jobs.items(url, job_id)] == [2, 3, 2, 2]
    assert computing.calls == [[0, 1, 2, 3], [0], [1], [1], [2], [3]]
    message = jobs.items(url, job_id)[1].error["message"]
    assert message == "an unexpected error happened; the worker's log has the details"
    assert "the model broke" in caplog.text


def test_items_that_only_break_together_are_done_alone(url):
    job_id = left(url, "", "breaks the batch", "")
    assert do(worker(url), url, job_id).state == "succeeded"


def test_an_item_that_fails_for_now_is_tried_again(url):
    job_id = left(url, "away once", "away", "")
    do(worker(url), url, job_id)
    assert outcomes(url, job_id) == ["done", "out_of_memory", "done"]
    assert [item.attempts for item in jobs.items(url, job_id)] == [2, 3, 1]


def test_an_answer_that_json_cannot_hold_fails_alone(url):
    job_id = left(url, "", "nan", "")
    do(worker(url), url, job_id)
    assert outcomes(url, job_id) == ["done", "internal", "done"]


def test_a_job_for_a_model_without_a_champion_says_what_to_do(url):
    job = do(worker(url, source=Source()), url, left(url, ""))
    assert (job.state, job.done) == ("failed", 0)
    assert job.detail == "model 'fake' has no champion; `vitrina promote fake VERSION --reviewer WHO` makes one"


def test_the_stand_in_answers_while_the_model_has_no_champion(url):
    work = worker(url, source=Source(other=7), stand_in="other")
    job = do(work, url, left(url, ""))
    assert (job.model, job.version, job.state) == ("other", 7, "succeeded")


def test_a_kind_that_the_worker_does_not_know_is_named(url):
    job_id = jobs.submit(url, "strange", [Item(place=0, sent={})])[0].id
    assert do(worker(url), url, job_id).detail == "this worker does not know the kind 'strange'; it knows: fake"


@pytest.mark.slow
def test_a_job_is_answered_by_one_version_though_champion_moves_and_the_worker_is_another(url):
    source = Source(fake=1)
    job_id = left(url, *[""] * 8)
    first = worker(url, source=source)
    assert first.batch(first.begin(job_id, "one"), "one")
    source.champions["fake"] = 2
    job = do(worker(url, source=source), url, job_id)
    assert (job.version, job.state) == (1, "succeeded")
    assert {item.result["version"] for item in jobs.items(url, job_id)} == {1}
    assert do(worker(url, source=source), url, left(url, "")).version == 2


def test_a_version_that_cannot_be_loaded_ends_the_job(url):
    class Broken(Source):
        def load(self, model, version):
            raise RuntimeError("weights are missing")

    job = do(worker(url, source=Broken(fake=3)), url, left(url, ""))
    assert (job.state, job.detail) == ("failed", "model fake version 3 cannot be loaded: weights are missing")


def test_a_cancelled_job_begins_no_further_batch(url):
    computing = Computing(lambda _: None)
    work = worker(url, computing)
    job_id = left(url, *[""] * 8)
    job = work.begin(job_id, "one")
    assert work.batch(job, "one")
    jobs.cancel(url, job_id)
    assert not work.batch(job, "one")
    assert computing.calls == [[0, 1, 2, 3]]
    assert (work.finish(job_id), jobs.find(url, job_id).done) == ("cancelled", 4)
    assert work.begin(job_id, "two") is None


def test_what_was_computed_while_the_job_was_cancelled_is_thrown_away(url):
    job_id = left(url, *[""] * 8)
    work = worker(url, Computing(lambda values: jobs.cancel(url, job_id) if 4 in values else None))
    job = do(work, url, job_id)
    assert (job.state, job.done) == ("cancelled", 4)


def test_a_run_that_another_one_took_the_job_from_writes_nothing_more(url):
    work = worker(url)
    job_id = left(url, *[""] * 8)
    job = work.begin(job_id, "first")
    assert work.batch(job, "first")
    worker(url).begin(job_id, "second")
    assert not work.batch(job, "first")
    assert jobs.find(url, job_id).done == 4


def test_items_over_which_a_worker_died_are_done_last_and_alone(url):
    computing = Computing(lambda _: None)
    job_id = left(url, *[""] * 6)
    jobs.begin(url, job_id, "fake", 1, "dead")
    jobs.attempt(url, job_id, [0, 1, 2, 3], "dead")
    assert do(worker(url, computing), url, job_id).state == "succeeded"
    assert computing.calls == [[4, 5], [0], [1], [2], [3]]


def test_an_item_over_which_worker_after_worker_died_is_given_up(url):
    computing = Computing(lambda _: None)
    job_id = left(url, "", "", "")
    jobs.begin(url, job_id, "fake", 1, "dead")
    for _ in range(9):
        jobs.attempt(url, job_id, [1], "dead")
    do(worker(url, computing), url, job_id)
    assert outcomes(url, job_id) == ["done", "worker_lost", "done"]
    assert jobs.items(url, job_id)[1].error["message"] == "given up: 9 tries of this item ended with their worker"
    assert [1] not in computing.calls


def test_a_database_that_is_away_for_a_moment_is_waited_for(url, monkeypatch):
    computing = Computing(lambda _: None)
    job_id = left(url, *[""] * 4)
    away, keep = iter([True, True, False]), jobs.keep

    def sometimes(*arguments, **named):
        if next(away):
            raise DatabaseError("database x: the server closed the connection")
        return keep(*arguments, **named)

    monkeypatch.setattr(jobs, "keep", sometimes)
    assert do(worker(url, computing), url, job_id).state == "succeeded"
    assert computing.calls == [[0, 1, 2, 3]]


def test_a_registry_that_does_not_answer_is_waited_for_and_then_named(url):
    class Away(Source):
        asked = 0

        def champion(self, model):
            self.asked += 1
            raise RegistryUnreachable("MLflow does not answer")

    source = Away()
    config = ServingConfig(jobs=JobsConfig(patience_seconds=0.05, retry_seconds=0.01))
    job = do(worker(url, source=source, config=config), url, left(url, ""))
    assert (job.state, job.detail) == ("failed", "MLflow does not answer")
    assert source.asked > 1


@contextmanager
def full_disk(url: str) -> Iterator[None]:
    """SQLite may not make its file larger: what it says then is what it says when the disk is full."""

    def limit(connection, *_):
        connection.execute("PRAGMA max_page_count = 1")  # it allows what is there already

    event.listen(engine(url), "checkout", limit)
    try:
        yield
    finally:
        event.remove(engine(url), "checkout", limit)
        with engine(url).connect() as connection:
            connection.exec_driver_sql("PRAGMA max_page_count = 1000000")


def test_a_full_disk_is_waited_for_and_nothing_is_half_written(url):
    computing = Computing(lambda _: None)
    work = worker(url, computing)
    large = "x" * 3000
    job_id = jobs.submit(url, "fake", [Item(place=i, sent={"value": i, "then": large}) for i in range(8)])[0].id
    job = work.begin(job_id, "one")
    assert work.batch(job, "one")
    with full_disk(url):
        with pytest.raises(DatabaseError, match="full"):
            for _ in range(1000):
                jobs.submit(url, "fake", [Item(place=0, sent=large)], max_waiting=10_000)
        done = jobs.find(url, job_id).done
        running = threading.Thread(target=work.batch, args=(job, "one"))
        running.start()
        running.join(0.3)
    running.join(30)
    assert not running.is_alive()
    assert done == 4
    assert jobs.find(url, job_id).done == 8
    assert len(newest_predictions(url, "fake", 100)) == 8
    assert computing.calls == [[0, 1, 2, 3], [4, 5, 6, 7]]


@pytest.mark.slow
def test_a_worker_that_is_told_to_end_leaves_the_job_as_it_is(url):
    job_id = left(url, "away", *[""] * 7)
    work = worker(url, Computing(lambda _: work._stopping.set()))
    job = work.begin(job_id, "one")
    with pytest.raises(Stopping):
        work.batch(job, "one")
    assert outcomes(url, job_id) == ["waiting", "done", "done", "done", "waiting", "waiting", "waiting", "waiting"]
    assert do(worker(url), url, job_id).done == 7


@pytest.mark.slow
def test_one_version_is_held_and_freed_when_nobody_needs_it():
    now = 0.0
    source = Source(fake=1)
    models = Models(source, clock=lambda: now)
    assert models.loaded("fake", 1) is models.loaded("fake", 1)
    models.loaded("fake", 2)
    models.loaded("fake", 1)
    assert source.loads == [("fake", 1), ("fake", 2), ("fake", 1)]
    now = 599.0
    assert not models.free_unused(600)
    now = 600.0
    assert models.free_unused(600)
    assert not models.free_unused(600)
