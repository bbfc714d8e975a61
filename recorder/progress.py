"""How far the finishing of a recording is, and how long to wait after something failed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Protocol

from storage.errors import StorageError

FIRST_PAUSE = 1.0  # seconds; doubles with each attempt
LONGEST_PAUSE = 30.0
NOTE_EVERY = 1.0  # seconds between two notes of a progress in the catalog

Sleep = Callable[[float], Awaitable[None]]


class UpdateProgress(Protocol):
    """`update` of a table whose rows have a progress."""

    def __call__(
        self, row_id: str, expected_status: Collection[str], /, *, progress: float
    ) -> Awaitable[object]: ...


@dataclass(slots=True)
class Progress:
    """How far the present stage is, 0..1, and what went wrong while the recording ran.

    `let_pass` is set once it is over or has to wait, for room, the store or the catalog.
    """

    fraction: float = 0.0
    faults: list[str] = field(default_factory=list)
    let_pass: asyncio.Event = field(default_factory=asyncio.Event)

    def tell(self, fraction: float) -> None:
        self.fraction = fraction


def pause(attempt: int) -> float:
    """Seconds to wait after attempt number `attempt`, from 0."""
    return min(FIRST_PAUSE * 2.0 ** min(attempt, 16), LONGEST_PAUSE)


@asynccontextmanager
async def noted(note: Callable[[float], Awaitable[None]]) -> AsyncIterator[Progress]:
    """What the block tells, handed to `note` now and then. `note` must not raise."""
    progress = Progress()
    noting = asyncio.create_task(_note_changes(progress, note))
    try:
        yield progress
    finally:
        noting.cancel()
        await asyncio.gather(noting, return_exceptions=True)


def noted_in(
    update: UpdateProgress, row_id: str, status: str
) -> AbstractAsyncContextManager[Progress]:
    """What the block tells, written into a row now and then, as long as it is in this status."""

    async def note(fraction: float) -> None:
        with suppress(StorageError):  # it moves on, and the next second says so
            await update(row_id, {status}, progress=round(fraction, 3))

    return noted(note)


async def _note_changes(progress: Progress, note: Callable[[float], Awaitable[None]]) -> None:
    told = 0.0
    while True:
        await asyncio.sleep(NOTE_EVERY)
        if progress.fraction != told:
            told = progress.fraction
            await note(told)
