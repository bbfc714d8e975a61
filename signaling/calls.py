"""Calls: sessions of a room, each from its first participant until it empties, in the catalog."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any, Final
from weakref import WeakValueDictionary

from recorder.errors import RecorderError
from recorder.lifecycle import EndReason
from recorder.progress import Sleep, pause
from recorder.service import RecordingService
from signaling.errors import Conflict
from storage.catalog import CallRow, Catalog, RecordingRow
from storage.errors import RowNotFound, StorageError

log: Final = logging.getLogger(__name__)


class CallLog:
    """Hears from the conferences who comes and goes; a room that empties ends its recording.

    The catalog being away must not end a call that people are in: it is logged, and the call is
    known here until the room empties, only without a row. What has to end, a recording or a call, is
    tried again until the catalog has taken it, by tasks that `close` ends: what is left then, the next
    start ends.
    """

    def __init__(
        self, catalog: Catalog, recordings: RecordingService, sleep: Sleep = asyncio.sleep
    ) -> None:
        self._catalog = catalog
        self._recordings = recordings
        self._sleep = sleep
        self._live: dict[str, CallRow | None] = {}
        self._ending: set[asyncio.Task[None]] = set()
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    @property
    def live(self) -> Mapping[str, CallRow | None]:
        """Rooms with somebody in them, and their calls."""
        return self._live

    async def running(self, room: str) -> CallRow | None:
        """The call of a room, None when nobody is in it. Raises what the catalog raises."""
        async with self._turn(room):
            if room not in self._live:
                return None
            return self._live[room] or await self._open(room)

    async def record(
        self, room: str, started_by: str, mode: str, options: Mapping[str, Any]
    ) -> RecordingRow:
        """Starts a recording of the call that runs in a room.

        Raises Conflict (`no_call`) when there is none, and what `RecordingService.start` raises.
        """
        call = await self.running(room)
        if call is None:
            raise Conflict("nobody is in the room", code="no_call")
        row = await self._recordings.start(room, call.id, started_by, mode, options)
        if room not in self._live:
            # The room emptied meanwhile, and nobody would stop what was not yet running.
            return await self._recordings.stop(row.id, EndReason.ROOM_EMPTY)
        return row

    async def room_started(self, room: str) -> None:
        async with self._turn(room):
            self._live.setdefault(room, None)
            await self._known(room)

    async def participant_joined(self, room: str, identity: str) -> None:
        async with self._turn(room):
            self._live.setdefault(room, None)
            call = await self._known(room)
            if call is None:
                return
            try:
                await self._catalog.calls.add_participant(call.id, identity)
            except StorageError as error:
                log.error("call %s: %s could not be noted: %s", call.id, identity, error)

    async def room_emptied(self, room: str) -> None:
        """Nobody is left: the recording stops, then the call ends."""
        async with self._turn(room):
            call = self._live.pop(room, None)
            recording = self._recordings.active(room)
            if recording is not None:
                await self._stop(recording.id, EndReason.ROOM_EMPTY)
            if call is not None:
                await self._end(f"call {call.id}", self._catalog.calls.end, call.id)

    def media_lost(self) -> None:
        """A media worker died and its recordings with it: they end with what is on disk."""
        for room in self._live:
            recording = self._recordings.active(room)
            if recording is not None:
                self._own(self._stop(recording.id, EndReason.MEDIA_LOST))

    async def close(self) -> None:
        """Ends what is still being tried."""
        for task in self._ending:
            task.cancel()
        await asyncio.gather(*self._ending, return_exceptions=True)

    async def idle(self) -> None:
        """Returns when all that has to end has ended."""
        while self._ending:
            await asyncio.wait(self._ending)

    async def _stop(self, recording_id: str, reason: EndReason) -> None:
        async def stop(id: str) -> None:
            await self._recordings.stop(id, reason)

        await self._end(f"recording {recording_id}", stop, recording_id)

    async def _end(self, what: str, end: Callable[[str], Awaitable[Any]], id: str) -> None:
        """Ends something now or, while the catalog is away, in a task of its own."""
        if not await self._ended(what, end, id):
            self._own(self._end_later(what, end, id))

    async def _end_later(self, what: str, end: Callable[[str], Awaitable[Any]], id: str) -> None:
        attempts = 0
        while True:
            await self._sleep(pause(attempts))
            attempts += 1
            if await self._ended(what, end, id):
                return

    async def _ended(self, what: str, end: Callable[[str], Awaitable[Any]], id: str) -> bool:
        """False when it has to be tried again."""
        try:
            await end(id)
        except (RecorderError, RowNotFound) as error:
            log.error("%s could not be ended: %s", what, error)
        except StorageError as error:
            log.error("%s could not be ended yet: %s", what, error)
            return False
        return True

    def _own(self, ending: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(ending)
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    async def _known(self, room: str) -> CallRow | None:
        """The call of a room that somebody is in, None while it has no row."""
        try:
            return self._live[room] or await self._open(room)
        except StorageError as error:
            log.error("room %s: its call could not be noted: %s", room, error)
            return None

    async def _open(self, room: str) -> CallRow:
        """A row of its own: one that still runs is that of an earlier call which could not end."""
        earlier = await self._catalog.calls.current(room)
        if earlier is not None:
            await self._catalog.calls.end(earlier.id)
        call = self._live[room] = await self._catalog.calls.open(room)
        return call

    def _turn(self, room: str) -> asyncio.Lock:
        """Changes of one room happen one after the other, in the order they were reported."""
        return self._turns.setdefault(room, asyncio.Lock())
