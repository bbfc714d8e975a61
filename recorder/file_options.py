"""Which files a recording becomes: the part of its `options` that the finalize job reads."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from recorder.errors import JobFailed

HLS_MINUTES = 30.0


@dataclass(frozen=True, slots=True)
class FileOptions:
    """`audio_only`: video is left out. `tracks`: each track has a file of its own too.

    Recordings of `hls_minutes` or more have a playlist beside each file; 0 is never. `thumbnails`:
    files with video have a poster, a strip and its cues.
    """

    audio_only: bool = False
    tracks: bool = False
    hls_minutes: float = HLS_MINUTES
    thumbnails: bool = True

    def wants_hls(self, seconds: float) -> bool:
        """True for a file that lasts so long."""
        return 0 < self.hls_minutes * 60 <= seconds


def parse_file_options(options: Mapping[str, Any]) -> FileOptions:
    """From a recording's `options`, whose other keys are for others.

    Raises JobFailed naming the key whose value is none.
    """
    given = {
        name: _checked(key, options[key]) for key, (name, _, _) in _KEYS.items() if key in options
    }
    return FileOptions(**given)


def _checked(key: str, value: Any) -> Any:
    _, accepts, wanted = _KEYS[key]
    if not accepts(value):
        raise JobFailed(f"the option {key} is {wanted}, not {value!r}"[:300])
    return value


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool)


def _is_length(value: Any) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and value >= 0 and math.isfinite(value)


_KEYS: Mapping[str, tuple[str, Callable[[Any], bool], str]] = {
    "audioOnly": ("audio_only", _is_flag, "true or false"),
    "tracks": ("tracks", _is_flag, "true or false"),
    "hlsMinutes": ("hls_minutes", _is_length, "a number of minutes"),
    "thumbnails": ("thumbnails", _is_flag, "true or false"),
}
"""By the name in JSON: the field, what it takes, and that in words."""
