"""RTP packets of a journal, placed in epochs.

An epoch is a stretch of one journal in which sequence numbers and timestamps continue: it ends when
the SSRC changes or when the sender starts its numbers anew. Both passes over a journal place its
packets in the same epochs, so what the first learned about an epoch's clock fits the second.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from mediaserver.rtp.sequence import (
    SequenceUnwrapper,
    TimestampUnwrapper,
    seq_diff,
    timestamp_diff,
)

_FIXED = struct.Struct("!BBHII")
_FIXED_SIZE = _FIXED.size

_unpack_fixed = _FIXED.unpack_from
_new = tuple.__new__  # what a NamedTuple's own does, without a call in between

RESTART_DISTANCE = 3000
"""A number this far behind the newest is a new start, not a late packet (RFC 3550 appendix A.1)."""

LEAP_TICKS = 48_000
"""A packet behind the newest whose timestamp is so far ahead of it is not late: while nothing was
kept of the track, its numbers went almost all the way round."""

RETIRED_US = 2_000_000
"""So long packets of an SSRC that another one replaced are stragglers; later, it has come back."""


class RtpPacket(NamedTuple):
    """An RTP packet without header, extensions and padding. An empty payload was all padding."""

    ssrc: int
    sequence: int
    timestamp: int
    marker: bool
    payload_type: int
    payload: bytes


class Placed(NamedTuple):
    """Where a packet stands: its epoch, and its unwrapped sequence number and timestamp there."""

    epoch: int
    sequence: int
    timestamp: int


def parse_rtp(data: bytes) -> RtpPacket | None:
    """The packet, or None when `data` is none (RFC 3550 section 5.1)."""
    size = len(data)
    if size < _FIXED_SIZE:
        return None
    first, second, sequence, timestamp, ssrc = _unpack_fixed(data)
    if first >> 6 != 2:
        return None
    start = _FIXED_SIZE + 4 * (first & 0x0F)
    if first & 0x10:
        if start + 4 > size:
            return None
        start += 4 + 4 * (data[start + 2] << 8 | data[start + 3])
    end = size
    if first & 0x20:
        if not 0 < data[-1] <= size - start:
            return None
        end -= data[-1]
    if start > end:
        return None
    return _new(
        RtpPacket,
        (ssrc, sequence, timestamp, second >= 0x80, second & 0x7F, data[start:end]),
    )


class EpochTracker:
    """Places the packets of one journal, in the order in which they are in it."""

    def __init__(self) -> None:
        self.epoch = -1
        self._ssrc: int | None = None
        self._newest: RtpPacket | None = None
        self._retired: dict[int, int] = {}  # ssrc -> when it was replaced, us
        self._sequences = SequenceUnwrapper()
        self._timestamps = TimestampUnwrapper()

    def place(self, packet: RtpPacket, arrival_us: int) -> Placed | None:
        """None for a straggler of an epoch that is over."""
        if packet.ssrc != self._ssrc:
            retired_us = self._retired.get(packet.ssrc)
            if retired_us is not None and arrival_us - retired_us < RETIRED_US:
                return None
            if self._ssrc is not None:
                self._retired[self._ssrc] = arrival_us
            self._begin(packet)
        newest = self._newest
        assert newest is not None
        distance = seq_diff(packet.sequence, newest.sequence)
        if distance > 0:
            self._newest = packet
        elif distance < -RESTART_DISTANCE or (
            distance < 0 and timestamp_diff(packet.timestamp, newest.timestamp) > LEAP_TICKS
        ):
            self._begin(packet)
        sequence = self._sequences.unwrap(packet.sequence)
        timestamp = self._timestamps.unwrap(packet.timestamp)
        return _new(Placed, (self.epoch, sequence, timestamp))

    def _begin(self, packet: RtpPacket) -> None:
        self.epoch += 1
        self._ssrc = packet.ssrc
        self._newest = packet
        self._sequences = SequenceUnwrapper()
        self._timestamps = TimestampUnwrapper()
