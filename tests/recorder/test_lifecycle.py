"""The table of a recording's life."""

from __future__ import annotations

import itertools

import pytest

from recorder.errors import BadTransition
from recorder.lifecycle import ACTIVE, FINAL, TRANSITIONS, Status, Step, after


@pytest.mark.parametrize(("status", "step"), list(itertools.product(Status, Step)))
def test_only_what_is_in_the_table_happens(status: Status, step: Step) -> None:
    if (status, step) in TRANSITIONS:
        assert after(status, step) == TRANSITIONS[status, step]
    else:
        with pytest.raises(BadTransition):
            after(status, step)


def test_the_good_way() -> None:
    status = Status.STARTING
    for step in (Step.MEDIA_ON_DISK, Step.STOPPED, Step.FILES_MADE, Step.STORED):
        status = after(status, step)
    assert status is Status.RECORDED


def test_final_is_final_and_all_else_can_end() -> None:
    left = [(status, step) for status, step in TRANSITIONS if status in FINAL]
    assert left == [
        (status, Step.RETRIED) for status in (Status.FAILED, Status.RECORDED)
    ]  # by hand
    for status in set(Status) - FINAL:
        assert after(status, Step.GAVE_UP) is Status.FAILED
    assert {target for (_, step), target in TRANSITIONS.items() if step is Step.RECOVERED} == {
        Status.PROCESSING
    }
    assert ACTIVE.isdisjoint(FINAL)
