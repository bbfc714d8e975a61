"""What formats are called outside: extensions of file names, and media types. Pure.

Here the client's word counts, so that what would be refused anyway is refused before it is sent; what
the bytes are is found out by the media library when they are there.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

# By the names of ALLOWED_VIDEO_FORMATS: extensions, the usual one first, and media types likewise.
EXTENSIONS: Final[Mapping[str, tuple[str, ...]]] = {
    "mp4": ("mp4", "m4v"),
    "webm": ("webm", "weba"),
    "avi": ("avi",),
    "mov": ("mov", "qt"),
    "mkv": ("mkv", "mka"),
    "m4a": ("m4a",),
    "mp3": ("mp3",),
    "ogg": ("ogg", "oga", "ogv", "opus"),
    "wav": ("wav",),
    "flac": ("flac",),
}
MEDIA_TYPES: Final[Mapping[str, tuple[str, ...]]] = {
    "mp4": ("video/mp4", "application/mp4", "video/x-m4v"),
    "webm": ("video/webm", "audio/webm"),
    "avi": ("video/x-msvideo", "video/avi", "video/msvideo", "video/vnd.avi"),
    "mov": ("video/quicktime",),
    "mkv": ("video/x-matroska", "video/matroska", "audio/x-matroska", "audio/matroska"),
    "m4a": ("audio/mp4", "audio/x-m4a", "audio/m4a"),
    "mp3": ("audio/mpeg", "audio/mp3"),
    "ogg": ("audio/ogg", "video/ogg", "application/ogg", "audio/opus"),
    "wav": ("audio/wav", "audio/x-wav", "audio/wave", "audio/vnd.wave"),
    "flac": ("audio/flac", "audio/x-flac"),
}
# What clients say of a file whose type they do not know.
UNKNOWN_TYPES: Final = frozenset({"", "application/octet-stream", "binary/octet-stream"})

_FORMAT_OF_EXTENSION: Final = {
    extension: name for name, extensions in EXTENSIONS.items() for extension in extensions
}
_FORMAT_OF_TYPE: Final = {kind: name for name, kinds in MEDIA_TYPES.items() for kind in kinds}


def bare_type(content_type: str) -> str:
    """`video/webm` of `Video/WebM; codecs="vp8,opus"`."""
    return content_type.partition(";")[0].strip().lower()


def extension_of(filename: str) -> str:
    """`mp4` of `Talk.MP4`; "" where there is none."""
    stem, dot, extension = filename.rpartition(".")
    return extension.lower() if dot and stem else ""


def format_of_type(content_type: str) -> str | None:
    """The name of the format that a media type stands for, None for any other type."""
    return _FORMAT_OF_TYPE.get(bare_type(content_type))


def format_of_name(filename: str) -> str | None:
    """The same of a file's name."""
    return _FORMAT_OF_EXTENSION.get(extension_of(filename))


def announced_format(filename: str, content_type: str, allowed: Collection[str]) -> str | None:
    """The format of what is announced; None when it is none of those allowed.

    The media type decides, the name where that says nothing. A name with the extension of a format
    that is known and not allowed is refused whatever the type.
    """
    by_name = format_of_name(filename)
    if by_name is not None and by_name not in allowed:
        return None
    if bare_type(content_type) in UNKNOWN_TYPES:
        return by_name
    by_type = format_of_type(content_type)
    if by_type is None or (by_type not in allowed and not _alike(by_type, by_name)):
        return None
    return by_type if by_type in allowed else by_name


def _alike(one: str, other: str | None) -> bool:
    """MP4 and M4A are one container: `audio/mp4` of a file named .mp4 is an MP4."""
    return {one, other} == {"mp4", "m4a"}
