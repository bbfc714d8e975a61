"""Stored files from one provider to another, while the server runs or not.

An object is copied, read back where it came to, and only then the catalog says so; the copy at the old
provider goes last. What a killed run did not come to is in the catalog: files that are still at the
old provider, and rows of the ledger (`left`, without a local path) for objects that have to go there.
The next run goes on with both; after `LEASE` a server clears the latter too (`recorder.homecoming`).

Files that the ledger has on their own account are left alone: they are the server's to move. Two runs
at once could take away what the other just copied, so there may be only one; its caller sees to that.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from recorder.delivery import see_whole
from recorder.depots import Depots
from recorder.errors import StorageFailed
from recorder.homecoming import move_object
from recorder.ledger import DeliveryState
from recorder.lifecycle import FINAL
from recorder.orphans import abort_strays
from recorder.places import require_apart
from storage.catalog import Catalog, DeliveryRow, FileRow
from storage.errors import (
    CatalogError,
    ObjectNotFound,
    StorageError,
    StoreFull,
    StoreMisconfigured,
    StoreUnavailable,
)
from storage.together import all_of

AT_ONCE = 3  # objects; each goes in several parts at once
LEASE = timedelta(days=1)
PATIENCE = 3  # objects in a row that a store may fail before the run ends

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Move:
    """One object, and the files that are it: `owners` are pairs of recording and file."""

    owners: tuple[tuple[str, FileRow], ...]

    @property
    def file(self) -> FileRow:
        return self.owners[0][1]


@dataclass(frozen=True, slots=True)
class Plan:
    """`unsettled` counts files that the server still has in hand."""

    moves: tuple[Move, ...]
    unsettled: int

    @property
    def files(self) -> int:
        return sum(len(move.owners) for move in self.moves)

    @property
    def bytes(self) -> int:
        return sum(move.file.size for move in self.moves)


@dataclass(frozen=True, slots=True)
class Failure:
    key: str
    reason: str


@dataclass(slots=True)
class Moved:
    """How far a run is: `bytes` with what has come so far of files under way. `gone` counts files
    that were deleted, or moved by somebody else, meanwhile; `untried` those of a run that gave up.
    """

    files: int = 0
    bytes: int = 0
    gone: int = 0
    untried: int = 0
    failures: list[Failure] = field(default_factory=list)


class Migration:
    """`keep`: what is at `source` stays there, too."""

    def __init__(
        self,
        catalog: Catalog,
        depots: Depots,
        source: str,
        target: str,
        *,
        clock: Callable[[], datetime],
        keep: bool = False,
    ) -> None:
        self._catalog = catalog
        self._depots = depots
        self._source_name, self._source = source, depots.store(source)
        self._target_name, self._target = target, depots.store(target)
        self._clock = clock
        self._keep = keep
        self._bad_luck = 0
        self._over = False

    async def plan(self) -> Plan:
        """What there is to move. Raises CatalogUnavailable."""
        # in this order: what is stored between the two looks is not in the first of them
        found = await self._catalog.recordings.files_at(self._source_name, FINAL)
        states = set(DeliveryState)
        in_hand = {row.id for row in await self._catalog.deliveries.in_states(states)}
        objects: dict[tuple[str, int, str], list[tuple[str, FileRow]]] = defaultdict(list)
        for recording_id, file in found:
            if file.id not in in_hand:
                objects[file.key, file.size, file.sha256].append((recording_id, file))
        settled = sum(map(len, objects.values()))
        return Plan(tuple(Move(tuple(owners)) for owners in objects.values()), len(found) - settled)

    async def check_places(self) -> None:
        """Raises StoreMisconfigured when both providers are one place: there, what is removed at
        one is removed at the other. Raises what the stores raise.
        """
        await require_apart(self._target_name, self._target, self._source_name, self._source)

    async def clear_interrupted(self) -> int:
        """Removes what killed runs left at the providers they moved from; returns how many objects.

        Raises CatalogUnavailable. What a store refuses is told in the log, and stays in the ledger.
        """
        cleared = 0
        for row in await self._catalog.deliveries.in_states({DeliveryState.LEFT}):
            if row.path:  # the server's own
                continue
            try:
                await self._clear(row)
                cleared += 1
            except CatalogError:
                raise
            except StorageError as error:
                log.warning("%s is still at %s: %s", row.file.key, row.file.provider, error)
        return cleared

    async def run(self, plan: Plan, moved: Moved) -> None:
        """Moves what is planned and counts it in `moved`, failures too. Raises CatalogUnavailable.

        Ends early when a store seems to be down rather than one object to be bad.
        """
        waiting = iter(plan.moves)
        await all_of(*(self._work(waiting, moved) for _ in range(AT_ONCE)))
        moved.untried = sum(len(move.owners) for move in waiting)

    async def _work(self, waiting: Iterator[Move], moved: Moved) -> None:
        while not self._over and (move := next(waiting, None)) is not None:
            before = _Bytes(moved)
            try:
                switched = await self._move(move, before.have_come)
            except CatalogError:
                raise
            except (StorageError, StorageFailed) as error:
                before.take_back()
                moved.failures.append(Failure(move.file.key, str(error)))
                self._judge(error)
            else:
                self._bad_luck = 0
                moved.files += switched
                moved.gone += len(move.owners) - switched
                if not switched:
                    before.take_back()

    def _judge(self, error: Exception) -> None:
        """One object may be bad; a store that is down fails every one of them, each for a minute."""
        if isinstance(error, StoreMisconfigured | StoreFull):
            self._over = True
        elif isinstance(error, StoreUnavailable):
            self._bad_luck += 1
            self._over = self._over or self._bad_luck >= PATIENCE

    async def _move(self, move: Move, on_progress: Callable[[int], None]) -> int:
        """How many of its files are at the target now on account of this."""
        file = move.file
        try:
            await move_object(self._source, self._target, file, on_progress)
        except (StorageError, StorageFailed) as error:
            with suppress(StorageError):
                await self._remove_if_nobodys(self._target_name, file.key)
            if isinstance(error, ObjectNotFound) and not await self._is_used(
                self._source_name, file.key
            ):
                return 0
            raise
        await abort_strays(self._target, file.key)  # parts that a killed run sent
        switched = [row for row in move.owners if await self._switch(*row)]
        # where no file is, because its recording was deleted meanwhile, no object stays
        await self._remove_if_nobodys(self._target_name, file.key)
        if switched:
            await see_whole(self._target, file)  # whoever else was at work there
        if not self._keep:
            await self._remove_if_nobodys(self._source_name, file.key)
            await self._catalog.deliveries.strike([file.id for _, file in switched])
        return len(switched)

    async def _switch(self, recording_id: str, file: FileRow) -> bool:
        left_until = None if self._keep else self._clock() + LEASE
        return await self._catalog.deliveries.move(
            recording_id, file, self._target_name, left_until=left_until
        )

    async def _clear(self, row: DeliveryRow) -> None:
        await self._remove_if_nobodys(row.file.provider, row.file.key)
        await self._catalog.deliveries.strike([row.id])

    async def _is_used(self, provider: str, key: str) -> bool:
        return await self._catalog.usage.sharing(provider, key) > 0

    async def _remove_if_nobodys(self, provider: str, key: str) -> None:
        if not await self._is_used(provider, key):
            await self._depots.store(provider).delete(key)


class _Bytes:
    """What has come of one object, within the bytes of all."""

    def __init__(self, moved: Moved) -> None:
        self._moved = moved
        self._count = 0

    def have_come(self, count: int) -> None:
        self._moved.bytes += count - self._count
        self._count = count

    def take_back(self) -> None:
        self.have_come(0)
