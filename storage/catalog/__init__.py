"""Where facts rest: SQLite by default, PostgreSQL when it grows."""

from storage.catalog.calls import CallRepository
from storage.catalog.catalog import Catalog
from storage.catalog.deliveries import DeliveryRepository
from storage.catalog.folder import FolderRepository
from storage.catalog.ids import new_call_id, new_file_id, new_recording_id
from storage.catalog.invites import InviteRepository
from storage.catalog.lock import ServerLock
from storage.catalog.migration import migrate, pending_migrations
from storage.catalog.recordings import RecordingRepository
from storage.catalog.renders import RenderRepository
from storage.catalog.rooms import RoomRepository
from storage.catalog.rows import (
    CallRow,
    DeliveryChanges,
    DeliveryRow,
    FileRow,
    InviteRow,
    Page,
    RecordingChanges,
    RecordingRow,
    RenderChanges,
    RenderRow,
    TrafficRow,
    UsageRow,
    WebhookRow,
)
from storage.catalog.usage import UsageRepository
from storage.catalog.webhooks import WebhookRepository

__all__ = [
    "CallRepository",
    "CallRow",
    "Catalog",
    "DeliveryChanges",
    "DeliveryRepository",
    "DeliveryRow",
    "FileRow",
    "FolderRepository",
    "InviteRepository",
    "InviteRow",
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
    "UsageRepository",
    "UsageRow",
    "WebhookRepository",
    "WebhookRow",
    "migrate",
    "new_call_id",
    "new_file_id",
    "new_recording_id",
    "pending_migrations",
]
