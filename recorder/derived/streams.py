"""The streams of a finished file, read one by one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import av
from av.stream import Discard, Stream

from recorder.writer import MICROSECONDS, Packet

_KINDS = frozenset({"audio", "video"})
_LEAN = {"advanced_editlist": "0"}  # of an MP4 that begins with its first sample: half the memory


class StreamReader:
    """One stream of a file that is opened for it alone, so that it can be read ahead of others.

    `codec` is FFmpeg's name of its codec. Files of recordings have no reordered pictures: decoding
    times are presentation times. Close it when its stream is no template any more.
    """

    def __init__(self, path: Path, index: int) -> None:
        self._container = av.open(str(path), options=_LEAN)
        self.stream: Stream = self._container.streams[index]
        for other in self._container.streams:
            if other.index != index:
                other.discard = Discard.all

    @property
    def codec(self) -> str:
        return self.stream.codec_context.codec.canonical_name

    @property
    def kind(self) -> str:
        """ "audio" or "video"."""
        return self.stream.type

    @property
    def duration_us(self) -> int:
        """Of the whole file, as its container says."""
        return (self._container.duration or 0) * MICROSECONDS.denominator // av.time_base

    def __iter__(self) -> Iterator[Packet]:
        """Its packets, with times and durations in MICROSECONDS; once."""
        base = self.stream.time_base
        assert base is not None
        up, down = base.numerator * MICROSECONDS.denominator, base.denominator
        for packet in self._container.demux(self.stream):
            if not packet.size or packet.pts is None:
                continue
            packet.pts = packet.dts = (packet.pts * up + down // 2) // down
            packet.duration = ((packet.duration or 0) * up + down // 2) // down
            packet.time_base = MICROSECONDS
            yield packet

    def close(self) -> None:
        self._container.close()


def open_streams(path: Path) -> list[StreamReader]:
    """A reader for each audio and video stream, in the file's order."""
    with av.open(str(path), options=_LEAN) as container:
        indexes = [stream.index for stream in container.streams if stream.type in _KINDS]
    return [StreamReader(path, index) for index in indexes]
