"""Frames -> one seekable file, nothing re-encoded (PyAV).

WebM has its duration and its cues at the front, MP4 its index (faststart). The file is written
under a temporary name, flushed, read to its end, and renamed: a file that does not give back every
packet is an error, not a result.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import av

from recorder.bitstream import Size
from recorder.depacketize import CODECS
from recorder.errors import MuxFailed
from recorder.local_files import partial_of, put_in_place, sha256_of
from recorder.plan import FilePlan
from recorder.stream import TimedFrame
from recorder.template import Template, opus_template, video_template
from recorder.writer import MICROSECONDS, PLAYABLE, ContainerWriter, Packet, verify

_TICK_US = 1000
"""Times in one stream are at least so far apart: WebM counts milliseconds."""
_MAX_AHEAD_US = 10_000_000
"""Frames that come faster than that for so long are not pictures or sound."""
LAST_FRAME_US = 33_333
"""How long the last picture is shown; no later one says so."""


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
    partial = partial_of(path)
    templates: list[Template] = []
    writer = ContainerWriter(partial, plan.container, PLAYABLE[plan.container])
    try:
        if first_video is not None:
            templates.append(_video_template(plan, first_video))
            frames = chain([first_video], video)
            writer.add(templates[-1].stream, _packets(frames, zero_us))
            if len({s for track in plan.video for s in track.parameter_sets}) > 1:
                writer.tag("avc3")  # its parameter sets change on the way
        if first_audio is not None:
            channels = plan.audio[0].header.channels
            templates.append(opus_template(channels if channels in (1, 2) else 2))
            frames = chain([first_audio], audio)
            writer.add(templates[-1].stream, _packets(frames, zero_us))
        counts = writer.write()
    finally:
        writer.close()
        for template in templates:
            template.close()
    duration_seconds = verify(partial, plan.container, counts)
    put_in_place(path)
    return MuxedFile(
        path=path,
        content_type=f"{'video' if first_video else 'audio'}/{plan.container}",
        size=path.stat().st_size,
        sha256=sha256_of(path),
        duration_seconds=duration_seconds,
        picture=first_video.coded.size if first_video else None,
        zero_us=zero_us,
    )


def _video_template(plan: FilePlan, first: TimedFrame) -> Template:
    codec = CODECS[plan.video[0].mime_type]
    assert first.coded.size is not None  # the first frame is a keyframe
    return video_template(codec.matroska_id, first.coded.size, first.coded.config)


def _packets(frames: Iterator[TimedFrame], zero_us: float) -> Iterator[Packet]:
    last = -_TICK_US
    held: Packet | None = None
    for frame in frames:
        due = round(frame.at_us - zero_us)
        last = max(due, last + _TICK_US)
        if last - due > _MAX_AHEAD_US:
            raise MuxFailed("more frames than a millisecond each can be kept")
        packet: Packet = av.Packet(frame.coded.data)
        packet.time_base = MICROSECONDS
        packet.pts = packet.dts = last
        packet.is_keyframe = frame.coded.keyframe
        packet.duration = frame.coded.duration_us or 0
        if held is not None:
            yield held
        held = packet
    if held is not None:
        held.duration = held.duration or LAST_FRAME_US
        yield held
