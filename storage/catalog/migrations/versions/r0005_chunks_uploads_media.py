"""Chunks of participants' browsers, upload sessions, and the media library."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _chunk_sets()
    _uploads()
    _media()


def downgrade() -> None:
    op.drop_table("media")
    op.drop_table("uploads")
    op.drop_table("chunk_sets")


def _chunk_sets() -> None:
    op.create_table(
        "chunk_sets",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("recording_id", sa.Text, nullable=False),
        sa.Column("participant_id", sa.Text, nullable=False),
        sa.Column("participant_name", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("parts", sa.JSON, nullable=False),
        sa.Column("progress", sa.Float, nullable=False),
        sa.Column("integrity", sa.JSON),
        sa.Column("error", sa.Text),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("id", name="pk_chunk_sets"),
        sa.ForeignKeyConstraint(
            ["recording_id"],
            ["recordings.id"],
            name="fk_chunk_sets_recording_id_recordings",
            ondelete="CASCADE",
        ),
        sa.CheckConstraint(
            "status IN ('open', 'complete', 'assembling', 'uploading', 'done', 'failed')",
            name=op.f("ck_chunk_sets_status"),
        ),
    )
    op.create_index("ix_chunk_sets_status", "chunk_sets", ["status"])
    op.create_index(
        "uq_chunk_sets_recording_participant",
        "chunk_sets",
        ["recording_id", "participant_id"],
        unique=True,
    )


def _uploads() -> None:
    op.create_table(
        "uploads",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("user_id", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("method", sa.Text, nullable=False),
        sa.Column("filename", sa.Text, nullable=False),
        sa.Column("content_type", sa.Text, nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("received", sa.BigInteger, nullable=False),
        sa.Column("provider", sa.Text, nullable=False),
        sa.Column("storage_key", sa.Text, nullable=False),
        sa.Column("upload_id", sa.Text),
        sa.Column("part_size", sa.BigInteger),
        sa.Column("course_id", sa.Text),
        sa.Column("metadata", sa.JSON, nullable=False),
        sa.Column("media_id", sa.Text),
        sa.Column("error", sa.JSON),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("id", name="pk_uploads"),
        sa.CheckConstraint(
            "status IN ('open', 'finishing', 'done', 'failed', 'aborted', 'expired')",
            name=op.f("ck_uploads_status"),
        ),
    )
    op.create_index("ix_uploads_status", "uploads", ["status"])
    op.create_index("ix_uploads_user_id_status", "uploads", ["user_id", "status"])


def _media() -> None:
    op.create_table(
        "media",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("user_id", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("filename", sa.Text, nullable=False),
        sa.Column("content_type", sa.Text, nullable=False),
        sa.Column("file_type", sa.Text, nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("provider", sa.Text, nullable=False),
        sa.Column("storage_key", sa.Text, nullable=False),
        sa.Column("duration_seconds", sa.Float),
        sa.Column("width", sa.Integer),
        sa.Column("height", sa.Integer),
        sa.Column("video_codec", sa.Text),
        sa.Column("audio_codec", sa.Text),
        sa.Column("bitrate", sa.BigInteger),
        sa.Column("frame_rate", sa.Float),
        sa.Column("quality", sa.Text),
        sa.Column("sha256", sa.Text),
        sa.Column("fingerprint", sa.Text),
        sa.Column("duplicate_of", sa.Text),
        sa.Column("tags", sa.JSON, nullable=False),
        sa.Column("captions", sa.JSON, nullable=False),
        sa.Column("derived", sa.JSON, nullable=False),
        sa.Column("renditions", sa.JSON, nullable=False),
        sa.Column("attachments", sa.JSON, nullable=False),
        sa.Column("views", sa.BigInteger, nullable=False),
        sa.Column("seconds_watched", sa.Float, nullable=False),
        sa.Column("error", sa.Text),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("deleted_at", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("id", name="pk_media"),
        sa.CheckConstraint(
            "status IN ('processing', 'ready', 'failed')", name=op.f("ck_media_status")
        ),
    )
    op.create_index("ix_media_status", "media", ["status"])
    op.create_index("ix_media_deleted_at", "media", ["deleted_at"])
    op.create_index("ix_media_user_id_created_at", "media", ["user_id", "created_at"])
    op.create_index("ix_media_user_id_fingerprint", "media", ["user_id", "fingerprint"])
    op.create_index("ix_media_provider_storage_key", "media", ["provider", "storage_key"])
