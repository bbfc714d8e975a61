"""Times of a part's packets that a player can follow. Pure.

A recorder's times rise with the wall clock. Hostile or broken ones jump: by years, or back to the
beginning. What jumps is put right behind what was before, and nothing is lost.
"""

from __future__ import annotations

from typing import Final

from recorder.chunks.pauses import NO_PAUSES, Pauses
from recorder.errors import ChunksUnreadable

BACK_US: Final = 1_000_000
"""No stream goes back further."""
LATE_US: Final = 60_000_000
"""A stream may be so far behind the others when it begins."""
FORWARD_US: Final = 12 * 3_600_000_000
"""A machine may sleep that long while it records."""
LONGEST_US: Final = 48 * 3_600_000_000

MOST_JUMPS: Final = 100
_STEP_US: Final = 20_000


class PartClock:
    """Gives what has to be added to each packet's time. Microseconds throughout.

    `jumps` are the places where times were set right. What comes after pauses is as much later.
    """

    def __init__(self, zero_us: int, pauses: Pauses = NO_PAUSES) -> None:
        self._shift = -zero_us
        self._pauses = pauses
        self._latest = 0
        self._streams: dict[int, int] = {}
        self.jumps: list[int] = []

    def shift(self, stream: int, at_us: int) -> int:
        """For a packet that says `at_us`. Raises ChunksUnreadable after two days of media."""
        place = at_us + self._shift
        least = self._streams.get(stream, self._latest - LATE_US) - BACK_US
        if not least <= place <= self._latest + FORWARD_US:
            self._shift += self._latest + _STEP_US - place
            place = at_us + self._shift
            if len(self.jumps) < MOST_JUMPS:
                self.jumps.append(place)
        self._latest = max(self._latest, place)
        self._streams[stream] = place
        if self._latest > LONGEST_US:
            raise ChunksUnreadable("it lasts for more than 48 hours")
        return self._shift + self._pauses.before(place)
