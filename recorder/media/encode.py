"""Other sizes of a film: decoded once, encoded as H.264 and AAC once for each size.

Pictures keep their times, so a film of uneven frame rate plays at its own pace; every rung has its
keyframes at the same ones, so a player can change between them. Sound is one stretch without holes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import av
import numpy as np
from av.container import InputContainer
from av.video.frame import PictureType

from recorder.media.opening import BROKEN, prepare_decoder, seconds, video_of
from recorder.media.renditions import Rung
from recorder.media.turning import Upright
from recorder.writer import PLAYABLE

KEYFRAME_SECONDS: Final = 4.0
SAMPLE_RATE: Final = 48_000
AUDIO_BITRATE: Final = 128_000
CLOCK: Final = 90_000
FRAGMENTS: Final = {
    "movflags": "+empty_moov+default_base_moof+frag_discont+skip_trailer",
    "use_editlist": "0",
    "fflags": "+bitexact",
}
_SHORTEST: Final = 1 / 61  # seconds between two pictures; faster ones are left out
_SLACK: Final = 2400  # samples that sound may be early or late before it is mended
_SILENCE: Final = np.zeros((2, SAMPLE_RATE), np.float32)
_BEYOND: Final = 30.0  # seconds: nothing that says to lie so far behind the end is believed
_AUDIO_FRAGMENT_US: Final = 6_000_000

OnProgress = Callable[[float], None]


class RungFile:
    """One size in the making: an MP4 with its index in front, or one of fragments."""

    def __init__(
        self, rung: Rung, path: Path, *, sound: bool, fragments: bool, threads: int
    ) -> None:
        options = dict(FRAGMENTS) if fragments else dict(PLAYABLE["mp4"])
        if fragments and rung.width is not None:
            options["movflags"] += "+frag_keyframe"
        elif fragments:
            options["frag_duration"] = str(_AUDIO_FRAGMENT_US)
        self.rung = rung
        self.path = path
        self.counts: list[int] = []
        self._output = av.open(str(path), "w", format="mp4", options=options)
        self._video = self._add_video(threads, fragments) if rung.width is not None else None
        self._sound = self._add_sound() if sound else None
        self._output.start_encoding()

    def _add_video(self, threads: int, fragments: bool) -> Any:
        stream = self._output.add_stream("libx264", rate=30)
        context = stream.codec_context
        stream.width, stream.height = self.rung.width or 0, self.rung.height or 0
        stream.pix_fmt = "yuv420p"
        context.time_base = Fraction(1, CLOCK)
        context.gop_size = 600
        context.thread_count, context.thread_type = threads, "FRAME"
        most = self.rung.most_bitrate
        context.options = {
            "preset": "veryfast",
            "crf": "23",
            "maxrate": str(most),
            "bufsize": str(2 * most),
            "forced-idr": "1",
            "sc_threshold": "0",
            **({"bf": "0"} if fragments else {}),
        }
        self.counts.append(0)
        return stream

    def _add_sound(self) -> Any:
        stream = self._output.add_stream("aac", rate=SAMPLE_RATE)
        stream.codec_context.layout, stream.codec_context.format = "stereo", "fltp"
        stream.bit_rate = AUDIO_BITRATE
        self.counts.append(0)
        return stream

    def show(self, frame: av.VideoFrame) -> None:
        if self._video is not None:
            self._mux(self._video.encode(frame))

    def play(self, frame: av.AudioFrame) -> None:
        if self._sound is not None:
            self._mux(self._sound.encode(frame))

    def finish(self) -> None:
        for stream in (self._video, self._sound):
            if stream is not None:
                self._mux(stream.encode(None))
        self._output.close()

    def close(self) -> None:
        self._output.close()

    @property
    def codecs(self) -> str:
        """As a playlist names them (RFC 6381)."""
        names = []
        if self._video is not None:
            names.append(_avc_name(bytes(self._video.codec_context.extradata or b"")))
        if self._sound is not None:
            names.append("mp4a.40.2")
        return ",".join(names)

    def _mux(self, packets: Sequence[Any]) -> None:
        for packet in packets:
            self.counts[packet.stream_index] += 1
            self._output.mux_one(packet)


def _avc_name(extradata: bytes) -> str:
    at = extradata.find(b"\x00\x00\x01\x67")
    profile = extradata[at + 4 : at + 7] if at >= 0 else extradata[1:4]
    return f"avc1.{profile.hex()}"


def encode(
    container: InputContainer,
    files: Sequence[RungFile],
    duration: float,
    on_progress: OnProgress,
    *,
    threads: int,
) -> None:
    """Everything of the first video and the first sound of `container`, into all of `files`.

    What can't be decoded is left out. Raises av.FFmpegError, OSError when it can't be written,
    ValueError for a codec that is not let in.
    """
    video, audio = video_of(container), next(iter(container.streams.audio), None)
    shown = _Shown(files, 1.0 if video is None else float(video.sample_aspect_ratio or 1))
    heard = _Heard(files)
    streams = [stream for stream in (video, audio) if stream is not None]
    for stream in streams:
        prepare_decoder(stream, threads)
    begin = (container.start_time or 0) / av.time_base
    for stream, frame in _frames(container, streams):
        at = seconds(frame.pts, frame.time_base or stream.time_base)
        if at is None or not -_BEYOND < at - begin < duration + _BEYOND:
            continue
        at -= begin
        if stream is video:
            shown.add(frame, at)
            on_progress(min(at / max(duration, 0.1), 1.0))
        else:
            heard.add(frame, at)
            if video is None:
                on_progress(min(at / max(duration, 0.1), 1.0))
    for file in files:
        file.finish()


def _frames(container: InputContainer, streams: Sequence[Any]) -> Iterator[tuple[Any, Any]]:
    packets = container.demux(streams)
    while True:
        try:
            packet = next(packets, None)
        except BROKEN:
            packet = None
        if packet is None:
            break
        if packet.size:
            yield from _decoded(packet.stream, packet)
    for stream in streams:
        yield from _decoded(stream, None)


def _decoded(stream: Any, packet: Any) -> Iterator[tuple[Any, Any]]:
    try:
        frames = list(stream.codec_context.decode(packet))
    except BROKEN:
        return
    for frame in frames:
        yield stream, frame


class _Shown:
    """Pictures on their way: in order, not faster than 60 a second, with the keyframes chosen here."""

    def __init__(self, files: Sequence[RungFile], pixel_ratio: float) -> None:
        self._files = [
            (file, Upright(pixel_ratio, (file.rung.width, file.rung.height)))
            for file in files
            if file.rung.width is not None and file.rung.height is not None
        ]
        self._last = -1.0
        self._next_key = 0.0

    def add(self, frame: Any, at: float) -> None:
        at = max(at, 0.0)
        if self._last >= 0 and at - self._last < _SHORTEST:
            return
        self._last = at
        is_key = at >= self._next_key
        if is_key:
            self._next_key = at - at % KEYFRAME_SECONDS + KEYFRAME_SECONDS
        for file, upright in self._files:
            try:
                picture = upright.turn(frame)
            except BROKEN:
                continue
            picture.pts, picture.time_base = round(at * CLOCK), Fraction(1, CLOCK)
            picture.pict_type = PictureType.I if is_key else PictureType.NONE
            file.show(picture)


@dataclass(slots=True)
class _Heard:
    """Sound on its way: stereo at 48 kHz from 0 on, silence where there is none."""

    files: Sequence[RungFile]
    _next: int = 0
    _resampler: Any = None
    _shape: tuple[Any, ...] = field(default=())

    def add(self, frame: Any, at: float) -> None:
        shape = (frame.format.name, frame.layout.name, frame.sample_rate)
        if self._resampler is None or shape != self._shape:
            self._resampler = av.AudioResampler(format="fltp", layout="stereo", rate=SAMPLE_RATE)
            self._shape = shape
        start = round(at * SAMPLE_RATE)
        frame.pts = None
        try:
            pieces = [piece.to_ndarray() for piece in self._resampler.resample(frame)]
        except BROKEN:
            return
        for samples in pieces:
            self._place(samples, start)
            start += samples.shape[1]

    def _place(self, samples: Any, start: int) -> None:
        if start - self._next > _SLACK:
            while self._next < start:
                self._play(_SILENCE[:, : start - self._next])
        elif self._next - start > _SLACK:
            samples = samples[:, self._next - start :]
        if samples.shape[1]:
            self._play(samples)

    def _play(self, samples: Any) -> None:
        frame = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(samples, np.float32), format="fltp", layout="stereo"
        )
        frame.sample_rate, frame.time_base = SAMPLE_RATE, Fraction(1, SAMPLE_RATE)
        frame.pts = self._next
        self._next += samples.shape[1]
        for file in self.files:
            file.play(frame)
