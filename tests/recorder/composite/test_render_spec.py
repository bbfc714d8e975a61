"""What may be asked for, and what is said when it may not."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.composite import RenderOptions, RenderSource, RenderSpec, parse_options
from recorder.errors import BadRenderOptions

SOURCE = {
    "path": "/media/a.webm",
    "participantId": "PA_a",
    "participantName": "Ada",
    "source": "camera",
    "startSeconds": 1.5,
    "contentType": "video/webm",
}
SPEC = {"sources": [SOURCE], "output": "/media/film.mp4"}


@pytest.mark.parametrize(
    ("wishes", "options"),
    [
        ({}, RenderOptions()),
        ({"layout": None, "quality": None, "audioOnly": None, "names": None}, RenderOptions()),
        ({"layout": "speaker", "quality": "1080p"}, RenderOptions("speaker", height=1080)),
        ({"layout": "single", "focus": "PA_a"}, RenderOptions("single", focus="PA_a")),
        ({"audioOnly": True, "names": False}, RenderOptions(audio_only=True, names=False)),
        (
            {"quality": {"height": 1080, "fps": 25, "videoBitrate": 3_000_000}},
            RenderOptions(height=1080, fps=25, video_bitrate=3_000_000),
        ),
        ({"quality": {"fps": 25}, "tracks": True, "hlsMinutes": 10}, RenderOptions(fps=25)),
    ],
)
def test_wishes_are_understood(wishes: dict[str, Any], options: RenderOptions) -> None:
    assert parse_options(wishes) == options
    assert parse_options(json.loads(json.dumps(options.to_json()))) == options


@pytest.mark.parametrize(
    ("wishes", "field", "code"),
    [
        ({"layout": "mosaic"}, "layout", "bad_layout"),
        ({"layout": 1}, "layout", "bad_layout"),
        ({"layout": ["grid"]}, "layout", "bad_layout"),
        ({"quality": "4k"}, "quality", "bad_quality"),
        ({"quality": 720}, "quality", "bad_quality"),
        ({"quality": {"height": 480}}, "height", "bad_height"),
        ({"quality": {"height": "720"}}, "height", "bad_height"),
        ({"quality": {"fps": 60}}, "fps", "bad_fps"),
        ({"quality": {"fps": True}}, "fps", "bad_fps"),
        ({"quality": {"videoBitrate": 1}}, "videoBitrate", "bad_video_bitrate"),
        ({"quality": {"videoBitrate": 10**12}}, "videoBitrate", "bad_video_bitrate"),
        ({"quality": {"videoBitrate": 2.5e6}}, "videoBitrate", "bad_video_bitrate"),
        ({"audioOnly": "yes"}, "audioOnly", "bad_audio_only"),
        ({"names": 1}, "names", "bad_names"),
        ({"focus": 7}, "focus", "bad_focus"),
        ({"focus": ""}, "focus", "bad_focus"),
    ],
)
def test_a_wrong_wish_is_named(wishes: dict[str, Any], field: str, code: str) -> None:
    with pytest.raises(BadRenderOptions) as caught:
        parse_options(wishes)
    assert (caught.value.field, caught.value.code) == (field, code)
    assert str(caught.value).startswith(f"{field} must be")


def test_a_spec_is_read_as_it_was_written() -> None:
    spec = RenderSpec(
        (RenderSource(Path("/media/a.webm"), "PA_a", "Ada", "screen", 1.5, "video/webm"),),
        Path("/media/film.mp4"),
        RenderOptions("single", "PA_a", height=1080, fps=25, video_bitrate=1_000_000),
        audio_bitrate=96_000,
        threads=3,
    )
    assert RenderSpec.from_json(json.loads(json.dumps(spec.to_json()))) == spec
    assert spec.width == 1920


def test_what_a_spec_leaves_out_has_a_default() -> None:
    spec = RenderSpec.from_json({**SPEC, "sources": [{"path": "a", "participantId": "PA_a"}]})
    assert spec.options == RenderOptions()
    assert (spec.audio_bitrate, spec.threads, spec.width) == (128_000, 2, 1280)
    assert spec.sources[0] == RenderSource(Path("a"), "PA_a", "", "camera", 0.0, "")


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"sources": []}, "sources"),
        ({"sources": "a.webm"}, "sources"),
        ({"sources": [1]}, "sources[0]"),
        ({"sources": [SOURCE, {**SOURCE, "path": ""}]}, "sources[1].path"),
        ({"sources": [{**SOURCE, "participantId": None}]}, "sources[0].participantId"),
        ({"sources": [{**SOURCE, "participantName": 3}]}, "sources[0].participantName"),
        ({"sources": [{**SOURCE, "source": "window"}]}, "sources[0].source"),
        ({"sources": [{**SOURCE, "startSeconds": "0"}]}, "sources[0].startSeconds"),
        ({"sources": [{**SOURCE, "startSeconds": float("nan")}]}, "sources[0].startSeconds"),
        ({"sources": [{**SOURCE, "startSeconds": 1e12}]}, "sources[0].startSeconds"),
        ({"output": ""}, "output"),
        ({"output": 1}, "output"),
        ({"height": 721}, "height"),
        ({"fps": 24}, "fps"),
        ({"videoBitrate": -1}, "videoBitrate"),
        ({"audioBitrate": 1}, "audioBitrate"),
        ({"threads": 0}, "threads"),
        ({"threads": True}, "threads"),
        ({"layout": "mosaic"}, "layout"),
    ],
)
def test_a_wrong_spec_is_refused_with_the_field(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(BadRenderOptions) as caught:
        RenderSpec.from_json({**SPEC, **changes})
    assert caught.value.field == field


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(
    st.dictionaries(
        st.sampled_from([*SPEC, *RenderOptions().to_json(), "height", "fps", "threads"]), _json
    )
)
def test_anything_is_a_spec_or_refused(value: dict[str, Any]) -> None:
    for read in (RenderSpec.from_json, parse_options):
        with suppress(BadRenderOptions):
            read(value)  # type: ignore[operator]
