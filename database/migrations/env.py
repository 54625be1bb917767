"""Alembic's entry point: runs on the connection that `database.engine.migrate` holds."""

from alembic import context

from database.engine import VERSION_TABLE
from database.tables import Base


def ours(name: str | None, kind: str, _parents: object) -> bool:
    """Leave alone what others keep in the same database: Optuna's studies."""
    return kind != "table" or name in Base.metadata.tables


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    version_table=VERSION_TABLE,
    render_as_batch=True,
    include_name=ours,
)
with context.begin_transaction():
    context.run_migrations()
