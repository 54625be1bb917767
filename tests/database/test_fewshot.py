"""Tasks, their versions and what goes with them; whole or not at all."""

import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy
from alembic import command
from alembic.config import Config
from fresh import started
from sqlalchemy import event

from database.engine import engine, migrate, reading
from database.errors import AlreadyDone, DatabaseError, NotFound, TaskMoved
from database.events import EventRow, all_events, insert_events
from database.fewshot import (
    AdaptedRow,
    ExampleRow,
    TaskRow,
    Taught,
    VersionRow,
    append_version,
    delete_task,
    find,
    find_request,
    find_state,
    insert_adapted,
    insert_task,
    kept_examples,
    newest_tasks,
    versions,
)

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
ID = "00000000-0000-4000-8000-00000000000{}"
ONE = ID.format(1)
EXAMPLES = [
    ExampleRow(
        label="Kurta \U0001f455", listing={"title": "a", "attributes": {"Fabric": "Cotton"}, "price": 5.5}, photo=b"\x00\xff"
    ),
    ExampleRow(label="Saree", listing={"title": "b"}),
]


def task(number: int = 1, **changes: object) -> TaskRow:
    return TaskRow(**{"id": ID.format(number), "created_at": NOON + timedelta(minutes=number)} | changes)


def version(number: int = 1, request: str | None = None, **classes: int) -> VersionRow:
    created = NOON + timedelta(hours=number)
    return VersionRow(
        version=number, request=request or f"request {number}", classes=classes or {"b": 2, "a": 1}, created_at=created
    )


def adapted(model_version: int = 1, **changes: object) -> AdaptedRow:
    values = {
        "model_version": model_version,
        "learner": "prototypes",
        "base": "product",
        "base_version": 10 + model_version,
        "digest": f"digest {model_version}",
        "measures": {"left_out_accuracy": 0.5},
        "created_at": NOON + timedelta(days=model_version),
    }
    return AdaptedRow(**values | changes)


def taught(url: str, number: int = 1, **changes: object) -> TaskRow:
    """A task with one version, kept examples among it."""
    row = task(number, keep_examples=True, **changes)
    insert_task(url, row, version(request=f"first of {number}"), adapted(), b"\x00state", EXAMPLES)
    return row


def rows(url: str) -> dict[str, int]:
    names = ("fewshot_tasks", "fewshot_versions", "fewshot_states", "fewshot_examples")
    with reading(url) as connection:
        return {name: connection.scalar(sqlalchemy.text(f"SELECT count(*) FROM {name}")) for name in names}


def test_a_task_comes_back_as_it_was_written(url):
    row = taught(url, name="Åsa's \U0001f455", learner="maml")
    found = find(url, ONE)
    assert found == Taught(row, version(request="first of 1"), (adapted(),))
    assert list(found.version.classes) == ["b", "a"]
    assert find_state(url, ONE, 1, 1) == b"\x00state"
    assert kept_examples(url, ONE, 1) == EXAMPLES


def test_a_second_version_leaves_the_first_as_it_was(url):
    first, row = find_of(url), task(keep_examples=True)
    more = [ExampleRow(label="c", listing={"title": "c"})]
    append_version(url, ONE, version(2, b=2, a=1, c=1), adapted(measures={"left_out_accuracy": None}), b"second", more)
    second = Taught(row, version(2, b=2, a=1, c=1), (adapted(measures={"left_out_accuracy": None}),))
    assert find(url, ONE) == find(url, ONE, 2) == second
    assert find(url, ONE, 1) == first
    assert versions(url, ONE, 10) == [second, first]
    assert versions(url, ONE, 1) == [second]
    assert (find_state(url, ONE, 1, 1), find_state(url, ONE, 2, 1)) == (b"\x00state", b"second")
    assert kept_examples(url, ONE, 1) == EXAMPLES
    assert kept_examples(url, ONE, 2) == [*EXAMPLES, *more]


