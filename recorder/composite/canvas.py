"""The picture in the making: planes of YUV 4:2:0 into which tiles are pasted.

Colour is BT.601 in limited range throughout, which is what browsers' encoders send.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple, cast

import av
import numpy as np
import numpy.typing as npt
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter

from recorder.composite.layout import Rectangle, fit

Plane = npt.NDArray[np.uint8]

FORMAT: Final = "yuv420p"
BACKGROUND: Final = (24, 130, 127)
TILE: Final = (40, 131, 126)
"""What is around a picture that does not have the shape of its place."""

_SMALL: Final = 2
_FULL_RANGE: Final = int(ColorRange.JPEG)
_BT709: Final = 1  # AVCOL_SPC_BT709


class Planes(NamedTuple):
    """Luma, and chroma of half its width and height."""

    y: Plane
    u: Plane
    v: Plane

    @property
    def size(self) -> tuple[int, int]:
        return self.y.shape[1], self.y.shape[0]

    def part(self, place: Rectangle) -> Planes:
        """Views; all coordinates are even."""
        x, y, right, bottom = place.x, place.y, place.x + place.width, place.y + place.height
        half = (slice(y // 2, bottom // 2), slice(x // 2, right // 2))
        return Planes(self.y[y:bottom, x:right], self.u[half], self.v[half])

    def fill(self, colour: tuple[int, int, int]) -> None:
        for plane, value in zip(self, colour, strict=True):
            plane[:] = value


def planes_of(frame: av.VideoFrame) -> Planes:
    """Views of the planes of a frame in `FORMAT`; they live no longer than it needs to."""
    planes = []
    for plane in frame.planes:
        rows = np.frombuffer(cast(Any, plane), np.uint8).reshape(-1, plane.line_size)
        planes.append(rows[: plane.height, : plane.width])
    return Planes(*planes)


class Scaler:
    """Frames of any size and format -> planes that fit a box. One for each thread."""

    def __init__(self) -> None:
        self._reformatter = VideoReformatter()

    def fitted(self, frame: av.VideoFrame, box: tuple[int, int]) -> Planes:
        """The picture, upright, in the largest size that fits into `box`, (width, height)."""
        turns = round(frame.rotation / 90) % 4
        across = (frame.height, frame.width) if turns % 2 else (frame.width, frame.height)
        width, height = fit(across, box)
        if turns % 2:
            width, height = height, width
        half = width * _SMALL <= frame.width  # then the mean of an area is as good, and cheaper
        scaled = self._reformatter.reformat(
            frame,
            width,
            height,
            FORMAT,
            dst_colorspace=Colorspace.ITU601 if frame.colorspace == _BT709 else None,
            dst_color_range=ColorRange.MPEG if frame.color_range == _FULL_RANGE else None,
            interpolation=Interpolation.AREA if half else Interpolation.BICUBIC,
            threads=1,
        )
        planes = planes_of(scaled)
        return Planes(*(np.rot90(plane, turns) for plane in planes)) if turns else planes


class Canvas:
    """One frame, written again and again: an encoder has copied it when it returns."""

    def __init__(self, width: int, height: int) -> None:
        self.frame = av.VideoFrame(width, height, FORMAT)
        self.planes = planes_of(self.frame)
        self.clear()

    def clear(self) -> None:
        self.planes.fill(BACKGROUND)

    def paste(self, place: Rectangle, picture: Planes) -> None:
        """Puts `picture` into the middle of a place and paints what it leaves free."""
        target = self.planes.part(place)
        width, height = picture.size
        if (width, height) != target.size:
            target.fill(TILE)
        middle = Rectangle(
            (place.width - width) // 4 * 2, (place.height - height) // 4 * 2, width, height
        )
        for mine, theirs in zip(target.part(middle), picture, strict=True):
            mine[:] = theirs
