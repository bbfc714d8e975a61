"""Which other sizes of a film there are, and what they are called. Pure."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from recorder.errors import BadRendition

HLS: Final = "hls"
SOUND: Final = "audio"
"""The one rung of a ladder of sound alone."""
_LINES: Final = {
    "240p": (426, 240, 400_000),
    "360p": (640, 360, 800_000),
    "480p": (854, 480, 1_400_000),
    "720p": (1280, 720, 2_800_000),
    "1080p": (1920, 1080, 5_000_000),
}
"""The box that a film has to fit, lying or standing, and the most bit/s of its pictures."""
_LADDER: Final = ("240p", "360p", "720p", "1080p")
NAMES: Final = (*_LINES, HLS)


@dataclass(frozen=True, slots=True)
class Rung:
    """`width` and `height` are None for sound alone; `most_bitrate` is that of the pictures."""

    name: str
    width: int | None = None
    height: int | None = None
    most_bitrate: int = 0


def rungs_of(name: str, width: int | None, height: int | None) -> tuple[Rung, ...]:
    """What a rendition of this name of a film of this size is made of, smallest first.

    Raises BadRendition for a name that is none, and for a size that the film does not have.
    """
    if name not in NAMES:
        raise BadRendition(f"`{name}` is not one of {', '.join(NAMES)}")
    if width is None or height is None:
        if name != HLS:
            raise BadRendition(f"`{name}` is a size of pictures, and the file is sound alone")
        return (Rung(SOUND),)
    possible = possible_sizes(width, height)
    if name == HLS:
        return tuple(_rung(each, width, height) for each in possible if each in _LADDER)
    if name not in possible:
        raise BadRendition(f"`{name}` is larger than the film, which is {width}x{height}")
    return (_rung(name, width, height),)


def possible_sizes(width: int, height: int) -> Collection[str]:
    """Names of the sizes that are not larger than the film has to be for the next smaller one."""
    long, short = max(width, height), min(width, height)
    names, before = [], (0, 0)
    for name, (most_long, most_short, _) in _LINES.items():
        if long > before[0] or short > before[1]:
            names.append(name)
        before = (most_long, most_short)
    return names


def _rung(name: str, width: int, height: int) -> Rung:
    long, short, bitrate = _LINES[name]
    box = (long, short) if width >= height else (short, long)
    scale = min(box[0] / width, box[1] / height, 1.0)
    return Rung(name, _even(width * scale), _even(height * scale), bitrate)


def _even(length: float) -> int:
    return max(round(length / 2) * 2, 2)
