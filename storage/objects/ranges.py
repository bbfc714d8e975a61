"""Byte ranges of objects. Pure."""

from __future__ import annotations

from storage.errors import BadRange

BLOCK_BYTES = 256 * 1024
"""The most bytes that a store hands out, or holds of one object, at a time."""


def check_range(start: int, end: int | None) -> None:
    """Raises BadRange unless `0 <= start <= end` (`end` of None is the object's end)."""
    if start < 0 or (end is not None and end < start):
        raise BadRange(f"bytes {start} to {end} are no range of an object")
