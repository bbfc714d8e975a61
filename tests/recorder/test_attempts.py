"""Work that is tried until it is over: what is tried again, how often, and what ends it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from recorder.attempts import Meaning, Setback, until_over
from recorder.progress import pause

MEANINGS = {
    Meaning.REFUSED: (FileNotFoundError,),
    Meaning.WAITS: (ConnectionError,),
    Meaning.FAILED: (OSError,),  # which the others are, too
}


class Work:
    """Fails as it is told, then is done; what was noted, and the pauses in between."""

    def __init__(self, *failures: Exception, takes_notes: Iterator[bool] | None = None) -> None:
        self._failures = iter(failures)
        self._takes_notes = takes_notes
        self.attempts = 0
        self.noted: list[tuple[type[Exception], bool, bool]] = []
        self.pauses: list[float] = []

    async def run(self, retries: int = 0) -> None:
        await until_over(self._attempt, MEANINGS, self._note, retries=retries, sleep=self._sleep)

    async def _attempt(self) -> None:
        self.attempts += 1
        if (error := next(self._failures, None)) is not None:
            raise error

    async def _note(self, setback: Setback) -> bool:
        self.noted.append((type(setback.error), setback.waits, setback.final))
        if self._takes_notes is not None and not next(self._takes_notes):
            return False
        return setback.final

    async def _sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)


async def test_what_waits_is_waited_for_longer_each_time_and_as_long_as_it_takes() -> None:
    work = Work(*[ConnectionError()] * 12)
    await work.run()
    assert work.attempts == 13
    assert set(work.noted) == {(ConnectionError, True, False)}
    assert work.pauses == [pause(number) for number in range(12)]


async def test_what_fails_is_tried_again_so_often_and_no_more() -> None:
    work = Work(OSError(), ConnectionError(), OSError(), OSError(), OSError())
    await work.run(retries=2)
    assert work.attempts == 4
    assert [final for _, _, final in work.noted] == [False, False, False, True]
    assert len(work.pauses) == 3


async def test_what_is_refused_is_not_tried_again() -> None:
    work = Work(FileNotFoundError())
    await work.run(retries=2)
    assert work.noted == [(FileNotFoundError, False, True)]
    assert work.pauses == []


async def test_the_end_counts_when_it_is_noted() -> None:
    work = Work(*[FileNotFoundError()] * 5, takes_notes=iter([False, False, True]))
    await work.run()
    assert work.attempts == 3
    assert len(work.pauses) == 2


async def test_a_bug_gets_through() -> None:
    work = Work(KeyError("a bug"))
    with pytest.raises(KeyError):
        await work.run(retries=2)
    assert (work.noted, work.pauses) == ([], [])
