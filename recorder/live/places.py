"""Where in a growing stream playing may begin: beside the media, a file of places.

Records of 16 bytes: time (microseconds of the stream) and offset in the media, big-endian, rising.
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from pathlib import Path
from typing import NamedTuple

SUFFIX = ".places"
_PLACE = struct.Struct("!QQ")


class Place(NamedTuple):
    """Seconds of the stream, and the byte at which what is played from there begins."""

    seconds: float
    offset: int


def encode_place(at_us: int, offset: int) -> bytes:
    return _PLACE.pack(at_us, offset)


def place_before(media: Path, seconds: float) -> Place:
    """The last place at or before `seconds`; the beginning when there is none. Blocks on the disk."""
    try:
        data = media.with_suffix(SUFFIX).read_bytes()
    except FileNotFoundError:
        return Place(0.0, 0)
    whole = len(data) - len(data) % _PLACE.size  # the last one may be under way
    places = list(_PLACE.iter_unpack(data[:whole]))
    found = bisect_right(places, seconds * 1e6, key=lambda place: place[0]) - 1
    if found < 0:
        return Place(0.0, 0)
    at_us, offset = places[found]
    return Place(at_us / 1e6, offset)
