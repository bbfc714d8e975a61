"""Work that is tried until it is over, and what each error means for it.

A store or catalog that is away and a disk that is full are waited for as long as it takes. What may have
been chance is tried again a few times. The rest is refused at once. Each setback is noted where people
see why it takes so long and the next process goes on; then comes a pause, longer each time. Errors of
which the table says nothing are bugs, and get through.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from itertools import chain

from recorder.progress import Sleep, pause


class Meaning(Enum):
    WAITS = auto()
    FAILED = auto()
    REFUSED = auto()


Meanings = Mapping[Meaning, tuple[type[Exception], ...]]
"""The first line with a class that fits an error counts."""


@dataclass(frozen=True, slots=True)
class Setback:
    """An attempt that came to nothing, for `error`. A `final` one is not tried again."""

    error: Exception
    meaning: Meaning
    final: bool

    @property
    def waits(self) -> bool:
        """Is it something else than the work itself that is in the way?"""
        return self.meaning is Meaning.WAITS


async def until_over(
    attempt: Callable[[], Awaitable[None]],
    meanings: Meanings,
    note: Callable[[Setback], Awaitable[bool]],
    *,
    retries: int = 0,
    sleep: Sleep,
) -> None:
    """Does `attempt` until one returns, or `note`, which hears of every setback, says that nothing is
    left to do; where it could not note a final one it says no, and hears of the next. What FAILED is
    tried again `retries` times.
    """
    known = tuple(chain.from_iterable(meanings.values()))
    attempts = failures = 0
    while True:
        try:
            return await attempt()
        except known as error:
            meaning = next(each for each, kinds in meanings.items() if isinstance(error, kinds))
            failures += meaning is Meaning.FAILED
            final = meaning is Meaning.REFUSED or failures > retries
            setback = Setback(error, meaning, final)
        if await note(setback):
            return None
        await sleep(pause(attempts))
        attempts += 1
