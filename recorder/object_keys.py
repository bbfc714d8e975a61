"""What the objects of recordings are called. Pure."""

from __future__ import annotations

import base64
import hashlib
from urllib.parse import quote

KEY_ROOT = "recordings/"
"""What the keys of all objects of all recordings begin with."""

MEDIA_ROOT = "media/"
"""What the keys of all objects of the media library begin with."""

_LONGEST_SEGMENT = 180  # bytes; stores end at 250


def object_prefix(room: str, recording_id: str) -> str:
    """What the keys of all objects of a recording begin with."""
    return f"{KEY_ROOT}{_segment(room)}/{_segment(recording_id)}/"


def media_prefix(media_id: str) -> str:
    """What the keys of all objects of a media file begin with."""
    return f"{MEDIA_ROOT}{_segment(media_id)}/"


def original_key(media_id: str, extension: str) -> str:
    """The key of a media file's own bytes, as its user brought them."""
    return f"{media_prefix(media_id)}original.{extension}"


def incoming_key(media_id: str, extension: str) -> str:
    """Where they arrive when the permission to put them outlasts the upload: a form can be sent
    again. What is kept and checked is a copy that nobody can replace.
    """
    return f"{media_prefix(media_id)}incoming.{extension}"


def file_id_of(recording_id: str, name: str) -> str:
    """The id of a recording's file: the same whenever the file is made."""
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
