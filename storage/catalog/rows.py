"""What repositories take and return: frozen values. All times are aware and in UTC."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, TypedDict, TypeVar

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class FileRow:
    """A finished file of a recording and the object that holds it.

    `size` in bytes, `width` and `height` in pixels, `sha256` in hex. `start_seconds` is where the
    file begins on the recording's time line.
    """

    id: str
    kind: str  # participant, track, composite, client, thumbnail, hls
    participant_id: str
    content_type: str
    size: int
    duration_seconds: float
    width: int | None
    height: int | None
    sha256: str
    key: str
    start_seconds: float
    participant_name: str = ""
    source: str = ""  # camera (with microphone) or screen (with its sound)
    provider: str = "local"  # whose store has the object
    role: str = ""  # of a derived file: poster, strip, cues, playlist, media; see recorder.jobs
    derived_from: str | None = None  # id of the file that it was made of


@dataclass(frozen=True, slots=True)
class DeliveryRow:
    """A finished file on its way into storage: a row of the ledger.

    `path` is the local copy. `file` is what the recording's file will be; its `provider` is the
    store that has the object (in `left`: that has it still), and "" while the state is `waiting`.
    `attempts` have failed since the last success, the last with `error`; the next is due at
    `due_at`.
    """

    id: str  # the file's
    recording_id: str
    state: str  # waiting, stored, away, left; see recorder.ledger
    path: str
    file: FileRow
    attempts: int
    due_at: datetime
    error: str | None
    created_at: datetime


class DeliveryChanges(TypedDict, total=False):
    """The columns of a delivery that may change."""

    state: str
    file: FileRow
    attempts: int
    due_at: datetime
    error: str | None


MEDIA_LIBRARY = ""


@dataclass(frozen=True, slots=True)
class UsageRow:
    """What the recordings of a room take at a provider: `bytes`, `files`, and `seconds` of media.

    The room MEDIA_LIBRARY, which no call can have, stands for what users brought.
    """

    provider: str
    room: str
    bytes: int
    files: int
    seconds: float


@dataclass(frozen=True, slots=True)
class TrafficRow:
    """Bytes of a room's files at a provider that this server sent in a month ("2026-11")."""

    month: str
    provider: str
    room: str
    bytes: int


@dataclass(frozen=True, slots=True)
class RecordingRow:
    """`size` is the sum of its files in bytes. `error` is one sentence: why it failed, or what it waits
    for in `processing` and `uploading`.
    """

    id: str
    room: str
    call_id: str | None
    status: str  # starting, recording, processing, uploading, recorded, failed
    mode: str
    started_by: str
    started_at: datetime | None
    stopped_at: datetime | None
    duration_seconds: float | None
    size: int | None
    provider: str
    error: str | None
    metadata: dict[str, Any]
    integrity: dict[str, Any] | None
    created_at: datetime
    shared_until: datetime | None = None  # a link to it is valid until then
    options: dict[str, Any] = field(default_factory=dict)  # how it was asked for; never changes
    files: tuple[FileRow, ...] = field(default=())


class RecordingChanges(TypedDict, total=False):
    """The columns of a recording that may change after it was created."""

    call_id: str | None
    status: str
    started_at: datetime | None
    stopped_at: datetime | None
    duration_seconds: float | None
    size: int | None
    provider: str
    error: str | None
    metadata: dict[str, Any]
    integrity: dict[str, Any] | None
    shared_until: datetime | None


@dataclass(frozen=True, slots=True)
class RenderRow:
    """A composite that was asked for. `file_id` is the recording's file that it became."""

    id: str
    recording_id: str
    status: str  # queued, rendering, uploading, done, failed, cancelled
    options: dict[str, Any]
    requested_by: str
    progress: float  # of the present status, 0..1
    error: str | None
    file_id: str | None
    created_at: datetime
    finished_at: datetime | None


class RenderChanges(TypedDict, total=False):
    """The columns of a render that may change."""

    status: str
    progress: float
    error: str | None
    file_id: str | None
    finished_at: datetime | None


@dataclass(frozen=True, slots=True)
class ChunkSetRow:
    """What one participant's browser recorded of one recording: `recorder.chunks`.

    `parts` holds what is known of each MediaRecorder session, by its number as text: `mimeType`,
    `source`, `startedAt`, `clockOffsetMs`, and `lastSequence` once the client said it. `integrity` is
    what assembly found, `error` why it failed or what it waits for.
    """

    id: str
    recording_id: str
    participant_id: str
    participant_name: str
    status: str  # open, complete, assembling, uploading, done, failed
    parts: dict[str, Any]
    progress: float  # of the present status, 0..1
    integrity: dict[str, Any] | None
    error: str | None
    created_at: datetime
    finished_at: datetime | None


