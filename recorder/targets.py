"""Whether a recording that is started now could be written and kept (requirement R5).

A start is refused only for what waiting does not mend: a folder that can't be written, a missing
bucket, a wrong secret. A store that is merely down refuses nothing: finished files wait on the disk
for it. With a fallback, both have to be beyond hope.

Good starts hardly wait: what a store said a moment ago still counts, and one that was fine, or down,
when it was last asked gets a second to say that it no longer is.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from recorder.depots import Depots
from recorder.errors import DiskLow, JournalsUnwritable
from storage.errors import StorageError, StoreUnavailable
from storage.objects import Checkable, LocalFiles

FRESH = 2.0  # seconds for which what a far store said counts; a local one is asked each time
FIRST_BUDGET = 3.5  # seconds that a start waits for a store that never answered, or refused
BUDGET = 1.0  # seconds that it waits for another
PROBE = ".probe"
CHECK_PATIENCE = 15.0  # seconds after which a check that nobody waits for is given up

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Health:
    """What a store said last, and when on the loop's clock."""

    refusal: StorageError | None = None
    asked_at: float = float("-inf")
    known: bool = False
    checking: asyncio.Task[None] | None = None


class Targets:
    """Of one server: the folder of its journals and the stores that new files go to."""

    def __init__(
        self, depots: Depots, journals: Path, *, clock: Callable[[], float] | None = None
    ) -> None:
        self._depots = depots
        self._journals = journals
        self._clock = clock
        self._health: dict[str, _Health] = {}

    async def require(self) -> None:
        """Raises JournalsUnwritable, DiskLow, and the StorageError of a store that will not do."""
        await asyncio.gather(
            asyncio.to_thread(probe_folder, self._journals), self._require_a_store()
        )

    async def look(self) -> None:
        """Asks every store, so that the next start knows; a refusal is in the log, once."""
        for provider in self._depots.targets:
            await asyncio.wait({self._ask(provider)}, timeout=CHECK_PATIENCE)

    async def close(self) -> None:
        checks = [health.checking for health in self._health.values() if health.checking]
        for check in checks:
            check.cancel()
        await asyncio.gather(*checks, return_exceptions=True)

    async def _require_a_store(self) -> None:
        first: StorageError | None = None
        for provider in self._depots.targets:
            refusal = await self._refusal(provider)
            if refusal is None:
                return
            first = first or refusal
        if first is not None:
            raise first

    async def _refusal(self, provider: str) -> StorageError | None:
        health = self._health.setdefault(provider, _Health())
        local = isinstance(self._depots.stores.get(provider), LocalFiles)
        if local or self._now() - health.asked_at > FRESH:
            trusted = health.known and health.refusal is None
            # not a timeout around the check: it goes on, for the next start
            await asyncio.wait({self._ask(provider)}, timeout=BUDGET if trusted else FIRST_BUDGET)
        return health.refusal

    def _ask(self, provider: str) -> asyncio.Task[None]:
        """The check of a store that runs now, or a new one."""
        health = self._health.setdefault(provider, _Health())
        if health.checking is None or health.checking.done():
            health.checking = asyncio.create_task(self._check(provider, health))
        return health.checking

    async def _check(self, provider: str, health: _Health) -> None:
        refusal: StorageError | None = None
        try:
            store = self._depots.store(provider)
            if isinstance(store, Checkable):
                await asyncio.wait_for(store.check(), CHECK_PATIENCE)
        except TimeoutError:
            log.warning("%s does not answer; recordings would wait for it", provider)
        except StorageError as error:
            if not (isinstance(error, StoreUnavailable) and error.passing):
                refusal = error
        if refusal is not None and str(refusal) != str(health.refusal):
            log.error("%s can't take recordings: %s", provider, refusal)
        elif refusal is None and health.refusal is not None:
            log.info("%s can take recordings again", provider)
        health.refusal, health.known, health.asked_at = refusal, True, self._now()

    def _now(self) -> float:
        return self._clock() if self._clock else asyncio.get_running_loop().time()


def probe_folder(folder: Path) -> None:
    """Writes and flushes a byte there, and removes it. Raises JournalsUnwritable, DiskLow."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # one name for all: what a killed server leaves does not add up
        probe = folder / PROBE
        descriptor = os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.write(descriptor, b"\0")
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
            with contextlib.suppress(OSError):
                probe.unlink()
    except OSError as error:
        reason = error.strerror or type(error).__name__
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskLow(f"the folder {folder} can't be written: {reason}") from error
        raise JournalsUnwritable(f"the folder {folder} can't be written: {reason}") from error
