"""Watching recordings live: one look a second for each that is watched, however many watch it.

A feed looks, compares, and puts what is new into the slot of every watcher. A slot holds the latest
state only: a reader that is slow misses states in between, and costs a slot.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

from recorder.lifecycle import FINAL
from storage.catalog import RecordingRow
from storage.errors import StorageError

log: Final = logging.getLogger(__name__)

PACE: Final = 1.0
"""Seconds between two looks at a recording; a change of status is looked at at once."""
MOST_WATCHERS: Final = 5_000
MOST_EACH: Final = 20
"""Of one identity: the tabs of a person, and no way to take everybody's place."""

Look = Callable[[str], Awaitable[Mapping[str, Any] | None]]
"""A recording's status as JSON values; None when the recording is gone."""


class Watch:
    """One watcher's slot. `who` is an identity, "" for a server, which watches for many."""

    def __init__(self, who: str = "") -> None:
        self.who = who
        self._state: str | None = None
        self._ended = False
        self._news = asyncio.Event()

    def put(self, state: str) -> None:
        self._state = state
        self._news.set()

    def end(self) -> None:
        """After what is in the slot, if anything is, comes nothing."""
        self._ended = True
        self._news.set()

    async def next(self) -> str | None:
        """The latest state that was not yet taken, as one line of JSON; None at the end."""
        while self._state is None and not self._ended:
            self._news.clear()
            await self._news.wait()
        state, self._state = self._state, None
        return state


@dataclass(slots=True)
class _Feed:
    watches: set[Watch] = field(default_factory=set)
    state: str | None = None
    news: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None


class Watching:
    """All watchers of this server."""

    def __init__(self, look: Look, *, pace: float = PACE, most: int = MOST_WATCHERS) -> None:
        self._look = look
        self._pace = pace
        self._most = most
        self._feeds: dict[str, _Feed] = {}
        self._closed = False

    def __len__(self) -> int:
        return sum(len(feed.watches) for feed in self._feeds.values())

    @property
    def full(self) -> bool:
        return self._closed or len(self) >= self._most

    def crowded(self, who: str) -> bool:
        """Has this identity as many watches as one may have?"""
        mine = sum(watch.who == who for feed in self._feeds.values() for watch in feed.watches)
        return bool(who) and mine >= MOST_EACH

    def watch(self, recording_id: str, who: str = "") -> Watch:
        """The present state comes first. `leave` has to follow."""
        watch = Watch(who)
        if self._closed:
            watch.end()
            return watch
        feed = self._feeds.setdefault(recording_id, _Feed())
        feed.watches.add(watch)
        if feed.state is not None:
            watch.put(feed.state)
        if feed.task is None:
            feed.task = asyncio.create_task(
                self._run(recording_id, feed), name=f"watching {recording_id}"
            )
        return watch

    def leave(self, recording_id: str, watch: Watch) -> None:
        feed = self._feeds.get(recording_id)
        if feed is None:
            return
        feed.watches.discard(watch)
        if not feed.watches:
            del self._feeds[recording_id]
            if feed.task is not None:
                feed.task.cancel()

    def changed(self, row: RecordingRow) -> None:
        """A recording got to another status."""
        if (feed := self._feeds.get(row.id)) is not None:
            feed.news.set()

    async def close(self) -> None:
        """Every stream ends, and those to come end at once."""
        self._closed = True
        tasks = [feed.task for feed in self._feeds.values() if feed.task is not None]
        for feed in list(self._feeds.values()):
            _end(feed)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self, recording_id: str, feed: _Feed) -> None:
        try:
            while not await self._looked(recording_id, feed):
                with suppress(TimeoutError):
                    await asyncio.wait_for(feed.news.wait(), self._pace)
        finally:
            if self._feeds.get(recording_id) is feed:
                del self._feeds[recording_id]
            _end(feed)

    async def _looked(self, recording_id: str, feed: _Feed) -> bool:
        """True when there is nothing more to see."""
        feed.news.clear()
        try:
            status = await self._look(recording_id)
        except StorageError as error:
            log.warning("recording %s can't be watched now: %s", recording_id, error)
            return False
        if status is None:
            return True
        state = json.dumps(status, separators=(",", ":"))
        if state != feed.state:
            feed.state = state
            for watch in feed.watches:
                watch.put(state)
        return status["status"] in FINAL


def _end(feed: _Feed) -> None:
    for watch in feed.watches:
        watch.end()
