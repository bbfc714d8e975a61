"""A file is what went into it when it gives that back."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import av

from recorder.chunks.contents import StreamDigest, units_with_lengths
from recorder.errors import MuxFailed

_MOST: Final = 0.8


def read_back(
    path: Path, demuxer: str, digests: Sequence[tuple[int, str]], units: Sequence[bool]
) -> float:
    """The duration of the file in seconds, read to its end.

    Raises MuxFailed when a stream has other packets than `digests` says; `units`: of which streams
    the units in them are compared.
    """
    with av.open(str(path), format=demuxer) as file:
        found = [StreamDigest() for _ in file.streams]
        for packet in file.demux():
            if packet.size:
                digest = found[packet.stream_index]
                if units[packet.stream_index]:
                    digest.add_units(units_with_lengths(bytes(packet)))
                else:
                    digest.add(bytes(packet))
        duration = file.duration
    if [digest.value() for digest in found] != list(digests):
        raise MuxFailed(f"{path.name} does not have the packets that went into it")
    if not duration:
        raise MuxFailed(f"{path.name} has no duration")
    return float(duration) / av.time_base


def keeps_time(path: Path, demuxer: str) -> bool:
    """Does sound last as long as its times say? It does not when it is read as what it is not."""
    ends: dict[int, int] = {}
    good = packets = 0
    with av.open(str(path), format=demuxer) as file:
        for packet in file.demux(audio=0) if file.streams.audio else ():
            if packet.size and packet.pts is not None and packet.duration:
                end = ends.get(packet.stream_index, packet.pts)
                good += abs(packet.pts - end) <= packet.duration / 4
                packets += 1
                ends[packet.stream_index] = packet.pts + packet.duration
    return good >= packets * _MOST
