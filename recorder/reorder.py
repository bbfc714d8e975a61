"""Packets in the order they were sent, out of packets in the order they came.

Time is the arrival time of the packets themselves, so waiting costs memory and no time. A hole is
kept open for `max_wait_us` or until `max_packets` are held behind it; then it is given up: `Lost`.
The very first packets are held for a moment too: the one that came first need not be the first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

from mediaserver.rtp.nack import FIRST_DELAY

T = TypeVar("T")

MAX_WAIT_US = 3_000_000
MAX_PACKETS = 4096
PRIME_US = 500_000
PRIME_PACKETS = 128
RECOVERED_AFTER_US = round(FIRST_DELAY * 1e6)
"""A hole filled later than this after it was seen was filled by a retransmission; none is asked for
before."""


@dataclass(frozen=True, slots=True)
class Lost:
    """`count` packets that never came."""

    count: int


class _Hole(NamedTuple):
    first: int
    end: int  # first number behind the hole
    seen_us: int


class ReorderBuffer(Generic[T]):
    """Takes items with unwrapped sequence numbers, gives them back in order with losses between.

    `recovered`, `duplicates` and `stale` (too late to matter, or a copy of what was already given)
    count since the beginning.
    """

    def __init__(self, max_wait_us: int = MAX_WAIT_US, max_packets: int = MAX_PACKETS) -> None:
        self.recovered = 0
        self.duplicates = 0
        self.stale = 0
        self._max_wait_us = max_wait_us
        self._max_packets = max_packets
        self._held: dict[int, T] = {}
        self._holes: list[_Hole] = []  # in order
        self._first = 0  # lowest number before anything was given
        self._next: int | None = None  # number of the item to give next
        self._end = 0  # first number that no item has reached
        self._primed_at: int | None = None

    def push(self, sequence: int, now_us: int, item: T) -> list[T | Lost]:
        """The items that are now in order. Numbers may be negative; `now_us` never falls."""
        if sequence in self._held:
            self.duplicates += 1
            return []
        if self._next is None:
            return self._prime(sequence, now_us, item)
        if sequence < self._next:
            self.stale += 1
            return []
        if sequence == self._next == self._end:  # the common case: nothing is missing
            self._next = self._end = sequence + 1
            return [item]
        self._held[sequence] = item
        self._enter(sequence, now_us)
        return self._release(now_us)

    def flush(self) -> list[T | Lost]:
        """Everything still held, holes given up."""
        if self._next is None:
            self._next = self._first
        out: list[T | Lost] = []
        while self._held:
            out += self._run()
            out += self._give_up()
        return out

    def _prime(self, sequence: int, now_us: int, item: T) -> list[T | Lost]:
        if self._primed_at is None:
            self._primed_at = now_us
            self._first = self._end = sequence
        self._held[sequence] = item
        self._enter(sequence, now_us)
        if now_us - self._primed_at < PRIME_US and len(self._held) < PRIME_PACKETS:
            return []
        self._next = self._first
        return self._release(now_us)

    def _enter(self, sequence: int, now_us: int) -> None:
        """Notes the hole that opens before a number, or takes it out of the one it lies in."""
        if sequence >= self._end:
            if sequence > self._end:
                self._holes.append(_Hole(self._end, sequence, now_us))
            self._end = sequence + 1
        elif sequence < self._first:  # only at the beginning; later it is stale
            if sequence + 1 < self._first:
                self._holes.insert(0, _Hole(sequence + 1, self._first, now_us))
            self._first = sequence
        else:
            self._fill(sequence, now_us)

    def _fill(self, sequence: int, now_us: int) -> None:
        """Takes one number out of the hole that it lies in."""
        for index, hole in enumerate(self._holes):
            if hole.first <= sequence < hole.end:
                rest = [
                    _Hole(hole.first, sequence, hole.seen_us),
                    _Hole(sequence + 1, hole.end, hole.seen_us),
                ]
                self._holes[index : index + 1] = [part for part in rest if part.first < part.end]
                self.recovered += now_us - hole.seen_us >= RECOVERED_AFTER_US
                return

    def _release(self, now_us: int) -> list[T | Lost]:
        out = self._run()
        while self._holes and (
            now_us - self._holes[0].seen_us >= self._max_wait_us
            or len(self._held) > self._max_packets
        ):
            out += self._give_up()
            out += self._run()
        return out

    def _run(self) -> list[T | Lost]:
        """The items up to the next hole."""
        assert self._next is not None
        out: list[T | Lost] = []
        while self._next in self._held:
            out.append(self._held.pop(self._next))
            self._next += 1
        return out

    def _give_up(self) -> list[T | Lost]:
        """The loss of the first hole, if there is one."""
        if not self._holes:
            return []
        hole = self._holes.pop(0)
        self._next = hole.end
        return [Lost(hole.end - hole.first)]
