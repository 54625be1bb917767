"""Answers that are given again without computing them."""

import sqlalchemy as sa
from alembic import op

from database.tables import UtcDateTime

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Create the cache."""
    op.create_table(
        "cached_results",
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("value", sa.LargeBinary(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("used_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("digest", "model", "version", name="pk_cached_results"),
    )
    op.create_index("ix_cached_results_used_at", "cached_results", ["used_at"])


def downgrade() -> None:
    """Drop the cache; nothing is lost."""
    op.drop_table("cached_results")
