"""Holes in streams are filled, and nothing else is changed."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import av
from hypothesis import given
from hypothesis import strategies as st

from recorder.derived.continuous import SILENCE, continuous_audio, continuous_video
from recorder.writer import MICROSECONDS, Packet

PLENTY = 1 << 30
SECOND = 1_000_000


def packet(at: int, data: bytes, duration: int = 0, *, keyframe: bool = True) -> Packet:
    made: Packet = av.Packet(data)
    made.time_base = MICROSECONDS
    made.pts = made.dts = at
    made.duration = duration
    made.is_keyframe = keyframe
    return made


def told(packets: Iterator[Packet]) -> list[tuple[int, int, bytes]]:
    return [(each.pts or 0, each.duration or 0, bytes(each)) for each in packets]


def video(*entries: tuple[float, str]) -> Iterator[Packet]:
    """`K...` is a keyframe."""
    for at, name in entries:
        yield packet(round(at * SECOND), name.encode(), keyframe=name.startswith("K"))


def pictures(source: Iterator[Packet], end: float, most: int = PLENTY) -> list[tuple[float, str]]:
    """(time, what) of what comes out; times and durations are held to have no hole."""
    out = told(continuous_video(source, round(end * SECOND), most))
    for (at, duration, _), (following, _, _) in pairwise(out):
        assert at + duration == following
    if out:
        assert out[0][0] == 0
        assert out[-1][0] + out[-1][1] >= round(end * SECOND)
    return [(at / SECOND, data.decode()) for at, _, data in out]


def test_pictures_without_pauses_stay_as_they_are() -> None:
    frames = [(0.0, "K1"), (0.5, "d"), (1.0, "d"), (4.0, "K2"), (4.5, "d")]
    assert pictures(video(*frames), 5.0) == frames


def test_a_late_first_picture_stands_from_the_beginning() -> None:
    assert pictures(video((2.0, "K1"), (2.5, "d")), 3.0) == [(0.0, "K1"), (2.5, "d")]
    late = pictures(video((15.0, "K1"), (16.0, "K2")), 17.0)
    assert late == [(0.0, "K1"), (6.0, "K1"), (16.0, "K2")]


def test_a_pause_before_a_keyframe_is_filled_with_the_keyframe_before() -> None:
    got = pictures(video((0.0, "K1"), (1.0, "d"), (20.0, "K2")), 21.0)
    assert got == [(0.0, "K1"), (1.0, "d"), (7.0, "K1"), (13.0, "K1"), (20.0, "K2")]


def test_a_pause_before_another_picture_is_not() -> None:
    frames = [(0.0, "K1"), (1.0, "d"), (60.0, "d")]
    assert pictures(video(*frames), 61.0) == frames


def test_the_end_is_filled_too() -> None:
    assert pictures(video((0.0, "K1")), 13.0) == [(0.0, "K1"), (6.0, "K1")]


def test_what_is_repeated_is_bounded() -> None:
    frames = (0.0, "K1"), (100.0, "K2")
    assert pictures(video(*frames), 200.0, most=5) == [
        (0.0, "K1"),
        (6.0, "K1"),
        (12.0, "K1"),
        (100.0, "K2"),
    ]
    assert len(pictures(video(*frames), 200.0)) > 30


def test_no_picture_is_none() -> None:
    assert told(continuous_video(iter([]), SECOND, PLENTY)) == []


def sound(*times_ms: float) -> Iterator[Packet]:
    return (packet(round(at * 1000), b"s", 20_000) for at in times_ms)


def test_sound_without_pauses_stays_as_it_is() -> None:
    assert told(continuous_audio(sound(0, 20, 40), 60_000)) == [
        (0, 20_000, b"s"),
        (20_000, 20_000, b"s"),
        (40_000, 20_000, b"s"),
    ]


def test_rounded_times_are_made_exact_and_do_not_drift() -> None:
    rounded = [
        round(number * 20.3) for number in range(3000)
    ]  # a slow sound card, whole milliseconds
    got = told(continuous_audio(sound(*rounded), 0))
    assert len(got) == 3000
    assert all(abs(at - number * 20_300) <= 3_000 for number, (at, _, _) in enumerate(got))


def test_pauses_of_sound_are_silence() -> None:
    got = told(continuous_audio(sound(50, 70), 260_000))
    assert [(at, duration) for at, duration, data in got if data != b"s"] == [
        (0, 20_000),
        (20_000, 20_000),
        (90_000, 120_000),
        (210_000, 20_000),
        (230_000, 20_000),
    ]
    assert [at for at, _, data in got if data == b"s"] == [50_000, 70_000]


def test_sound_over_sound_is_left_out() -> None:
    got = told(continuous_audio(sound(0, 5, 15, 40), 60_000))
    assert [at for at, _, _ in got] == [0, 20_000, 40_000]


@given(st.lists(st.integers(0, 400), max_size=60), st.integers(0, 20_000))
def test_sound_never_overlaps_and_has_no_hole_of_a_packet(steps: list[int], end_ms: int) -> None:
    times = [sum(steps[: number + 1]) for number in range(len(steps))]
    got = told(continuous_audio(sound(*times), end_ms * 1000))
    position = 0
    for at, duration, _ in got:
        assert 0 <= at - position < 20_000
        position = at + duration
    assert end_ms * 1000 - position < 20_000


def test_silence_lasts_as_long_as_it_says_and_is_silent() -> None:
    for duration, data in SILENCE.items():
        decoder = av.CodecContext.create("libopus", "r")
        decoder.sample_rate, decoder.layout = 48_000, "stereo"  # type: ignore[attr-defined]
        frames = decoder.decode(av.Packet(data))  # type: ignore[attr-defined]
        assert sum(frame.samples for frame in frames) == duration * 48 // 1000
        assert not any(frame.to_ndarray().any() for frame in frames)
