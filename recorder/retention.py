"""Which recordings have been kept long enough. The choice is pure; `Retention` carries it out.

A rule has an age in days, counted from the end of the recording, and a size in bytes. A room may have
a rule of its own, which replaces the general age for it and bounds the room's bytes. The general
size bounds all rooms together. Of what is too much the oldest goes first. Nothing goes while it is
recorded, finished, rendered, on its way into storage or shared by a link, nor while a participant may
still send what they recorded of it.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path

from recorder.chunks.settling import UNDER_WAY as SETS_UNDER_WAY
from recorder.depots import Depots
from recorder.errors import RecorderError
from recorder.lifecycle import FINAL
from recorder.removal import remove
from recorder.rendering import UNDER_WAY
from storage.catalog import Catalog, RecordingRow
from storage.errors import CatalogUnavailable, StorageError

PAGE = 500
DAY = timedelta(days=1)

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Rule:
    """None is without limit."""

    days: float | None = None
    bytes: int | None = None


@dataclass(frozen=True, slots=True)
class RetentionPolicy:
    general: Rule = Rule()
    rooms: Mapping[str, Rule] = field(default_factory=dict)

    @property
    def limits_nothing(self) -> bool:
        return all(rule == Rule() for rule in (self.general, *self.rooms.values()))

    def days_in(self, room: str) -> float | None:
        own = self.rooms.get(room)
        return own.days if own is not None and own.days is not None else self.general.days


@dataclass(frozen=True, slots=True)
class Expired:
    """`reason` completes "... is removed: "."""

    row: RecordingRow
    reason: str


def expired(
    rows: Iterable[RecordingRow], policy: RetentionPolicy, busy: Collection[str], now: datetime
) -> list[Expired]:
    """What has to go, oldest first. `busy` are ids of recordings that are still on their way."""
    kept = sorted(rows, key=lambda row: (_ended(row), row.id))
    gone: list[Expired] = []

    def let_go(chosen: Iterable[Expired]) -> None:
        nonlocal kept
        gone.extend(chosen)
        ids = {each.row.id for each in gone}
        kept = [row for row in kept if row.id not in ids]

    let_go(
        [
            Expired(row, f"older than {days:g} days")
            for row in kept
            if (days := policy.days_in(row.room)) is not None
            and (now - _ended(row)) / DAY > days
            and _may_go(row, busy, now)
        ]
    )
    by_room: dict[str, list[RecordingRow]] = defaultdict(list)
    for row in kept:
        by_room[row.room].append(row)
    for room, rule in policy.rooms.items():
        if rule.bytes is not None:
            reason = f"room {room} has more than {rule.bytes} bytes"
            let_go(_excess(by_room[room], rule.bytes, reason, busy, now))
    if (most := policy.general.bytes) is not None:
        let_go(_excess(kept, most, f"there are more than {most} bytes", busy, now))
    return sorted(gone, key=lambda each: (_ended(each.row), each.row.id))


def _excess(
    rows: Collection[RecordingRow],
    most: int,
    reason: str,
    busy: Collection[str],
    now: datetime,
) -> list[Expired]:
    """The oldest of `rows`, which are sorted, until the rest has at most `most` bytes."""
    total = sum(row.size or 0 for row in rows)
    chosen = []
    for row in rows:
        if total <= most:
            break
        if row.size and _may_go(row, busy, now):
            chosen.append(Expired(row, reason))
            total -= row.size
    return chosen


def _may_go(row: RecordingRow, busy: Collection[str], now: datetime) -> bool:
    shared = row.shared_until is not None and row.shared_until > now
    return row.status in FINAL and row.id not in busy and not shared


def _ended(row: RecordingRow) -> datetime:
    return row.stopped_at or row.created_at


class Retention:
    def __init__(
        self,
        catalog: Catalog,
        depots: Depots,
        journals_root: Path,
        policy: RetentionPolicy,
        *,
        clock: Callable[[], datetime],
    ) -> None:
        self._catalog = catalog
        self._depots = depots
        self._root = journals_root
        self._policy = policy
        self._clock = clock

    async def look(self) -> None:
        """Remove what has expired; what can't be removed now is met again next time."""
        for each in await self.due():
            await self.remove(each)

    async def due(self) -> list[Expired]:
        """What `look` would remove. Raises what the catalog raises."""
        if self._policy.limits_nothing:
            return []
        # by id: a recording that begins meanwhile moves one to the next page, where it is met again
        rows: dict[str, RecordingRow] = {}
        for page in count(1):
            found = await self._catalog.recordings.find(page=page, limit=PAGE)
            rows |= {row.id: row for row in found.items}
            if len(found.items) < PAGE:
                break
        moving = await self._catalog.deliveries.in_states({"waiting", "stored", "away", "left"})
        rendered = await self._catalog.renders.in_states(UNDER_WAY)
        sent = await self._catalog.chunk_sets.in_states(SETS_UNDER_WAY)
        busy = {row.recording_id for row in moving}
        busy |= {row.recording_id for row in rendered} | {row.recording_id for row in sent}
        return expired(rows.values(), self._policy, busy, self._clock())

    async def remove(self, each: Expired) -> bool:
        """False when it could not be removed, or may go no more; the log says why."""
        row = await self._catalog.recordings.get(each.row.id)
        renders = await self._catalog.renders.of(each.row.id)
        busy = {render.recording_id for render in renders if render.status in UNDER_WAY}
        sets = await self._catalog.chunk_sets.of(each.row.id)
        busy |= {one.recording_id for one in sets if one.status in SETS_UNDER_WAY}
        if row is None or not _may_go(row, busy, self._clock()):
            log.info("recording %s changed since it was chosen, and stays", each.row.id)
            return False
        try:
            await remove(self._catalog, self._depots, self._root, row)
        except CatalogUnavailable:
            raise
        except (StorageError, RecorderError) as error:
            log.warning("recording %s could not be removed: %s", each.row.id, error)
            return False
        log.info("recording %s of room %r is removed: %s", each.row.id, each.row.room, each.reason)
        return True
