"""Order, losses and duplicates of what goes through the reorder buffer."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.reorder import (
    MAX_WAIT_US,
    PRIME_PACKETS,
    PRIME_US,
    RECOVERED_AFTER_US,
    Lost,
    ReorderBuffer,
)

STARTS = [0, 1, -3, 65534, 65535, 1 << 20]
STEP_US = 10_000


def run(
    arrivals: list[int], *, step_us: int = STEP_US, max_packets: int = 4096
) -> tuple[ReorderBuffer[int], list[int | Lost]]:
    buffer: ReorderBuffer[int] = ReorderBuffer(max_packets=max_packets)
    out: list[int | Lost] = []
    for number, sequence in enumerate(arrivals):
        out += buffer.push(sequence, number * step_us, sequence)
    return buffer, out + buffer.flush()


@pytest.mark.parametrize("start", STARTS)
def test_order_is_kept(start: int) -> None:
    numbers = list(range(start, start + 300))
    assert run(numbers)[1] == numbers


@pytest.mark.parametrize("start", STARTS)
def test_the_first_to_come_need_not_be_the_first(start: int) -> None:
    assert run([start + 1, start, start + 2])[1] == [start, start + 1, start + 2]


@given(
    start=st.sampled_from(STARTS),
    moves=st.lists(st.tuples(st.integers(0, 299), st.integers(1, 50)), max_size=40),
    copies=st.lists(st.integers(0, 299), max_size=20),
)
def test_reordering_by_fifty_and_duplicates_change_nothing(
    start: int, moves: list[tuple[int, int]], copies: list[int]
) -> None:
    keys = {n: float(n) for n in range(300)}
    for number, late in moves:
        keys[number] = number + late + 0.5
    arrivals = [start + n for n in sorted(keys, key=lambda n: keys[n])]
    for copy in copies:
        arrivals.insert(min(arrivals.index(start + copy) + 3, len(arrivals)), start + copy)
    buffer, out = run(arrivals)
    assert out == list(range(start, start + 300))
    assert buffer.duplicates + buffer.stale == len(copies)


@given(missing=st.sets(st.integers(1, 298)))
def test_losses_stand_where_they_were(missing: set[int]) -> None:
    _, out = run([n for n in range(300) if n not in missing], step_us=100_000)
    at = 0
    for item in out:
        if isinstance(item, Lost):
            assert set(range(at, at + item.count)) <= missing
            at += item.count
        else:
            assert item == at
            at += 1
    assert at == 300


def test_a_hole_is_given_up_after_the_wait_and_not_before() -> None:
    buffer: ReorderBuffer[int] = ReorderBuffer()
    for number in range(PRIME_PACKETS):
        buffer.push(number, 0, number)
    assert buffer.push(129, 1000, 129) == []
    assert buffer.push(130, 1000 + MAX_WAIT_US - 1, 130) == []
    assert buffer.push(131, 1000 + MAX_WAIT_US, 131) == [Lost(1), 129, 130, 131]
    assert buffer.push(128, 2000 + MAX_WAIT_US, 128) == []
    assert buffer.stale == 1


def test_a_hole_is_given_up_when_too_much_waits_behind_it() -> None:
    buffer: ReorderBuffer[int] = ReorderBuffer(max_packets=10)
    out: list[int | Lost] = []
    for number in [*range(PRIME_PACKETS), *range(PRIME_PACKETS + 1, PRIME_PACKETS + 20)]:
        out += buffer.push(number, 0, number)
    assert Lost(1) in out


def test_a_late_filling_is_a_recovery_and_a_quick_one_is_not() -> None:
    buffer: ReorderBuffer[int] = ReorderBuffer()
    for number in range(PRIME_PACKETS):
        buffer.push(number, 0, number)
    buffer.push(132, 0, 132)
    buffer.push(128, RECOVERED_AFTER_US - 1, 128)
    assert buffer.recovered == 0
    buffer.push(130, RECOVERED_AFTER_US, 130)
    assert buffer.recovered == 1
    buffer.push(129, RECOVERED_AFTER_US, 129)
    assert buffer.push(131, RECOVERED_AFTER_US, 131) == [131, 132]
    assert buffer.recovered == 3


def test_holes_of_the_beginning_are_waited_for_too() -> None:
    buffer: ReorderBuffer[int] = ReorderBuffer()
    buffer.push(0, 0, 0)
    assert buffer.push(2, PRIME_US, 2) == [0]
    assert buffer.push(1, PRIME_US + 1, 1) == [1, 2]


def test_nothing_in_nothing_out() -> None:
    assert ReorderBuffer[int]().flush() == []


def test_repairs_of_the_beginning_are_recoveries_too() -> None:
    buffer: ReorderBuffer[int] = ReorderBuffer()
    buffer.push(5, 0, 5)
    buffer.push(7, 0, 7)
    buffer.push(6, RECOVERED_AFTER_US, 6)
    assert buffer.recovered == 1
    buffer.push(2, RECOVERED_AFTER_US, 2)  # nobody knew that it was missing, but then of 3 and 4
    buffer.push(3, 2 * RECOVERED_AFTER_US, 3)
    buffer.push(4, 2 * RECOVERED_AFTER_US, 4)
    assert buffer.recovered == 3
    assert buffer.flush() == [2, 3, 4, 5, 6, 7]
