"""The episodic memory of few-shot models: tasks, what each version of them was taught, and the classifiers adapted for it.

Rows are only ever added, and go with their task.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import groupby
from typing import Any, Self

from sqlalchemy import Connection, Row, Select, Subquery, delete, func, insert, select, tuple_
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError

from database.audit import ANYONE, note
from database.engine import reading, writing
from database.errors import AlreadyDone, NotFound, TaskMoved
from database.tables import FewshotExample as ExampleTable
from database.tables import FewshotState as StateTable
from database.tables import FewshotTask as TaskTable
from database.tables import FewshotVersion as VersionTable


@dataclass(frozen=True, kw_only=True)
class TaskRow:
    """A classifier that a client taught.

    Attributes:
        id: UUID.
        learner: The one that the client asked for; None: the model chooses.
        keep_examples: Whether examples are kept as they were sent.
    """

    id: str
    name: str | None = None
    learner: str | None = None
    keep_examples: bool = False
    created_at: datetime = field(default_factory=lambda: datetime.now(UTC))


@dataclass(frozen=True, kw_only=True)
class VersionRow:
    """What a task was taught up to one request.

    Attributes:
        version: From 1 on.
        request: Names the request; a second one of that name is refused.
        classes: Examples of each class, all requests together, in the order in which the classes came.
    """

    version: int
    request: str
    classes: Mapping[str, int]
    created_at: datetime = field(default_factory=lambda: datetime.now(UTC))


@dataclass(frozen=True, kw_only=True)
class AdaptedRow:
    """What is known of a version's classifier as one version of the model adapted it.

    Attributes:
        model_version: Of the few-shot model.
        base: Model whose features it rests on; those of another `digest` cannot be compared.
        base_version: The registered version of that model.
        digest: Of that version's bundle.
        measures: JSON values, no NaN.
    """

    model_version: int
    learner: str
    base: str
    base_version: int
    digest: str
    measures: Mapping[str, Any]
    created_at: datetime = field(default_factory=lambda: datetime.now(UTC))


@dataclass(frozen=True, kw_only=True)
class ExampleRow:
    """An example as it was sent.

    Attributes:
        listing: JSON values, without the photo.
        photo: Encoded.
    """

    label: str
    listing: Mapping[str, Any]
    photo: bytes | None = None


@dataclass(frozen=True)
class Taught:
    """One version of a task.

    Attributes:
        adapted: At least one, newest first.
    """

    task: TaskRow
    version: VersionRow
    adapted: tuple[AdaptedRow, ...]

    @classmethod
    def of(cls, rows: Sequence[Row[Any]]) -> Self:
        """From the rows of `_told` of one version."""
        task, version = slice(len(_TASK)), slice(len(_TASK), len(_TASK) + len(_VERSION))
        return cls(
            TaskRow(**dict(zip(_TASK, rows[0][task], strict=True))),
            VersionRow(**dict(zip(_VERSION, rows[0][version], strict=True))),
            tuple(AdaptedRow(**dict(zip(_ADAPTED, row[version.stop :], strict=True))) for row in rows),
        )


_TASK = tuple(TaskRow.__dataclass_fields__)
_VERSION = tuple(VersionRow.__dataclass_fields__)
_ADAPTED = tuple(AdaptedRow.__dataclass_fields__)


def insert_task(
    url: str, task: TaskRow, version: VersionRow, adapted: AdaptedRow, state: bytes, examples: Sequence[ExampleRow] = ()
) -> None:
    """Write a task with its first version, all of it or nothing.

    Raises:
        AlreadyDone: the same request, or a task of that id, is there.
        DatabaseError: unreachable, or a value that JSON cannot hold.
    """
    with writing(url) as connection:
        try:
            connection.execute(insert(TaskTable), vars(task))
            _insert_version(connection, task.id, version, adapted, state, examples)
        except IntegrityError as error:
            raise AlreadyDone(f"few-shot task {task.id!r} exists") from error


def append_version(
    url: str, task_id: str, version: VersionRow, adapted: AdaptedRow, state: bytes, examples: Sequence[ExampleRow] = ()
) -> None:
    """Write the version that follows the newest one, all of it or nothing; of several writers that try, one succeeds.

    Raises:
        NotFound: no such task.
        AlreadyDone: the same request is there.
        TaskMoved: the version before it is not the newest one any more.
        DatabaseError: unreachable, or a value that JSON cannot hold.
    """
    with writing(url) as connection:
        newest = connection.scalar(select(func.max(VersionTable.version)).where(VersionTable.task_id == task_id))
        if newest is None:
            raise _no_task(task_id)
        if _done(connection, version.request):
            raise AlreadyDone(f"request {version.request!r} was done before")
        if newest != version.version - 1:
            raise TaskMoved(f"few-shot task {task_id!r}: expected version {version.version - 1} to be the newest, found {newest}")
        try:
            _insert_version(connection, task_id, version, adapted, state, examples)
        except IntegrityError as error:  # on PostgreSQL, where others write at the same time, or delete the task
            raise TaskMoved(f"few-shot task {task_id!r}: somebody else wrote version {version.version}, or deleted it") from error


def insert_adapted(url: str, task_id: str, version: int, adapted: AdaptedRow, state: bytes) -> None:
    """Keep what another version of the model made of a version's examples; where that is there already it stays.

    Raises:
        NotFound: no such version.
        DatabaseError: unreachable, or a value that JSON cannot hold.
    """
    with writing(url) as connection:
        dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
        values = {"task_id": task_id, "version": version, **vars(adapted), "state": state}
        try:
            connection.execute(dialect.insert(StateTable).on_conflict_do_nothing(), values)
        except IntegrityError as error:
            raise _no_task(task_id) from error


def find(url: str, task_id: str, version: int | None = None) -> Taught:
    """One version of a task; the newest where none is named.

    Raises:
        NotFound: no such task, or no such version of it; `name` says which, "task_id" or "version".
    """
    with reading(url) as connection:
        newest = connection.scalar(select(func.max(VersionTable.version)).where(VersionTable.task_id == task_id))
        if newest is None:
            raise _no_task(task_id)
        if version is not None and not 1 <= version <= newest:
            raise NotFound(f"few-shot task {task_id!r} has no version {version}; its newest is {newest}", "version")
        [found] = _told(connection, _chosen(task_id).where(VersionTable.version == (version or newest)))
        return found


def find_request(url: str, request: str) -> Taught | None:
    """What came of a request; None where it was not done, or its task is deleted."""
    with reading(url) as connection:
        query = select(VersionTable.task_id, VersionTable.version).where(VersionTable.request == request)
        found = _told(connection, query)
        return found[0] if found else None


def find_state(url: str, task_id: str, version: int, model_version: int) -> bytes:
    """The arrays of a classifier, as they were written.

    Raises:
        NotFound: no such task, or not adapted by that version of the model.
    """
    query = select(StateTable.state).where(
        StateTable.task_id == task_id, StateTable.version == version, StateTable.model_version == model_version
    )
    with reading(url) as connection:
        state: bytes | None = connection.scalar(query)
    if state is None:
        raise _no_task(task_id)
    return state


def newest_tasks(url: str, limit: int) -> list[Taught]:
    """The newest version of each of the newest `limit` tasks, newest task first."""
    tasks = select(TaskTable.id).order_by(TaskTable.created_at.desc(), TaskTable.id).limit(limit).subquery()
    newest = select(VersionTable.task_id, func.max(VersionTable.version).label("version"))
    with reading(url) as connection:
        return _told(connection, newest.where(VersionTable.task_id.in_(select(tasks.c.id))).group_by(VersionTable.task_id))


def versions(url: str, task_id: str, limit: int) -> list[Taught]:
    """The newest `limit` versions of a task, newest first.

    Raises:
        NotFound: no such task.
    """
    with reading(url) as connection:
        found = _told(connection, _chosen(task_id).order_by(VersionTable.version.desc()).limit(limit))
    if not found:
        raise _no_task(task_id)
    return found


def kept_examples(url: str, task_id: str, version: int) -> list[ExampleRow]:
    """Examples of a task up to a version, in the order in which they came; none where it does not keep them."""
    columns = (ExampleTable.label, ExampleTable.listing, ExampleTable.photo)
    query = select(*columns).where(ExampleTable.task_id == task_id, ExampleTable.version <= version)
    with reading(url) as connection:
        rows = connection.execute(query.order_by(ExampleTable.version, ExampleTable.place))
        return [ExampleRow(label=label, listing=listing, photo=photo) for label, listing, photo in rows]


def delete_task(url: str, task_id: str, who: str = ANYONE) -> None:
    """Delete a task with all its versions, classifiers and examples.

    Raises:
        NotFound: no such task.
    """
    with writing(url) as connection:
        if connection.execute(delete(TaskTable).where(TaskTable.id == task_id)).rowcount == 0:
            raise _no_task(task_id)
        note(connection, who, "few-shot task deleted", task_id)


def _insert_version(
    connection: Connection, task_id: str, version: VersionRow, adapted: AdaptedRow, state: bytes, examples: Sequence[ExampleRow]
) -> None:
    of_version = {"task_id": task_id, "version": version.version}
    connection.execute(insert(VersionTable), {"task_id": task_id, **vars(version)})
    connection.execute(insert(StateTable), {**of_version, **vars(adapted), "state": state})
    if examples:
        rows = [{**of_version, "place": place, **vars(example)} for place, example in enumerate(examples)]
        connection.execute(insert(ExampleTable), rows)


def _done(connection: Connection, request: str) -> bool:
    return connection.scalar(select(VersionTable.task_id).where(VersionTable.request == request)) is not None


def _chosen(task_id: str) -> Select[Any]:
    return select(VersionTable.task_id, VersionTable.version).where(VersionTable.task_id == task_id)


def _told(connection: Connection, chosen: Select[Any]) -> list[Taught]:
    """The versions of `chosen` (task_id, version), of the newest task and the newest version first, without their arrays."""
    wanted: Subquery = chosen.subquery()
    columns = (
        *(TaskTable.__table__.columns[name] for name in _TASK),
        *(VersionTable.__table__.columns[name] for name in _VERSION),
        *(StateTable.__table__.columns[name] for name in _ADAPTED),
    )
    same = (StateTable.task_id == VersionTable.task_id) & (StateTable.version == VersionTable.version)
    query = (
        select(*columns)
        .join(VersionTable, VersionTable.task_id == TaskTable.id)
        .join(StateTable, same)
        .where(tuple_(VersionTable.task_id, VersionTable.version).in_(select(wanted.c.task_id, wanted.c.version)))
        .order_by(
            TaskTable.created_at.desc(), TaskTable.id, VersionTable.version.desc(), StateTable.created_at.desc(),
            StateTable.model_version.desc(),
        )
    )  # fmt: skip
    place = len(_TASK) + _VERSION.index("version")
    return [Taught.of(list(rows)) for _, rows in groupby(connection.execute(query), lambda row: (row[0], row[place]))]


def _no_task(task_id: str) -> NotFound:
    return NotFound(f"few-shot task {task_id!r} does not exist", "task_id")
