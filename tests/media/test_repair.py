"""Missing packets, reports, keyframe requests, sequence numbers: pure, time is an argument."""

from __future__ import annotations

import pytest

from mediaserver.forwarding.keyframes import MIN_INTERVAL, KeyframeRequests
from mediaserver.forwarding.sequence_map import SequenceMap
from mediaserver.rtp.nack import (
    FIRST_DELAY,
    GIVE_UP_AFTER,
    MAX_MISSING,
    RETRY_DELAY,
    NackGenerator,
)
from mediaserver.rtp.reports import ReceptionState

AWKWARD = [0, 1, 2, 32767, 32768, 65533, 65534, 65535]


@pytest.mark.parametrize("first", AWKWARD)
def test_a_hole_is_asked_for_after_a_moment_and_again_until_it_is_filled(first: int) -> None:
    nack = NackGenerator()
    assert nack.missed(first, 3, now=0.0)
    numbers = [(first + i) & 0xFFFF for i in range(3)]
    assert nack.due(0.0) == ([], False)
    assert nack.due(FIRST_DELAY) == (numbers, False)
    assert nack.due(FIRST_DELAY) == ([], False)
    assert nack.arrived(numbers[1])
    assert nack.due(FIRST_DELAY + RETRY_DELAY) == ([numbers[0], numbers[2]], False)
    assert nack.recovered == 1


def test_a_hole_that_stays_is_given_up() -> None:
    nack = NackGenerator()
    nack.missed(7, 1, now=0.0)
    assert nack.due(GIVE_UP_AFTER + 0.01) == ([], True)
    assert nack.lost == 1
    assert not nack
    assert not nack.arrived(7)


def test_a_hole_too_large_is_not_asked_for() -> None:
    nack = NackGenerator()
    nack.missed(1, 5, now=0.0)
    assert not nack.missed(100, MAX_MISSING, now=0.0)
    assert not nack
    assert nack.lost == MAX_MISSING + 5


@pytest.mark.parametrize("first", AWKWARD)
def test_reports_count_over_the_wrap(first: int) -> None:
    state = ReceptionState()
    block = state.block(1, first, (first + 9) & 0xFFFF, received=10, jitter=2.7, now=1.0)
    assert (block.packets_lost, block.fraction_lost, block.highest_sequence) == (0, 0, first + 9)
    block = state.block(1, first, (first + 19) & 0xFFFF, received=15, jitter=0.0, now=2.0)
    assert (block.packets_lost, block.fraction_lost) == (5, 128)
    block = state.block(1, first, (first + 19) & 0xFFFF, received=20, jitter=0.0, now=3.0)
    assert (block.packets_lost, block.fraction_lost) == (0, 0)  # all were retransmitted


def test_reports_give_the_delay_since_the_sender_report() -> None:
    state = ReceptionState()
    state.sender_report(0x1122334455667788, now=10.0)
    block = state.block(1, 5, 5, received=1, jitter=0.0, now=10.5)
    assert (block.lsr, block.dlsr) == (0x33445566, 32768)


def test_keyframe_requests_of_many_become_few() -> None:
    requests = KeyframeRequests()
    assert requests.request(now=0.0)
    assert not requests.request(now=0.1)
    assert not requests.due(now=0.2)
    assert requests.due(now=MIN_INTERVAL)  # kept, not forgotten
    assert not requests.due(now=10.0)


def test_a_keyframe_answers_all_who_waited() -> None:
    requests = KeyframeRequests()
    requests.request(now=0.0)
    requests.request(now=0.1)
    requests.keyframe(now=0.2)
    assert not requests.due(now=5.0)


def test_a_recorder_gets_keyframes_at_an_interval() -> None:
    requests = KeyframeRequests()
    requests.periodic = 4.0
    requests.keyframe(now=0.0)
    assert not requests.due(now=3.9)
    assert requests.due(now=4.0)
    assert not requests.due(now=4.1)
    assert requests.due(now=4.0 + MIN_INTERVAL)  # the request or the keyframe was lost
    requests.keyframe(now=5.0)
    assert not requests.due(now=8.9)


@pytest.mark.parametrize("source", AWKWARD)
@pytest.mark.parametrize("target", AWKWARD)
def test_sequence_numbers_map_there_and_back(source: int, target: int) -> None:
    numbers = SequenceMap()
    numbers.start(source, target)
    for step in (0, 1, 100, 20000):
        out = numbers.to_output((source + step) & 0xFFFF)
        assert out == (target + step) & 0xFFFF
        assert numbers.to_input(out) == (source + step) & 0xFFFF
    assert numbers.to_output((source - 1) & 0xFFFF) is None


@pytest.mark.parametrize("source", AWKWARD)
def test_after_a_pause_both_runs_can_be_asked_for(source: int) -> None:
    numbers = SequenceMap()
    numbers.start(source, 10)
    numbers.start((source + 500) & 0xFFFF, 110)  # 100 sent, 400 skipped
    assert numbers.to_input(109) == (source + 99) & 0xFFFF
    assert numbers.to_input(110) == (source + 500) & 0xFFFF
    assert numbers.to_output((source + 499) & 0xFFFF) is None


def test_a_long_run_keeps_working_when_it_is_settled() -> None:
    numbers = SequenceMap()
    numbers.start(60000, 7)
    for newest in range(60000, 60000 + 200_000, 10_000):
        numbers.settle(newest & 0xFFFF)
        out = numbers.to_output(newest & 0xFFFF)
        assert out == (newest - 60000 + 7) & 0xFFFF
        assert numbers.to_input((out - 400) & 0xFFFF) in {(newest - 400) & 0xFFFF, None}
    assert numbers.to_input((out - 400) & 0xFFFF) == (newest - 400) & 0xFFFF