class ChunkSetChanges(TypedDict, total=False):
    """The columns of a chunk set that may change."""

    participant_name: str
    status: str
    parts: dict[str, Any]
    progress: float
    integrity: dict[str, Any] | None
    error: str | None
    finished_at: datetime | None


@dataclass(frozen=True, slots=True)
class UploadRow:
    """A file on its way into a store by its user: an upload session.

    `method` is form, put, multipart (straight into the bucket), stream (through this server) or tus.
    `size` is what was announced, `received` what is known to have come, in bytes. `upload_id` and
    `part_size` are those of the store's multipart upload. `error` is `{"code", "message"}`.
    """

    id: str
    user_id: str
    status: str  # open, finishing, done, failed, aborted, expired
    method: str
    filename: str
    content_type: str
    size: int
    received: int
    provider: str
    storage_key: str
    upload_id: str | None
    part_size: int | None
    course_id: str | None
    metadata: dict[str, Any]
    media_id: str | None
    error: dict[str, Any] | None
    created_at: datetime
    expires_at: datetime
    finished_at: datetime | None


class UploadChanges(TypedDict, total=False):
    """The columns of an upload that may change."""

    status: str
    method: str
    received: int
    upload_id: str | None
    part_size: int | None
    metadata: dict[str, Any]
    media_id: str | None
    error: dict[str, Any] | None
    expires_at: datetime
    finished_at: datetime | None


@dataclass(frozen=True, slots=True)
class MediaRow:
    """A file of a user's media library and the object that holds it.

    `size` in bytes, `bitrate` in bit/s, `frame_rate` in frames per second, `sha256` in hex (None for
    what is too large to be read back), `fingerprint` the hash of samples and size that finds
    duplicates. `derived` lists what was made of it (`{"role", "key", "contentType", "size", "width",
    "height"}`), `renditions` and `captions` the same with more fields, `attachments` the course videos
    it belongs to.
    """

    id: str
    user_id: str
    status: str  # processing, ready, failed
    filename: str
    content_type: str
    file_type: str  # video, audio
    size: int
    provider: str
    storage_key: str
    duration_seconds: float | None
    width: int | None
    height: int | None
    video_codec: str | None
    audio_codec: str | None
    bitrate: int | None
    frame_rate: float | None
    quality: str | None  # 360p, 480p, 720p, 1080p, 1440p, 4k
    sha256: str | None
    fingerprint: str | None
    duplicate_of: str | None
    tags: list[str]
    captions: list[dict[str, Any]]
    derived: list[dict[str, Any]]
    renditions: list[dict[str, Any]]
    attachments: list[dict[str, Any]]
    views: int
    seconds_watched: float
    error: str | None
    created_at: datetime
    deleted_at: datetime | None


class MediaChanges(TypedDict, total=False):
    """The columns of a media file that may change."""

    status: str
    filename: str
    content_type: str
    file_type: str
    duration_seconds: float | None
    width: int | None
    height: int | None
    video_codec: str | None
    audio_codec: str | None
    bitrate: int | None
    frame_rate: float | None
    quality: str | None
    sha256: str | None
    fingerprint: str | None
    duplicate_of: str | None
    tags: list[str]
    captions: list[dict[str, Any]]
    derived: list[dict[str, Any]]
    renditions: list[dict[str, Any]]
    attachments: list[dict[str, Any]]
    error: str | None
    deleted_at: datetime | None


@dataclass(frozen=True, slots=True)
class WebhookRow:
    """What an address still has to be told. `attempts` have failed; the next is due at `due_at`."""

    id: str
    url: str
    body: str
    attempts: int
    due_at: datetime
    error: str | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class CallRow:
    """One session of a room. `participants` are identities in the order they first joined."""

    id: str
    room: str
    started_at: datetime
    ended_at: datetime | None
    participants: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class InviteRow:
    """`max_uses` of None is without limit."""

    code_hash: str
    room: str
    role: str
    expires_at: datetime
    max_uses: int | None
    uses: int
    created_by: str


@dataclass(frozen=True, slots=True)
class Page(Generic[Item]):
    """A part of a list; `total` counts the whole list."""

    items: tuple[Item, ...]
    total: int
