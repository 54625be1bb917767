"""Predictions, feedback, the append-only promotion ledger and monitoring runs."""

import sqlalchemy as sa
from alembic import op

from database.tables import UtcDateTime

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create the four tables and the triggers that keep the ledger append-only."""
    op.create_table(
        "predictions",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("endpoint", sa.Text(), nullable=False),
        sa.Column("latency_ms", sa.Float(), nullable=False),
        sa.Column("inputs", sa.JSON(), nullable=False),
        sa.Column("outputs", sa.JSON(), nullable=False),
        sa.Column("embedding", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_predictions"),
    )
    op.create_index("ix_predictions_created_at", "predictions", ["created_at"])
    op.create_index("ix_predictions_model_created_at", "predictions", ["model", "created_at"])

    op.create_table(
        "feedback",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("prediction_id", sa.Text(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("labels", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_feedback"),
        sa.ForeignKeyConstraint(["prediction_id"], ["predictions.id"], name="fk_feedback_prediction_id", ondelete="CASCADE"),
    )
    op.create_index("ix_feedback_prediction_id", "feedback", ["prediction_id"])

    op.create_table(
        "promotions",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("alias", sa.Text(), nullable=False),
        sa.Column("from_version", sa.Integer(), nullable=True),
        sa.Column("to_version", sa.Integer(), nullable=True),
        sa.Column("who", sa.Text(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_promotions"),
        sa.UniqueConstraint("model", "alias", "sequence", name="uq_promotions_model_alias_sequence"),
    )
    for statement in _append_only(op.get_bind().dialect.name):
        op.execute(statement)

    op.create_table(
        "monitor_runs",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("window_key", sa.Text(), nullable=False),
        sa.Column("window_start", UtcDateTime(), nullable=True),
        sa.Column("window_end", UtcDateTime(), nullable=True),
        sa.Column("verdict", sa.JSON(), nullable=False),
        sa.Column("report", sa.Text(), nullable=True),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("retrain_state", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=True),
        sa.Column("heartbeat", UtcDateTime(), nullable=True),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_monitor_runs"),
        sa.UniqueConstraint("model", "window_key", name="uq_monitor_runs_model_window_key"),
    )
    under_way = sa.text("retrain_state IN ('claimed', 'running')")
    op.create_index(
        "uq_monitor_runs_one_retrain",
        "monitor_runs",
        ["model"],
        unique=True,
        sqlite_where=under_way,
        postgresql_where=under_way,
    )


def downgrade() -> None:
    """Drop everything, the ledger included."""
    for table in ("monitor_runs", "promotions", "feedback", "predictions"):
        op.drop_table(table)
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP FUNCTION IF EXISTS promotions_append_only()")


def _append_only(dialect: str) -> list[str]:
    refusal = "promotions is append-only"
    if dialect == "postgresql":
        return [
            f"""CREATE FUNCTION promotions_append_only() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN RAISE EXCEPTION '{refusal}'; END $$""",
            """CREATE TRIGGER promotions_keep_rows BEFORE UPDATE OR DELETE ON promotions
            FOR EACH ROW EXECUTE FUNCTION promotions_append_only()""",
            """CREATE TRIGGER promotions_keep_table BEFORE TRUNCATE ON promotions
            FOR EACH STATEMENT EXECUTE FUNCTION promotions_append_only()""",
        ]
    return [
        f"""CREATE TRIGGER promotions_no_{event.lower()} BEFORE {event} ON promotions
        BEGIN SELECT RAISE(ABORT, '{refusal}'); END"""
        for event in ("UPDATE", "DELETE")
    ]
