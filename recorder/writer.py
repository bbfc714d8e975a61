"""One container file made of streams of packets that are merged by time (PyAV).

Nothing is encoded. Options name libavformat's.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeAlias, cast

import av
from av.stream import Stream

from recorder.errors import MuxFailed

Packet: TypeAlias = "av.Packet[Any]"

MICROSECONDS = Fraction(1, 1_000_000)
"""The time base of all packets that a writer is given."""

_SAME_AGAIN = {"fflags": "+bitexact"}  # no random identifiers: the same media, the same bytes
PLAYABLE = {
    "webm": {"cues_to_front": "1", **_SAME_AGAIN},
    "mp4": {"movflags": "faststart", **_SAME_AGAIN},
}
"""By container: options of a file with its index at the front."""

_VIDEO_CLOCK, _AUDIO_CLOCK = 90_000, 48_000


class ContainerWriter:
    """Add streams, then `write` once; `close` in any case.

    `path` may have any name: `container` decides the format.
    """

    def __init__(self, path: Path, container: str, options: Mapping[str, str]) -> None:
        self._output = av.open(str(path), "w", format=container, options=dict(options))
        self._sources: list[Iterator[tuple[int, Packet]]] = []
        self._counts: list[int] = []

    def add(self, template: Stream, packets: Iterator[Packet]) -> None:
        """A stream with the parameters of `template`, which stays open until the end.

        The packets' times are in MICROSECONDS and rise.
        """
        stream = self._output.add_stream_from_template(template, opaque=True)
        clock = _VIDEO_CLOCK if stream.type == "video" else _AUDIO_CLOCK
        stream.time_base = Fraction(1, clock)
        self._counts.append(0)
        self._sources.append(self._counted(stream, packets))

    def tag(self, fourcc: str) -> None:
        """Marks the stream that was added last."""
        context = self._output.streams[-1].codec_context
        assert context is not None
        context.codec_tag = fourcc

    def write(self) -> list[int]:
        """Muxes everything; how many packets each stream got."""
        mux_one = self._output.mux_one
        for _, packet in heapq.merge(*self._sources, key=lambda entry: entry[0]):
            mux_one(packet)
        self._output.close()
        return self._counts

    def close(self) -> None:
        self._output.close()

    def _counted(self, stream: Stream, packets: Iterator[Packet]) -> Iterator[tuple[int, Packet]]:
        number = stream.index
        for packet in packets:
            packet.stream = stream
            self._counts[number] += 1
            yield cast(int, packet.pts), packet


def verify(path: Path, container: str, counts: list[int]) -> float:
    """The duration of the file in seconds, read to its end.

    Raises MuxFailed when its packets are not as many as `counts` says for each stream.
    """
    found = [0] * len(counts)
    with av.open(str(path), format="matroska" if container == "webm" else container) as file:
        for packet in file.demux():
            if packet.size:
                found[packet.stream_index] += 1
        duration = file.duration
    if found != counts:
        raise MuxFailed(f"{counts} packets were written to {path.name}, {found} are in it")
    if not duration:
        raise MuxFailed(f"{path.name} has no duration")
    return float(duration) / av.time_base
