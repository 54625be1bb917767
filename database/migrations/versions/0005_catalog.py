"""Products that clients put, change and delete while a version serves."""

import sqlalchemy as sa
from alembic import op

from database.tables import UtcDateTime

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Create products and their vectors."""
    op.create_table(
        "catalog_products",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("listing", sa.JSON(), nullable=True),
        sa.Column("photo", sa.LargeBinary(), nullable=True),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_catalog_products"),
        sa.UniqueConstraint("revision", name="uq_catalog_products_revision"),
    )
    op.create_table(
        "catalog_vectors",
        sa.Column("product_id", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("vector", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("product_id", "model", "version", name="pk_catalog_vectors"),
        sa.ForeignKeyConstraint(
            ["product_id"], ["catalog_products.id"], name="fk_catalog_vectors_product_id", ondelete="CASCADE"
        ),
    )


def downgrade() -> None:
    """Drop what was put."""
    op.drop_table("catalog_vectors")
    op.drop_table("catalog_products")
