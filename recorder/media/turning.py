"""Pictures the right way up, with square pixels, of one size: libavfilter's work.

A film's display matrix says how its pictures are turned when shown; encoders and picture files know
nothing of that, so the pixels are.
"""

from __future__ import annotations

from fractions import Fraction

import av
from av.filter import Graph
from av.video.frame import VideoFrame

_TURNS = {
    90: ("transpose=clock",),
    180: ("hflip", "vflip"),
    270: ("transpose=cclock",),
}


class Upright:
    """`pixel_ratio` is a pixel's width by its height. With `size`, every picture is made to fit it, with
    black bars where its shape is another; without, it keeps its own.
    """

    def __init__(
        self,
        pixel_ratio: float = 1.0,
        size: tuple[int, int] | None = None,
        format: str = "yuv420p",
    ) -> None:
        self._ratio = pixel_ratio if 0.1 < pixel_ratio < 10 else 1.0
        self._size = size
        self._format = format
        self._graph: Graph | None = None
        self._shape: tuple[int, int, str, int] | None = None

    def turn(self, frame: VideoFrame) -> VideoFrame:
        """Its times are kept. Raises av.FFmpegError."""
        rotation = round(-frame.rotation / 90) * 90 % 360
        shape = (frame.width, frame.height, frame.format.name, rotation)
        if self._size is None and rotation == 0 and self._ratio == 1.0:
            return frame
        if self._graph is None or shape != self._shape:
            self._graph, self._shape = self._build(shape), shape
        pts, base = frame.pts, frame.time_base
        self._graph.vpush(frame)
        turned = self._graph.vpull()
        turned.pts = pts
        if base is not None:  # the last pictures of a decoder have none
            turned.time_base = base
        return turned

    def _build(self, shape: tuple[int, int, str, int]) -> Graph:
        width, height, format, rotation = shape
        graph = Graph()
        graph.threads = 1
        last = graph.add_buffer(
            width=width,
            height=height,
            format=av.VideoFormat(format, width, height),
            time_base=Fraction(1, 1000),
        )
        for step in (*self._square(width, height), *_TURNS.get(rotation, ()), *self._fitted()):
            name, _, arguments = step.partition("=")
            node = graph.add(name, arguments or None)
            last.link_to(node)
            last = node
        sink = graph.add("buffersink")
        last.link_to(sink)
        graph.configure()
        return graph

    def _square(self, width: int, height: int) -> tuple[str, ...]:
        if self._ratio == 1.0:
            return ()
        return (f"scale={max(2, round(width * self._ratio / 2) * 2)}:{height}",)

    def _fitted(self) -> tuple[str, ...]:
        if self._size is None:
            return (f"format={self._format}",)
        width, height = self._size
        return (
            f"scale={width}:{height}:force_original_aspect_ratio=decrease:force_divisible_by=2",
            f"pad={width}:{height}:-1:-1",
            "setsar=1",
            f"format={self._format}",
        )
