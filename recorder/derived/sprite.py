"""Where small pictures lie in one large one, and the cues that say so. Pure.

The cues are WebVTT whose text names a region of an image (Media Fragments URI 1.0, section 4.2.2),
as players expect them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

CELL = (160, 90)
"""Pixels: no small picture is wider or higher."""
MOST_PICTURES = 100
ROW = 10
LEAST_APART = 5.0
"""Seconds."""
_LEVELS_SEEN = 997
"""So many samples say whether a picture shows anything."""
_CONTRAST = 16
"""Levels between the darkest and the brightest fiftieth of a picture that shows something."""


class Region(NamedTuple):
    """Part of an image, in pixels."""

    x: int
    y: int
    width: int
    height: int


class Cue(NamedTuple):
    """What to show between two times, in seconds."""

    begin: float
    end: float
    region: Region


def sample_times(begin: float, end: float) -> list[float]:
    """Evenly over a file: 100 at most, 5 s apart at least, the first at `begin`; one at least."""
    length = max(end - begin, 0.0)
    count = min(max(math.ceil(length / LEAST_APART), 1), MOST_PICTURES)
    return [begin + length * number / count for number in range(count)]


def fit(width: int, height: int, box: tuple[int, int]) -> tuple[int, int]:
    """The size of a picture made as small as `box` wants it: even, its shape kept, never larger."""
    scale = min(box[0] / width, box[1] / height, 1.0)
    return _even(width * scale), _even(height * scale)


def _even(length: float) -> int:
    return max(round(length / 2) * 2, 2)


def lay_out(sizes: Sequence[tuple[int, int]]) -> tuple[tuple[int, int], list[Region]]:
    """The size of the sprite, and a region in it for each picture, in rows of 10.

    All cells are as large as the largest picture needs.
    """
    width = max(size[0] for size in sizes)
    height = max(size[1] for size in sizes)
    regions = [
        Region(number % ROW * width, number // ROW * height, *size)
        for number, size in enumerate(sizes)
    ]
    rows = math.ceil(len(sizes) / ROW)
    return (min(len(sizes), ROW) * width, rows * height), regions


def shows_something(luma: bytes) -> bool:
    """False for a picture that is black or all the same. `luma` is one byte for each pixel."""
    levels = sorted(luma[:: max(len(luma) // _LEVELS_SEEN, 1)])
    if not levels:
        return False
    edge = len(levels) // 50
    return levels[-1 - edge] - levels[edge] >= _CONTRAST


def cues_text(sprite: str, cues: Iterable[Cue]) -> str:
    """`sprite` is the image's name, relative to the cues."""
    blocks = ["WEBVTT"]
    for begin, end, region in cues:
        where = ",".join(map(str, region))
        blocks.append(f"{_clock(begin)} --> {_clock(end)}\n{sprite}#xywh={where}")
    return "\n\n".join(blocks) + "\n"


def _clock(seconds: float) -> str:
    milliseconds = round(seconds * 1000)
    minutes, rest = divmod(milliseconds, 60_000)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{rest // 1000:02d}.{rest % 1000:03d}"
