"""What to render: the wishes of whoever asks, and the order that a render job is given (pure).

`parse_options` reads wishes as they come over REST or from a recording's options; `RenderSpec` is
the whole of a job and what its file holds (`python -m recorder.render --spec FILE`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, TypeVar

from recorder.errors import BadRenderOptions

LAYOUTS: Final = ("grid", "speaker", "single")
HEIGHTS: Final = (720, 1080)
FRAME_RATES: Final = (25, 30)
QUALITIES: Final = {"720p": 720, "1080p": 1080}
LEAST_VIDEO_BITRATE: Final = 100_000
MOST_VIDEO_BITRATE: Final = 20_000_000
AUDIO_BITRATE: Final = 128_000
MOST_THREADS: Final = 64
_AUDIO_BITRATES: Final = (32_000, 320_000)
_LONGEST_START: Final = 7 * 86_400.0
_SOURCES: Final = ("camera", "screen")

Choice = TypeVar("Choice", str, int)


@dataclass(frozen=True, slots=True)
class RenderOptions:
    """How a composite shall look.

    `video_bitrate` is in bit/s, None for constant quality. `focus` is the participant whom the
    layout `single` shows; None there shows whoever speaks.
    """

    layout: str = "grid"
    focus: str | None = None
    audio_only: bool = False
    names: bool = True
    height: int = 720
    fps: int = 30
    video_bitrate: int | None = None

    def to_json(self) -> dict[str, Any]:
        """What `parse_options` reads again."""
        quality = {"height": self.height, "fps": self.fps, "videoBitrate": self.video_bitrate}
        return {
            "layout": self.layout,
            "focus": self.focus,
            "audioOnly": self.audio_only,
            "names": self.names,
            "quality": quality,
        }


@dataclass(frozen=True, slots=True)
class RenderSource:
    """One stored file. Its time 0 is `start_seconds` on the recording's time line."""

    path: Path
    participant_id: str
    participant_name: str
    source: str  # "camera" | "screen"
    start_seconds: float
    content_type: str

    def to_json(self) -> dict[str, Any]:
        return {
            "path": str(self.path),
            "participantId": self.participant_id,
            "participantName": self.participant_name,
            "source": self.source,
            "startSeconds": self.start_seconds,
            "contentType": self.content_type,
        }


@dataclass(frozen=True, slots=True)
class RenderSpec:
    """A render job. `threads` bounds the encoder and the decoders each; bit rates are in bit/s."""

    sources: tuple[RenderSource, ...]
    output: Path
    options: RenderOptions = RenderOptions()
    audio_bitrate: int = AUDIO_BITRATE
    threads: int = 2

    @property
    def width(self) -> int:
        """16:9."""
        return self.options.height * 16 // 9

    def to_json(self) -> dict[str, Any]:
        options = self.options
        return {
            "sources": [source.to_json() for source in self.sources],
            "layout": options.layout,
            "focus": options.focus,
            "audioOnly": options.audio_only,
            "names": options.names,
            "height": options.height,
            "fps": options.fps,
            "videoBitrate": options.video_bitrate,
            "audioBitrate": self.audio_bitrate,
            "threads": self.threads,
            "output": str(self.output),
        }

    @classmethod
    def from_json(cls, value: object) -> RenderSpec:
        """Raises BadRenderOptions naming the field that is missing or wrong."""
        if not isinstance(value, Mapping):
            raise BadRenderOptions("spec", "must be an object")
        options = replace(
            parse_options({key: value[key] for key in _SHARED if key in value}),
            height=_one_of(value, "height", HEIGHTS, HEIGHTS[0]),
            fps=_one_of(value, "fps", FRAME_RATES, FRAME_RATES[-1]),
            video_bitrate=_video_bitrate(value),
        )
        return cls(
            sources=_sources(value.get("sources")),
            output=Path(_text(value, "output")),
            options=options,
            audio_bitrate=_whole(value, "audioBitrate", *_AUDIO_BITRATES, AUDIO_BITRATE),
            threads=_whole(value, "threads", 1, MOST_THREADS, 2),
        )


_SHARED: Final = ("layout", "focus", "audioOnly", "names")


