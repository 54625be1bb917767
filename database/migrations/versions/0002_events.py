"""What users did with items."""

import sqlalchemy as sa
from alembic import op

from database.tables import UtcDateTime

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Create the table of events."""
    op.create_table(
        "events",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("item_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("occurred_at", UtcDateTime(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("prediction_id", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_events"),
        sa.UniqueConstraint("event_id", name="uq_events_event_id"),
    )
    op.create_index("ix_events_user_id_occurred_at_id", "events", ["user_id", "occurred_at", "id"])
    op.create_index("ix_events_occurred_at_id", "events", ["occurred_at", "id"])


def downgrade() -> None:
    """Drop the events."""
    op.drop_table("events")
