"""Frames of one stream -> blocks that players show without a halt.

A browser plays only where picture and sound are both buffered, and a gap between two pictures that
is longer than it expects makes it wait for a keyframe. So a lane has no gaps: silence stands where
no sound came (muted, lost, not sent because nobody spoke), and a picture stands until the next one.
Times are whole microseconds from the start of the stream.
"""

from __future__ import annotations

from collections import deque
from typing import Literal, NamedTuple

from recorder.depacketize import CodedFrame

SILENCE = b"\xf8\xff\xfe"
"""20 ms of Opus without sound, in the CELT mode for the whole band (RFC 6716 section 3.1)."""
SILENCE_US = 20_000
GAP_US = 30_000
"""Sound that comes later than that after what came before leaves a gap to fill."""
OVERLAP_US = 40_000
"""Sound that comes earlier than that before the end of what came before is left out."""
STAND_US = 5_000_000
"""How long a picture stands when no other comes. Then the last keyframe stands again: a player
loses what it did not show for long."""
LAST_US = 33_333
APART_US = 1_000
"""WebM counts milliseconds."""


class Block(NamedTuple):
    """A piece of media with its place in the stream."""

    kind: Literal["audio", "video"]
    at_us: int
    duration_us: int
    data: bytes
    keyframe: bool
    config: bytes = b""  # as in CodedFrame


class SoundLane:
    """Opus packets one right after the other, wherever their time lies."""

    def __init__(self) -> None:
        self.end_us = 0
        self._blocks: deque[Block] = deque()

    def push(self, at_us: float, coded: CodedFrame) -> None:
        duration_us = coded.duration_us or SILENCE_US
        if at_us < self.end_us - OVERLAP_US:
            return
        if at_us > self.end_us + GAP_US:
            self._fill(at_us - SILENCE_US / 2)
        self._put(coded.data, duration_us)

    def take(self, until_us: int) -> list[Block]:
        """Everything up to `until_us`, silence where nothing came."""
        self._fill(until_us)
        out = []
        while self._blocks and self._blocks[0].at_us <= until_us:
            out.append(self._blocks.popleft())
        return out

    def rest(self) -> list[Block]:
        """What was not taken."""
        return list(self._blocks)

    def _fill(self, until_us: float) -> None:
        while self.end_us < until_us:
            self._put(SILENCE, SILENCE_US)

    def _put(self, data: bytes, duration_us: int) -> None:
        self._blocks.append(Block("audio", self.end_us, duration_us, data, True))
        self.end_us += duration_us


class PictureLane:
    """Frames of one video codec, the first of them a keyframe; it stands from the start on."""

    def __init__(self) -> None:
        self._frames: deque[tuple[int, CodedFrame]] = deque()
        self._keyframe: CodedFrame | None = None  # the newest that was taken
        self._newest_us = -APART_US
        self._covered_us = 0  # how long what was taken stands
        self._lost = False  # frames count from the next keyframe on

    @property
    def newest_us(self) -> int:
        """The time of the newest frame."""
        return self._newest_us

    def push(self, at_us: float, coded: CodedFrame, not_before_us: int) -> None:
        """`not_before_us` is up to where blocks were taken."""
        if self._lost and not coded.keyframe:
            return
        self._lost = False
        first = self._newest_us < 0
        due = 0 if first else max(round(at_us), self._newest_us + APART_US, not_before_us)
        self._newest_us = due
        self._frames.append((due, coded))

    def take(self, until_us: int) -> list[Block]:
        """Everything up to `until_us`."""
        out = []
        while True:
            due = self._frames[0][0] if self._frames else None
            covered = self._covered_us
            if (
                self._keyframe is not None
                and covered <= until_us
                and (due is None or due > covered)
            ):
                self._forget_interframes()
                out.append(self._block(covered, self._keyframe, STAND_US))
            elif due is not None and due <= until_us:
                out.append(self._block(*self._frames.popleft(), STAND_US))
            else:
                return out

    def finish(self, end_us: int) -> list[Block]:
        """The rest; the last picture stands up to `end_us`."""
        out = []
        while self._frames:
            at_us, coded = self._frames.popleft()
            out.append(self._block(at_us, coded, max(end_us - at_us, LAST_US)))
        return out

    def _block(self, at_us: int, coded: CodedFrame, stand_us: int) -> Block:
        duration_us = stand_us
        if self._frames:
            duration_us = max(min(self._frames[0][0] - at_us, stand_us), APART_US)
        if coded.keyframe:
            self._keyframe = coded
        self._covered_us = at_us + duration_us
        return Block("video", at_us, duration_us, coded.data, coded.keyframe, coded.config)

    def _forget_interframes(self) -> None:
        """After a keyframe is shown again, frames that refer to later ones can't be decoded."""
        while self._frames and not self._frames[0][1].keyframe:
            self._frames.popleft()
        self._lost = not self._frames
