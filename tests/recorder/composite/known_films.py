"""Stored files of known content, and what a composite of them really shows and sounds.

Pictures are those of `tests.media_truth`: each participant counts from a number of their own. Sound
is a tone of the participant's own pitch, for the first 100 ms of every second or all the time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt

from recorder.composite.compose import Composite, compose
from recorder.composite.layout import Rectangle
from recorder.composite.spec import RenderOptions, RenderSource, RenderSpec
from tests.media_truth import FRAME_RATE, SAMPLE_RATE, draw_picture, read_counter
from tests.recorder.known_media import usual_scheduling

FIRST = {"alice": 3000, "bob": 6000, "carol": 9000, "dave": 12000, "screen": 15000}
PITCH = {"alice": 440.0, "bob": 700.0, "carol": 1000.0, "dave": 1500.0}
_CODECS: dict[str, tuple[str, dict[str, str]]] = {
    "vp8": ("libvpx", {"deadline": "realtime", "cpu-used": "8", "lag-in-frames": "0"}),
    "vp9": ("libvpx-vp9", {"deadline": "realtime", "cpu-used": "8", "lag-in-frames": "0"}),
    "h264": ("libx264", {"preset": "ultrafast"}),
    "av1": ("libsvtav1", {"preset": "12"}),
}

Sound = npt.NDArray[np.float32]


def beeps(pitch: float) -> Callable[[npt.NDArray[np.int64]], Sound]:
    return lambda n: np.asarray(
        0.3 * np.sin(2 * np.pi * pitch * n / SAMPLE_RATE) * (n % SAMPLE_RATE < 4800), np.float32
    )


BEEPS = beeps(1000)


def tone(
    pitch: float, level: float = 0.3, spans: Iterable[tuple[float, float]] = ((0, 1e9),)
) -> Callable[[npt.NDArray[np.int64]], Sound]:
    """A tone that sounds within `spans`, in seconds."""

    def sound(n: npt.NDArray[np.int64]) -> Sound:
        seconds = n / SAMPLE_RATE
        on = np.any([(first <= seconds) & (seconds < last) for first, last in spans], axis=0)
        return np.asarray(level * np.sin(2 * np.pi * pitch * seconds) * on, np.float32)

    return sound


@dataclass(frozen=True)
class Content:
    """`times` are those of the pictures, in seconds; their counters are `first` + number."""

    first: int = 0
    times: tuple[float, ...] = tuple(number / FRAME_RATE for number in range(60))
    size: tuple[int, int] = (320, 180)
    codec: str = "vp8"
    keyframe_every: int = 30
    rotation: int = 0
    sound: Callable[[npt.NDArray[np.int64]], Sound] | None = BEEPS
    sound_span: tuple[float, float] = (0.0, 2.0)
    rate: int = SAMPLE_RATE

    def write(self, path: Path) -> Path:
        kind = "webm" if path.suffix == ".webm" else "mp4"
        with av.open(str(path), "w", format=kind) as output:
            video = self._video(output) if self.times else None
            audio = self._audio(output) if self.sound is not None else None
            with usual_scheduling():
                packets = [*self._pictures(video), *self._sounds(audio)]
            packets.sort(key=lambda packet: packet.dts * packet.time_base)
            output.mux(packets)
        return path

    def _video(self, output: Any) -> Any:
        name, options = _CODECS[self.codec]
        stream = output.add_stream(name, rate=FRAME_RATE, options=options)
        stream.width, stream.height, stream.pix_fmt = *self.size, "yuv420p"
        stream.bit_rate = 800_000
        stream.gop_size = self.keyframe_every
        stream.codec_context.thread_count = 1  # libvpx's others spin while they wait
        stream.codec_context.time_base = Fraction(1, 1000)
        if self.rotation:
            stream.set_display_rotation(self.rotation)
        return stream

    def _audio(self, output: Any) -> Any:
        name = "libopus" if self.rate == SAMPLE_RATE else "aac"
        return output.add_stream(name, rate=self.rate, layout="mono")

    def _pictures(self, stream: Any) -> Iterator[Any]:
        if stream is None:
            return
        for number, time in enumerate(self.times):
            frame = draw_picture(self.first + number, *self.size)
            frame.pts, frame.time_base = round(time * 1000), Fraction(1, 1000)
            yield from stream.encode(frame)
        yield from stream.encode(None)

    def _sounds(self, stream: Any) -> Iterator[Any]:
        if stream is None:
            return
        assert self.sound is not None
        start, end = (round(time * self.rate) for time in self.sound_span)
        for at in range(start, end, 960):
            n = np.arange(at, min(at + 960, end))
            samples = self.sound(n * SAMPLE_RATE // self.rate)
            frame = av.AudioFrame.from_ndarray(
                (samples * 32767).astype(np.int16).reshape(1, -1), format="s16", layout="mono"
            )
            frame.sample_rate, frame.pts, frame.time_base = self.rate, at, Fraction(1, self.rate)
            yield from stream.encode(frame)
        yield from stream.encode(None)


def still_moving(seconds: float, rate: float = FRAME_RATE, start: float = 0.0) -> tuple[float, ...]:
    """Times of pictures that come evenly."""
    return tuple(start + number / rate for number in range(round(seconds * rate)))


@dataclass
class Stage:
    """Files in a folder, and the render of them."""

    folder: Path
    sources: list[RenderSource] = field(default_factory=list)

    def add(
        self,
        who: str,
        content: Content | None = None,
        *,
        at: float = 0.0,
        source: str = "camera",
        kind: str = "webm",
        name: str | None = None,
    ) -> Path:
        """`content` counts from the number of `who` unless it says otherwise."""
        path = self.folder / f"{len(self.sources):03d}-{who}-{source}.{kind}"
        (content or Content(FIRST[who], sound=beeps(PITCH[who]))).write(path)
        return self.take(who, path, at=at, source=source, name=name)

    def take(
        self,
        who: str,
        path: Path,
        *,
        at: float = 0.0,
        source: str = "camera",
        name: str | None = None,
    ) -> Path:
        """A file that is there already."""
        self.sources.append(
            RenderSource(path, who, who.title() if name is None else name, source, at, "")
        )
        return path

    def spec(self, **options: Any) -> RenderSpec:
        return RenderSpec(
            tuple(self.sources), self.folder / "film.mp4", RenderOptions(**options), threads=2
        )

    def render(self, **options: Any) -> Film:
        spec = self.spec(**options)
        composite = compose(spec, lambda _: None)
        return Film(spec.output, composite)


@dataclass(frozen=True)
class Film:
    path: Path
    composite: Composite

    @cached_property
    def pictures(self) -> tuple[tuple[float, av.VideoFrame], ...]:
        with av.open(str(self.path)) as file:
            return tuple(
                (float(frame.time), frame.reformat(format="gray")) for frame in file.decode(video=0)
            )

    @cached_property
    def sound(self) -> Sound:
        """Both channels in one; sample 0 is time 0."""
        with av.open(str(self.path)) as file:
            parts = [frame.to_ndarray().mean(axis=0) for frame in file.decode(audio=0)]
        return np.concatenate(parts).astype(np.float32)

    def part(self, at: float, place: Rectangle) -> npt.NDArray[np.uint8]:
        """Luma of a place in the picture that is shown at a time."""
        frame = next(frame for time, frame in reversed(self.pictures) if time <= at + 1e-6)
        luma = np.asarray(frame.to_ndarray(), np.uint8)
        return luma[place.y : place.y + place.height, place.x : place.x + place.width]

    def counter(self, at: float, place: Rectangle) -> int:
        part = self.part(at, place)
        return counter_in(part, Rectangle(0, 0, place.width, place.height))

    def flashes(self, place: Rectangle) -> list[float]:
        """When the middle of a place turns bright."""
        found, bright = [], False
        for time, _ in self.pictures:
            part = self.part(time, place)
            middle = part[part.shape[0] // 3 : part.shape[0] * 3 // 4].mean()
            if middle > 140 and not bright:
                found.append(time)
            bright = bool(middle > 140)
        return found

    def level(self, pitch: float, start: float, end: float) -> float:
        """How loud a pitch is within a stretch: its amplitude."""
        part = self.sound[round(start * SAMPLE_RATE) : round(end * SAMPLE_RATE)]
        n = np.arange(len(part))
        wave = np.exp(-2j * np.pi * pitch * n / SAMPLE_RATE)
        return float(2 * np.abs((part * wave).mean()))

    def beeps(self, pitch: float) -> list[float]:
        """When a pitch begins to sound, 2 ms exact."""
        step, found, quiet = 96, [], 0.3
        for at in range(0, len(self.sound) - 480, step):
            loud = self.level(pitch, at / SAMPLE_RATE, (at + 480) / SAMPLE_RATE) > 0.1
            if loud and quiet >= 0.3:
                found.append(at / SAMPLE_RATE + 0.005)
            quiet = 0.0 if loud else quiet + step / SAMPLE_RATE
        return found


def counters_of(path: Path, places: Sequence[Rectangle]) -> Iterator[list[int]]:
    """The counters in these places of every picture in turn."""
    with av.open(str(path)) as file:
        for frame in file.decode(video=0):
            luma = np.asarray(frame.to_ndarray(format="gray"), np.uint8)
            yield [counter_in(luma, place) for place in places]


def counter_in(luma: npt.NDArray[np.uint8], place: Rectangle) -> int:
    part = luma[place.y : place.y + place.height, place.x : place.x + place.width]
    return read_counter(av.VideoFrame.from_ndarray(np.ascontiguousarray(part), format="gray"))
