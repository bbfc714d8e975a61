"""Frames -> one seekable file, nothing re-encoded (PyAV).

WebM has its duration and its cues at the front, MP4 its index (faststart). The file is written
under a temporary name, flushed, renamed, and then read to its end: a file that does not give back
every packet is an error, not a result.
"""

from __future__ import annotations

import hashlib
import heapq
import os
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Any, cast

import av

from recorder.bitstream import Size
from recorder.depacketize import CODECS
from recorder.errors import MuxFailed
from recorder.plan import FilePlan
from recorder.stream import TimedFrame
from recorder.template import Template, opus_template, video_template

PARTIAL_SUFFIX = ".partial"

_MICROSECONDS = Fraction(1, 1_000_000)
_TICK_US = 1000
"""Times in one stream are at least so far apart: WebM counts milliseconds."""
_MAX_AHEAD_US = 10_000_000
"""Frames that come faster than that for so long are not pictures or sound."""
_LAST_FRAME_US = 33_333
"""How long the last picture is shown; no later one says so."""
_OPTIONS = {"webm": {"cues_to_front": "1"}, "mp4": {"movflags": "faststart"}}
_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class MuxedFile:
    """`zero_us` is the server time of the file's time 0."""

    path: Path
    content_type: str
    size: int
    sha256: str
    duration_seconds: float
    picture: Size | None
    zero_us: float


def mux(
    plan: FilePlan, video: Iterator[TimedFrame], audio: Iterator[TimedFrame], path: Path
) -> MuxedFile | None:
    """Writes the file of `plan` to `path`. None, and no file, when there is no frame at all.

    Raises MuxFailed when the file does not read back as written, and what the disk or PyAV raise.
    """
    first_video, first_audio = next(video, None), next(audio, None)
    if first_video is None and first_audio is None:
        return None
    zero_us = min(first.at_us for first in (first_video, first_audio) if first is not None)
    partial = path.with_name(path.name + PARTIAL_SUFFIX)
    templates: list[Template] = []
    writer = _Writer(partial, plan.container, zero_us)
    try:
        if first_video is not None:
            templates.append(_video_template(plan, first_video))
            writer.add(templates[-1], chain([first_video], video))
            if len({s for track in plan.video for s in track.parameter_sets}) > 1:
                writer.tag("avc3")  # its parameter sets change on the way
        if first_audio is not None:
            channels = plan.audio[0].header.channels
            templates.append(opus_template(channels if channels in (1, 2) else 2))
            writer.add(templates[-1], chain([first_audio], audio))
        counts = writer.write()
    finally:
        writer.close()
        for template in templates:
            template.close()
    _flush(partial)
    duration_seconds = _verify(partial, plan.container, counts)
    partial.replace(path)
    _flush(path.parent)
    return MuxedFile(
        path=path,
        content_type=f"{'video' if first_video else 'audio'}/{plan.container}",
        size=path.stat().st_size,
        sha256=_sha256(path),
        duration_seconds=duration_seconds,
        picture=first_video.coded.size if first_video else None,
        zero_us=zero_us,
    )


def _video_template(plan: FilePlan, first: TimedFrame) -> Template:
    codec = CODECS[plan.video[0].mime_type]
    assert first.coded.size is not None  # the first frame is a keyframe
    return video_template(codec.matroska_id, first.coded.size, first.coded.config)


class _Writer:
    """One output container and the streams that are merged into it by time."""

    def __init__(self, path: Path, container: str, zero_us: float) -> None:
        self._zero_us = zero_us
        self._output = av.open(str(path), "w", format=container, options=_OPTIONS[container])
        self._sources: list[Iterator[tuple[int, av.Packet[Any]]]] = []
        self._counts: list[int] = []

    def add(self, template: Template, frames: Iterator[TimedFrame]) -> None:
        stream = self._output.add_stream_from_template(template.stream, opaque=True)
        stream.time_base = Fraction(1, 90_000 if stream.type == "video" else 48_000)
        self._counts.append(0)
        self._sources.append(self._packets(stream, frames))

    def tag(self, fourcc: str) -> None:
        """Marks the stream that was added last."""
        context = self._output.streams[-1].codec_context
        assert context is not None
        context.codec_tag = fourcc

    def write(self) -> list[int]:
        """Muxes everything; how many packets each stream got."""
        for _, packet in heapq.merge(*self._sources, key=lambda entry: entry[0]):
            self._output.mux_one(packet)
        self._output.close()
        return self._counts

    def close(self) -> None:
        self._output.close()

    def _packets(
        self, stream: av.stream.Stream, frames: Iterator[TimedFrame]
    ) -> Iterator[tuple[int, av.Packet[Any]]]:
        number = stream.index
        last = -_TICK_US
        held: av.Packet[Any] | None = None
        for frame in frames:
            due = round(frame.at_us - self._zero_us)
            last = max(due, last + _TICK_US)
            if last - due > _MAX_AHEAD_US:
                raise MuxFailed("more frames than a millisecond each can be kept")
            packet = av.Packet(frame.coded.data)
            packet.stream = stream
            packet.time_base = _MICROSECONDS
            packet.pts = packet.dts = last
            packet.is_keyframe = frame.coded.keyframe
            packet.duration = frame.coded.duration_us or 0
            self._counts[number] += 1
            if held is not None:
                yield cast(int, held.pts), held
            held = packet
        if held is not None:
            held.duration = held.duration or _LAST_FRAME_US
            yield cast(int, held.pts), held


def _verify(path: Path, container: str, counts: list[int]) -> float:
    """The duration of the file in seconds. Raises MuxFailed when packets are missing."""
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


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()
