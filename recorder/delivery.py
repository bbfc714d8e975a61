"""Finished files into storage, believed only when they were read back."""

from __future__ import annotations

import base64
import hashlib
from urllib.parse import quote

from recorder.errors import StorageFailed
from recorder.jobs import FinalizedFile
from storage.catalog import FileRow
from storage.objects import ObjectStore

_LONGEST_SEGMENT = 180  # bytes; file systems end at 255


def object_prefix(room: str, recording_id: str) -> str:
    """What the keys of all objects of a recording begin with."""
    return f"recordings/{_segment(room)}/{_segment(recording_id)}/"


async def deliver(store: ObjectStore, room: str, recording_id: str, file: FinalizedFile) -> FileRow:
    """Stores one file. Doing it again replaces the object, and gives the same row.

    Raises StorageFailed when the object is not what was stored, and what the store raises.
    """
    file_id = _file_id(recording_id, file.path.name)
    key = f"{object_prefix(room, recording_id)}{file_id}{file.path.suffix}"
    await store.put_file(key, file.path, file.content_type)
    info, digest = await store.head(key), await store.digest(key)
    if (info.size, digest) != (file.size, file.sha256):
        raise StorageFailed(f"object {key} ({info.size} bytes) is not what was stored")
    return FileRow(
        id=file_id,
        kind=file.kind,
        participant_id=file.participant_id,
        content_type=file.content_type,
        size=file.size,
        duration_seconds=file.duration_seconds,
        width=file.width,
        height=file.height,
        sha256=file.sha256,
        key=key,
        start_seconds=file.start_seconds,
        participant_name=file.participant_name,
        source=file.source,
    )


def _file_id(recording_id: str, name: str) -> str:
    digest = hashlib.sha256(f"{recording_id}/{name}".encode()).digest()
    return "FI_" + base64.urlsafe_b64encode(digest[:12]).decode()


def _segment(name: str) -> str:
    """`name` as one segment of a key: percent-encoded, never a dot segment, never too long."""
    segment = quote(name, safe="")
    if not segment.strip("."):
        segment = segment.replace(".", "%2E") or "%00"
    if len(segment) > _LONGEST_SEGMENT:
        digest = hashlib.sha256(name.encode()).hexdigest()
        segment = f"{segment[: _LONGEST_SEGMENT - 33]}~{digest[:32]}"
    return segment
