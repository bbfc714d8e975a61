"""When a part began, by when its chunks arrived. Pure.

A chunk arrives after its last packet was recorded, by however long encoder, network and retries take.
So each chunk bounds the beginning from above, and the lowest bound is nearest to the truth.
"""

from __future__ import annotations

from collections import deque

Mark = tuple[int, float]


class ArrivalEnvelope:
    """`marks` are offsets and arrivals (unix seconds) of chunks, as they are read; see `salvage`."""

    def __init__(self, marks: deque[Mark] | None) -> None:
        self._marks: deque[Mark] = deque() if marks is None else marks
        self._end = 0.0
        self.origin: float | None = None

    def packet(self, offset: int, end: float) -> None:
        """A packet whose bytes end at `offset` ends at this time of the file, in seconds."""
        while self._marks and self._marks[0][0] < offset:
            self._chunk(self._marks.popleft()[1])
        self._end = max(self._end, end)

    def close(self) -> None:
        """After the last packet: the chunks that are left have no other."""
        while self._marks:
            self._chunk(self._marks.popleft()[1])

    def _chunk(self, arrived: float) -> None:
        if self._end > 0:
            bound = arrived - self._end
            self.origin = bound if self.origin is None else min(self.origin, bound)
