"""Which object keys and metadata exist. Pure; the same for every store, so that objects can move.

A key is 1 to 950 bytes of UTF-8 in components separated by "/", each of 1 to 250 bytes. "." and
".." are no components, backslash and control characters are in none, and the first may not be
".incoming", where the local store keeps unfinished puts. These are the narrowest rules among the
stores: 950 bytes (Vercel Blob), 250 and no control characters (Backblaze B2), names of Linux files.

Metadata are at most 16 pairs: names of lower-case letters, digits and "-", values of printable ASCII
without blanks at their ends, 1,500 bytes in all (S3 has 2,048 with its own names).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping

from storage.errors import BadKey, BadMetadata

INCOMING = ".incoming"
MAX_KEY_BYTES = 950
MAX_COMPONENT_BYTES = 250
MAX_METADATA_PAIRS = 16
MAX_METADATA_BYTES = 1500

_UNTRANSPORTABLE = frozenset("\\\ufffe\uffff")  # the last two can't be in XML, which S3 lists in
_METADATA_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")


def check_key(key: str) -> tuple[str, ...]:
    """The components of a key. Raises BadKey when no object can have it."""
    if not key:
        raise BadKey("an object key can't be empty")
    try:
        encoded = key.encode()
    except UnicodeEncodeError as error:
        raise BadKey(f"{_shown(key)} is not valid Unicode text") from error
    if len(encoded) > MAX_KEY_BYTES:
        raise BadKey(f"{_shown(key)} is longer than {MAX_KEY_BYTES} bytes")
    if any(char in _UNTRANSPORTABLE or unicodedata.category(char) == "Cc" for char in key):
        raise BadKey(f"{_shown(key)} contains a backslash, control character or noncharacter")
    components = tuple(key.split("/"))
    if any(component in ("", ".", "..") for component in components):
        raise BadKey(f"{_shown(key)} has an empty, '.' or '..' component")
    if any(len(component.encode()) > MAX_COMPONENT_BYTES for component in components):
        raise BadKey(f"{_shown(key)} has a component longer than {MAX_COMPONENT_BYTES} bytes")
    if components[0] == INCOMING:
        raise BadKey(f"{_shown(key)} is in the store's own folder {INCOMING}")
    return components


def is_key_prefix(prefix: str) -> bool:
    """Can any key start with `prefix`? Stores are not asked when none can."""
    return not prefix or _is_key(prefix) or _is_key(prefix + "a")


def check_metadata(metadata: Mapping[str, str] | None) -> dict[str, str]:
    """A copy of the pairs. Raises BadMetadata when not every store can keep them."""
    pairs = dict(metadata or {})
    if len(pairs) > MAX_METADATA_PAIRS:
        raise BadMetadata(f"{len(pairs)} pairs of metadata are more than {MAX_METADATA_PAIRS}")
    for name, value in pairs.items():
        if not _METADATA_NAME.fullmatch(name):
            raise BadMetadata(f"{_shown(name)} is no name of metadata (a-z, 0-9, '-', up to 40)")
        if not (value.isascii() and value.isprintable()) or value != value.strip():
            raise BadMetadata(f"the value of {name} is not printable ASCII text without end blanks")
    if sum(len(name) + len(value) for name, value in pairs.items()) > MAX_METADATA_BYTES:
        raise BadMetadata(f"metadata of more than {MAX_METADATA_BYTES} bytes")
    return pairs


def folders_of(key: str) -> Iterator[str]:
    """Every key that would have to be a folder for this key to be an object: a, a/b for a/b/c."""
    end = key.find("/")
    while end != -1:
        yield key[:end]
        end = key.find("/", end + 1)


def folder_conflict(key: str) -> BadKey:
    """The error of a put that would make one key both an object and a folder."""
    return BadKey(f"{_shown(key)} can't be both an object and a folder of objects")


def _is_key(key: str) -> bool:
    try:
        check_key(key)
    except BadKey:
        return False
    return True


def _shown(key: str) -> str:
    return ascii(key) if len(key) <= 80 else ascii(key[:80]) + "..."
