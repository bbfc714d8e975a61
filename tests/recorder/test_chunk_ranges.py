"""Ranges of numbers: any order gives the ranges that a plain set of numbers gives."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.chunks.ranges import RangeSet

NUMBERS = st.lists(st.integers(0, 60))


def ranges_of(numbers: set[int]) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    for number in sorted(numbers):
        if found and found[-1][1] == number - 1:
            found[-1] = (found[-1][0], number)
        else:
            found.append((number, number))
    return found


@given(NUMBERS)
def test_any_order_gives_the_same_ranges(numbers: list[int]) -> None:
    made, seen = RangeSet(), set[int]()
    for number in numbers:
        assert made.add(number) == (number not in seen)
        seen.add(number)
    assert list(made) == ranges_of(seen)
    assert made == RangeSet(sorted(seen))
    assert made.total == len(seen)
    assert made.next == max(seen, default=-1) + 1
    assert [number for number in range(70) if made.has(number)] == sorted(seen)


def test_ranges_are_a_sequence() -> None:
    made = RangeSet([9, 0, 1, 5])
    assert (len(made), made[0], made[-1], made[1:]) == (3, (0, 1), (9, 9), ((5, 5), (9, 9)))
    assert repr(made) == "RangeSet(0..1, 5..5, 9..9)"
    assert made != [(0, 1), (5, 5), (9, 9)]
    with pytest.raises(IndexError):
        made[3]


def test_a_copy_stays_what_it_was() -> None:
    made = RangeSet([1])
    copy = made.copy()
    made.add(2)
    assert (list(copy), list(made)) == ([(1, 1)], [(1, 2)])


@pytest.mark.parametrize("number", [-1, 1 << 32])
def test_numbers_that_none_can_be(number: int) -> None:
    with pytest.raises(OverflowError):
        RangeSet([number])


def test_half_a_million_numbers_take_next_to_nothing() -> None:
    """Downwards, which is the worst order for a list of ranges that joins badly."""
    made = RangeSet(range(500_000, -1, -1))
    assert list(made) == [(0, 500_000)]