def find_of(url: str) -> Taught:
    taught(url)
    return find(url, ONE)


def test_the_newest_tasks_come_with_their_newest_versions(url):
    for number in (2, 3, 1):
        taught(url, number)
    append_version(url, ID.format(2), version(2), adapted(), b"")
    insert_adapted(url, ID.format(2), 2, adapted(2), b"")
    found = newest_tasks(url, 2)
    assert [(one.task.id, one.version.version, len(one.adapted)) for one in found] == [(ID.format(3), 1, 1), (ID.format(2), 2, 2)]
    assert [one.task.id for one in newest_tasks(url, 10)] == [ID.format(number) for number in (3, 2, 1)]


def test_what_another_version_of_the_model_adapted_stands_beside_it_newest_first(url):
    taught(url)
    insert_adapted(url, ONE, 1, adapted(2), b"by two")
    insert_adapted(url, ONE, 1, adapted(2, learner="other"), b"again")
    assert find(url, ONE).adapted == (adapted(2), adapted(1))
    assert find_state(url, ONE, 1, 2) == b"by two"
    assert find_state(url, ONE, 1, 1) == b"\x00state"
    with pytest.raises(NotFound):
        find_state(url, ONE, 1, 3)
    with pytest.raises(NotFound):
        insert_adapted(url, ONE, 2, adapted(2), b"")


def test_what_is_not_there_is_named(url):
    taught(url)
    for call in (
        lambda: find(url, ID.format(2)),
        lambda: versions(url, ID.format(2), 5),
        lambda: delete_task(url, ID.format(2)),
        lambda: append_version(url, ID.format(2), version(2), adapted(), b""),
    ):
        with pytest.raises(NotFound, match=f"few-shot task '{ID.format(2)}' does not exist") as caught:
            call()
        assert caught.value.name == "task_id"
    for number in (0, 2, -1):
        with pytest.raises(NotFound, match=f"has no version {number}; its newest is 1") as caught:
            find(url, ONE, number)
        assert caught.value.name == "version"
    assert newest_tasks(url, 0) == []


def test_deleting_takes_all_of_a_task_and_nothing_of_another(url):
    taught(url, 1)
    taught(url, 2)
    append_version(url, ONE, version(2), adapted(), b"", EXAMPLES)
    insert_adapted(url, ONE, 2, adapted(2), b"")
    delete_task(url, ONE)
    assert rows(url) == {"fewshot_tasks": 1, "fewshot_versions": 1, "fewshot_states": 1, "fewshot_examples": 2}
    with pytest.raises(NotFound):
        find(url, ONE)
    with pytest.raises(NotFound):
        append_version(url, ONE, version(3), adapted(), b"")
    with pytest.raises(NotFound):
        insert_adapted(url, ONE, 2, adapted(3), b"")
    assert kept_examples(url, ONE, 2) == []
    assert find_request(url, "request 2") is None


def test_a_request_is_done_once(url):
    taught(url)
    append_version(url, ONE, version(2), adapted(), b"")
    for call in (
        lambda: insert_task(url, task(1), version(request="other"), adapted(), b""),
        lambda: insert_task(url, task(2), version(request="request 2"), adapted(), b""),
        lambda: append_version(url, ONE, version(3, request="request 2"), adapted(), b""),
    ):
        with pytest.raises(AlreadyDone):
            call()
    assert find_request(url, "request 2") == find(url, ONE, 2)
    assert find_request(url, "first of 1") == find(url, ONE, 1)
    assert find_request(url, "other") is None
    assert len(newest_tasks(url, 10)) == 1


def test_of_two_that_teach_the_same_version_one_is_told_that_the_other_was_first(url):
    taught(url)
    append_version(url, ONE, version(2), adapted(), b"")
    with pytest.raises(TaskMoved, match="expected version 1 to be the newest, found 2"):
        append_version(url, ONE, version(2, request="late"), adapted(), b"")
    with pytest.raises(TaskMoved):
        append_version(url, ONE, version(4), adapted(), b"")
    assert find(url, ONE).version.version == 2


