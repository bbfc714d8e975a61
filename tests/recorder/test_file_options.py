"""What a recording's options say about its files."""

from __future__ import annotations

import math
from typing import Any

import pytest

from recorder.errors import JobFailed
from recorder.file_options import FileOptions, parse_file_options


def test_nothing_said_is_thumbnails_and_hls_from_half_an_hour() -> None:
    options = parse_file_options({})
    assert options == FileOptions(audio_only=False, tracks=False, hls_minutes=30.0, thumbnails=True)
    assert [options.wants_hls(seconds) for seconds in (1799.9, 1800.0)] == [False, True]


def test_each_key_is_read_and_others_are_for_others() -> None:
    given = {"audioOnly": True, "tracks": True, "hlsMinutes": 0.5, "thumbnails": False}
    assert parse_file_options({**given, "layout": "grid", "quality": 7}) == FileOptions(
        audio_only=True, tracks=True, hls_minutes=0.5, thumbnails=False
    )


def test_zero_minutes_is_never() -> None:
    assert not parse_file_options({"hlsMinutes": 0}).wants_hls(1e6)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("audioOnly", 1),
        ("audioOnly", None),
        ("tracks", "true"),
        ("thumbnails", []),
        ("hlsMinutes", "30"),
        ("hlsMinutes", True),
        ("hlsMinutes", -1),
        ("hlsMinutes", math.nan),
        ("hlsMinutes", math.inf),
        ("hlsMinutes", None),
    ],
)
def test_a_wrong_type_names_its_key(key: str, value: Any) -> None:
    with pytest.raises(JobFailed, match=key):
        parse_file_options({key: value})
