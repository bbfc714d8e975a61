"""What a file's content can't say about an object, kept beside it in extended attributes.

A file system without them loses it: the content type is then guessed from the key, and metadata
are gone. (tmpfs of old kernels, vfat and some network file systems have none; ext4, xfs, btrfs and
zfs do.)
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from mimetypes import MimeTypes

CONTENT_TYPE_ATTRIBUTE = "user.mime_type"  # freedesktop.org, "Guidelines for extended attributes"
METADATA_ATTRIBUTE = "user.mediaserver.metadata"
UNKNOWN_TYPE = "application/octet-stream"


def keep(descriptor: int, content_type: str, metadata: Mapping[str, str]) -> None:
    """Write both to an open file, as far as its file system can keep them. Blocks on the disk."""
    with suppress(OSError):
        os.setxattr(descriptor, CONTENT_TYPE_ATTRIBUTE, content_type.encode())
    if metadata:
        with suppress(OSError):
            os.setxattr(descriptor, METADATA_ATTRIBUTE, json.dumps(dict(metadata)).encode())


def content_type(descriptor: int, key: str) -> str:
    """What was kept, or a guess from the key. Blocks on the disk."""
    try:
        return os.getxattr(descriptor, CONTENT_TYPE_ATTRIBUTE).decode("utf-8", "replace")
    except OSError:
        return MimeTypes().guess_type(key)[0] or UNKNOWN_TYPE


def metadata(descriptor: int) -> dict[str, str]:
    """What was kept; nothing when something else wrote there. Blocks on the disk."""
    try:
        pairs = json.loads(os.getxattr(descriptor, METADATA_ATTRIBUTE))
    except (OSError, ValueError):
        return {}
    if not isinstance(pairs, dict):
        return {}
    return {name: value for name, value in pairs.items() if isinstance(value, str)}
