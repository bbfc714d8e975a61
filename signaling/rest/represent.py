"""Rows as the JSON of the contract: field names live here and nowhere else."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, Final, Protocol
from urllib.parse import quote

from signaling.links import LinkSigner
from signaling.rest.bodies import iso
from storage.catalog import FileRow, RecordingRow

EXTENSIONS: Final = {
    "video/webm": "webm",
    "audio/webm": "webm",
    "video/mp4": "mp4",
    "audio/mp4": "m4a",
}


class Attendee(Protocol):
    """Somebody who is in a room now."""

    @property
    def identity(self) -> str: ...

    @property
    def name(self) -> str: ...

    @property
    def hidden(self) -> bool: ...


def file_path(recording_id: str, file_id: str) -> str:
    """The path under which a file is served, and which a signed link is about."""
    return f"/api/v1/recordings/{quote(recording_id, safe='')}/files/{quote(file_id, safe='')}"


def recording(row: RecordingRow, links: LinkSigner | None) -> dict[str, Any]:
    """`links` signs the files' URLs; without it they need a token."""
    files = [_file(row, file, links) for file in row.files]
    return {
        "id": row.id,
        "room": row.room,
        "callId": row.call_id,
        "status": row.status,
        "mode": row.mode,
        "startedBy": row.started_by,
        "startedAt": iso(row.started_at),
        "stoppedAt": iso(row.stopped_at),
        "durationSeconds": row.duration_seconds,
        "size": row.size,
        "url": files[0]["url"] if files else None,
        "key": row.files[0].key if row.files else None,
        "provider": row.files[0].provider if row.files else row.provider,
        "error": row.error,
        "metadata": row.metadata,
        "files": files,
        "integrity": row.integrity,
    }


def _file(row: RecordingRow, file: FileRow, links: LinkSigner | None) -> dict[str, Any]:
    path = file_path(row.id, file.id)
    return {
        "id": file.id,
        "kind": file.kind,
        "participantId": file.participant_id,
        "participantName": file.participant_name,
        "source": file.source,
        "startSeconds": file.start_seconds,
        "contentType": file.content_type,
        "size": file.size,
        "durationSeconds": file.duration_seconds,
        "width": file.width,
        "height": file.height,
        "sha256": file.sha256,
        "provider": file.provider,
        "url": links.sign(path) if links else path,
    }


def status(row: RecordingRow, progress: float, journal_bytes: int) -> dict[str, Any]:
    """`bytes` are those of the finished files, and before that those on disk so far."""
    return {
        "id": row.id,
        "recordingId": row.id,
        "status": row.status,
        "progress": progress,
        "bytes": row.size if row.size is not None else journal_bytes,
        "chunks": [],
        "error": row.error,
    }


def started_or_stopped(row: RecordingRow) -> dict[str, str]:
    return {"recordingId": row.id, "status": row.status}


def people(attendees: Sequence[Attendee]) -> list[dict[str, str]]:
    """Hidden participants are nobody's business."""
    seen = [one for one in attendees if not one.hidden]
    return [{"identity": one.identity, "name": one.name} for one in seen]


def call_recording_status(statuses: Iterable[str]) -> str:
    """What a call says of its recordings; `recording` only once media is on disk."""
    seen = set(statuses)
    if "recording" in seen:
        return "recording"
    if seen & {"processing", "uploading", "recorded"}:
        return "recorded"
    return "failed" if "failed" in seen else "not_recorded"


def file_name(row: RecordingRow, file: FileRow) -> str:
    """`<room>-<date>-<participant>.webm`, from letters that every file system takes."""
    moment = row.started_at or row.created_at
    parts = (row.room, moment.strftime("%Y-%m-%d_%H-%M"), file.participant_id)
    stem = "-".join(re.sub(r"[^\w.-]+", "_", part).strip("._") or "_" for part in parts)
    return f"{stem[:180]}.{EXTENSIONS.get(file.content_type, 'bin')}"
