"""Small pictures out of a video file: `python -m recorder.derived.pictures FILE`.

A process of its own, because decoders are where hostile media does its harm, with bounded memory and
time: at most a hundred keyframes are decoded, each reached by seeking. It writes `FILE`'s poster, strip
and cues beside it under temporary names, and says in one line of JSON what it made: for each role its
picture's width and height. Without a picture that can be decoded it says `{}` and writes nothing. It
ends when its standard input reaches its end.
"""

from __future__ import annotations

import resource
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer
from av.stream import Discard
from av.video.stream import VideoStream

from recorder.derived.names import cues_of, poster_of, strip_of
from recorder.derived.sprite import (
    CELL,
    Cue,
    Region,
    cues_text,
    fit,
    lay_out,
    sample_times,
    shows_something,
)
from recorder.job_process import end_with_parent, say
from recorder.local_files import partial_of

MEMORY = 2 << 30
"""Bytes of address space; a decoder needs a dozen pictures of the largest size."""
MOST_PIXELS = 8192 * 8192
POSTER_WIDTH = 1280
_SEARCH = 5000
"""Packets that are looked at for the keyframe after a seek."""
_POSTER_QUALITY, _STRIP_QUALITY = 4, 5  # of mjpeg: 1 is best, 31 worst
_BLACK = (0, 128, 128)


@dataclass(frozen=True, slots=True)
class Picture:
    """A small picture, from `begin` on."""

    begin: float
    frame: av.VideoFrame


def make_pictures(path: Path) -> dict[str, tuple[int, int]]:
    """Role -> size of what was made; empty when nothing in `path` can be decoded."""
    with av.open(str(path)) as container:
        end = float(container.duration or 0) / av.time_base
        return pictures_of(keyframes(container, container.streams.video[0], end), end, path)


def pictures_of(
    frames: Iterable[tuple[float, av.VideoFrame]], end: float, path: Path
) -> dict[str, tuple[int, int]]:
    """The same from pictures and their times, in seconds, of a film that lasts until `end`."""
    poster: av.VideoFrame | None = None
    shown = False
    small: list[Picture] = []
    for at, frame in frames:
        picture = _scaled(frame, CELL)
        small.append(Picture(at, picture))
        if poster is None or not shown:
            shown = shows_something(_plane(picture, 0))
            if shown or poster is None:
                poster = _scaled(frame, (POSTER_WIDTH, frame.height))
    if poster is None:
        return {}
    partial_of(poster_of(path)).write_bytes(_jpeg(poster, _POSTER_QUALITY))
    size, regions = lay_out([(entry.frame.width, entry.frame.height) for entry in small])
    sprite = _paste([entry.frame for entry in small], regions, size)
    partial_of(strip_of(path)).write_bytes(_jpeg(sprite, _STRIP_QUALITY))
    begins = [entry.begin for entry in small]
    ends = [*begins[1:], max(end, begins[-1])]
    cues = [Cue(*times) for times in zip(begins, ends, regions, strict=True)]
    partial_of(cues_of(path)).write_text(cues_text(strip_of(path).name, cues), "utf-8")
    return {"poster": (poster.width, poster.height), "strip": size, "cues": size}


def keyframes(
    container: InputContainer, stream: VideoStream, end: float
) -> Iterator[tuple[float, av.VideoFrame]]:
    """Keyframes evenly over the file, each once, with the time from which on it stands.

    Those that can't be decoded are passed over.
    """
    for other in container.streams:
        if other.index != stream.index:
            other.discard = Discard.all
    context = stream.codec_context
    context.thread_count = 1
    context.options = {"max_pixels": str(MOST_PIXELS)}
    base = stream.time_base
    assert base is not None
    begin = float((stream.start_time or 0) * base)
    last: int | None = None
    for at in sample_times(begin, end):
        container.seek(round(at / base), stream=stream)
        for packet in islice(container.demux(stream), _SEARCH):
            if packet.is_keyframe and packet.size:
                break
        else:
            continue
        if packet.pts == last:
            continue
        last = packet.pts
        try:
            frames = [*context.decode(packet), *context.decode(None)]
        except av.FFmpegError:
            frames = []
        context.flush_buffers()
        if frames:
            yield at, frames[0]


def _scaled(frame: av.VideoFrame, box: tuple[int, int]) -> av.VideoFrame:
    width, height = fit(frame.width, frame.height, box)
    return frame.reformat(width, height, format="yuvj420p", interpolation="AREA")


def _plane(frame: av.VideoFrame, number: int) -> bytes:
    """One plane without the padding of its lines."""
    plane = frame.planes[number]
    data, line = memoryview(plane), plane.line_size
    return b"".join(data[y * line : y * line + plane.width] for y in range(plane.height))


def _paste(
    frames: list[av.VideoFrame], regions: list[Region], size: tuple[int, int]
) -> av.VideoFrame:
    sprite = av.VideoFrame(*size, "yuvj420p")
    for number, black in enumerate(_BLACK):
        plane = sprite.planes[number]
        line, shift = plane.line_size, 1 if number else 0
        canvas = bytearray([black]) * plane.buffer_size
        for frame, region in zip(frames, regions, strict=True):
            width, height = region.width >> shift, region.height >> shift
            pixels = _plane(frame, number)
            at = (region.y >> shift) * line + (region.x >> shift)
            for y in range(height):
                canvas[at + y * line : at + y * line + width] = pixels[y * width : (y + 1) * width]
        plane.update(bytes(canvas))
    return sprite


def _jpeg(frame: av.VideoFrame, quality: int) -> bytes:
    encoder: Any = av.CodecContext.create("mjpeg", "w")
    encoder.width, encoder.height = frame.width, frame.height
    encoder.pix_fmt = "yuvj420p"
    encoder.time_base = Fraction(1, 25)
    encoder.qmin = encoder.qmax = quality
    frame.pts = 0
    return b"".join(bytes(packet) for packet in [*encoder.encode(frame), *encoder.encode(None)])


def main() -> int:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    end_with_parent()
    try:
        made: dict[str, Any] = dict(make_pictures(Path(sys.argv[1])))
    except (av.FFmpegError, MemoryError, ValueError, IndexError):  # some of them are OSErrors
        made = {}
    except OSError as error:
        made = {"errno": error.errno}
    say(made)
    return 0


if __name__ == "__main__":
    sys.exit(main())
