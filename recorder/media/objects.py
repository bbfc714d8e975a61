"""What the objects of a media file are called, and how the catalog's entries name them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, TypedDict

from recorder.media.facts import Facts
from recorder.media.sniff import CONTENT_TYPES
from storage.catalog import FileRow, MediaRow

ORIGINAL: Final = "original"
PICTURES: Final = "pictures"
"""Role of the entry that says that a film's pictures are still to be made."""
MADE: Final = {
    "poster": ("media.poster.jpg", "image/jpeg"),
    "strip": ("media.strip.jpg", "image/jpeg"),
    "cues": ("media.cues.vtt", "text/vtt"),
}
"""Name and media type of the pictures of a film, by role."""

Entry = Mapping[str, Any]


class FactColumns(TypedDict):
    """The columns of a media file that its bytes say."""

    content_type: str
    file_type: str
    duration_seconds: float
    width: int | None
    height: int | None
    video_codec: str | None
    audio_codec: str | None
    bitrate: int | None
    frame_rate: float | None
    quality: str | None


def columns_of(facts: Facts) -> FactColumns:
    """What the catalog keeps of a file's facts."""
    video, audio = CONTENT_TYPES[facts.format]
    return {
        "content_type": audio if facts.video_codec is None else video,
        "file_type": facts.file_type,
        "duration_seconds": facts.duration_seconds,
        "width": facts.width,
        "height": facts.height,
        "video_codec": facts.video_codec,
        "audio_codec": facts.audio_codec,
        "bitrate": facts.bitrate,
        "frame_rate": facts.frame_rate,
        "quality": facts.quality,
    }


def find_file(row: MediaRow, name: str) -> Entry | None:
    """The object of this name that was made of the file: `poster`, `720p`, `hls-720p-media`."""
    for entry in row.derived:
        if entry["role"] == name and "key" in entry:
            return entry
    for rendition in row.renditions:
        for entry in rendition.get("files", ()):
            if entry["name"] == name:
                return entry  # type: ignore[no-any-return]
    return None


def find_captions(row: MediaRow, language: str) -> Entry | None:
    """Whatever the case of the tag."""
    wanted = language.lower()
    return next((each for each in row.captions if each["language"].lower() == wanted), None)


def keys_of(row: MediaRow) -> set[str]:
    """Every key that the row names; there may be more below its prefix."""
    made: Iterable[Entry] = (
        *row.derived,
        *row.captions,
        *(entry for rendition in row.renditions for entry in rendition.get("files", ())),
    )
    return {row.storage_key} | {entry["key"] for entry in made if "key" in entry}


def original_file(row: MediaRow) -> FileRow:
    return stored_file(
        row,
        {
            "name": ORIGINAL,
            "key": row.storage_key,
            "contentType": row.content_type,
            "size": row.size,
            "width": row.width,
            "height": row.height,
            "sha256": row.sha256 or row.fingerprint,
        },
    )


def stored_file(row: MediaRow, entry: Entry) -> FileRow:
    """An object of the media file in the form that stores and players are asked in."""
    return FileRow(
        id=row.id,
        kind="media",
        participant_id=row.user_id,
        content_type=entry["contentType"],
        size=entry["size"],
        duration_seconds=row.duration_seconds or 0.0,
        width=entry.get("width"),
        height=entry.get("height"),
        sha256=entry.get("sha256") or "",
        key=entry["key"],
        start_seconds=0.0,
        provider=row.provider,
        role=entry.get("role", ""),
    )
