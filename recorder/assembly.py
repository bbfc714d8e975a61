"""Ordered packets of one epoch -> whole, decodable frames.

A frame is the payloads of one timestamp without a loss between them; it ends with the marker bit or
when the timestamp changes. After a loss the next frame counts only if it is known to be whole from
its first packet on, and video that refers to what was lost is dropped up to the next keyframe.
Packets of padding alone hold a sequence number and nothing else. Where the codec counts its
pictures, a loss that took no picture along (padding again) does no harm.
"""

from __future__ import annotations

from typing import NamedTuple

from recorder.depacketize import CodedFrame, Depacketizer, PictureId
from recorder.errors import BadPayload
from recorder.reorder import Lost

MAX_FRAME = 1 << 24
"""Bytes; a frame that goes on longer is not collected to its end."""


class Fragment(NamedTuple):
    """What is left of a packet: its unwrapped timestamp, marker bit, payload and arrival."""

    timestamp: int
    marker: bool
    payload: bytes
    arrival_us: int = 0


class Frame(NamedTuple):
    """A frame that decodes, given the ones before it. `arrival_us` is its first packet's."""

    timestamp: int
    coded: CodedFrame
    arrival_us: int = 0


class Dropped(NamedTuple):
    """A frame that is not whole, or that refers to one that is not."""

    timestamp: int
    arrival_us: int = 0


class FrameAssembler:
    """Call `push` for everything in order, then `flush`.

    With `single` every packet is a frame of its own that needs no other (audio).
    """

    def __init__(self, depacketizer: Depacketizer, *, single: bool) -> None:
        self._depacketizer = depacketizer
        self._single = single
        self._payloads: list[bytes] = []
        self._size = 0
        self._timestamp = self._arrival_us = 0
        self._whole = True
        self._after_loss = True
        self._waiting = not single  # for a keyframe
        self._picture: PictureId | None = None  # of the newest frame
        self._lost = 0  # packets since then

    def push(self, item: Fragment | Lost) -> list[Frame | Dropped]:
        if isinstance(item, Lost):
            return self._lose(item.count)
        if not item.payload:
            return []
        out: list[Frame | Dropped] = []
        if not self._payloads:
            self._open(item)
        elif item.timestamp != self._timestamp:
            out += self._close()
            self._open(item)
        self._size += len(item.payload)
        if self._size <= MAX_FRAME:
            self._payloads.append(item.payload)
        else:
            self._whole = False
        if item.marker or self._single:
            out += self._close()
        return out

    def flush(self) -> list[Frame | Dropped]:
        """The frame at the end. Without a marker it may lack its tail, so it is dropped."""
        self._whole = self._whole and self._single
        return self._close()

    def _lose(self, count: int) -> list[Frame | Dropped]:
        self._whole = False
        self._lost += count
        self._after_loss = True
        return self._close()

    def _open(self, item: Fragment) -> None:
        picture = self._depacketizer.picture_id(item.payload)
        self._timestamp, self._arrival_us = item.timestamp, item.arrival_us
        self._whole = True
        self._size = 0
        if self._after_loss and not self._single:
            self._whole = self._depacketizer.starts(item.payload)
            if not (picture and self._follows(picture)):
                self._waiting = True
            self._lost = 0
        self._after_loss = False
        self._picture = picture

    def _follows(self, picture: PictureId) -> bool:
        """Whether no picture was lost. As many packets as the counter has values may hide a round."""
        before = self._picture
        return before is not None and self._lost < picture.modulus and picture.follows(before)

    def _close(self) -> list[Frame | Dropped]:
        if not self._payloads:
            return []
        payloads, self._payloads = self._payloads, []
        try:
            coded = self._depacketizer.assemble(payloads) if self._whole else None
        except BadPayload:
            self._whole = False
            coded = None
        if coded is None and self._whole:
            return []  # nothing to see in it
        self._waiting = not self._single and (
            coded is None or (self._waiting and not coded.keyframe)
        )
        if coded is None or self._waiting:
            return [Dropped(self._timestamp, self._arrival_us)]
        return [Frame(self._timestamp, coded, self._arrival_us)]
