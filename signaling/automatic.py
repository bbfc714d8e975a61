"""Recordings that nobody has to start: `automaticRecording` in a room's settings.

One starts when somebody publishes, rather than when the first person joins: nothing is missed, since a
track is published before its first packet, and a call in which nobody sends anything leaves no failed
recording behind. It starts again with the next published track when it ended because something broke,
but not in the same call after somebody stopped it or it reached the maximum duration. Such a recording
does not end for want of media: a room that falls silent for a while is still to be recorded.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from recorder.errors import AlreadyRecording, RecorderError
from recorder.lifecycle import ACTIVE, END_REASON, EndReason
from recorder.progress import Sleep, pause
from recorder.reaper import AUTOMATIC
from recorder.service import RecordingService
from signaling.calls import CallLog
from signaling.errors import SignalingError
from signaling.logs import shown
from signaling.recording_wishes import automatic_wishes
from signaling.room_settings import RoomBook
from storage.catalog import RecordingRow
from storage.errors import StorageError

log: Final = logging.getLogger(__name__)

FOR_THIS_CALL: Final = frozenset({EndReason.HOST, EndReason.MAX_DURATION})
"""Ends after which nothing starts by itself until the next call."""


class AutomaticRecording:
    """A `CallObserver` before the one that keeps calls: hears of media, starts what has to start."""

    def __init__(
        self,
        calls: CallLog,
        recordings: RecordingService,
        book: RoomBook,
        *,
        stopping: Callable[[], bool],
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._calls = calls
        self._recordings = recordings
        self._book = book
        self._stopping = stopping
        self._sleep = sleep
        self._ended: set[str] = set()  # rooms in whose call nothing starts by itself any more
        self._starting: dict[str, asyncio.Task[None]] = {}
        recordings.subscribe(self._changed)

    async def room_started(self, room: str) -> None:
        await self._calls.room_started(room)

    async def participant_joined(self, room: str, identity: str) -> None:
        await self._calls.participant_joined(room, identity)

    async def media_published(self, room: str) -> None:
        self.media_in(room)

    async def room_emptied(self, room: str) -> None:
        self._ended.discard(room)
        await self._calls.room_emptied(room)

    def media_in(self, room: str) -> None:
        """Somebody publishes there, or the settings of a room with somebody in it have changed."""
        if room in self._starting or self._off(room):
            return
        task = asyncio.create_task(self._start(room), name=f"automatic recording of {room}")
        self._starting[room] = task
        task.add_done_callback(lambda _task: self._starting.pop(room, None))

    async def close(self) -> None:
        for task in self._starting.values():
            task.cancel()
        await asyncio.gather(*self._starting.values(), return_exceptions=True)

    def _changed(self, row: RecordingRow) -> None:
        if row.status not in ACTIVE and row.metadata.get(END_REASON) in FOR_THIS_CALL:
            call = self._calls.live.get(row.room)
            if call is not None and call.id == row.call_id:
                self._ended.add(row.room)

    def _off(self, room: str) -> bool:
        return self._stopping() or room in self._ended or bool(self._recordings.active(room))

    async def _start(self, room: str) -> None:
        """Tries until it runs, or nobody is there any more."""
        attempts = 0
        while not self._off(room):
            try:
                settings = await self._book.of(room)
                if not (settings.automatic_recording and settings.recording_enabled):
                    return
                mode, options = automatic_wishes(settings)
                row = await self._calls.record(room, AUTOMATIC, mode, {**options, AUTOMATIC: True})
            except (AlreadyRecording, SignalingError):
                return
            except (RecorderError, StorageError) as error:
                level = logging.DEBUG if attempts else logging.ERROR
                text = "room %s: its automatic recording could not be started yet: %s"
                log.log(level, text, shown(room), error)
            else:
                log.info("room %s: recording %s started by itself", shown(room), row.id)
                return
            await self._sleep(pause(attempts))
            attempts += 1
