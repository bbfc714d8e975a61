"""What packets hold, to be compared with what they hold in another container. Pure.

H.264 and H.265 stand in Matroska of some browsers with start codes (ITU-T H.264 annex B), in MP4 with
lengths (ISO/IEC 14496-15): the same units, other bytes around them.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from typing import Final

_START: Final = re.compile(b"\x00\x00\x01")
_PREFIXES: Final = (b"\x00\x00\x01", b"\x00\x00\x00\x01")
_LENGTH: Final = 4
_PARAMETER_SETS: Final = frozenset({7, 8})


def has_start_codes(codec: str, configuration: bytes | None) -> bool:
    """Of a stream, by FFmpeg's name of its codec and its configuration."""
    return codec in ("h264", "hevc") and (configuration or b"").startswith(_PREFIXES)


def units_between_start_codes(data: bytes) -> Iterator[bytes]:
    starts = [match.span() for match in _START.finditer(data)]
    ends = [begin for begin, _ in starts[1:]]
    for (_, begin), end in zip(starts, [*ends, len(data)], strict=False):
        if unit := data[begin:end].rstrip(b"\0"):
            yield unit


def units_with_lengths(data: bytes) -> Iterator[bytes]:
    at = 0
    while at + _LENGTH <= len(data):
        size = int.from_bytes(data[at : at + _LENGTH], "big")
        at += _LENGTH
        if unit := data[at : at + size].rstrip(b"\0"):
            yield unit
        at += size


def h264_parameter_sets(data: bytes) -> frozenset[bytes]:
    """Those between start codes."""
    units = units_between_start_codes(data)
    return frozenset(unit for unit in units if unit[0] & 0x1F in _PARAMETER_SETS)


class StreamDigest:
    """Of the packets of one stream: how many, and a hash of what is in them."""

    def __init__(self) -> None:
        self.packets = 0
        self._hash = hashlib.blake2b(digest_size=16)

    def add(self, data: bytes) -> None:
        self.packets += 1
        self._hash.update(len(data).to_bytes(8, "big"))
        self._hash.update(data)

    def add_units(self, units: Iterable[bytes]) -> None:
        self.packets += 1
        for unit in units:
            self._hash.update(len(unit).to_bytes(8, "big"))
            self._hash.update(unit)

    def value(self) -> tuple[int, str]:
        return self.packets, self._hash.hexdigest()
