"""Can everything in a file be shown and heard? `python -m recorder.chunks.checking FILE [SECONDS]`

Every packet is decoded. A file may be read without an error and be broken all the same: a browser's MP4
whose pictures change their size, for one. So a packet counts as bad when the decoder raises, when it
marks the picture as damaged, or when it complains; and since later pictures refer to it, what follows
is bad up to the next keyframe. After SECONDS of processor time keyframes alone are decoded, and the
result says up to where all was.

The result is `Checked.to_json`. A process of its own, because decoders are where hostile media does its
harm: see `recorder.chunks.child`.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, Final, cast

import av

from recorder.chunks.child import limit_memory, run_decoder
from recorder.integrity import MAX_ENTRIES
from recorder.job_process import end_with_parent, say

MOST_PIXELS: Final = 8192 * 8192
BUDGET_S: Final = 1800.0
"""Processor time; a core decodes hours of ordinary pictures in it."""
_PROGRESS_EVERY: Final = 200  # packets
_SURELY_SHOWN: Final = 30
"""Packets of which no decoder keeps all pictures back."""
_MICROS: Final = 1_000_000

Spans = list[tuple[int, int]]


@dataclass(slots=True)
class CheckedStream:
    """Times in microseconds of the file. `sizes` are pictures' sizes from these times on.
    `decoded`: something of it is good.
    """

    kind: str
    decoded: bool = False
    undecodable: Spans = field(default_factory=list)
    sizes: list[tuple[int, int, int]] = field(default_factory=list)


@dataclass(slots=True)
class Checked:
    """`until` is where decoding everything ended before the end (seconds); None when it did not."""

    streams: list[CheckedStream]
    until: float | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            "streams": [
                {
                    "kind": stream.kind,
                    "decoded": stream.decoded,
                    "undecodable": stream.undecodable,
                    "sizes": stream.sizes,
                }
                for stream in self.streams
            ],
            "until": self.until,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Checked:
        return cls(
            [
                CheckedStream(
                    stream["kind"],
                    stream["decoded"],
                    [(begin, end) for begin, end in stream["undecodable"]],
                    [(at, width, height) for at, width, height in stream["sizes"]],
                )
                for stream in value["streams"]
            ],
            value["until"],
        )


def check_file(
    path: Path, on_progress: Callable[[float], None], budget: float = BUDGET_S
) -> Checked | None:
    """In a process of its own; None when it did not survive that."""
    result = run_decoder("recorder.chunks.checking", [str(path), str(budget)], on_progress)
    return None if result is None else Checked.from_json(result)


class _StreamCheck:
    """Decodes one stream's packets and keeps what it sees."""

    def __init__(self, stream: Any) -> None:
        self._video = stream.type == "video"
        self.found = CheckedStream(stream.type)
        self._bad_since: int | None = None
        self._end = 0
        self._frames = self._packets = 0  # since the last keyframe
        self._begun = 0
        context = stream.codec_context
        context.thread_count = 1
        if self._video:
            context.options = {"max_pixels": str(MOST_PIXELS)}

    def packet(self, packet: av.Packet[Any]) -> None:
        at = _micros(packet.pts, packet.time_base)
        if packet.is_keyframe:
            self._group(at)
        self._packets += 1
        self._end = max(self._end, at + _micros(packet.duration, packet.time_base))
        if self._is_bad(packet) and self._bad_since is None:
            self._bad_since = at

    def close(self) -> None:
        self._group(self._end)

    def skip(self, packet: av.Packet[Any]) -> None:
        """A packet that is not decoded."""
        at = _micros(packet.pts, packet.time_base)
        self._end = max(self._end, at + _micros(packet.duration, packet.time_base))

    def _group(self, at: int) -> None:
        """A keyframe, or the end: what was bad before is bad up to here."""
        silent = self._packets >= _SURELY_SHOWN and not self._frames
        if self._bad_since is None and self._video and silent:
            self._bad_since = self._begun
        if self._bad_since is not None and at > self._bad_since:
            _append(self.found.undecodable, (self._bad_since, at))
        self._bad_since = None
        self._frames = self._packets = 0
        self._begun = at

    def _is_bad(self, packet: av.Packet[Any]) -> bool:
        with av.logging.Capture() as complaints:
            try:
                frames = cast(list[Any], packet.decode())
            except (av.FFmpegError, MemoryError, ValueError):
                return True
        self._frames += len(frames)
        bad = bool(complaints)
        for frame in frames:
            if self._video:
                bad |= frame.is_corrupt
                self._size(frame)
        self.found.decoded |= bool(frames) and not bad
        return bad

    def _size(self, frame: av.VideoFrame) -> None:
        sizes = self.found.sizes
        size = (frame.width, frame.height)
        if (not sizes or sizes[-1][1:] != size) and len(sizes) < MAX_ENTRIES:
            sizes.append((_micros(frame.pts, frame.time_base), *size))


def check(path: Path, on_progress: Callable[[float], None], budget: float) -> Checked:
    """Here and now. Raises what PyAV raises when the file can't be read."""
    av.logging.set_level(av.logging.ERROR)
    with av.open(str(path)) as container:
        checks = [_StreamCheck(stream) for stream in container.streams]
        checked = Checked([check.found for check in checks])
        whole = max((container.duration or 0) / av.time_base, 0.001)
        for number, packet in enumerate(container.demux()):
            if not packet.size or packet.pts is None:
                continue
            seconds = _micros(packet.pts, packet.time_base) / _MICROS
            if number % _PROGRESS_EVERY == 0:
                on_progress(min(max(seconds / whole, 0.0), 1.0))
                if checked.until is None and time.process_time() > budget:
                    checked.until = round(seconds, 3)
            if checked.until is None or packet.is_keyframe:
                checks[packet.stream_index].packet(packet)
            else:
                checks[packet.stream_index].skip(packet)
        for stream in checks:
            stream.close()
    return checked


def _micros(ticks: int | None, base: Any) -> int:
    seconds: Fraction = (ticks or 0) * base
    return round(seconds * _MICROS)


def _append(spans: Spans, span: tuple[int, int]) -> None:
    """Neighbours become one."""
    if spans and (span[0] <= spans[-1][1] or len(spans) >= MAX_ENTRIES):
        spans[-1] = (spans[-1][0], max(spans[-1][1], span[1]))
    else:
        spans.append(span)


def main() -> int:
    limit_memory()
    end_with_parent()
    budget = float(sys.argv[2]) if len(sys.argv) > 2 else BUDGET_S
    checked = check(Path(sys.argv[1]), lambda progress: say({"progress": progress}), budget)
    say({"result": checked.to_json()})
    return 0


if __name__ == "__main__":
    sys.exit(main())
