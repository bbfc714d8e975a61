"""Silence between the packets of sound, to the microsecond."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.bitstream import opus_duration_us
from recorder.depacketize import CodedFrame
from recorder.silence import MAX_FILLED_US, MISSING_US, Pictures, without_holes
from recorder.stream import TimedFrame
from tests.recorder.known_media import SILENCE

FRAME_US = 20_000
STEREO = b"\xfcsound"


def sound(*times_us: float, data: bytes = b"\x78sound") -> Iterator[TimedFrame]:
    return iter([TimedFrame(at, CodedFrame(data, True, duration_us=FRAME_US)) for at in times_us])


def pictures(*times_us: float) -> Pictures:
    return Pictures(iter([TimedFrame(at, CodedFrame(b"picture", True)) for at in times_us]))


def filled(frames: Iterator[TimedFrame], *picture_times_us: float) -> list[TimedFrame]:
    return list(without_holes(frames, pictures(*picture_times_us)))


def assert_without_holes(frames: list[TimedFrame]) -> None:
    for before, after in pairwise(frames):
        hole = after.at_us - before.at_us - (before.coded.duration_us or 0)
        assert -1 <= hole < MISSING_US


@given(
    steps=st.lists(st.integers(0, 3_000_000), max_size=30),
    first=st.integers(0, 2_000_000),
    video=st.lists(st.integers(0, 9_000_000), max_size=20).map(sorted),
)
def test_sound_goes_through_from_the_first_to_the_last_frame(
    steps: list[int], first: int, video: list[int]
) -> None:
    times = [float(first)]
    for step in steps:
        times.append(times[-1] + FRAME_US + step)
    frames = filled(sound(*times), *video)
    assert [frame for frame in frames if frame.coded.data not in SILENCE] == list(sound(*times))
    assert_without_holes(frames)
    assert frames[0].at_us < min([first, *video]) + MISSING_US or frames[0].at_us == first
    end_us = frames[-1].at_us + (frames[-1].coded.duration_us or 0)
    assert max([times[-1], *video]) <= end_us <= max([times[-1], *video]) + FRAME_US


def test_what_is_put_in_says_how_long_it_is_and_has_the_channels_around() -> None:
    for data, stereo in ((b"\x78sound", 0), (STEREO, 4)):
        frames = filled(sound(0.0, 197_500.0, data=data))
        silent = frames[1:-1]
        assert [frame.coded.duration_us for frame in silent] == [
            120_000,
            20_000,
            20_000,
            10_000,
            5_000,
            2_500,
        ]
        assert all(frame.coded.data in SILENCE for frame in silent)
        assert all(opus_duration_us(f.coded.data) == f.coded.duration_us for f in silent)
        assert {frame.coded.data[0] & 4 for frame in silent} == {stereo}


@pytest.mark.parametrize("hole", [0.0, 1.0, MISSING_US - 1.0, MAX_FILLED_US + 1.0])
def test_next_to_nothing_and_whole_days_are_left_alone(hole: float) -> None:
    assert len(filled(sound(0.0, FRAME_US + hole))) == 2


def test_of_no_sound_nothing_is_made_and_no_picture_is_lost() -> None:
    frames = pictures(0.0, 1.0, 2.0)
    assert list(without_holes(sound(), frames)) == []
    assert [frame.at_us for frame in frames] == [0.0, 1.0, 2.0]


def test_pictures_that_were_looked_at_come_all_the_same() -> None:
    frames = pictures(5.0, 10.0, 20.0)
    assert next(frames).at_us == 5.0
    assert frames.first_us() == 5.0
    assert frames.go_beyond(15.0)
    assert not frames.go_beyond(20.0)
    assert [frame.at_us for frame in frames] == [10.0, 20.0]
    assert pictures().first_us() is None
