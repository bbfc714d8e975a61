"""The settings of what comes in beside calls: chunks of browsers' own recorders, and users' files."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import BeforeValidator, Field
from pydantic_settings import BaseSettings, NoDecode

FORMATS: Final = ("mp4", "webm", "avi", "mov", "mkv", "m4a", "mp3", "ogg", "wav", "flac")


def _formats(value: object) -> object:
    if not isinstance(value, str):
        return value
    items = tuple(item.strip().lower().lstrip(".") for item in value.split(",") if item.strip())
    for item in items:
        if item not in FORMATS:
            raise ValueError(f"`{item}` is not one of {', '.join(FORMATS)}")
    return items


Formats = Annotated[
    tuple[str, ...], NoDecode, BeforeValidator(_formats), Field(min_length=1, repr=True)
]


class UploadSettings(BaseSettings):
    """See `signaling.settings`."""

    max_video_size_mb: int = Field(
        default=500,
        validation_alias="MAX_VIDEO_SIZE_MB",
        description="largest file that a user may upload into the media library, in MiB",
        examples=["500"],
        ge=1,
        le=5 << 20,
    )
    allowed_video_formats: Formats = Field(
        default=("mp4", "webm", "avi", "mov"),
        validation_alias="ALLOWED_VIDEO_FORMATS",
        description=f"comma separated formats that users may upload, of {', '.join(FORMATS)}",
        examples=["mp4,webm,mov"],
    )
    upload_session_timeout: int = Field(
        default=3600,
        validation_alias="UPLOAD_SESSION_TIMEOUT",
        description="an upload to which nothing came for so many seconds is over, its parts removed",
        examples=["3600"],
        ge=5,
        le=7 * 86_400,
    )
    max_concurrent_uploads: int = Field(
        default=5,
        validation_alias="MAX_CONCURRENT_UPLOADS",
        description="uploads that one user may have under way",
        examples=["5"],
        ge=1,
        le=1000,
    )
    chunk_size_mb: int = Field(
        default=5,
        validation_alias="CHUNK_SIZE_MB",
        description=(
            "smallest part of a large upload, in MiB; larger files than 10,000 parts hold get larger"
            " ones"
        ),
        examples=["5"],
        ge=5,
        le=5 << 10,
    )
    min_video_width: int = Field(
        default=320,
        validation_alias="MIN_VIDEO_WIDTH",
        description="narrowest picture of an uploaded video, in pixels",
        examples=["320"],
        ge=0,
    )
    min_video_height: int = Field(
        default=240,
        validation_alias="MIN_VIDEO_HEIGHT",
        description="lowest picture of an uploaded video, in pixels",
        examples=["240"],
        ge=0,
    )
    max_video_duration_seconds: int = Field(
        default=7200,
        validation_alias="MAX_VIDEO_DURATION_SECONDS",
        description="longest uploaded video, in seconds",
        examples=["7200"],
        ge=1,
    )
    thumbnail_generation_enabled: bool = Field(
        default=True,
        validation_alias="THUMBNAIL_GENERATION_ENABLED",
        description="whether pictures are made of uploaded videos",
        examples=["false"],
    )
    media_trash_days: float = Field(
        default=30.0,
        validation_alias="MEDIA_TRASH_DAYS",
        description="how long a deleted media file can be restored; then its objects are removed",
        examples=["30"],
        ge=0,
    )
    recording_chunk_max_mb: int = Field(
        default=128,
        validation_alias="RECORDING_CHUNK_MAX_MB",
        description="largest chunk that a participant's browser may send of its own recording, in MiB",
        examples=["128"],
        ge=1,
        le=2048,
    )
    recording_chunks_max_gb: float = Field(
        default=50.0,
        validation_alias="RECORDING_CHUNKS_MAX_GB",
        description="how much one participant may send of one recording, in GiB",
        examples=["50"],
        gt=0,
    )
    recording_chunk_timeout: int | None = Field(
        default=None,
        validation_alias="RECORDING_CHUNK_TIMEOUT",
        description=(
            "seconds without a chunk after which an unfinished set of chunks is salvaged;"
            " UPLOAD_SESSION_TIMEOUT when absent"
        ),
        examples=["3600"],
        ge=5,
    )
