"""Notices about calls for whoever keeps them: in order for each room, off everybody's way."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

from signaling.logs import shown

log: Final = logging.getLogger(__name__)

MAX_WAITING_JOINS: Final = 1000


class CallObserver(Protocol):
    """Hears about rooms and participants. For one room, one call at a time and in order.

    A room starts with its first session, a participant joins when its media is connected, media is
    published with each offer that carries a new track, and a room empties when nobody came back
    within the departure timeout, or the server stops.
    """

    async def room_started(self, room: str) -> None: ...

    async def participant_joined(self, room: str, identity: str) -> None: ...

    async def media_published(self, room: str) -> None: ...

    async def room_emptied(self, room: str) -> None: ...


class CallNotices:
    """Delivers notices to an observer in one task for each room that has any.

    Of the notices that wait (a slow database), joins and published media beyond
    `MAX_WAITING_JOINS` a room are dropped; starts and ends never are, there is at most one pair in
    a departure timeout.
    """

    def __init__(self, observer: CallObserver | None) -> None:
        self._observer = observer
        self._waiting: dict[str, deque[Callable[[], Awaitable[None]]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def room_started(self, room: str) -> None:
        if self._observer is not None:
            observer = self._observer
            self._put(room, lambda: observer.room_started(room))

    def participant_joined(self, room: str, identity: str) -> None:
        if len(self._waiting.get(room, ())) >= MAX_WAITING_JOINS:
            text = "room %s: nobody takes notices, the joining of %s is not noted"
            log.warning(text, shown(room), shown(identity))
        elif self._observer is not None:
            observer = self._observer
            self._put(room, lambda: observer.participant_joined(room, identity))

    def media_published(self, room: str) -> None:
        if self._observer is not None and len(self._waiting.get(room, ())) < MAX_WAITING_JOINS:
            observer = self._observer
            self._put(room, lambda: observer.media_published(room))

    def room_emptied(self, room: str) -> None:
        if self._observer is not None:
            observer = self._observer
            self._put(room, lambda: observer.room_emptied(room))

    async def drained(self, timeout: float) -> None:
        """Back when everything was delivered, or after `timeout` seconds."""
        if self._tasks:
            await asyncio.wait(set(self._tasks), timeout=timeout)
        for task in self._tasks:
            task.cancel()

    def _put(self, room: str, notice: Callable[[], Awaitable[None]]) -> None:
        if room in self._waiting:
            self._waiting[room].append(notice)
            return
        self._waiting[room] = deque([notice])
        task = asyncio.create_task(self._deliver(room), name=f"call notices of {room}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _deliver(self, room: str) -> None:
        waiting = self._waiting[room]
        try:
            while waiting:
                try:
                    await waiting[0]()
                except Exception:
                    log.exception("room %s: a call notice failed", shown(room))
                waiting.popleft()
        finally:
            del self._waiting[room]
