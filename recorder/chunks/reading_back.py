"""A file is what went into it when it gives that back."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import av

from recorder.chunks.contents import StreamDigest, units_with_lengths
from recorder.errors import MuxFailed


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
