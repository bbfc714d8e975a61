"""Where things stand in an RTP packet: header, extension elements, payload (RFC 3550, RFC 8285).

The forwarding loop never builds packet objects. It reads offsets once per received packet and
patches bytes in place; the functions here find those offsets.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

FIXED_HEADER = struct.Struct("!BBHLL")
"""Version/flags, marker/payload type, sequence number, timestamp, SSRC."""

ONE_BYTE_PROFILE = 0xBEDE
TWO_BYTE_PROFILE = 0x1000


def payload_span(packet: bytes | memoryview) -> tuple[int, int]:
    """`(start, end)` of the payload, without extensions and padding; raises ValueError."""
    size = len(packet)
    if size < 12 or packet[0] >> 6 != 2:
        raise ValueError("not an RTP packet")
    start = 12 + 4 * (packet[0] & 0x0F)
    if packet[0] & 0x10:
        if start + 4 > size:
            raise ValueError("RTP header extension is cut off")
        start += 4 + 4 * (packet[start + 2] << 8 | packet[start + 3])
    end = size
    if packet[0] & 0x20:
        padding = packet[size - 1]
        if padding == 0 or start + padding > size:
            raise ValueError("RTP padding is longer than the payload")
        end -= padding
    if start > end:
        raise ValueError("RTP header is longer than the packet")
    return start, end


def elements(
    packet: bytes | memoryview, size: int, base: int = 0
) -> Iterator[tuple[int, int, int]]:
    """Header extension elements of the packet of `size` bytes at `base`: `(id, offset, length)`.

    `offset` is of the data, relative to `base`; the identifier stands one byte before it (one-byte
    form) or two (two-byte form). Stops at the first malformed element (RFC 8285, 4.2 and 4.3).
    """
    position = 12 + 4 * (packet[base] & 0x0F)
    if not packet[base] & 0x10 or position + 4 > size:
        return
    profile = packet[base + position] << 8 | packet[base + position + 1]
    end = position + 4 + 4 * (packet[base + position + 2] << 8 | packet[base + position + 3])
    if end > size:
        return
    position += 4
    if profile == ONE_BYTE_PROFILE:
        head = 1
    elif profile & 0xFFF0 == TWO_BYTE_PROFILE:
        head = 2
    else:
        return
    while position < end:
        first = packet[base + position]
        if first == 0:  # padding
            position += 1
            continue
        if head == 1:
            identifier, length = first >> 4, (first & 0x0F) + 1
            if identifier == 15:
                return
        else:
            if position + 1 >= end:
                return
            identifier, length = first, packet[base + position + 1]
        position += head
        if position + length > end:
            return
        yield identifier, position, length
        position += length


def element_head(packet: bytes | memoryview, base: int = 0) -> int:
    """Bytes before an extension element's data: 1 or 2 (see `elements`)."""
    position = base + 12 + 4 * (packet[base] & 0x0F)
    return 1 if packet[position] == ONE_BYTE_PROFILE >> 8 else 2