def parse_options(value: Mapping[str, Any]) -> RenderOptions:
    """Wishes `{layout, quality, audioOnly, focus, names}`; each may be missing or null, others are
    not looked at.

    `quality` is "720p", "1080p" or `{height, videoBitrate, fps}`. Raises BadRenderOptions whose
    `field` and `code` (`bad_layout`, `bad_quality`, `bad_video_bitrate`...) say which one is wrong.
    """
    focus = value.get("focus")
    if focus is not None and (not isinstance(focus, str) or not focus):
        raise BadRenderOptions("focus", "must be a participant's id")
    options = RenderOptions(
        layout=_one_of(value, "layout", LAYOUTS, LAYOUTS[0]),
        focus=focus,
        audio_only=_flag(value, "audioOnly", False),
        names=_flag(value, "names", True),
    )
    quality = value.get("quality")
    match quality:
        case None:
            return options
        case str() if quality in QUALITIES:
            return replace(options, height=QUALITIES[quality])
        case Mapping():
            return replace(
                options,
                height=_one_of(quality, "height", HEIGHTS, options.height),
                fps=_one_of(quality, "fps", FRAME_RATES, options.fps),
                video_bitrate=_video_bitrate(quality),
            )
    expected = ", ".join(QUALITIES)
    raise BadRenderOptions("quality", f"must be {expected} or {{height, videoBitrate, fps}}")


def _sources(value: object) -> tuple[RenderSource, ...]:
    if not isinstance(value, Sequence) or isinstance(value, str) or not value:
        raise BadRenderOptions("sources", "must be a list with a file in it")
    return tuple(_source(number, entry) for number, entry in enumerate(value))


def _source(number: int, value: object) -> RenderSource:
    where = f"sources[{number}]"
    if not isinstance(value, Mapping):
        raise BadRenderOptions(where, "must be an object")
    start = value.get("startSeconds", 0.0)
    if isinstance(start, bool) or not isinstance(start, int | float) or not math.isfinite(start):
        raise BadRenderOptions(f"{where}.startSeconds", "must be a number")
    if abs(start) > _LONGEST_START:
        raise BadRenderOptions(f"{where}.startSeconds", f"must be at most {_LONGEST_START:.0f}")
    if value.get("source", _SOURCES[0]) not in _SOURCES:
        raise BadRenderOptions(f"{where}.source", f"must be {' or '.join(_SOURCES)}")
    return RenderSource(
        path=Path(_text(value, "path", where)),
        participant_id=_text(value, "participantId", where),
        participant_name=_text(value, "participantName", where, default=""),
        source=value.get("source", _SOURCES[0]),
        start_seconds=float(start),
        content_type=_text(value, "contentType", where, default=""),
    )


def _text(value: Mapping[str, Any], key: str, where: str = "", default: str | None = None) -> str:
    text = value.get(key, default)
    if not isinstance(text, str) or (default is None and not text):
        raise BadRenderOptions(f"{where}.{key}" if where else key, "must be a text")
    return text


def _flag(value: Mapping[str, Any], key: str, default: bool) -> bool:
    flag = value.get(key)
    if flag is None:
        return default
    if not isinstance(flag, bool):
        raise BadRenderOptions(key, "must be true or false")
    return flag


def _one_of(
    value: Mapping[str, Any], key: str, allowed: tuple[Choice, ...], default: Choice
) -> Choice:
    chosen = value.get(key)
    if chosen is None:
        return default
    for one in allowed:
        if type(chosen) is type(one) and chosen == one:
            return one
    raise BadRenderOptions(key, f"must be one of {', '.join(str(one) for one in allowed)}")


def _whole(value: Mapping[str, Any], key: str, least: int, most: int, default: int) -> int:
    number = value.get(key)
    if number is None:
        return default
    if isinstance(number, bool) or not isinstance(number, int) or not least <= number <= most:
        raise BadRenderOptions(key, f"must be a whole number from {least} to {most}")
    return number


def _video_bitrate(value: Mapping[str, Any]) -> int | None:
    if value.get("videoBitrate") is None:
        return None
    return _whole(value, "videoBitrate", LEAST_VIDEO_BITRATE, MOST_VIDEO_BITRATE, 0)
