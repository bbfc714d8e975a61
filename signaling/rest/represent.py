"""Rows as the JSON of the contract: field names live here and nowhere else."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Protocol
from urllib.parse import quote

from recorder.lifecycle import END_REASON
from signaling.clock import iso
from signaling.links import LinkSigner
from storage.catalog import FileRow, RecordingRow, RenderRow

EXTENSIONS: Final = {
    "video/webm": "webm",
    "audio/webm": "webm",
    "video/mp4": "mp4",
    "audio/mp4": "m4a",
    "image/jpeg": "jpg",
    "text/vtt": "vtt",
    "application/vnd.apple.mpegurl": "m3u8",
}
COMPANIONS: Final = {"poster": "poster", "strip": "strip", "cues": "cues", "hls": "playlist"}
"""Field of a file's JSON: role of the derived file whose URL it holds."""


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


def recording(
    row: RecordingRow, links: LinkSigner | None, renders: Iterable[RenderRow] | None = None
) -> dict[str, Any]:
    """`links` signs the files' URLs; without it they need a token. `renders` as far as looked up."""
    urls = {file.id: _url(row, file, links) for file in row.files}
    ordered = [*originals(row), *(file for file in row.files if file.role)]
    main = main_file(row)
    told = {
        "id": row.id,
        "room": row.room,
        "callId": row.call_id,
        "status": row.status,
        "mode": row.mode,
        "options": row.options,
        "startedBy": row.started_by,
        "startedAt": iso(row.started_at),
        "stoppedAt": iso(row.stopped_at),
        "durationSeconds": row.duration_seconds,
        "size": row.size,
        "url": urls[main.id] if main else None,
        "key": main.key if main else None,
        "provider": main.provider if main else row.provider,
        "error": row.error,
        "metadata": row.metadata,
        "files": [_file(row, file, urls) for file in ordered],
        "integrity": row.integrity,
    }
    return told if renders is None else {**told, "renders": [render(each) for each in renders]}


def originals(row: RecordingRow) -> list[FileRow]:
    """The files that were not made of others for showing them: no posters, no playlists."""
    return [file for file in row.files if not file.role]


def main_file(row: RecordingRow) -> FileRow | None:
    """What stands for the whole recording: its composite if that was asked for, else the first."""
    whole = [file for file in originals(row) if file.kind == "composite"]
    if row.mode == "composite" and whole:
        return whole[0]
    return next(iter(originals(row)), None)


def companion(row: RecordingRow, file: FileRow, role: str) -> FileRow | None:
    """The derived file of this role that was made of `file`, or of what `file` was made of."""
    source = file.derived_from if file.role else file.id
    for each in row.files:
        if each.role == role and each.derived_from == source is not None:
            return each
    return None


def _url(row: RecordingRow, file: FileRow, links: LinkSigner | None) -> str:
    path = file_path(row.id, file.id)
    return links.sign(path) if links else path


def _file(row: RecordingRow, file: FileRow, urls: Mapping[str, str]) -> dict[str, Any]:
    companions = {
        name: None if file.role or (made := companion(row, file, role)) is None else urls[made.id]
        for name, role in COMPANIONS.items()
    }
    return {
        "id": file.id,
        "kind": file.kind,
        "role": file.role,
        "derivedFrom": file.derived_from,
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
        "url": urls[file.id],
        **companions,
    }


def render(row: RenderRow) -> dict[str, Any]:
    """A composite that was asked for; `progress` is that of its present status, 0..1."""
    return {
        "id": row.id,
        "recordingId": row.recording_id,
        "status": row.status,
        "progress": row.progress,
        "options": row.options,
        "error": row.error,
        "fileId": row.file_id,
        "createdAt": iso(row.created_at),
        "finishedAt": iso(row.finished_at),
    }


def status(
    row: RecordingRow,
    progress: float,
    bytes_on_disk: int,
    renders: Iterable[RenderRow] = (),
    chunks: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """`bytes` are those of the finished files, and before that those on disk so far. `chunks` are the
    states of what participants send.
    """
    return {
        "id": row.id,
        "recordingId": row.id,
        "status": row.status,
        "progress": progress,
        "bytes": row.size if row.size is not None else bytes_on_disk,
        "chunks": list(chunks),
        "renders": [render(each) for each in renders],
        "endReason": row.metadata.get(END_REASON),
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
    parts = (row.room, moment.strftime("%Y-%m-%d_%H-%M"), file.participant_id or file.kind)
    stem = "-".join(re.sub(r"[^\w.-]+", "_", part).strip("._") or "_" for part in parts)
    return f"{stem[:180]}.{EXTENSIONS.get(file.content_type, 'bin')}"
