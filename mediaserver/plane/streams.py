"""What a plane moves packets between: links, inbound streams, outbound streams.

Plain attributes without behaviour: the loop in `plane.python` reads and writes them directly. `owner`
belongs to whoever decides (see `plane.api`) and is never looked into.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any

from mediaserver.forwarding.sequence_map import SequenceMap
from mediaserver.plane.libc import SOCKADDR_SIZE, ffi

HISTORY = 512
"""Packets kept for each stream to answer NACKs; a power of two."""

HISTORY_MASK = HISTORY - 1

Element = tuple[int, int, int, int]
"""A header extension element: id, offset of its data, length, bytes before the data."""


class Link:
    """A peer's transport as the plane sees it: addresses in, one address out, SRTP both ways."""

    __slots__ = (
        "addresses", "inbounds", "keep", "owner", "pending", "rx", "sockaddr", "target", "trailer",
        "tx", "unclaimed",
    )  # fmt: skip

    def __init__(self, owner: object) -> None:
        self.owner = owner
        self.inbounds: dict[int, Inbound] = {}
        self.addresses: list[bytes] = []
        self.sockaddr = ffi.new("char[]", SOCKADDR_SIZE)
        self.target: tuple[str, int] | None = None
        self.rx: Any = None
        self.tx: Any = None
        self.trailer = 0
        self.pending = b""  # key of a nominated address that has not proved itself
        self.keep: tuple[Any, ...] = ()
        self.unclaimed: set[int] = set()


class Inbound:
    """One received RTP stream and everybody who gets it."""

    __slots__ = (
        "batch", "clock_rate", "expected", "first", "history", "is_keyframe", "jitter", "kept",
        "last_time", "last_timestamp", "link", "octets", "outs", "owner", "packets", "payload_type",
        "sinks", "ssrc", "started", "waiting", "watch", "watch_always",
    )  # fmt: skip

    def __init__(self, link: Link, ssrc: int, payload_type: int, clock_rate: int) -> None:
        self.link = link
        self.ssrc = ssrc
        self.payload_type = payload_type
        self.clock_rate = clock_rate
        self.owner: Any = None
        self.outs: list[Outbound] = []
        self.waiting: list[Outbound] = []
        self.sinks: list[Callable[[int, bytes], None]] = []
        self.batch: list[tuple[Any, int, int, int, int, int, list[Element]]] = []
        self.history: list[bytes | None] = [None] * HISTORY
        self.kept: frozenset[int] = frozenset()
        self.is_keyframe: Callable[[bytes], bool] = lambda _packet: True
        self.watch = False
        self.watch_always = False
        self.started = False
        self.first = 0
        self.expected = -1
        self.packets = 0
        self.octets = 0
        self.jitter = 0.0
        self.last_time = 0.0
        self.last_timestamp = -1

    @property
    def highest(self) -> int:
        """Newest sequence number received."""
        return (self.expected - 1) & 0xFFFF


class Outbound:
    """One stream to one subscriber: own SSRC, sequence numbers, payload type, extension ids."""

    __slots__ = (
        "inbound", "link", "map", "next_output", "octets", "owner", "packets", "payload_type",
        "remap", "seq_off", "splice", "ssrc", "ts_off",
    )  # fmt: skip

    def __init__(self, link: Link, ssrc: int, payload_type: int, remap: dict[int, int]) -> None:
        self.link = link
        self.ssrc = ssrc
        self.payload_type = payload_type
        self.remap = remap  # publisher's extension id -> subscriber's, 0 removes; {} = all as is
        self.owner: Any = None
        self.inbound: Inbound | None = None
        self.map = SequenceMap()
        self.next_output = secrets.randbelow(0x3FFF) + 1  # lower half: roll-over counter is safe
        self.seq_off = 0
        self.ts_off = 0
        self.splice: tuple[int, float] | None = None  # last timestamp sent, when; source changed
        self.packets = 0
        self.octets = 0
