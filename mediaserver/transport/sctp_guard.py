"""Which SCTP packets may reach aiortc: well-formed ones only (RFC 9260, 3.2).

aiortc 1.16 trusts what is inside a chunk: a parameter of length 0 makes it loop for ever, and a
selective acknowledgement of gaps that nobody sent costs a second of the media loop. Everything here is
arithmetic on lengths; what a chunk means stays aiortc's business.
"""

from __future__ import annotations

import struct

COMMON_HEADER = 12
_CHUNK = struct.Struct("!BBH")
_PARAMETER = struct.Struct("!HH")
_SACK = struct.Struct("!LLHH")
_GAP = struct.Struct("!HH")

INIT, INIT_ACK, SACK = 1, 2, 3
FIXED_PART = {INIT: 16, INIT_ACK: 16, 4: 0, 5: 0, 6: 0, 9: 0, 130: 0}
"""Chunks that carry parameters or causes, and the bytes in front of them (types of RFC 9260, 6525)."""

MAX_CHUNKS = 64


def acceptable(packet: bytes, outstanding: int) -> bool:
    """Whether every chunk, parameter and gap of `packet` is in bounds.

    `outstanding` is the number of chunks sent and not acknowledged; no gap may reach beyond them.
    """
    position, chunks = COMMON_HEADER, 0
    if len(packet) < COMMON_HEADER + _CHUNK.size:
        return False
    while position < len(packet):
        if position + _CHUNK.size > len(packet):
            return False
        kind, _flags, length = _CHUNK.unpack_from(packet, position)
        chunks += 1
        if length < _CHUNK.size or position + length > len(packet) or chunks > MAX_CHUNKS:
            return False
        body = packet[position + _CHUNK.size : position + length]
        if kind in FIXED_PART and not _parameters(body, FIXED_PART[kind]):
            return False
        if kind == SACK and not _gaps(body, outstanding):
            return False
        position += length + (-length) % 4
    return True


def _parameters(body: bytes, position: int) -> bool:
    if len(body) < position:
        return False
    while position + _PARAMETER.size <= len(body):
        _kind, length = _PARAMETER.unpack_from(body, position)
        if length < _PARAMETER.size or position + length > len(body):
            return False
        position += length + (-length) % 4
    return True


def _gaps(body: bytes, outstanding: int) -> bool:
    if len(body) < _SACK.size:
        return False
    _tsn, _window, gaps, duplicates = _SACK.unpack_from(body)
    if len(body) < _SACK.size + 4 * (gaps + duplicates):
        return False
    last = 0
    for number in range(gaps):
        first, end = _GAP.unpack_from(body, _SACK.size + 4 * number)
        if not last < first <= end <= outstanding:
            return False
        last = end
    return True
