"""When nothing came of a track, and whether anything should have.

Times are arrivals on the server's clock in microseconds. A mute is known from its records; media of
a muted track is not in its journal, so what is missing across a mute was never to be kept.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator

Stretch = tuple[float, float]

NETWORK_US = 2_000_000
"""Nothing for longer, no packet and no sender report, is the network's doing."""
MAX_STRETCHES = 256
"""Who has more within the seconds that packets are held back is no person."""


class Presence:
    """The mutes and silences of one track, told in order."""

    def __init__(self) -> None:
        self._muted_us: int | None = None
        self._mutes: deque[Stretch] = deque(maxlen=MAX_STRETCHES)
        self._silences: deque[Stretch] = deque(maxlen=MAX_STRETCHES)

    def muted(self, at_us: int) -> None:
        if self._muted_us is None:
            self._muted_us = at_us

    def unmuted(self, at_us: int) -> Stretch | None:
        """The mute that ends, if there was one."""
        if self._muted_us is None:
            return None
        mute = float(self._muted_us), float(at_us)
        self._muted_us = None
        self._mutes.append(mute)
        return mute

    def silent(self, start_us: int, end_us: int) -> None:
        """Nothing came for more than NETWORK_US."""
        self._silences.append((start_us, end_us))

    def muted_since(self, start_us: float, end_us: float) -> bool:
        """Was the track muted at some time from `start_us` to `end_us`?"""
        return any(start_us <= start <= end_us for start, _ in self._all_mutes())

    def unmuted_within(self, start_us: float, end_us: float) -> list[Stretch]:
        """What is left of a stretch of time without the mutes in it."""
        rest = [(start_us, end_us)]
        for mute in self._all_mutes():
            rest = [part for stretch in rest for part in _without(stretch, mute)]
        return rest

    def outages(self, start_us: float, end_us: float) -> list[Stretch]:
        """Where the network failed between two packets that came, or were sent, at these times."""
        return [
            (start, end)
            for silence in self._silences
            for start, end in self.unmuted_within(*silence)
            if end - start > NETWORK_US
            and min(end, end_us) - max(start, start_us) > (end - start) / 2
        ]

    def _all_mutes(self) -> Iterable[Stretch]:
        if self._muted_us is None:
            return self._mutes
        return [*self._mutes, (self._muted_us, float("inf"))]


def _without(stretch: Stretch, mute: Stretch) -> Iterator[Stretch]:
    start, end = stretch
    if mute[1] <= start or end <= mute[0]:
        yield stretch
        return
    if start < mute[0]:
        yield start, mute[0]
    if mute[1] < end:
        yield mute[1], end
