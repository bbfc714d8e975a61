"""The tables as this program expects them. The migrations lead here; a test compares the two."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Table,
    text,
)

from storage.catalog.columns import JSON_VALUE, PlainText, UtcDateTime

ACTIVE_STATUSES = ("starting", "recording")

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

recordings = Table(
    "recordings",
    metadata,
    Column("id", PlainText, primary_key=True),
    Column("room", PlainText, nullable=False),
    # no foreign key: a recording outlives the clean-up of its call
    Column("call_id", PlainText, index=True),
    Column("status", PlainText, nullable=False, index=True),
    Column("mode", PlainText, nullable=False),
    Column("started_by", PlainText, nullable=False),
    Column("started_at", UtcDateTime),
    Column("stopped_at", UtcDateTime),
    Column("duration_seconds", Float),
    Column("size", BigInteger),
    Column("provider", PlainText, nullable=False),
    Column("error", PlainText),
    Column("metadata", JSON_VALUE, nullable=False),
    Column("integrity", JSON_VALUE),
    Column("created_at", UtcDateTime, nullable=False, index=True),
    Column("shared_until", UtcDateTime),
    Column("options", JSON_VALUE),  # null: none, as of recordings made before there were any
    CheckConstraint(
        "status IN ('starting', 'recording', 'processing', 'uploading', 'recorded', 'failed')",
        name="status",
    ),
    Index("ix_recordings_room_created_at", "room", "created_at"),
)

# What makes double starts impossible, also from two processes.
_active = text("status IN ('starting', 'recording')")
Index(
    "uq_recordings_active_room",
    recordings.c.room,
    unique=True,
    sqlite_where=_active,
    postgresql_where=_active,
)

recording_files = Table(
    "recording_files",
    metadata,
    Column("id", PlainText, primary_key=True),
    Column(
        "recording_id",
        PlainText,
        ForeignKey("recordings.id", ondelete="CASCADE"),
        nullable=False,
        index=True,
    ),
    Column("position", Integer, nullable=False),
    Column("kind", PlainText, nullable=False),
    Column("participant_id", PlainText, nullable=False),
    Column("content_type", PlainText, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("duration_seconds", Float, nullable=False),
    Column("width", Integer),
    Column("height", Integer),
    Column("sha256", PlainText, nullable=False),
    Column("key", PlainText, nullable=False),
    Column("start_seconds", Float, nullable=False),
    Column("participant_name", PlainText, nullable=False),
    Column("source", PlainText, nullable=False),
    Column("provider", PlainText, nullable=False),
    Column("role", PlainText, nullable=False, server_default=text("''")),
    Column("derived_from", PlainText),
    # whether another file is the same object, and what a store holds
    Index("ix_recording_files_provider_key", "provider", "key"),
)

# The ledger: finished files whose object was not yet read back, or is not yet at home.
deliveries = Table(
    "deliveries",
    metadata,
    Column("id", PlainText, primary_key=True),
    Column(
        "recording_id",
        PlainText,
        ForeignKey("recordings.id", ondelete="CASCADE"),
        nullable=False,
        index=True,
    ),
    Column("state", PlainText, nullable=False, index=True),
    Column("path", PlainText, nullable=False),
    Column("file", JSON_VALUE, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("due_at", UtcDateTime, nullable=False),
    Column("error", PlainText),
    Column("created_at", UtcDateTime, nullable=False),
    CheckConstraint("state IN ('waiting', 'stored', 'away', 'left')", name="state"),
)

# Composites asked for after the recording; their files are the recording's once they are stored.
renders = Table(
    "renders",
    metadata,
    Column("id", PlainText, primary_key=True),
    Column(
        "recording_id",
        PlainText,
        ForeignKey("recordings.id", ondelete="CASCADE"),
        nullable=False,
        index=True,
    ),
    Column("status", PlainText, nullable=False, index=True),
    Column("options", JSON_VALUE, nullable=False),
    Column("requested_by", PlainText, nullable=False),
    Column("progress", Float, nullable=False),
    Column("error", PlainText),
    Column("file_id", PlainText),
    Column("created_at", UtcDateTime, nullable=False),
    Column("finished_at", UtcDateTime),
    CheckConstraint(
        "status IN ('queued', 'rendering', 'uploading', 'done', 'failed', 'cancelled')",
        name="status",
    ),
)

# What the browser of one participant recorded of one recording; its chunks are files on local disk.
chunk_sets = Table(
    "chunk_sets",
    metadata,
    Column("id", PlainText, primary_key=True),
    Column(
        "recording_id",
        PlainText,
        ForeignKey("recordings.id", ondelete="CASCADE"),
        nullable=False,
    ),
    Column("participant_id", PlainText, nullable=False),
    Column("participant_name", PlainText, nullable=False),
    Column("status", PlainText, nullable=False, index=True),
    Column("parts", JSON_VALUE, nullable=False),
    Column("progress", Float, nullable=False),
    Column("integrity", JSON_VALUE),
    Column("error", PlainText),
    Column("created_at", UtcDateTime, nullable=False),
    Column("finished_at", UtcDateTime),
    CheckConstraint(
        "status IN ('open', 'complete', 'assembling', 'uploading', 'done', 'failed')",
        name="status",
    ),
    Index("uq_chunk_sets_recording_participant", "recording_id", "participant_id", unique=True),
)

# Files on their way straight into the bucket, each until it is a media file, or never will be.
uploads = Table(
    "uploads",
    metadata,
    Column("id", PlainText, primary_key=True),
    Column("user_id", PlainText, nullable=False),
    Column("status", PlainText, nullable=False, index=True),
    Column("method", PlainText, nullable=False),
    Column("filename", PlainText, nullable=False),
    Column("content_type", PlainText, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("received", BigInteger, nullable=False),
    Column("provider", PlainText, nullable=False),
    Column("storage_key", PlainText, nullable=False),
    Column("upload_id", PlainText),
    Column("part_size", BigInteger),
    Column("course_id", PlainText),
    Column("metadata", JSON_VALUE, nullable=False),
    Column("media_id", PlainText),
    Column("error", JSON_VALUE),
    Column("created_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
    Column("finished_at", UtcDateTime),
    CheckConstraint(
        "status IN ('open', 'finishing', 'done', 'failed', 'aborted', 'expired')", name="status"
    ),
    Index("ix_uploads_user_id_status", "user_id", "status"),
)

# The media library: files that users brought.
media = Table(
    "media",
    metadata,
    Column("id", PlainText, primary_key=True),
    Column("user_id", PlainText, nullable=False),
    Column("status", PlainText, nullable=False, index=True),
    Column("filename", PlainText, nullable=False),
    Column("content_type", PlainText, nullable=False),
    Column("file_type", PlainText, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("provider", PlainText, nullable=False),
    Column("storage_key", PlainText, nullable=False),
    Column("duration_seconds", Float),
    Column("width", Integer),
    Column("height", Integer),
    Column("video_codec", PlainText),
    Column("audio_codec", PlainText),
    Column("bitrate", BigInteger),
    Column("frame_rate", Float),
    Column("quality", PlainText),
    Column("sha256", PlainText),
    Column("fingerprint", PlainText),
    Column("duplicate_of", PlainText),
    Column("tags", JSON_VALUE, nullable=False),
    Column("captions", JSON_VALUE, nullable=False),
    Column("derived", JSON_VALUE, nullable=False),
    Column("renditions", JSON_VALUE, nullable=False),
    Column("attachments", JSON_VALUE, nullable=False),
    Column("views", BigInteger, nullable=False),
    Column("seconds_watched", Float, nullable=False),
    Column("error", PlainText),
    Column("created_at", UtcDateTime, nullable=False),
    Column("deleted_at", UtcDateTime, index=True),
    CheckConstraint("status IN ('processing', 'ready', 'failed')", name="status"),
    Index("ix_media_user_id_created_at", "user_id", "created_at"),
    Index("ix_media_user_id_fingerprint", "user_id", "fingerprint"),
    # whose a stored object is
    Index("ix_media_provider_storage_key", "provider", "storage_key"),
)

room_settings = Table(
    "room_settings",
    metadata,
    Column("room", PlainText, primary_key=True),
    Column("settings", JSON_VALUE, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
)

# One row: the identity of the folder whose journals this database is about.
data_folder = Table("data_folder", metadata, Column("id", PlainText, primary_key=True))

# The outbox of webhooks: what each address still has to be told, in order.
webhooks = Table(
    "webhooks",
    metadata,
    Column("id", PlainText, primary_key=True),
    Column("url", PlainText, nullable=False, index=True),
    Column("body", PlainText, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("due_at", UtcDateTime, nullable=False),
    Column("error", PlainText),
    Column("created_at", UtcDateTime, nullable=False, index=True),
)

traffic = Table(
    "traffic",
    metadata,
    Column("month", PlainText, primary_key=True),
    Column("provider", PlainText, primary_key=True),
    Column("room", PlainText, primary_key=True),
    Column("bytes", BigInteger, nullable=False),
)

calls = Table(
    "calls",
    metadata,
    Column("id", PlainText, primary_key=True),
    Column("room", PlainText, nullable=False),
    Column("started_at", UtcDateTime, nullable=False),
    Column("ended_at", UtcDateTime),
    Index("ix_calls_room_started_at", "room", "started_at"),
)

# A room has one running call.
_running = text("ended_at IS NULL")
Index(
    "uq_calls_running_room",
    calls.c.room,
    unique=True,
    sqlite_where=_running,
    postgresql_where=_running,
)

call_participants = Table(
    "call_participants",
    metadata,
    Column("call_id", PlainText, ForeignKey("calls.id", ondelete="CASCADE"), primary_key=True),
    Column("identity", PlainText, primary_key=True),
    Column("joined_at", UtcDateTime, nullable=False),
)

invites = Table(
    "invites",
    metadata,
    Column("code_hash", PlainText, primary_key=True),
    Column("room", PlainText, nullable=False),
    Column("role", PlainText, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
    Column("max_uses", BigInteger),
    Column("uses", BigInteger, nullable=False),
    Column("created_by", PlainText, nullable=False),
    CheckConstraint("max_uses IS NULL OR (max_uses > 0 AND uses <= max_uses)", name="uses"),
)
