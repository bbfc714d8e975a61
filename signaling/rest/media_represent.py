"""Media files as the JSON of the contract, and the paths under which they are played."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import PurePosixPath
from typing import Any, Final
from urllib.parse import quote

from recorder.media.objects import find_file, original_file
from recorder.media.sniff import CONTENT_TYPES
from recorder.uploads.formats import format_of_name
from signaling.clock import iso
from signaling.links import LIFE, LinkSigner
from signaling.playback import Playback
from storage.catalog import MediaRow

_ROOT: Final = "/api/v1/media/media/"
_EXTENSIONS: Final = {"video/mp4": "mp4", "audio/mp4": "m4a", "image/jpeg": "jpg"} | {
    kind: name for name, kinds in CONTENT_TYPES.items() if name != "m4a" for kind in kinds
}
_EXTENSIONS["audio/mp4"] = "m4a"


def original_path(media_id: str) -> str:
    """Where the file itself is played, and what a signed link is about."""
    return f"{_ROOT}{quote(media_id, safe='')}/file"


def file_path(media_id: str, name: str) -> str:
    """The same of what was made of it: `poster`, `720p`, `hls`."""
    return f"{_ROOT}{quote(media_id, safe='')}/files/{quote(name, safe='')}"


def captions_path(media_id: str, language: str) -> str:
    return f"{_ROOT}{quote(media_id, safe='')}/captions/{quote(language, safe='')}"


def life_of(row: MediaRow) -> timedelta:
    """Of links in what a player asks for once, and then plays for as long as it lasts."""
    return LIFE + timedelta(seconds=row.duration_seconds or 0)


def media_file(row: MediaRow, links: LinkSigner, playback: Playback) -> dict[str, Any]:
    """URLs are signed, and so good for whoever holds them, for two hours; none of a deleted file."""
    pictures = {role: _made(row, role, links) for role in ("poster", "strip", "cues")}
    return {
        "id": row.id,
        "userId": row.user_id,
        "filename": row.filename,
        "contentType": row.content_type,
        "fileType": row.file_type,
        "size": row.size,
        "status": row.status,
        "provider": row.provider,
        "storageKey": row.storage_key,
        "url": _link(row, original_path(row.id), links),
        "cdnUrl": None if row.deleted_at else playback.cdn_link(original_file(row)),
        "durationSeconds": row.duration_seconds,
        "width": row.width,
        "height": row.height,
        "videoCodec": row.video_codec,
        "audioCodec": row.audio_codec,
        "bitrate": row.bitrate,
        "frameRate": row.frame_rate,
        "quality": row.quality,
        "hasCaptions": bool(row.captions),
        "captionLanguages": [each["language"] for each in row.captions],
        "captions": [_captions(row, each, links) for each in row.captions],
        "thumbnailUrl": pictures["poster"],
        **pictures,
        "renditions": [_rendition(row, each, links) for each in row.renditions],
        "attachments": row.attachments,
        "tags": row.tags,
        "sha256": row.sha256,
        "duplicateOf": row.duplicate_of,
        "views": row.views,
        "secondsWatched": row.seconds_watched,
        "error": row.error,
        "createdAt": iso(row.created_at),
        "deletedAt": iso(row.deleted_at),
    }


def _link(row: MediaRow, path: str, links: LinkSigner) -> str | None:
    return None if row.deleted_at is not None else links.sign(path)


def _made(row: MediaRow, name: str, links: LinkSigner) -> str | None:
    return _link(row, file_path(row.id, name), links) if find_file(row, name) else None


def _rendition(row: MediaRow, rendition: Mapping[str, Any], links: LinkSigner) -> dict[str, Any]:
    """`progress` is that of its making, 0..1."""
    return {
        "name": rendition["name"],
        "status": rendition["status"],
        "progress": rendition["progress"],
        "error": rendition.get("error"),
        "contentType": rendition.get("contentType"),
        "size": rendition.get("size"),
        "width": rendition.get("width"),
        "height": rendition.get("height"),
        "url": _made(row, rendition["name"], links),
        "requestedAt": _moment(rendition.get("requestedAt")),
        "finishedAt": _moment(rendition.get("finishedAt")),
    }


def _moment(noted: str | None) -> str | None:
    return iso(datetime.fromisoformat(noted)) if noted else None


def _captions(row: MediaRow, each: Mapping[str, Any], links: LinkSigner) -> dict[str, Any]:
    return {
        "language": each["language"],
        "label": each["label"],
        "cues": each["cues"],
        "url": _link(row, captions_path(row.id, each["language"]), links),
    }


def saved_as(row: MediaRow, content_type: str, name: str = "") -> str:
    """What a browser saves a file as: the user's name for it, with an extension that is true."""
    path = PurePosixPath(row.filename)
    extension = _EXTENSIONS.get(content_type) or path.suffix.lstrip(".") or "bin"
    if not name and format_of_name(row.filename) is not None:  # not .html, nor .exe
        extension = path.suffix.lstrip(".")
    return f"{path.stem}{'-' + name if name else ''}.{extension}"
