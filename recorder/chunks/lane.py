"""One stream of a part on its way into the file: which packets are kept, and what is missing. Pure.

After a hole a picture refers to others that nobody has. So pictures up to the next keyframe are left
out, and the ledger says so.
"""

from __future__ import annotations

from typing import NamedTuple

from recorder.integrity import TrackLedger


class Place(NamedTuple):
    """Where a packet's bytes lie in what was handed to the demuxer (`begin` < 0: not known)."""

    begin: int
    end: int


class Lane:
    """`holes` and `absent` belong to the salvaged part and grow while it is read; see
    `recorder.chunks.salvage`. Times are the file's, in microseconds; what comes first is missing from
    `since_us` on, if anything is.
    """

    def __init__(
        self,
        ledger: TrackLedger,
        holes: list[int],
        absent: list[tuple[int, int]],
        since_us: int = 0,
    ) -> None:
        self.ledger = ledger
        self.end_us = since_us
        self._holes, self._absent = holes, absent
        self._next_hole = self._next_absent = 0
        self._video = ledger.kind == "video"
        self._broken_us: int | None = None  # since when something is missing
        self._blind_us: int | None = None  # since when pictures came that can't be decoded

    def keeps(self, place: Place, at_us: int, length_us: int, *, keyframe: bool) -> bool:
        """Whether the packet goes into the file. Call it for each, in the order of the part."""
        whole = self._is_whole(place)
        if not whole or self._behind_hole(place):
            self._broken_us = self.end_us if self._broken_us is None else self._broken_us
        if not whole:
            return False
        self.ledger.packets_received += 1
        if self._broken_us is not None:
            self.ledger.gap(self._broken_us, max(at_us, self._broken_us), "missing")
            self._broken_us = None
            if self._video and self._blind_us is None:
                self._blind_us = at_us
        if self._blind_us is not None:
            if not keyframe:
                self.end_us = max(self.end_us, at_us + length_us)
                return False
            if at_us > self._blind_us:
                self.ledger.not_decodable(self._blind_us, at_us)
            self._blind_us = None
        self.end_us = max(self.end_us, at_us + length_us)
        return True

    def close(self, *, torn: bool) -> None:
        """`torn`: the part lacks its end."""
        if self._blind_us is not None:
            self.ledger.not_decodable(self._blind_us, self.end_us)
        if self._broken_us is not None or torn:
            begin_us = self.end_us if self._broken_us is None else self._broken_us
            self.ledger.gap(begin_us, self.end_us, "missing")

    def _behind_hole(self, place: Place) -> bool:
        behind = False
        while self._next_hole < len(self._holes) and self._holes[self._next_hole] <= place.begin:
            self._next_hole += 1
            behind = True
        return behind

    def _is_whole(self, place: Place) -> bool:
        while self._next_absent < len(self._absent):
            begin, end = self._absent[self._next_absent]
            if place.end <= begin:
                return True
            if place.begin < end:
                return False
            self._next_absent += 1
        return True
