"""When a part began, by when its chunks arrived. Pure.

A chunk arrives after its last packet was recorded, by however long encoder, network and retries take.
So each chunk bounds the beginning from above, and the lowest bound is nearest to the truth.
"""

from __future__ import annotations

from array import array
from collections import deque
from math import nan

from recorder.chunks.parts import ChunkTimes
from recorder.chunks.pauses import Pauses, find_pauses

Mark = tuple[int, ChunkTimes]


class ArrivalEnvelope:
    """`marks` are offsets and times of chunks, as they are read; see `salvage`. Memory holds three
    numbers a chunk.
    """

    def __init__(self, marks: deque[Mark] | None) -> None:
        self._marks: deque[Mark] = deque() if marks is None else marks
        self._end = 0.0
        self._ends, self._arrived, self._made = array("d"), array("d"), array("d")
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

    def pauses(self) -> Pauses:
        """Where the recorder was paused, as far as the chunks' times tell."""
        return find_pauses(self._ends, self._arrived, self._made)

    def _chunk(self, times: ChunkTimes) -> None:
        if self._end > 0:
            bound = times.arrived - self._end
            self.origin = bound if self.origin is None else min(self.origin, bound)
            self._ends.append(self._end)
            self._arrived.append(times.arrived)
            self._made.append(nan if times.made is None else times.made)
