"""What few-shot models were taught."""

import sqlalchemy as sa
from alembic import op

from database.tables import UtcDateTime

revision = "0003"
down_revision = "0002"

VERSION = ["fewshot_versions.task_id", "fewshot_versions.version"]


def upgrade() -> None:
    """Create tasks, their versions, the classifiers that were adapted for these, and the examples that are kept."""
    op.create_table(
        "fewshot_tasks",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("learner", sa.Text(), nullable=True),
        sa.Column("keep_examples", sa.Boolean(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_fewshot_tasks"),
    )
    op.create_index("ix_fewshot_tasks_created_at", "fewshot_tasks", ["created_at"])
    op.create_table(
        "fewshot_versions",
        sa.Column("task_id", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("request", sa.Text(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("classes", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("task_id", "version", name="pk_fewshot_versions"),
        sa.ForeignKeyConstraint(["task_id"], ["fewshot_tasks.id"], name="fk_fewshot_versions_task_id", ondelete="CASCADE"),
        sa.UniqueConstraint("request", name="uq_fewshot_versions_request"),
    )
    op.create_table(
        "fewshot_states",
        sa.Column("task_id", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("model_version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("learner", sa.Text(), nullable=False),
        sa.Column("base", sa.Text(), nullable=False),
        sa.Column("base_version", sa.Integer(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("measures", sa.JSON(), nullable=False),
        sa.Column("state", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("task_id", "version", "model_version", name="pk_fewshot_states"),
        sa.ForeignKeyConstraint(["task_id", "version"], VERSION, name="fk_fewshot_states_task_id_version", ondelete="CASCADE"),
    )
    op.create_table(
        "fewshot_examples",
        sa.Column("task_id", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("place", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("listing", sa.JSON(), nullable=False),
        sa.Column("photo", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("task_id", "version", "place", name="pk_fewshot_examples"),
        sa.ForeignKeyConstraint(["task_id", "version"], VERSION, name="fk_fewshot_examples_task_id_version", ondelete="CASCADE"),
    )


def downgrade() -> None:
    """Drop what was taught."""
    for table in ("fewshot_examples", "fewshot_states", "fewshot_versions", "fewshot_tasks"):
        op.drop_table(table)
