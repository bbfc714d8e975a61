"""Repeating what failed in passing: which calls, how often, after which pauses. No real time."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.errors import ObjectNotFound, StorageError, StoreUnavailable
from storage.objects import Retrier, RetryPolicy
from storage.objects.retry import retry_after_seconds
from tests.storage.virtual_time import VirtualTime

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC).timestamp()


class Failing:
    """Work that raises these errors one after the other and then returns how often it was tried."""

    def __init__(
        self, errors: Sequence[StorageError], *, time: VirtualTime | None = None, takes: float = 0
    ) -> None:
        self.errors = list(errors)
        self.tries = 0
        self._time = time
        self._takes = takes

    async def __call__(self) -> int:
        self.tries += 1
        if self._time is not None:
            self._time.now += self._takes
        if self.errors:
            raise self.errors.pop(0)
        return self.tries


@pytest.fixture
def time() -> VirtualTime:
    return VirtualTime()


def passing(count: int = 1, retry_after: float | None = None) -> list[StorageError]:
    return [
        StoreUnavailable(f"failure {number}", passing=True, retry_after=retry_after)
        for number in range(1, count + 1)
    ]


async def test_what_works_is_done_once(time: VirtualTime) -> None:
    work = Failing([])
    assert await time.retrier()(work) == 1
    assert time.pauses == []


async def test_what_failed_in_passing_is_done_again(time: VirtualTime) -> None:
    work = Failing(passing(3))
    assert await time.retrier()(work) == 4


@pytest.mark.parametrize("error", [StoreUnavailable("for good"), ObjectNotFound("no object")])
async def test_what_failed_for_good_is_not_done_again(
    time: VirtualTime, error: StorageError
) -> None:
    work = Failing([error])
    with pytest.raises(type(error)) as caught:
        await time.retrier()(work)
    assert caught.value is error
    assert (work.tries, time.pauses) == (1, [])


async def test_a_failure_for_good_ends_the_repeating(time: VirtualTime) -> None:
    work = Failing([*passing(1), ObjectNotFound("no object")])
    with pytest.raises(ObjectNotFound):
        await time.retrier()(work)
    assert work.tries == 2


async def test_attempts_are_capped_and_the_last_error_comes_out(time: VirtualTime) -> None:
    work = Failing(passing(100))
    with pytest.raises(StoreUnavailable, match="failure 4"):
        await time.retrier(RetryPolicy(attempts=4, total=1e6))(work)
    assert (work.tries, len(time.pauses)) == (4, 3)


async def test_the_total_time_is_capped_the_work_s_own_included(time: VirtualTime) -> None:
    work = Failing(passing(100), time=time, takes=20)
    with pytest.raises(StoreUnavailable, match="failure 3"):
        await time.retrier(RetryPolicy(attempts=100, total=60))(work)
    assert time.now <= 100 + 60 + 20, "no attempt is begun after the total time"


async def test_a_wait_that_would_end_too_late_is_not_begun(time: VirtualTime) -> None:
    work = Failing(passing(1, retry_after=61))
    with pytest.raises(StoreUnavailable):
        await time.retrier(RetryPolicy(total=60))(work)
    assert (work.tries, time.pauses) == (1, [])


# --- calls that are not idempotent ----------------------------------------------------------------


async def test_what_may_have_been_done_is_not_done_twice(time: VirtualTime) -> None:
    work = Failing(passing(1))
    with pytest.raises(StoreUnavailable):
        await time.retrier()(work, idempotent=False)
    assert work.tries == 1


async def test_what_was_certainly_not_done_is_done_again(time: VirtualTime) -> None:
    work = Failing([StoreUnavailable("busy", passing=True, undone=True)])
    assert await time.retrier()(work, idempotent=False) == 2


async def test_undone_but_hopeless_is_not_done_again(time: VirtualTime) -> None:
    work = Failing([StoreUnavailable("refused", undone=True)])
    with pytest.raises(StoreUnavailable):
        await time.retrier()(work, idempotent=False)
    assert work.tries == 1


# --- pauses ---------------------------------------------------------------------------------------


async def test_pauses_double_up_to_the_longest(time: VirtualTime) -> None:
    policy = RetryPolicy(attempts=7, first_pause=1, longest_pause=8, total=1e6)
    await time.retrier(policy, dice=0)(Failing(passing(6)))
    assert time.pauses == [0.5, 1, 2, 4, 4, 4]


@given(
    failures=st.integers(1, 5000),
    dice=st.floats(0, 1, exclude_max=True),
    retry_after=st.none() | st.floats(0, 100),
)
def test_a_pause_is_never_too_long_nor_shorter_than_the_store_asked(
    failures: int, dice: float, retry_after: float | None
) -> None:
    policy = RetryPolicy()
    error = StoreUnavailable("busy", passing=True, retry_after=retry_after)
    pause = policy.pause(failures, error, dice)
    assert pause >= max(policy.first_pause / 2, retry_after or 0)
    assert pause <= max(policy.longest_pause, retry_after or 0)


def test_clients_that_failed_together_do_not_come_back_together() -> None:
    error = StoreUnavailable("busy", passing=True)
    pauses = [RetryPolicy().pause(3, error, dice / 10) for dice in range(10)]
    assert all(earlier < later for earlier, later in pairwise(pauses))
    assert pauses[-1] - pauses[0] > 0.4


async def test_the_store_s_own_wish_is_obeyed(time: VirtualTime) -> None:
    await time.retrier()(Failing(passing(2, retry_after=7)))
    assert time.pauses == [7, 7]


async def test_a_wish_shorter_than_the_usual_pause_shortens_nothing(time: VirtualTime) -> None:
    policy = RetryPolicy(first_pause=4)
    await time.retrier(policy, dice=0)(Failing(passing(1, retry_after=0.001)))
    assert time.pauses == [2]


async def test_a_caller_that_repeats_by_itself_is_held_to_the_same_caps(time: VirtualTime) -> None:
    repeat = time.retrier(RetryPolicy(attempts=3, total=1e6))
    began = repeat.now()
    (error,) = passing(1)
    assert isinstance(error, StoreUnavailable)
    await repeat.wait(error, 1, began)
    await repeat.wait(error, 2, began)
    with pytest.raises(StoreUnavailable):
        await repeat.wait(error, 3, began)


# --- Retry-After ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("0", 0),
        ("120", 120),
        (" 3 ", 3),
        ("Fri, 02 Jan 2026 03:04:15 GMT", 10),
        ("Fri, 02 Jan 2026 03:03:00 GMT", 0),
        ("soon", None),
        ("", None),
        ("-5", None),
        ("1.5", None),
        ("٣", None),
        ("Fri, 99 Jan 2026 03:04:15 GMT", None),
        ("Fri, 02 Jan 99999999999 03:04:15 GMT", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(value: str | None, seconds: float | None) -> None:
    assert retry_after_seconds(value, NOW) == seconds


@given(st.text(max_size=60))
def test_any_retry_after_is_understood_or_is_nothing(value: str) -> None:
    seconds = retry_after_seconds(value, NOW)
    assert seconds is None or seconds >= 0


def test_the_defaults_are_those_of_the_documentation() -> None:
    assert Retrier().policy == RetryPolicy(7, 0.25, 10.0, 60.0)
