"""Which revision the schema of the application database has, and which one this program needs.

Every process brings it up to date on its first use; who rolls out several does so once, before any of them starts.
"""

import time
from typing import NamedTuple

from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from database import workflows
from database.engine import VERSION_TABLE, engine, migrate, migrations, shown, translated
from database.errors import DatabaseError

LOOK_SECONDS = 1.0


class Migrated(NamedTuple):
    """What a migration changed; `before` is None where there was no schema."""

    database: str
    before: str | None
    after: str


class Status(NamedTuple):
    """What is there; `schema` is None where there is none."""

    database: str
    schema: str | None
    needed: str


def upgrade(url: str) -> Migrated:
    """Bring the schema, and that of DBOS, up to date; processes that do so at once wait for each other.

    Raises:
        DatabaseError: unreachable, or its schema is newer than this program.
    """
    before = _current(url)
    migrate(url)
    workflows.ensure(url)
    return Migrated(shown(url), before, _needed())


def awaited(url: str, seconds: float) -> Status:
    """The schema, as soon as it is the one that is needed; what it is after `seconds` at the latest.

    Raises:
        DatabaseError: unreachable until then, or its schema is newer than this program.
    """
    needed, until = _needed(), time.monotonic() + seconds
    while True:
        late = time.monotonic() >= until
        try:
            current = _current(url)
        except DatabaseError:
            if late:
                raise
        else:
            if current is not None and current not in _known():
                raise DatabaseError(f"database {shown(url)}: its schema, {current}, is newer than this program's, {needed}")
            if late or current == needed:
                return Status(shown(url), current, needed)
        time.sleep(max(0.0, min(LOOK_SECONDS, until - time.monotonic())))


def _current(url: str) -> str | None:
    with translated(url), engine(url).connect() as connection:
        return MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE}).get_current_revision()


def _needed() -> str:
    head = ScriptDirectory.from_config(migrations()).get_current_head()
    assert head is not None
    return head


def _known() -> set[str]:
    return {script.revision for script in ScriptDirectory.from_config(migrations()).walk_revisions()}
