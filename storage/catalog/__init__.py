"""Where facts rest: SQLite by default, PostgreSQL when it grows."""

from storage.catalog.calls import CallRepository
from storage.catalog.catalog import Catalog
from storage.catalog.chunk_sets import ChunkSetRepository
from storage.catalog.deliveries import DeliveryRepository
from storage.catalog.folder import FolderRepository
from storage.catalog.ids import (
    new_call_id,
    new_file_id,
    new_media_id,
    new_recording_id,
    new_upload_id,
)
from storage.catalog.invites import InviteRepository
from storage.catalog.lock import ServerLock
from storage.catalog.media import MediaRepository
from storage.catalog.migration import migrate, pending_migrations
from storage.catalog.recordings import RecordingRepository
from storage.catalog.renders import RenderRepository
from storage.catalog.rooms import RoomRepository
from storage.catalog.rows import (
    MEDIA_LIBRARY,
    CallRow,
    ChunkSetChanges,
    ChunkSetRow,
    DeliveryChanges,
    DeliveryRow,
    FileRow,
    InviteRow,
    MediaChanges,
    MediaRow,
    Page,
    RecordingChanges,
    RecordingRow,
    RenderChanges,
    RenderRow,
    TrafficRow,
    UploadChanges,
    UploadRow,
    UsageRow,
    WebhookRow,
)
from storage.catalog.uploads import UploadRepository
from storage.catalog.usage import UsageRepository
from storage.catalog.webhooks import WebhookRepository

__all__ = [
    "MEDIA_LIBRARY",
    "CallRepository",
    "CallRow",
    "Catalog",
    "ChunkSetChanges",
    "ChunkSetRepository",
    "ChunkSetRow",
    "DeliveryChanges",
    "DeliveryRepository",
    "DeliveryRow",
    "FileRow",
    "FolderRepository",
    "InviteRepository",
    "InviteRow",
    "MediaChanges",
    "MediaRepository",
    "MediaRow",
    "Page",
    "RecordingChanges",
    "RecordingRepository",
    "RecordingRow",
    "RenderChanges",
    "RenderRepository",
    "RenderRow",
    "RoomRepository",
    "ServerLock",
    "TrafficRow",
    "UploadChanges",
    "UploadRepository",
    "UploadRow",
    "UsageRepository",
    "UsageRow",
    "WebhookRepository",
    "WebhookRow",
    "migrate",
    "new_call_id",
    "new_file_id",
    "new_media_id",
    "new_recording_id",
    "new_upload_id",
    "pending_migrations",
]
