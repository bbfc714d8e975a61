"""Sound is placed by its times, added, and never clipped."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recorder.composite.mixer import SAMPLE_RATE, Limiter, Samples, Voice, levels

BLOCK = 24_000


def ones(seconds: float, level: float = 0.5) -> Samples:
    return np.full((2, round(seconds * SAMPLE_RATE)), level, np.float32)


def mixed(*voices: Voice, blocks: int = 4) -> Samples:
    parts = []
    for number in range(blocks):
        block = np.zeros((2, BLOCK), np.float32)
        for voice in voices:
            voice.add_to(block, number * BLOCK)
        parts.append(block)
    return np.concatenate(parts, axis=1)


def limited(samples: Samples, block: int = BLOCK) -> Samples:
    limiter = Limiter()
    parts = [limiter.push(samples[:, at : at + block]) for at in range(0, samples.shape[1], block)]
    return np.concatenate([*parts, limiter.flush()], axis=1)


def test_sound_is_where_its_time_says() -> None:
    out = mixed(Voice(iter([(0.25, ones(0.5))]), 0.5))
    (heard,) = np.nonzero(out[0])
    assert (heard[0], heard[-1]) == (0.75 * SAMPLE_RATE, 1.25 * SAMPLE_RATE - 1)


def test_voices_are_added() -> None:
    out = mixed(Voice(iter([(0.0, ones(2, 0.25))]), 0), Voice(iter([(1.0, ones(1, 0.5))]), 0))
    assert out[0, SAMPLE_RATE - 1] == pytest.approx(0.25)
    assert out[1, SAMPLE_RATE] == pytest.approx(0.75)


def test_what_was_before_the_beginning_is_left_out() -> None:
    out = mixed(Voice(iter([(-0.5, ones(1))]), 0))
    assert np.count_nonzero(out[0]) == SAMPLE_RATE // 2


def test_times_rounded_to_milliseconds_leave_no_seam() -> None:
    length = 960
    stretches = [
        (
            round(number * length / SAMPLE_RATE + 0.00049 * (number % 3 - 1), 3),
            ones(length / SAMPLE_RATE),
        )
        for number in range(90)
    ]
    out = mixed(Voice(iter(stretches), 0))
    assert np.array_equal(np.unique(out[0, : 90 * length]), [0.5])


@pytest.mark.parametrize("ppm", [-400, -200, 200, 400])
def test_a_clock_that_drifts_is_followed_without_a_seam(ppm: int) -> None:
    """Ten minutes: uncorrected, 400 ppm are 240 ms."""
    length, count = 960, 30_000
    spacing = length / SAMPLE_RATE * (1 + ppm * 1e-6)

    def stretches() -> Iterator[tuple[float, Samples]]:
        for number in range(count):
            yield round(number * spacing, 3), ones(length / SAMPLE_RATE)

    voice = Voice(stretches(), 0)
    worst = 0.0
    for at in range(0, round(count * spacing * SAMPLE_RATE) - 2 * BLOCK, BLOCK):
        block = np.zeros((2, BLOCK), np.float32)
        voice.add_to(block, at)
        assert np.array_equal(np.unique(block), [0.5])
        worst = max(worst, abs(voice.error_seconds))
    assert worst < 0.01


def test_a_pause_is_silence_and_what_follows_is_in_time() -> None:
    out = mixed(Voice(iter([(0.0, ones(0.5)), (1.2, ones(0.5))]), 0))
    (heard,) = np.nonzero(out[0])
    assert heard[SAMPLE_RATE // 2] == pytest.approx(1.2 * SAMPLE_RATE, abs=1)
    assert len(heard) == SAMPLE_RATE


def test_what_is_told_twice_is_heard_once() -> None:
    out = mixed(Voice(iter([(0.0, ones(1)), (0.5, ones(1)), (0.2, ones(0.1))]), 0))
    assert out[0].max() == 0.5
    assert np.count_nonzero(out[0]) == round(1.5 * SAMPLE_RATE)


def test_numbers_that_are_none_are_silence() -> None:
    bad = ones(1)
    bad[:, 100], bad[:, 200], bad[:, 300] = np.nan, np.inf, -np.inf
    assert np.isfinite(mixed(Voice(iter([(0.0, bad)]), 0))).all()


@given(
    st.lists(st.tuples(st.floats(-3, 6), st.integers(0, 5000)), max_size=40),
    st.floats(-2, 2),
)
@settings(max_examples=60, deadline=None)
def test_any_times_give_a_mix_of_the_right_length(
    entries: list[tuple[float, int]], shift: float
) -> None:
    stretches = [(time, np.full((2, count), 0.5, np.float32)) for time, count in entries]
    out = mixed(Voice(iter(stretches), shift), blocks=3)
    assert out.shape == (2, 3 * BLOCK)
    assert set(np.unique(out)) <= {np.float32(0.0), np.float32(0.5)}


# --- limiter --------------------------------------------------------------------------------------


def test_what_is_not_too_loud_is_not_touched() -> None:
    sound = np.random.default_rng(1).uniform(-0.9, 0.9, (2, 4 * BLOCK)).astype(np.float32)
    assert np.array_equal(limited(sound), sound)


@given(
    st.lists(st.floats(0, 20), min_size=8, max_size=8),
    st.sampled_from([Limiter.SLICE, 10 * Limiter.SLICE, BLOCK]),
    st.integers(0, 2**32 - 1),
)
@settings(max_examples=50, deadline=None)
def test_nothing_exceeds_the_ceiling_and_nothing_is_lost(
    loudness: list[float], block: int, seed: int
) -> None:
    noise = np.random.default_rng(seed).uniform(-1, 1, (2, 2 * BLOCK)).astype(np.float32)
    sound = noise * np.repeat(np.asarray(loudness, np.float32), 2 * BLOCK // 8)
    out = limited(sound, block)
    assert out.shape == sound.shape
    assert np.abs(out).max(initial=0) <= Limiter.CEILING + 1e-5
    assert (np.abs(out) <= np.abs(sound) + 1e-6).all()


def test_the_gain_comes_back_slowly() -> None:
    sound = ones(2, 0.5)
    sound[:, :4800] = 1.9  # twice too loud for 100 ms
    out = limited(sound)
    gain = out[0] / sound[0]
    assert gain[4800 + Limiter.SLICE] < 0.6
    assert gain[-1] == pytest.approx(1.0)
    assert np.abs(np.diff(gain)).max() < 0.001  # no step


def test_levels_are_those_of_each_window() -> None:
    block = np.concatenate([ones(0.1, 0.5), ones(0.1, 0.0), ones(0.1, -0.25)], axis=1)
    assert levels(block, 4800) == pytest.approx([0.5, 0.0, 0.25])
