"""What a user may bring, as far as it can be told before the first byte. Pure."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from recorder.errors import BadUpload, FileTooLarge, FormatRefused
from recorder.uploads.formats import (
    EXTENSIONS,
    MEDIA_TYPES,
    UNKNOWN_TYPES,
    announced_format,
    bare_type,
)
from storage.objects.part_sizes import MEBIBYTE, part_size

LONGEST_NAME: Final = 255  # characters of a file's name
LARGEST_FORM: Final = 100 * MEBIBYTE
ROOM_SHARE: Final = 20  # users' worth of uploads that the people of one room may have under way


@dataclass(frozen=True, slots=True)
class Announced:
    """A file as it will be kept: `content_type` without parameters, `extension` without its dot."""

    filename: str
    size: int
    content_type: str
    extension: str


@dataclass(frozen=True, slots=True)
class UploadLimits:
    """`largest` is a file's size and `usual_part` a part's, in bytes. `formats` are names as in
    `recorder.uploads.formats`. A session lasts `timeout` after its last sign of life. Files larger
    than `largest_form` go in parts.
    """

    largest: int = 500 * MEBIBYTE
    formats: tuple[str, ...] = ("mp4", "webm", "avi", "mov")
    timeout: timedelta = timedelta(hours=1)
    at_once: int = 5
    usual_part: int = 5 * MEBIBYTE
    largest_form: int = LARGEST_FORM

    def check(self, filename: str, size: int, content_type: str) -> Announced:
        """Raises BadUpload, FileTooLarge, FormatRefused; each says the limit and how to keep it."""
        name = checked_name(filename)
        if size < 1:
            raise BadUpload("fileSize has to be at least 1 byte", code="bad_file_size")
        if size > self.largest:
            raise FileTooLarge(
                f"the file has {size} bytes, and at most {self.largest} are allowed"
                " (MAX_VIDEO_SIZE_MB)",
                details={"limitBytes": self.largest, "fileSize": size},
            )
        known = announced_format(name, content_type, self.formats)
        if known is None:
            raise FormatRefused(
                f"{name!r} of type {content_type[:80]!r} is none of the formats that are allowed:"
                f" {', '.join(self.formats)} (ALLOWED_VIDEO_FORMATS)",
                details={"allowedFormats": list(self.formats)},
            )
        kind = bare_type(content_type)
        return Announced(
            name,
            size,
            MEDIA_TYPES[known][0] if kind in UNKNOWN_TYPES else kind,
            EXTENSIONS[known][0],
        )

    @property
    def at_once_in_room(self) -> int:
        """Of all who are in one room: an invite lets in as many guests as somebody makes up."""
        return self.at_once * ROOM_SHARE

    def part_size(self, size: int) -> int:
        """Of every part but the last, so that 10,000 suffice."""
        return part_size(size, self.usual_part)


def part_count(size: int, part_size: int) -> int:
    return -(-size // part_size)


def size_of_part(size: int, part_size: int, number: int) -> int:
    """How many bytes part `number` (from 1) has."""
    return min(part_size, size - (number - 1) * part_size)


def checked_name(filename: str) -> str:
    """The last component of what a client calls its file. Raises BadUpload."""
    name = filename.replace("\\", "/").rpartition("/")[2].strip()
    if not name or len(name) > LONGEST_NAME:
        raise BadUpload(f"filename has to have 1 to {LONGEST_NAME} characters", code="bad_filename")
    if any(unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp") for char in name):
        raise BadUpload("filename has control characters in it", code="bad_filename")
    return name
