"""Calls: sessions of a room, each from its first participant until it empties, in the catalog."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Final
from weakref import WeakValueDictionary

from recorder.errors import RecorderError
from recorder.service import RecordingService
from storage.catalog import CallRow, Catalog
from storage.errors import StorageError

log: Final = logging.getLogger(__name__)


class CallLog:
    """Hears from the conferences who comes and goes; a room that empties ends its recording.

    The catalog being away must not end a call that people are in: it is logged, and the call is
    known here until the room empties, only without a row.
    """

    def __init__(self, catalog: Catalog, recordings: RecordingService) -> None:
        self._catalog = catalog
        self._recordings = recordings
        self._live: dict[str, CallRow | None] = {}
        self._stopping: set[asyncio.Task[None]] = set()
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    @property
    def live(self) -> Mapping[str, CallRow | None]:
        """Rooms with somebody in them, and their calls."""
        return self._live

    async def room_started(self, room: str) -> None:
        async with self._turn(room):
            await self._open(room)

    async def participant_joined(self, room: str, identity: str) -> None:
        async with self._turn(room):
            call = self._live.get(room) or await self._open(room)
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
            try:
                if self._recordings.active(room) is not None:
                    await self._recordings.stop_room(room)
                if call is not None:
                    await self._catalog.calls.end(call.id)
            except (RecorderError, StorageError) as error:
                log.error("room %s emptied, but its call could not be ended: %s", room, error)

    def media_lost(self) -> None:
        """A media worker died and its recordings with it: they end with what is on disk."""
        for room in self._live:
            if self._recordings.active(room) is not None:
                task = asyncio.create_task(self._stop_recording(room))
                self._stopping.add(task)
                task.add_done_callback(self._stopping.discard)

    async def close(self) -> None:
        """Wait for what `media_lost` began."""
        await asyncio.gather(*self._stopping)

    async def _stop_recording(self, room: str) -> None:
        try:
            await self._recordings.stop_room(room)
        except (RecorderError, StorageError) as error:
            log.error("room %s: its recording could not be stopped: %s", room, error)

    async def _open(self, room: str) -> CallRow | None:
        self._live[room] = None
        try:
            self._live[room] = await self._catalog.calls.open(room)
        except StorageError as error:
            log.error("room %s: its call could not be noted: %s", room, error)
        return self._live[room]

    def _turn(self, room: str) -> asyncio.Lock:
        """Changes of one room happen one after the other, in the order they were reported."""
        return self._turns.setdefault(room, asyncio.Lock())
