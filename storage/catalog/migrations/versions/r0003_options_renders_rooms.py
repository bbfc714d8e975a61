"""Recordings with options, derived files, renders, settings of rooms, and the outbox of webhooks."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("recordings", sa.Column("options", sa.JSON))
    op.add_column("recording_files", sa.Column("role", sa.Text, nullable=False, server_default=""))
    op.add_column("recording_files", sa.Column("derived_from", sa.Text))
    _renders()
    op.create_table(
        "room_settings",
        sa.Column("room", sa.Text, nullable=False),
        sa.Column("settings", sa.JSON, nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("room", name="pk_room_settings"),
    )
    op.create_table(
        "webhooks",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("url", sa.Text, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("error", sa.Text),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_webhooks"),
    )
    op.create_index("ix_webhooks_url", "webhooks", ["url"])
    op.create_index("ix_webhooks_created_at", "webhooks", ["created_at"])


def downgrade() -> None:
    op.drop_table("webhooks")
    op.drop_table("room_settings")
    op.drop_table("renders")
    op.drop_column("recording_files", "derived_from")
    op.drop_column("recording_files", "role")
    # not in a batch: SQLite would make the table anew, and take the files with the old one
    op.drop_column("recordings", "options")


def _renders() -> None:
    op.create_table(
        "renders",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("recording_id", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("options", sa.JSON, nullable=False),
        sa.Column("requested_by", sa.Text, nullable=False),
        sa.Column("progress", sa.Float, nullable=False),
        sa.Column("error", sa.Text),
        sa.Column("file_id", sa.Text),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("id", name="pk_renders"),
        sa.ForeignKeyConstraint(
            ["recording_id"],
            ["recordings.id"],
            name="fk_renders_recording_id_recordings",
            ondelete="CASCADE",
        ),
        sa.CheckConstraint(
            "status IN ('queued', 'rendering', 'uploading', 'done', 'failed', 'cancelled')",
            name=op.f("ck_renders_status"),
        ),
    )
    op.create_index("ix_renders_recording_id", "renders", ["recording_id"])
    op.create_index("ix_renders_status", "renders", ["status"])
