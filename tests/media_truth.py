"""What a media file really shows and sounds, read back from its decoded content.

The known content: the top ninth of every picture is a 16-bit counter of frames, most significant
bit at the left, white for 1; every second the whole rest of the picture flashes white for the
frames with n % 30 in {0, 1, 2}; at the start of each second a 1 kHz tone sounds for 100 ms.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median

import av
import numpy as np
import numpy.typing as npt

COUNTER_BITS = 16
TONE_HZ = 1000
FLASH_FRAMES = 3
FRAME_RATE = 30
BEEP_SECONDS = 0.1
SAMPLE_RATE = 48000

LOUD = 0.05  # root mean square of one millisecond, full scale is 1
QUIET_SECONDS = 0.3  # a tone after so much silence is a new beep
PAIR_SECONDS = 0.5  # a flash and a beep this near belong together


@dataclass(frozen=True, slots=True)
class Truth:
    """Times are the file's own, in seconds; offsets are beep minus flash (> 0: sound is late).

    `dropped` counts counters that are missing between neighbours, `repeated` pictures that show the
    counter of the one before, `backwards` pictures with a lower one. `sizes` are the picture sizes
    in the order they came up. `duration_s` is what the container says, 0 when it says nothing.
    `video_s` and `audio_s` are first and end time of the decoded stream, None without one.
    """

    frames: int
    counters: tuple[int, ...]
    times_s: tuple[float, ...]
    dropped: int
    repeated: int
    backwards: int
    flashes_s: tuple[float, ...]
    beeps_s: tuple[float, ...]
    offsets_ms: tuple[float, ...]
    duration_s: float
    sizes: tuple[tuple[int, int], ...]
    video_s: tuple[float, float] | None
    audio_s: tuple[float, float] | None

    @property
    def median_offset_ms(self) -> float:
        return median(self.offsets_ms)


def measure(path: Path | str, *, since_s: float = 0.0, until_s: float = math.inf) -> Truth:
    """Decodes the whole file, or from the keyframe before `since_s` on what lies before `until_s`.

    Raises av.FFmpegError when it can't be decoded.
    """
    pictures: list[tuple[float, int, float]] = []  # time, counter, brightness
    sizes: list[tuple[int, int]] = []
    hearing = _Hearing()
    with av.open(str(path)) as container:
        duration_s = (container.duration or 0) / av.time_base
        streams = [s for s in container.streams if s.type in ("audio", "video")]
        if since_s:
            container.seek(round(since_s * av.time_base))
        for frame in container.decode(streams):
            if float(frame.time or 0.0) >= until_s:
                break
            if isinstance(frame, av.VideoFrame):
                pictures.append((float(frame.time or 0.0), read_counter(frame), brightness(frame)))
                if sizes[-1:] != [(frame.width, frame.height)]:
                    sizes.append((frame.width, frame.height))
            elif isinstance(frame, av.AudioFrame):
                hearing.listen(frame)
    counters = tuple(counter for _, counter, _ in pictures)
    times = tuple(time for time, _, _ in pictures)
    steps = [b - a for a, b in pairwise(counters)]
    flashes = _flashes(pictures)
    return Truth(
        frames=len(pictures),
        counters=counters,
        times_s=times,
        dropped=sum(step - 1 for step in steps if step > 1),
        repeated=sum(step == 0 for step in steps),
        backwards=sum(step < 0 for step in steps),
        flashes_s=flashes,
        beeps_s=tuple(hearing.beeps),
        offsets_ms=_offsets_ms(flashes, hearing.beeps),
        duration_s=duration_s,
        sizes=tuple(sizes),
        video_s=(times[0], times[-1]) if times else None,
        audio_s=None if hearing.first is None else (hearing.first, hearing.end),
    )


def read_counter(frame: av.VideoFrame) -> int:
    """The number in a picture's bar."""
    luma = _luma(frame)
    height, width = luma.shape
    row = luma[: max(height // 18, 1)].mean(axis=0)
    counter = 0
    for bit in range(COUNTER_BITS):
        counter = counter << 1 | int(row[int((bit + 0.5) * width / COUNTER_BITS)] > 128)
    return counter


def brightness(frame: av.VideoFrame) -> float:
    """Mean luma below the bar."""
    luma = _luma(frame)
    return float(luma[luma.shape[0] // 3 :].mean())


def draw_picture(counter: int, width: int, height: int) -> av.VideoFrame:
    """The picture of frame `counter`, in even sizes: bar, flash, and a grey square that moves."""
    luma = np.full((height, width), 48, np.uint8)
    if counter % FRAME_RATE < FLASH_FRAMES:
        luma[:] = 235
    else:
        x = counter * 8 % max(width - 32, 1)
        luma[height // 2 : height // 2 + 32, x : x + 32] = 96
    for bit in range(COUNTER_BITS):
        left, right = bit * width // COUNTER_BITS, (bit + 1) * width // COUNTER_BITS
        one = counter >> (COUNTER_BITS - 1 - bit) & 1
        luma[: height // 9, left:right] = 235 if one else 16
    chroma = np.full((height // 2, width // 2), 128, np.uint8)
    planes = np.concatenate([luma.reshape(-1), chroma.reshape(-1), chroma.reshape(-1)])
    return av.VideoFrame.from_ndarray(planes.reshape(height * 3 // 2, width), format="yuv420p")


def make_sound(first_sample: int, count: int) -> npt.NDArray[np.int16]:
    """`count` mono samples at 48 kHz from `first_sample` on: a beep at the start of each second."""
    n = np.arange(first_sample, first_sample + count)
    tone = np.sin(2 * math.pi * TONE_HZ * n / SAMPLE_RATE) * 0.5
    return np.asarray(tone * (n % SAMPLE_RATE < SAMPLE_RATE * BEEP_SECONDS) * 32767, np.int16)


def _luma(frame: av.VideoFrame) -> npt.NDArray[np.uint8]:
    return np.asarray(frame.to_ndarray(format="gray"), np.uint8)


def _flashes(pictures: list[tuple[float, int, float]]) -> tuple[float, ...]:
    if not pictures:
        return ()
    levels = [level for _, _, level in pictures]
    threshold = (max(levels) + min(levels)) / 2
    return tuple(
        after[0] for before, after in pairwise(pictures) if before[2] < threshold <= after[2]
    )


class _Hearing:
    """Finds onsets of sound, a millisecond exact."""

    def __init__(self) -> None:
        self.beeps: list[float] = []
        self.first: float | None = None
        self.end = 0.0
        self._loud = False
        self._quiet_since = -1.0

    def listen(self, frame: av.AudioFrame) -> None:
        samples = _mono(frame)
        start = float(frame.time or 0.0)
        if self.first is None:
            self.first = start
        self.end = start + len(samples) / frame.sample_rate
        step = frame.sample_rate // 1000
        for at in range(0, len(samples) - step + 1, step):
            time = start + at / frame.sample_rate
            loud = float(np.sqrt((samples[at : at + step] ** 2).mean())) > LOUD
            if loud:
                if not self._loud and time - self._quiet_since > QUIET_SECONDS:
                    self.beeps.append(time)
                self._quiet_since = time
            self._loud = loud


def _mono(frame: av.AudioFrame) -> npt.NDArray[np.float32]:
    raw = frame.to_ndarray()
    samples = raw.astype(np.float32) / (32768.0 if raw.dtype.kind == "i" else 1.0)
    if frame.format.is_planar:
        return np.asarray(samples.mean(axis=0), np.float32)
    return np.asarray(samples.reshape(-1, frame.layout.nb_channels).mean(axis=1), np.float32)


def _offsets_ms(flashes: tuple[float, ...], beeps: list[float]) -> tuple[float, ...]:
    offsets = []
    for flash in flashes:
        beep = min(beeps, key=lambda time: abs(time - flash), default=None)
        if beep is not None and abs(beep - flash) < PAIR_SECONDS:
            offsets.append(round((beep - flash) * 1000, 1))
    return tuple(offsets)
