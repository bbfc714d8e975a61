"""The headers of the tus protocol, version 1.0: text in, values out. Pure.

Numbers are plain decimal digits of at most 16: `+5`, `-1`, `1_000` and other alphabets' digits, all of
which `int` would take, are refused. See https://tus.io/protocols/resumable-upload.
"""

from __future__ import annotations

import base64
import binascii
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from signaling.errors import InvalidRequest

VERSION: Final = "1.0.0"
EXTENSIONS: Final = "creation,creation-with-upload,expiration,checksum,termination"
BODY_TYPE: Final = "application/offset+octet-stream"
LONGEST_METADATA: Final = 4096  # characters of the header
LONGEST_VALUE: Final = 256  # characters of what a pair holds

# What the protocol calls an algorithm -> the bytes of its digests. sha1 is the one it demands.
DIGEST_BYTES: Final = {"sha1": 20, "sha256": 32, "sha512": 64}

_NUMBER: Final = re.compile(r"[0-9]{1,16}")
_KEY: Final = re.compile(r"[!-+\--~]+")  # ASCII without blanks and commas


@dataclass(frozen=True, slots=True)
class Wish:
    """What a creation says. `size` in bytes; `metadata` is the header as it came."""

    size: int
    filename: str
    content_type: str
    course_id: str | None
    metadata: str


@dataclass(frozen=True, slots=True)
class Checksum:
    """`algorithm` is a name that hashlib knows."""

    algorithm: str
    digest: bytes


def read_wish(headers: Mapping[str, str]) -> Wish:
    """The headers of a creation. Raises InvalidRequest: bad_upload_length, bad_upload_metadata."""
    if "Upload-Defer-Length" in headers:
        raise _bad("Upload-Length", "has to be known when an upload is created")
    size = read_number(headers, "Upload-Length")
    text = headers.get("Upload-Metadata", "")
    pairs = read_metadata(text)
    return Wish(
        size=size,
        filename=pairs.get("filename") or pairs.get("name", ""),
        content_type=pairs.get("filetype") or pairs.get("type", ""),
        course_id=pairs.get("courseId") or None,
        metadata=text,
    )


def read_number(headers: Mapping[str, str], name: str) -> int:
    """A count of bytes. Raises InvalidRequest when it is missing or anything but digits."""
    text = headers.get(name)
    if text is None:
        raise _bad(name, "is missing")
    if not _NUMBER.fullmatch(text):
        raise _bad(name, "has to be a whole number of bytes in decimal digits")
    return int(text)


def read_metadata(text: str) -> dict[str, str]:
    """`filename ZmlsZQ==,wanted`: keys and what they hold. Raises InvalidRequest.

    A value that is too long, not base64, not UTF-8 or holds control characters is refused, and so is
    a key that stands twice.
    """
    if len(text) > LONGEST_METADATA:
        raise _bad("Upload-Metadata", f"is longer than {LONGEST_METADATA} characters")
    found: dict[str, str] = {}
    for pair in text.split(",") if text.strip() else ():
        key, _, value = pair.strip().partition(" ")
        if not _KEY.fullmatch(key):
            raise _bad("Upload-Metadata", "has a pair without a key of printable ASCII")
        if key in found:
            raise _bad("Upload-Metadata", f"has the key {key} twice")
        found[key] = _value(key, value.strip())
    return found


def _value(key: str, encoded: str) -> str:
    try:
        value = base64.b64decode(encoded, validate=True).decode()
    except (binascii.Error, ValueError):
        raise _bad("Upload-Metadata", f"{key} has to be UTF-8 in base64") from None
    if len(value) > LONGEST_VALUE:
        raise _bad("Upload-Metadata", f"{key} is longer than {LONGEST_VALUE} characters")
    if any(unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp") for char in value):
        raise _bad("Upload-Metadata", f"{key} holds control characters")
    return value


def read_checksum(headers: Mapping[str, str]) -> Checksum | None:
    """`sha1 Kq5sNclPz7QV2+lfQIuc6R7oRu0=`. Raises InvalidRequest; None when there is none."""
    text = headers.get("Upload-Checksum")
    if text is None:
        return None
    algorithm, _, encoded = text.strip().partition(" ")
    if algorithm not in DIGEST_BYTES:
        raise _bad("Upload-Checksum", f"knows {', '.join(DIGEST_BYTES)}")
    try:
        digest = base64.b64decode(encoded.strip(), validate=True)
    except (binascii.Error, ValueError):
        digest = b""
    if len(digest) != DIGEST_BYTES[algorithm]:
        raise _bad(
            "Upload-Checksum", f"needs a digest of {DIGEST_BYTES[algorithm]} bytes in base64"
        )
    return Checksum(algorithm, digest)


def _bad(header: str, problem: str) -> InvalidRequest:
    return InvalidRequest(
        f"{header} {problem}",
        code="bad_" + header.lower().replace("-", "_"),
        details={"fields": [{"field": header, "problem": problem}]},
    )
