"""Many voices -> one sound: placed by their times, added, and kept from clipping (numpy, no I/O).

Samples are float32 at 48 kHz in arrays of shape (2, n); full scale is 1.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Final

import numpy as np
import numpy.typing as npt

SAMPLE_RATE: Final = 48_000

Samples = npt.NDArray[np.float32]

_JUMP: Final = SAMPLE_RATE * 60 // 1000
"""Sound that comes so much too early or late has a gap before it, or was there before."""
_DRIFTED: Final = SAMPLE_RATE * 4 // 1000
_STRAIGHT: Final = SAMPLE_RATE // 2000
_SMOOTHING: Final = 1 / 16
_STRETCH: Final = 400  # one sample of so many may be added or left out, which nobody hears


class Voice:
    """One source's sound on the mix's time line.

    Its stretches follow one another without a seam as long as their times say so within a few
    milliseconds; containers round times, and clocks drift. Slow drift is taken out by stretching,
    a jump in time leaves silence or drops what overlaps.
    """

    def __init__(self, stretches: Iterator[tuple[float, Samples]], shift: float) -> None:
        """`stretches` come with their times in seconds, to which `shift` is added."""
        self._stretches = stretches
        self._shift = shift
        self._next: int | None = None  # where the next stretch begins when it follows seamlessly
        self._error = 0.0
        self._correcting = False
        self._pending: tuple[int, Samples] | None = None
        self.over = False

    @property
    def error_seconds(self) -> float:
        """How much later than it is placed the sound should be, as its last times say."""
        return self._error / SAMPLE_RATE

    def add_to(self, block: Samples, at: int) -> None:
        """Adds what sounds in `block`, whose first sample is number `at` of the mix."""
        end = at + block.shape[1]
        while (pending := self._pending or self._fetch()) is not None:
            start, samples = pending
            if start >= end:
                self._pending = pending
                return
            late = max(at - start, 0)
            taken = min(samples.shape[1], end - start)
            if taken > late:
                block[:, start + late - at : start + taken - at] += samples[:, late:taken]
            rest = taken < samples.shape[1]
            self._pending = (start + taken, samples[:, taken:]) if rest else None
            if rest:
                return

    def _fetch(self) -> tuple[int, Samples] | None:
        stretch = next(self._stretches, None)
        if stretch is None:
            self.over = True
            return None
        due = round((stretch[0] + self._shift) * SAMPLE_RATE)
        samples = np.nan_to_num(stretch[1], nan=0.0, posinf=0.0, neginf=0.0)
        if self._next is None or abs(due - self._next) > _JUMP:
            start = due if self._next is None else max(due, self._next)
            samples = samples[:, start - due :]
            self._error, self._correcting = 0.0, False
        else:
            start = self._next
            samples = self._straightened(samples, due - start)
        self._next = start + samples.shape[1]
        return start, samples

    def _straightened(self, samples: Samples, error: int) -> Samples:
        self._error += (error - self._error) * _SMOOTHING
        if abs(self._error) > _DRIFTED:
            self._correcting = True
        elif abs(self._error) < _STRAIGHT:
            self._correcting = False
        if not self._correcting:
            return samples
        count = samples.shape[1]
        most = max(1, count // _STRETCH)
        change = round(min(max(self._error, -most), most))
        self._error -= change
        return _stretched(samples, count + change)


def _stretched(samples: Samples, count: int) -> Samples:
    old = np.arange(samples.shape[1])
    new = np.linspace(0, samples.shape[1] - 1, count)
    return np.stack([np.interp(new, old, channel) for channel in samples]).astype(np.float32)


class Limiter:
    """Takes the gain back before a peak would clip, and gives it back slowly.

    Gains are made for slices of 5 ms and run straight from one edge of a slice to the other; an edge
    has the lower gain of the slices it parts, so no sample exceeds the ceiling, and a gain falls
    during the slice before the peak. That slice is why `push` gives back what was pushed before.
    """

    SLICE = SAMPLE_RATE * 5 // 1000
    CEILING = 0.95
    RELEASE = 1.02  # per slice: 6 dB in 175 ms

    def __init__(self) -> None:
        self._held: Samples = np.zeros((2, 0), np.float32)
        self._held_gain = 1.0
        self._edge = 1.0

    def push(self, block: Samples) -> Samples:
        """`block` has whole slices. Returns the block that is ready, a slice behind."""
        peaks = np.abs(block).reshape(2, -1, self.SLICE).max(axis=(0, 2))
        gains = self._released(np.minimum(1.0, self.CEILING / np.maximum(peaks, 1e-9)))
        samples = np.concatenate([self._held, block], axis=1)
        ready = samples[:, : samples.shape[1] - self.SLICE]
        if self._held.shape[1]:
            gains = [self._held_gain, *gains]
        else:
            self._edge = gains[0]
        self._held, self._held_gain = block[:, -self.SLICE :], gains[-1]
        return self._shaped(ready, gains)

    def flush(self) -> Samples:
        """The last slice."""
        gains = [self._held_gain, self._held_gain]
        return self._shaped(self._held, gains) if self._held.shape[1] else self._held

    def _released(self, wanted: npt.NDArray[np.float64]) -> Sequence[float]:
        gains, last = [], self._held_gain
        for gain in wanted.tolist():
            last = min(gain, last * self.RELEASE)
            gains.append(last)
        return gains

    def _shaped(self, samples: Samples, gains: Sequence[float]) -> Samples:
        """`gains` has one more than `samples` has slices."""
        edges = [self._edge, *(min(pair) for pair in pairwise(gains))]
        self._edge = edges[-1]
        if min(edges) >= 1.0:
            return samples
        curve = np.interp(
            np.arange(samples.shape[1]) + 0.5, np.arange(len(edges)) * self.SLICE, edges
        )
        return np.asarray(samples * curve, np.float32)


def levels(block: Samples, window: int) -> list[float]:
    """Root mean square of each `window` samples; `block` has whole windows."""
    squares = np.square(block, dtype=np.float32).mean(axis=0)
    return [float(level) for level in np.sqrt(squares.reshape(-1, window).mean(axis=1))]
