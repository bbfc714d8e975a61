"""Which object keys exist. Pure; the same for every store, so that objects can move between them.

A key is 1 to 1024 bytes of UTF-8 in components separated by "/", each of 1 to 255 bytes (the
longest file name that Linux file systems keep). "." and ".." are no components, backslash and NUL
are in none, and the first may not be ".incoming", where the local store keeps unfinished puts.
"""

from __future__ import annotations

from collections.abc import Iterator

from storage.errors import BadKey

INCOMING = ".incoming"
MAX_KEY_BYTES = 1024
MAX_COMPONENT_BYTES = 255


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
    if "\0" in key or "\\" in key:
        raise BadKey(f"{_shown(key)} contains a NUL or a backslash")
    components = tuple(key.split("/"))
    if any(component in ("", ".", "..") for component in components):
        raise BadKey(f"{_shown(key)} has an empty, '.' or '..' component")
    if any(len(component.encode()) > MAX_COMPONENT_BYTES for component in components):
        raise BadKey(f"{_shown(key)} has a component longer than {MAX_COMPONENT_BYTES} bytes")
    if components[0] == INCOMING:
        raise BadKey(f"{_shown(key)} is in the store's own folder {INCOMING}")
    return components


def folders_of(key: str) -> Iterator[str]:
    """Every key that would have to be a folder for this key to be an object: a, a/b for a/b/c."""
    end = key.find("/")
    while end != -1:
        yield key[:end]
        end = key.find("/", end + 1)


def folder_conflict(key: str) -> BadKey:
    """The error of a put that would make one key both an object and a folder."""
    return BadKey(f"{_shown(key)} can't be both an object and a folder of objects")


def _shown(key: str) -> str:
    return ascii(key) if len(key) <= 80 else ascii(key[:80]) + "..."
