"""Vectors of products belong to a bundle: in a registry begun anew a version of the same number is another one."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Say whose vectors they are; those that do not say so are computed again when a version next answers."""
    op.execute("DELETE FROM catalog_vectors")
    with op.batch_alter_table("catalog_vectors") as table:
        table.add_column(sa.Column("bundle", sa.Text(), nullable=False))


def downgrade() -> None:
    """Forget whose vectors they are, and the vectors."""
    op.execute("DELETE FROM catalog_vectors")
    with op.batch_alter_table("catalog_vectors") as table:
        table.drop_column("bundle")
