"""Bytes that no client should send."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator

STUN_COOKIE = 0x2112A442


def _random(size: int, seed: random.Random) -> bytes:
    return seed.randbytes(size)


def _stun_like(size: int, seed: random.Random) -> bytes:
    """A binding request with a right header and attributes whose lengths lie."""
    kind = seed.choice([0x0001, 0x0101, 0x0111, 0x0003])
    length = seed.choice([size - 20, 0, 0xFFFC, 3])
    header = struct.pack("!HHI", kind, length & 0xFFFF, STUN_COOKIE) + seed.randbytes(12)
    user = seed.randbytes(seed.randrange(64))
    attribute = struct.pack("!HH", 0x0006, seed.choice([len(user), 0xFFFF, 5])) + user
    return (header + attribute + seed.randbytes(size))[:size]


def _dtls_like(size: int, seed: random.Random) -> bytes:
    """A record header (handshake, alert, data) and nonsense, or a torn ClientHello."""
    kind = seed.choice([20, 21, 22, 23])
    body = seed.randbytes(size)
    if kind == 22:
        body = b"\x01" + struct.pack("!I", size)[1:] + seed.randbytes(size)
    length = seed.choice([size - 13, 0, 0xFFFF])
    return (struct.pack("!BHHIHH", kind, 0xFEFD, 0, 0, 1, length & 0xFFFF) + body)[:size]


def _rtp_like(size: int, seed: random.Random) -> bytes:
    """Version 2, with extension and padding bits that promise more than is there."""
    first = 0x80 | seed.randrange(64)
    second = seed.choice([96, 97, 111, 200, 201, 205, 206, 72, 255])
    return (
        struct.pack("!BBHII", first, second, seed.randrange(65536), 0, 1) + seed.randbytes(size)
    )[:size]


SHAPES = (_random, _stun_like, _dtls_like, _rtp_like)


def garbage(total: int, seed: int) -> Iterator[bytes]:
    """Datagrams of 0 to 1400 bytes, `total` bytes in all, of every shape, the same for a seed."""
    chooser = random.Random(seed)
    sent = 0
    yield b""
    while sent < total:
        size = chooser.choice([1, 2, 3, 11, 12, 19, 20, 28, 100, 600, 1200, 1400])
        datagram = chooser.choice(SHAPES)(size, chooser)
        sent += len(datagram)
        yield datagram