def test_many_that_teach_at_once_are_all_in_the_end_result(url):
    taught(url)
    gate = threading.Barrier(4)

    def teach(place: int) -> int:
        gate.wait()
        lost = 0
        while True:
            newest = find(url, ONE).version
            row = version(newest.version + 1, f"of {place}", **newest.classes, **{f"new {place}": 1})
            try:
                append_version(url, ONE, row, adapted(), b"", [ExampleRow(label=f"new {place}", listing={})])
            except TaskMoved:
                lost += 1
            else:
                return lost

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(teach, range(4)))
    newest = find(url, ONE)
    assert newest.version.version == 5
    assert set(newest.version.classes) == {"a", "b", *(f"new {place}" for place in range(4))}
    assert sorted(row.label for row in kept_examples(url, ONE, 5)[2:]) == [f"new {place}" for place in range(4)]


def test_the_same_request_by_many_at_once_makes_one_task(url):
    migrate(url)
    gate, outcomes = threading.Barrier(4), []

    def make(_: int) -> None:
        gate.wait()
        try:
            insert_task(url, task(), version(), adapted(), b"", EXAMPLES)
            outcomes.append("made")
        except AlreadyDone:
            outcomes.append("done")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(make, range(4)))
    assert sorted(outcomes) == ["done", "done", "done", "made"]
    assert rows(url) == {"fewshot_tasks": 1, "fewshot_versions": 1, "fewshot_states": 1, "fewshot_examples": 2}


@pytest.mark.parametrize("measures", [{"left_out_accuracy": float("nan")}, {"hardest": object()}])
def test_a_value_that_json_cannot_hold_leaves_nothing(url, measures):
    with pytest.raises(DatabaseError, match="JSON"):
        insert_task(url, task(), version(), adapted(measures=measures), b"")
    assert set(rows(url).values()) == {0}


WRITES = ("fewshot_tasks", "fewshot_versions", "fewshot_states", "fewshot_examples")


@pytest.mark.slow
@pytest.mark.parametrize("when", [*(f"before {name}" for name in WRITES), "after fewshot_examples", "after all"])
def test_a_killed_writer_leaves_a_whole_task_or_none(url, when):
    migrate(url)
    child = started(_write_and_be_killed, url, when)
    child.join(300)
    assert child.exitcode == -signal.SIGKILL
    if when == "after all":
        assert kept_examples(url, ONE, 1) == EXAMPLES
        assert find_state(url, ONE, 1, 1) == b"\x00state"
    else:
        assert set(rows(url).values()) == {0}
        taught(url)  # the lock of the killed one is gone
    assert rows(url) == {"fewshot_tasks": 1, "fewshot_versions": 1, "fewshot_states": 1, "fewshot_examples": 2}


def _write_and_be_killed(url: str, when: str) -> None:
    """In a process of its own, which never returns."""
    moment, _, table = when.partition(" ")

    def kill(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if statement.startswith(f"INSERT INTO {table} "):
            os.kill(os.getpid(), signal.SIGKILL)

    try:
        event.listen(engine(url), f"{moment}_cursor_execute", kill)
        taught(url)
        if when == "after all":
            os.kill(os.getpid(), signal.SIGKILL)
    finally:
        os._exit(1)


def test_a_database_of_the_revision_before_is_brought_up_to_date_and_keeps_its_rows(url):
    insert_events(url, [EventRow(user_id="u", item_id="i", kind="view", occurred_at=NOON)])
    config = Config()
    config.set_main_option("script_location", "database:migrations")
    with engine(url).connect() as connection, connection.begin():
        config.attributes["connection"] = connection
        command.downgrade(config, "0002")
        assert not set(WRITES) & set(engine(url).dialect.get_table_names(connection))
    migrate(url)
    taught(url)
    assert len(list(all_events(url))) == 1
