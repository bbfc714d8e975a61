"""Sound without holes: where none came, the file has coded silence.

Players disagree on holes in Opus. Some wait, some play on at once, so that after many lost packets
or a muted minute sound runs ahead of the pictures. So between its first and its last frame a file
with sound has sound all the time, also before a microphone that joined late and after one that left
early. What came is never changed, moved or left out; silence is put where nothing is.

Long silence is made of long packets, so an hour of it is 30,000 packets and 600 kB.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import suppress

from recorder.depacketize import CodedFrame
from recorder.stream import TimedFrame

FRAME_US = 20_000
MISSING_US = 10_000
"""Half a frame: less is the difference between two clocks."""

MAX_FILLED_US = 6 * 3_600_000_000
"""A longer hole stays one: nobody sits through it, and it costs its sender nothing to make."""

_SILENT = b"\xff\xfe"
"""A CELT frame whose first bits say silence (RFC 6716 section 4.3)."""
STEREO = 0x04


def _packets(stereo: int) -> tuple[CodedFrame, ...]:
    """Full band, longest first: six frames of 20 ms, one, and one of 10, 5 and 2.5 ms
    (RFC 6716 sections 3.1 and 3.2.5)."""
    six = CodedFrame(bytes([31 << 3 | stereo | 3, 6]) + 6 * _SILENT, True, duration_us=120_000)
    singles = ((31, 20_000), (30, 10_000), (29, 5_000), (28, 2_500))
    return six, *(
        CodedFrame(bytes([config << 3 | stereo]) + _SILENT, True, duration_us=duration_us)
        for config, duration_us in singles
    )


_PACKETS = {stereo: _packets(stereo) for stereo in (0, STEREO)}
"""By the bit of the packets around that says whether they are stereo."""


class Pictures(Iterator[TimedFrame]):
    """Frames of video that can be looked at before they are taken."""

    def __init__(self, frames: Iterator[TimedFrame]) -> None:
        self._frames = frames
        self._ahead: deque[TimedFrame] = deque()
        self._first_us: float | None = None
        self._newest_us = float("-inf")

    def __next__(self) -> TimedFrame:
        return self._ahead.popleft() if self._ahead else self._pull()

    def first_us(self) -> float | None:
        """The time of the first frame, whether it was taken or not; None when there is none."""
        if self._first_us is None:
            with suppress(StopIteration):
                self._ahead.append(self._pull())
        return self._first_us

    def go_beyond(self, at_us: float) -> bool:
        """Is there a frame after `at_us`? Those up to it are held in memory."""
        with suppress(StopIteration):
            while self._newest_us <= at_us:
                self._ahead.append(self._pull())
        return self._newest_us > at_us

    def _pull(self) -> TimedFrame:
        frame = next(self._frames)
        self._newest_us = frame.at_us
        if self._first_us is None:
            self._first_us = frame.at_us
        return frame


def without_holes(sound: Iterator[TimedFrame], pictures: Pictures) -> Iterator[TimedFrame]:
    """`sound` with silence where it has none, from the first to the last frame of both.

    Of no sound at all nothing is made.
    """
    first = next(sound, None)
    if first is None:
        return
    stereo = _stereo(first)
    picture_us = pictures.first_us()
    if picture_us is not None:
        yield from silence(picture_us, first.at_us, stereo)
    yield first
    end_us = first.at_us + (first.coded.duration_us or 0)
    for frame in sound:
        at_us, coded = frame
        if at_us - end_us >= MISSING_US:
            yield from silence(end_us, at_us, stereo)
            stereo = _stereo(frame)
        yield frame
        end_us = at_us + (coded.duration_us or 0)
    latest_us = end_us + MAX_FILLED_US
    while end_us < latest_us and pictures.go_beyond(end_us):
        longer = pictures.go_beyond(end_us + 6 * FRAME_US)
        until_us = end_us + (6 * FRAME_US if longer else FRAME_US)
        yield from silence(end_us, until_us, stereo)
        end_us = until_us


def silence(start_us: float, end_us: float, stereo: int) -> Iterator[TimedFrame]:
    """As much as fits between two times, apart from what is shorter than any frame. `stereo` is that bit
    of a packet beside it: `data[0] & STEREO`.
    """
    if not MISSING_US <= end_us - start_us <= MAX_FILLED_US:
        return
    for coded in _PACKETS[stereo]:
        duration_us = coded.duration_us or 0
        while end_us - start_us >= duration_us:
            yield TimedFrame(start_us, coded)
            start_us += duration_us


def _stereo(frame: TimedFrame) -> int:
    return frame.coded.data[0] & STEREO
