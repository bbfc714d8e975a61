"""The ledger of deliveries, which store has a file, shared recordings, and traffic by month."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("recordings", sa.Column("shared_until", sa.DateTime(timezone=True)))
    # files of the first version are all on local disk
    op.add_column(
        "recording_files", sa.Column("provider", sa.Text, nullable=False, server_default="local")
    )
    with op.batch_alter_table("recording_files") as table:
        table.alter_column("provider", server_default=None)
    op.create_index("ix_recording_files_provider_key", "recording_files", ["provider", "key"])
    _deliveries()
    op.create_table(
        "traffic",
        sa.Column("month", sa.Text, nullable=False),
        sa.Column("provider", sa.Text, nullable=False),
        sa.Column("room", sa.Text, nullable=False),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("month", "provider", "room", name="pk_traffic"),
    )


def downgrade() -> None:
    op.drop_table("traffic")
    op.drop_table("deliveries")
    op.drop_index("ix_recording_files_provider_key", "recording_files")
    op.drop_column("recording_files", "provider")
    # not in a batch: SQLite would make the table anew, and take the files with the old one
    op.drop_column("recordings", "shared_until")


def _deliveries() -> None:
    op.create_table(
        "deliveries",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("recording_id", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("path", sa.Text, nullable=False),
        sa.Column("file", sa.JSON, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("error", sa.Text),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_deliveries"),
        sa.ForeignKeyConstraint(
            ["recording_id"],
            ["recordings.id"],
            name="fk_deliveries_recording_id_recordings",
            ondelete="CASCADE",
        ),
        sa.CheckConstraint(
            "state IN ('waiting', 'stored', 'away', 'left')", name=op.f("ck_deliveries_state")
        ),
    )
    op.create_index("ix_deliveries_recording_id", "deliveries", ["recording_id"])
    op.create_index("ix_deliveries_state", "deliveries", ["state"])
