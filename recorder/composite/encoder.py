"""The composite's file: H.264 and AAC in an MP4 with its index at the front.

Written under a temporary name; `finish` flushes it, reads it to its end, and only then gives it its
name. `discard` leaves nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from typing import Any, Final, TypeAlias

import av
import numpy as np
from av.audio import AudioStream
from av.video import VideoStream

from recorder.composite.canvas import FORMAT, Canvas
from recorder.composite.mixer import SAMPLE_RATE, Samples
from recorder.composite.spec import RenderSpec
from recorder.local_files import partial_of, put_in_place
from recorder.writer import PLAYABLE, verify

PRESET: Final = "veryfast"
QUALITY: Final = 23
"""Constant rate factor of libx264 where no bit rate is asked for."""
MOST_BITRATE: Final = {720: 4_000_000, 1080: 8_000_000}
"""What constant quality may take at its worst, in bit/s by height."""
KEYFRAME_SECONDS: Final = 2

Packet: TypeAlias = "av.Packet[Any]"

_CONTAINER: Final = "mp4"
_LIMITED_RANGE, _SMPTE170M = 1, 6  # AVCOL_RANGE_MPEG; AVCOL_SPC_, PRI_ and TRC_SMPTE170M


class SoundEncoder:
    """AAC. Used by one thread, which may be another than that of the file it belongs to."""

    def __init__(self, stream: AudioStream) -> None:
        self._stream = stream
        self._next = 0

    def encode(self, samples: Samples) -> list[Packet]:
        if not samples.shape[1]:
            return []
        frame = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(samples), format="fltp", layout="stereo"
        )
        frame.sample_rate = SAMPLE_RATE
        frame.time_base = Fraction(1, SAMPLE_RATE)
        frame.pts = self._next
        self._next += samples.shape[1]
        return self._stream.encode(frame)

    def flush(self) -> list[Packet]:
        return self._stream.encode(None)


class CompositeFile:
    """The file in the making. Calls come from one thread."""

    def __init__(self, spec: RenderSpec) -> None:
        """Raises av.FFmpegError or OSError when the file can't be made."""
        self._path = spec.output
        self._partial = partial_of(spec.output)
        self._output = av.open(
            str(self._partial), "w", format=_CONTAINER, options=dict(PLAYABLE[_CONTAINER])
        )
        self._counts: list[int] = []
        self._video = None if spec.options.audio_only else self._add_video(spec)
        self.sound = SoundEncoder(self._add_sound(spec))
        self._output.start_encoding()

    def _add_video(self, spec: RenderSpec) -> VideoStream:
        options = spec.options
        stream = self._output.add_stream("libx264", rate=options.fps)
        stream.width, stream.height, stream.pix_fmt = spec.width, options.height, FORMAT
        stream.codec_context.time_base = Fraction(1, options.fps)
        stream.codec_context.gop_size = KEYFRAME_SECONDS * options.fps
        stream.codec_context.thread_count = spec.threads
        stream.codec_context.thread_type = "FRAME"  # slices cost time and quality
        stream.codec_context.color_range = _LIMITED_RANGE
        stream.codec_context.colorspace = _SMPTE170M
        stream.codec_context.color_primaries = _SMPTE170M
        stream.codec_context.color_trc = _SMPTE170M
        stream.codec_context.options = {"preset": PRESET, **_rate(spec)}
        if options.video_bitrate is not None:
            stream.bit_rate = options.video_bitrate
        self._counts.append(0)
        return stream

    def _add_sound(self, spec: RenderSpec) -> AudioStream:
        stream = self._output.add_stream("aac", rate=SAMPLE_RATE)
        stream.codec_context.layout = "stereo"
        stream.codec_context.format = "fltp"
        stream.bit_rate = spec.audio_bitrate
        self._counts.append(0)
        return stream

    def show(self, canvas: Canvas, tick: int) -> None:
        """The picture of a tick; they come one after the other without a gap."""
        assert self._video is not None
        canvas.frame.pts = tick
        canvas.frame.time_base = self._video.codec_context.time_base
        self.mux(self._video.encode(canvas.frame))

    def mux(self, packets: Iterable[Packet]) -> None:
        for packet in packets:
            self._counts[packet.stream_index] += 1
            self._output.mux_one(packet)

    def finish(self) -> float:
        """Gives the file its name. Returns its length in seconds.

        The sound's last packets were muxed before. Raises MuxFailed when the file does not read
        back as it was written, and what the disk raises.
        """
        if self._video is not None:
            self.mux(self._video.encode(None))
        self._output.close()
        seconds = verify(self._partial, _CONTAINER, self._counts)
        put_in_place(self._path)
        return seconds

    def discard(self) -> None:
        """Leaves no file, unless it is finished."""
        try:
            self._output.close()
        except (av.FFmpegError, OSError):
            pass
        finally:
            self._partial.unlink(missing_ok=True)


def _rate(spec: RenderSpec) -> dict[str, str]:
    bitrate = spec.options.video_bitrate
    if bitrate is None:
        most = MOST_BITRATE[spec.options.height]
        return {"crf": str(QUALITY), "maxrate": str(most), "bufsize": str(2 * most)}
    return {"maxrate": str(bitrate * 3 // 2), "bufsize": str(2 * bitrate)}
