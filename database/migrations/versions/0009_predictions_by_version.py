"""The newest predictions of one version are found by an index, also of a version that has answered little yet."""

from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Make the index; predictions are not written meanwhile."""
    op.create_index("ix_predictions_model_version_created_at", "predictions", ["model", "version", "created_at"])


def downgrade() -> None:
    """Drop it."""
    op.drop_index("ix_predictions_model_version_created_at", "predictions")
