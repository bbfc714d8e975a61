"""Which packets of one stream are missing, and when to ask for them again (RFC 4585, 6.2.1).

Pure: sequence numbers and times in, sequence numbers out. Times are seconds on any monotonic clock.
"""

from __future__ import annotations

from dataclasses import dataclass

MAX_MISSING = 256
"""A larger hole is no longer repaired packet by packet: a keyframe is cheaper."""

MAX_TRIES = 10
FIRST_DELAY = 0.010
"""Seconds of patience with reordering before the first request."""

RETRY_DELAY = 0.050
GIVE_UP_AFTER = 1.0


@dataclass(slots=True)
class _Hole:
    since: float
    due: float
    tries: int = 0


class NackGenerator:
    """The holes of one received stream.

    `recovered` counts packets that arrived after they had been missed, `lost` those given up.
    """

    __slots__ = ("_holes", "lost", "recovered")

    def __init__(self) -> None:
        self._holes: dict[int, _Hole] = {}
        self.recovered = 0
        self.lost = 0

    def __bool__(self) -> bool:
        return bool(self._holes)

    def missed(self, first: int, count: int, now: float) -> bool:
        """`count` packets from sequence number `first` on did not come; False: hole too large."""
        if count + len(self._holes) > MAX_MISSING:
            self.lost += count + len(self._holes)
            self._holes.clear()
            return False
        for offset in range(count):
            self._holes[(first + offset) & 0xFFFF] = _Hole(now, now + FIRST_DELAY)
        return True

    def arrived(self, sequence: int) -> bool:
        """A packet older than the newest came; True when it had been missed."""
        if self._holes.pop(sequence, None) is None:
            return False
        self.recovered += 1
        return True

    def due(self, now: float) -> tuple[list[int], bool]:
        """Sequence numbers to request now, and whether any were given up (ask for a keyframe)."""
        ask: list[int] = []
        dead: list[int] = []
        for sequence, hole in self._holes.items():
            if hole.tries >= MAX_TRIES or now - hole.since > GIVE_UP_AFTER:
                dead.append(sequence)
            elif hole.due <= now:
                ask.append(sequence)
                hole.tries += 1
                hole.due = now + RETRY_DELAY
        for sequence in dead:
            del self._holes[sequence]
        self.lost += len(dead)
        return ask, bool(dead)
