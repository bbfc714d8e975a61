"""Serial number arithmetic for RTP: 16-bit sequence numbers and 32-bit timestamps that wrap.

RFC 1982 defines the comparison, RFC 3550 section 5.1 the fields. Everything here is a value
computed from values; whoever needs a history keeps an unwrapper. Unwrapped numbers are plain ints
that only differences of have a meaning; they may be negative when the first packet was a late one.
"""

from __future__ import annotations

_SEQUENCE_MASK = 0xFFFF
_SEQUENCE_HALF = 0x8000
_TIMESTAMP_MASK = 0xFFFF_FFFF
_TIMESTAMP_HALF = 0x8000_0000


def seq_diff(a: int, b: int) -> int:
    """How many packets `a` lies after `b` on the 16-bit circle, in -32768..32767."""
    return ((a - b + _SEQUENCE_HALF) & _SEQUENCE_MASK) - _SEQUENCE_HALF


def timestamp_diff(a: int, b: int) -> int:
    """How many clock ticks `a` lies after `b` on the 32-bit circle, in -2**31..2**31-1."""
    return ((a - b + _TIMESTAMP_HALF) & _TIMESTAMP_MASK) - _TIMESTAMP_HALF


class SequenceUnwrapper:
    """Sequence numbers without wrap-around: each is placed nearest to the newest one seen.

    Reordering up to 32767 packets either way is followed; the first number stands for itself.
    """

    __slots__ = ("_newest",)

    def __init__(self) -> None:
        self._newest: int | None = None

    def unwrap(self, sequence: int) -> int:
        newest = self._newest
        if newest is None:
            self._newest = sequence
            return sequence
        # seq_diff, written out: this runs for every packet of a recording, twice
        unwrapped = (
            newest + ((sequence - newest + _SEQUENCE_HALF) & _SEQUENCE_MASK) - _SEQUENCE_HALF
        )
        if unwrapped > newest:
            self._newest = unwrapped
        return unwrapped


class TimestampUnwrapper:
    """RTP timestamps without wrap-around: each is placed nearest to the one before it.

    Steps of up to 2**31 ticks either way are followed (6.6 h at 90 kHz, 12.4 h at 48 kHz).
    """

    __slots__ = ("_last",)

    def __init__(self) -> None:
        self._last: int | None = None

    def unwrap(self, timestamp: int) -> int:
        last = self._last
        if last is None:
            self._last = timestamp
            return timestamp
        self._last = last = (
            last + ((timestamp - last + _TIMESTAMP_HALF) & _TIMESTAMP_MASK) - _TIMESTAMP_HALF
        )
        return last
