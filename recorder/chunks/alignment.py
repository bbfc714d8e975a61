"""Where on the recording's time line a participant's own recording lies, by its sound. Pure.

What the browser recorded and what the server received are the same microphone. So the loudness of both
is laid over each other: where it fits best is how far the clock, or the arrival of chunks, was off.
Loudness has a value every millisecond; several windows are compared, and their median counts, so that
a pause or a stretch of noise does no harm. Sound that repeats itself fits at many places: if the clock
singles one of them out that one is taken, else the sound says nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

import numpy as np
import numpy.typing as npt

from recorder.chunks.placing import Agreement

Loudness = npt.NDArray[np.float32]
"""A value a millisecond."""

RATE: Final = 1000
WINDOW_S: Final = 40.0
MOST_WINDOWS: Final = 5
LIKENESS: Final = 0.5
"""Correlation below which two stretches are not the same sound; 1 is the same."""
SURELY: Final = 0.7
"""What one window alone has to have."""
NEARLY: Final = 0.97
"""A place that fits so well compared with the best may be the right one as well."""
APART_S: Final = 0.05
"""Places that are nearer to each other are the same hill."""
AGREE_S: Final = 0.25
"""Windows of one recording agree so far; clocks that drift apart by more are none."""
_LEAST_S: Final = 2.0
_FLAT_S: Final = 0.25
_QUIET: Final = 1e-3


@dataclass(frozen=True, slots=True)
class Fit:
    """`offset` seconds is how much later the sound lies than expected; `likeness` up to 1."""

    offset: float
    likeness: float


def windows_of(begin: float, end: float) -> list[tuple[float, float]]:
    """Begin and length (seconds) of the stretches of sound that are compared."""
    length = min(WINDOW_S, end - begin)
    if length < _LEAST_S:
        return []
    count = min(MOST_WINDOWS, int((end - begin) // length))
    if count == 1:
        return [(begin, length)]
    step = (end - begin - length) / (count - 1)
    return [(begin + number * step, length) for number in range(count)]


def fit(own: Loudness, reference: Loudness, search: float, unsure: float) -> Fit | None:
    """Lays `own` over `reference`, which begins `search` seconds before it is expected, and ends so
    much later. None when nothing fits, and when several places fit equally well of which not exactly
    one lies within `unsure` seconds of where it is expected.
    """
    count = len(own)
    if count < _LEAST_S * RATE or len(reference) < count:
        return None
    likeness = _likeness(own, reference)
    best = float(likeness.max(initial=0.0))
    if best < LIKENESS:
        return None
    expected = search * RATE
    places = _hills(likeness, NEARLY * best)
    if len(places) > 1:
        places = [place for place in places if abs(place - expected) <= unsure * RATE]
    if len(places) != 1:
        return None
    (place,) = places
    return Fit((place - expected) / RATE, float(likeness[place]))


def agree(fits: Sequence[Fit]) -> Agreement | None:
    """What most of them say; None when no majority agrees."""
    if not fits or (len(fits) == 1 and fits[0].likeness < SURELY):
        return None
    middle = median(fit.offset for fit in fits)
    near = [fit.offset for fit in fits if abs(fit.offset - middle) <= AGREE_S]
    if len(near) * 2 <= len(fits):
        return None
    offset = median(near)
    return Agreement(offset, max(abs(one - offset) for one in near), len(near))


def _likeness(own: Loudness, reference: Loudness) -> npt.NDArray[np.float64]:
    """The correlation coefficient of `own` with every stretch of `reference` as long as it."""
    count = len(own)
    centred = own.astype(np.float64) - own.mean()
    power = float((centred**2).sum())
    if power < _QUIET * count:
        return np.zeros(0)
    other = reference.astype(np.float64)
    places = len(other) - count + 1
    size = 1 << (len(other) + count - 1).bit_length()
    spectrum = np.fft.rfft(other, size) * np.conj(np.fft.rfft(centred, size))
    products = np.fft.irfft(spectrum, size)[:places]
    sums = np.concatenate([[0.0], np.cumsum(other)])
    squares = np.concatenate([[0.0], np.cumsum(other**2)])
    total = sums[count:] - sums[:-count]
    powers = squares[count:] - squares[:-count] - total**2 / count
    norm = np.sqrt(power * np.maximum(powers, _QUIET * count))
    return np.asarray(products / norm, np.float64)


def _hills(likeness: npt.NDArray[np.float64], least: float) -> list[int]:
    """Where the likeness is highest, of each stretch in which it reaches `least`."""
    high = np.flatnonzero(likeness >= least)
    stretches = np.split(high, np.flatnonzero(np.diff(high) > APART_S * RATE) + 1)
    if any(stretch[-1] - stretch[0] > _FLAT_S * RATE for stretch in stretches):
        return []  # it fits everywhere
    return [int(stretch[likeness[stretch].argmax()]) for stretch in stretches]
