"""One stored file decoded: its pictures or its sound, in order of time, one at a time.

Nothing in a file ends the render. What can't be decoded is left out, a file that breaks off ends
there, and pictures may change their size, shape and format on the way.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from itertools import chain
from pathlib import Path
from typing import Any, Final

import av
import numpy as np
from av.container import InputContainer

from recorder.composite.mixer import SAMPLE_RATE, Samples
from recorder.composite.probing import LONGEST_SECONDS, open_media, packets_of

_SEEK_FROM: Final = 5.0
"""Seconds from where on a seek is cheaper than decoding everything before."""
_MICROSECOND: Final = 1_000_000
MOST_PIXELS: Final = 4096 * 4096
"""Of a picture; dozens wait for their turn, and whoever sent them chose their size."""
_BREAKS: Final = (av.FFmpegError, ValueError, OSError)
_SCALES: Final = {"s16": 1 / 32768.0, "s32": 1 / 2147483648.0, "flt": 1.0}


def pictures(
    path: Path, *, start: float = 0.0, threads: int = 1
) -> Iterator[tuple[float, av.VideoFrame]]:
    """Pictures with their times, in seconds of the file, from the last keyframe before `start`."""
    with closing(open_media(path)) as container:
        stream = next(iter(container.streams.video), None)
        if stream is None:
            return
        stream.codec_context.options = {"max_pixels": str(MOST_PIXELS)}
        stream.codec_context.thread_count = threads
        stream.codec_context.thread_type = "FRAME" if threads > 1 else "NONE"
        if start > _SEEK_FROM:
            _seek(container, start)
        for time, frame in _decoded(container, stream):
            if not frame.is_corrupt:
                yield time, frame


def sounds(path: Path) -> Iterator[tuple[float, Samples]]:
    """Stretches of sound at 48 kHz with their times, in seconds of the file."""
    with closing(open_media(path)) as container:
        stream = next(iter(container.streams.audio), None)
        if stream is None:
            return
        stream.codec_context.thread_count = 1
        resampled = _Resampling()
        for time, frame in _decoded(container, stream):
            for samples in resampled.of(frame):
                yield time, samples


def _seek(container: InputContainer, start: float) -> None:
    try:
        container.seek(round(start * _MICROSECOND), backward=True)
    except _BREAKS:
        container.seek(0)


def _decoded(container: InputContainer, stream: Any) -> Iterator[tuple[float, Any]]:
    for packet in chain(packets_of(container, stream), [None]):
        for frame in _frames(stream, packet):
            if frame.pts is not None:
                time = float(frame.pts * stream.time_base)  # the last ones have no time base
                if time < LONGEST_SECONDS:
                    yield time, frame


def _frames(stream: Any, packet: av.Packet[Any] | None) -> list[Any]:
    try:
        return list(stream.codec_context.decode(packet))
    except _BREAKS:
        return []


class _Resampling:
    """Whatever a decoder gives -> stereo at 48 kHz. What Opus gives needs no resampler."""

    def __init__(self) -> None:
        self._resampler: av.AudioResampler | None = None
        self._shape: tuple[Any, ...] = ()

    def of(self, frame: av.AudioFrame) -> list[Samples]:
        if frame.sample_rate == SAMPLE_RATE and frame.layout.nb_channels in (1, 2):
            scale = _SCALES.get(frame.format.name.removesuffix("p"))
            if scale is not None:
                return [_stereo(frame, scale)]
        shape = (frame.format.name, frame.layout.name, frame.sample_rate)
        if self._resampler is None or shape != self._shape:
            self._resampler = av.AudioResampler(format="fltp", layout="stereo", rate=SAMPLE_RATE)
            self._shape = shape
        try:
            return [_stereo(each, 1.0) for each in self._resampler.resample(frame)]
        except _BREAKS:
            return []


def _stereo(frame: av.AudioFrame, scale: float) -> Samples:
    raw = frame.to_ndarray()
    if not frame.format.is_planar:
        raw = raw.reshape(-1, frame.layout.nb_channels).T
    samples = np.asarray(raw, np.float32)
    if scale != 1.0:
        samples = samples * np.float32(scale)
    return np.broadcast_to(samples, (2, samples.shape[1])) if samples.shape[0] == 1 else samples
