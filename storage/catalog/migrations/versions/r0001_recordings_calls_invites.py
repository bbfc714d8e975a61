"""Recordings with their files, calls with their participants, invites.

A migration is history: it names types of SQLAlchemy, never those of `storage.catalog`.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    _recordings()
    _recording_files()
    _calls()
    _invites()


def downgrade() -> None:
    for table in ("invites", "call_participants", "calls", "recording_files", "recordings"):
        op.drop_table(table)


def _recordings() -> None:
    op.create_table(
        "recordings",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("room", sa.Text, nullable=False),
        sa.Column("call_id", sa.Text),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("mode", sa.Text, nullable=False),
        sa.Column("started_by", sa.Text, nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True)),
        sa.Column("stopped_at", sa.DateTime(timezone=True)),
        sa.Column("duration_seconds", sa.Float),
        sa.Column("size", sa.BigInteger),
        sa.Column("provider", sa.Text, nullable=False),
        sa.Column("error", sa.Text),
        sa.Column("metadata", sa.JSON, nullable=False),
        sa.Column("integrity", sa.JSON),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_recordings"),
        sa.CheckConstraint(
            "status IN ('starting', 'recording', 'processing', 'uploading', 'recorded', 'failed')",
            name=op.f("ck_recordings_status"),
        ),
    )
    op.create_index("ix_recordings_call_id", "recordings", ["call_id"])
    op.create_index("ix_recordings_status", "recordings", ["status"])
    op.create_index("ix_recordings_created_at", "recordings", ["created_at"])
    op.create_index("ix_recordings_room_created_at", "recordings", ["room", "created_at"])
    active = sa.text("status IN ('starting', 'recording')")
    op.create_index(
        "uq_recordings_active_room",
        "recordings",
        ["room"],
        unique=True,
        sqlite_where=active,
        postgresql_where=active,
    )


def _recording_files() -> None:
    op.create_table(
        "recording_files",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("recording_id", sa.Text, nullable=False),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("participant_id", sa.Text, nullable=False),
        sa.Column("content_type", sa.Text, nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("duration_seconds", sa.Float, nullable=False),
        sa.Column("width", sa.Integer),
        sa.Column("height", sa.Integer),
        sa.Column("sha256", sa.Text, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("start_seconds", sa.Float, nullable=False),
        sa.Column("participant_name", sa.Text, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_recording_files"),
        sa.ForeignKeyConstraint(
            ["recording_id"],
            ["recordings.id"],
            name="fk_recording_files_recording_id_recordings",
            ondelete="CASCADE",
        ),
    )
    op.create_index("ix_recording_files_recording_id", "recording_files", ["recording_id"])


def _calls() -> None:
    op.create_table(
        "calls",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("room", sa.Text, nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("id", name="pk_calls"),
    )
    op.create_index("ix_calls_room_started_at", "calls", ["room", "started_at"])
    running = sa.text("ended_at IS NULL")
    op.create_index(
        "uq_calls_running_room",
        "calls",
        ["room"],
        unique=True,
        sqlite_where=running,
        postgresql_where=running,
    )
    op.create_table(
        "call_participants",
        sa.Column("call_id", sa.Text, nullable=False),
        sa.Column("identity", sa.Text, nullable=False),
        sa.Column("joined_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("call_id", "identity", name="pk_call_participants"),
        sa.ForeignKeyConstraint(
            ["call_id"],
            ["calls.id"],
            name="fk_call_participants_call_id_calls",
            ondelete="CASCADE",
        ),
    )


def _invites() -> None:
    op.create_table(
        "invites",
        sa.Column("code_hash", sa.Text, nullable=False),
        sa.Column("room", sa.Text, nullable=False),
        sa.Column("role", sa.Text, nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("max_uses", sa.BigInteger),
        sa.Column("uses", sa.BigInteger, nullable=False),
        sa.Column("created_by", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("code_hash", name="pk_invites"),
        sa.CheckConstraint(
            "max_uses IS NULL OR (max_uses > 0 AND uses <= max_uses)",
            name=op.f("ck_invites_uses"),
        ),
    )
