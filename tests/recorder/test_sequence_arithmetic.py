"""Numbers that wrap, without the wrap."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediaserver.rtp.sequence import (
    SequenceUnwrapper,
    TimestampUnwrapper,
    seq_diff,
    timestamp_diff,
)


@pytest.mark.parametrize(
    ("a", "b", "distance"),
    [(1, 0, 1), (0, 65535, 1), (65535, 0, -1), (7, 7, 0), (32767, 0, 32767), (32768, 0, -32768)],
)
def test_distance_on_the_sequence_circle(a: int, b: int, distance: int) -> None:
    assert seq_diff(a, b) == distance


@pytest.mark.parametrize(
    ("a", "b", "distance"), [(5, 0xFFFF_FFFB, 10), (0xFFFF_FFFB, 5, -10), (1 << 31, 0, -(1 << 31))]
)
def test_distance_on_the_timestamp_circle(a: int, b: int, distance: int) -> None:
    assert timestamp_diff(a, b) == distance


@given(
    start=st.integers(0, 65535),
    steps=st.lists(st.integers(-1000, 30000), min_size=1, max_size=50),
)
def test_unwrapped_sequences_keep_their_distances(start: int, steps: list[int]) -> None:
    unwrapper = SequenceUnwrapper()
    first = unwrapper.unwrap(start)
    newest = 0
    for step in steps:
        true = newest + step
        assert unwrapper.unwrap((start + true) % 65536) - first == true
        newest = max(newest, true)


@given(
    start=st.integers(0, 2**32 - 1),
    steps=st.lists(st.integers(-(2**30), 2**31 - 1), min_size=1, max_size=50),
)
def test_unwrapped_timestamps_keep_their_distances(start: int, steps: list[int]) -> None:
    unwrapper = TimestampUnwrapper()
    first = unwrapper.unwrap(start)
    true = 0
    for step in steps:
        true += step
        assert unwrapper.unwrap((start + true) % 2**32) - first == true
