"""What a media file is, in numbers. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from recorder.errors import JobFailed

QUALITIES: Final = (("4k", 2160), ("1440p", 1440), ("1080p", 1080), ("720p", 720), ("480p", 480))
"""Names of classes and the least lines of each; what has fewer is 360p."""
_SLACK: Final = 0.9
"""Films are cropped: 1920x960 is called 1080p, for it is 1920 wide, and 1280x704 is 720p."""
_WIDE: Final = 16 / 9


@dataclass(frozen=True, slots=True)
class Facts:
    """`width` and `height` are in pixels as it is shown: turned, and with square pixels. `rotation`
    is by how many degrees the coded picture is turned for that, clockwise. `bitrate` is in bit/s over
    the whole file, `frame_rate` in pictures per second on average. Codecs have FFmpeg's names.
    """

    format: str  # of `recorder.media.sniff`: mp4, mov, webm, ...
    duration_seconds: float
    streams: int
    width: int | None = None
    height: int | None = None
    rotation: int = 0
    video_codec: str | None = None
    audio_codec: str | None = None
    bitrate: int | None = None
    frame_rate: float | None = None

    @property
    def file_type(self) -> str:
        return "audio" if self.video_codec is None else "video"

    @property
    def quality(self) -> str | None:
        """None for sound alone."""
        return (
            None if self.width is None or self.height is None else quality(self.width, self.height)
        )

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Facts:
        """Raises JobFailed when `value` is not what `to_json` gives."""
        try:
            return cls(**value)
        except TypeError as error:
            raise JobFailed(f"the job's result is not understood: {error}") from error


def quality(width: int, height: int) -> str:
    """The class of a picture by its shorter side, or by its longer one if that says more."""
    lines = max(min(width, height), max(width, height) / _WIDE)
    return next((name for name, least in QUALITIES if lines >= least * _SLACK), "360p")
