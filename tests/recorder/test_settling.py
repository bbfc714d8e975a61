"""When a set of chunks is all there is: the rules, without a disk."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from recorder.chunks.ranges import RangeSet
from recorder.chunks.settling import (
    GRACE,
    LIVELY,
    LONGEST,
    MOST_MISSING,
    Facts,
    Verdict,
    closed_parts,
    is_live,
    is_whole,
    last_sequences,
    missing,
    parts_state,
    row_received,
    said_last,
    verdict,
)

NOW = datetime(2026, 1, 2, tzinfo=UTC)
HOUR = timedelta(hours=1)
SECOND = timedelta(seconds=1)


def facts(
    *,
    announced: bool = False,
    whole: bool = True,
    silent: timedelta = timedelta(0),
    stopped: timedelta | None = timedelta(0),
) -> Facts:
    """`silent` and `stopped`: how long ago."""
    return Facts(announced, whole, NOW - silent, None if stopped is None else NOW - stopped)


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (facts(silent=HOUR * 9, stopped=None), Verdict.WAIT),
        (facts(silent=HOUR, stopped=SECOND), Verdict.WAIT),
        (facts(silent=SECOND, stopped=HOUR), Verdict.WAIT),
        (facts(silent=GRACE, stopped=HOUR), Verdict.WHOLE),
        (facts(silent=HOUR, stopped=GRACE), Verdict.WHOLE),
        (facts(silent=GRACE, stopped=HOUR, announced=True), Verdict.WAIT),
        (facts(silent=GRACE, stopped=HOUR, whole=False), Verdict.WAIT),
        (facts(silent=HOUR - SECOND, stopped=HOUR, announced=True), Verdict.WAIT),
        (facts(silent=HOUR, stopped=HOUR, announced=True), Verdict.SALVAGE),
        (facts(silent=HOUR * 9, stopped=HOUR - SECOND, announced=True), Verdict.WAIT),
        (facts(silent=HOUR, stopped=HOUR, whole=False), Verdict.SALVAGE),
    ],
)
def test_an_open_set_settles_after_a_silence_that_begins_with_the_stop(
    told: Facts, expected: Verdict
) -> None:
    assert verdict(told, HOUR, NOW) is expected


@pytest.mark.parametrize(
    ("told", "live"),
    [
        (facts(announced=True, silent=LIVELY - SECOND), True),
        (facts(announced=True, silent=LIVELY), False),
        (facts(whole=False, silent=LIVELY), False),
        (facts(silent=HOUR), True),  # it settles within seconds of the stop
    ],
)
def test_a_recording_waits_for_who_is_at_it(told: Facts, live: bool) -> None:
    assert is_live(told, HOUR, NOW) is live


def test_nobody_holds_a_recording_up_by_sending_on_and_on() -> None:
    assert not is_live(facts(stopped=HOUR), HOUR, NOW)
    assert verdict(facts(stopped=LONGEST - SECOND, announced=True), HOUR, NOW) is Verdict.WAIT
    assert verdict(facts(stopped=LONGEST, announced=True), HOUR, NOW) is Verdict.SALVAGE


@pytest.mark.parametrize(
    ("parts", "whole"),
    [
        ({}, False),
        ({0: []}, False),
        ({0: [0]}, True),
        ({0: [0, 1, 2], 1: [0]}, True),
        ({0: [1, 2]}, False),
        ({0: [0, 2]}, False),
        ({0: [0, 1], 1: [1]}, False),
        ({1: [0]}, False),
        ({0: [0], 2: [0]}, False),
    ],
)
def test_a_hole_is_seen_below_what_came_last(parts: dict[int, list[int]], whole: bool) -> None:
    assert is_whole({part: RangeSet(numbers) for part, numbers in parts.items()}) is whole


@pytest.mark.parametrize(
    ("numbers", "last", "holes"),
    [
        ([], -1, []),
        ([], 2, [0, 1, 2]),
        ([0, 1, 2], 2, []),
        ([0, 2, 5], 5, [1, 3, 4]),
        ([0, 2], 4, [1, 3, 4]),
        ([3], 3, [0, 1, 2]),
    ],
)
def test_missing_sequences_are_named(numbers: list[int], last: int, holes: list[int]) -> None:
    assert missing(RangeSet(numbers), last) == holes


def test_a_hole_without_end_is_not_written_out() -> None:
    assert missing([(9_999_999, 9_999_999)], 9_999_999) == list(range(MOST_MISSING))


def test_an_answer_has_an_end_whatever_came() -> None:
    """Every other number, of parts without end: the last of each is told, and the first of all."""
    received = {part: RangeSet(range(0, 12_000, 2)) for part in range(3)}
    state = parts_state(received, {})
    assert [len(part["received"]) for part in state] == [6000, 4001, 1]
    assert [part["received"][-1] for part in state] == [[11_998, 11_998]] * 3
    assert [len(part["missing"]) for part in state] == [5999, 4001, 0]
    assert [part["next"] for part in state] == [11_999] * 3
    closed = closed_parts({}, received, {0: 11_998, 1: 11_998, 2: 11_998})
    assert sum(len(facts["received"]) for facts in closed.values()) == 10_002


def test_what_came_behind_the_end_that_was_said_counts_too() -> None:
    received = {0: RangeSet([0, 1, 2, 7]), 2: RangeSet([0])}
    assert last_sequences(received, {0: 4, 1: 3}) == {0: 7, 1: 3, 2: 0}
    assert last_sequences(received, {0: 9}) == {0: 9, 2: 0}


def test_the_state_of_a_part_names_what_came_what_did_not_and_what_is_next() -> None:
    state = parts_state({0: RangeSet([0, 1, 3])}, {0: 5, 1: 0})
    assert state == [
        {"part": 0, "received": [[0, 1], [3, 3]], "missing": [2, 4, 5], "next": 4},
        {"part": 1, "received": [], "missing": [0], "next": 0},
    ]


def test_a_closed_set_remembers_its_end_and_what_came() -> None:
    told = {"0": {"mimeType": "video/webm"}, "3": {"source": "screen"}}
    closed = closed_parts(told, {0: RangeSet([0, 2])}, {0: 2})
    assert closed == {
        "0": {"mimeType": "video/webm", "lastSequence": 2, "received": [[0, 0], [2, 2]]},
        "3": {"source": "screen"},
    }
    assert "lastSequence" not in told["0"]
    assert said_last(closed) == {0: 2}
    assert row_received(closed) == {0: [(0, 0), (2, 2)], 3: []}
