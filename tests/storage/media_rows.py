"""Rows of the media library as tests need them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from storage.catalog import MediaRow, new_media_id

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


def media_row(**changes: Any) -> MediaRow:
    """A film of a minute that nothing was made of, but for what is said otherwise."""
    media_id = changes.get("id") or new_media_id()
    row = MediaRow(
        id=media_id,
        user_id="ursula",
        status="ready",
        filename="Talk.mp4",
        content_type="video/mp4",
        file_type="video",
        size=7,
        provider="s3",
        storage_key=f"media/{media_id}/original.mp4",
        duration_seconds=60.0,
        width=1920,
        height=1080,
        video_codec="h264",
        audio_codec="aac",
        bitrate=1_000_000,
        frame_rate=25.0,
        quality="1080p",
        sha256=None,
        fingerprint=None,
        duplicate_of=None,
        tags=[],
        captions=[],
        derived=[],
        renditions=[],
        attachments=[],
        views=0,
        seconds_watched=0.0,
        error=None,
        created_at=NOON,
        deleted_at=None,
    )
    return replace(row, **changes)
