"""What a file may be, once it is known what is in it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from recorder.errors import FileRefused
from recorder.media.facts import Facts

MOST_SIDE: Final = 16_384
MOST_PIXELS: Final = 8192 * 4352
"""Of a picture: what the highest levels of H.264, H.265 and AV1 allow."""
MOST_STREAMS: Final = 32
UNPROCESSABLE: Final = 422
UNSUPPORTED: Final = 415


@dataclass(frozen=True, slots=True)
class MediaLimits:
    """`formats` are those of ALLOWED_VIDEO_FORMATS. Widths and heights are in pixels and hold whichever
    way the picture is turned: a film of 240x320 passes 320x240.
    """

    formats: tuple[str, ...] = ("mp4", "webm", "avi", "mov")
    min_width: int = 320
    min_height: int = 240
    longest_seconds: float = 7200.0
    most_side: int = MOST_SIDE
    most_pixels: int = MOST_PIXELS
    most_streams: int = field(default=MOST_STREAMS)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> MediaLimits:
        return cls(**{**value, "formats": tuple(value["formats"])})

    def check_format(self, name: str | None, article: str = "the file") -> str:
        """`name` is what the bytes say, None for nothing known. Raises FileRefused."""
        if name is not None and name in self.formats:
            return name
        what = "is no video or sound that is known here" if name is None else f"is {name.upper()}"
        raise FileRefused(
            f"{article} {what}; allowed are {', '.join(self.formats)} (ALLOWED_VIDEO_FORMATS)",
            code="unsupported_format",
            status=UNSUPPORTED,
            details={"allowedFormats": list(self.formats)},
        )

    def check_picture(self, width: int, height: int) -> None:
        """Raises FileRefused."""
        self.check_size(width, height)
        least = sorted((self.min_width, self.min_height))
        if any(has < needs for has, needs in zip(sorted((width, height)), least, strict=True)):
            raise FileRefused(
                f"its picture is {width}x{height}, and at least {self.min_width}x{self.min_height}"
                " are needed (MIN_VIDEO_WIDTH, MIN_VIDEO_HEIGHT)",
                code="too_small",
                status=UNPROCESSABLE,
                details={
                    "width": width,
                    "height": height,
                    "minWidth": self.min_width,
                    "minHeight": self.min_height,
                },
            )

    def check_size(self, width: int, height: int) -> None:
        """That it is not too large: before anything of it is decoded. Raises FileRefused."""
        side = max(width, height)
        if side > self.most_side or width * height > self.most_pixels:
            raise FileRefused(
                f"its picture is {width}x{height}, and at most {self.most_side} pixels a side and"
                f" {self.most_pixels} in all are allowed",
                code="too_large_picture",
                status=UNPROCESSABLE,
                details={
                    "width": width,
                    "height": height,
                    "limitSide": self.most_side,
                    "limitPixels": self.most_pixels,
                },
            )

    def check_duration(self, seconds: float) -> None:
        """Raises FileRefused."""
        if seconds > self.longest_seconds:
            raise FileRefused(
                f"it lasts {seconds:.0f} s, and at most {self.longest_seconds:.0f} s are allowed"
                " (MAX_VIDEO_DURATION_SECONDS)",
                code="too_long",
                status=UNPROCESSABLE,
                details={"durationSeconds": seconds, "limitSeconds": self.longest_seconds},
            )

    def check_streams(self, count: int) -> None:
        """Raises FileRefused."""
        if count > self.most_streams:
            raise FileRefused(
                f"it has {count} streams, and at most {self.most_streams} are allowed",
                code="not_playable",
                status=UNPROCESSABLE,
                details={"streams": count, "limitStreams": self.most_streams},
            )

    def check(self, facts: Facts) -> None:
        """Everything that `facts` says. Raises FileRefused."""
        self.check_streams(facts.streams)
        if facts.width is not None and facts.height is not None:
            self.check_picture(facts.width, facts.height)
        self.check_duration(facts.duration_seconds)


def not_playable(problem: str) -> FileRefused:
    """`problem` continues "it": "it has no video and no sound"."""
    return FileRefused(problem, code="not_playable", status=UNPROCESSABLE)


def truncated(problem: str) -> FileRefused:
    return FileRefused(
        f"{problem}; it was cut short, so send the whole file",
        code="truncated",
        status=UNPROCESSABLE,
    )
