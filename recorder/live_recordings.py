"""The recordings that this process started, each until it is final, and who hears of changes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field

from recorder.lifecycle import ACTIVE, FINAL, EndReason
from recorder.progress import Progress
from storage.catalog import RecordingRow

CLIENT_MODE = "client"  # of recordings that participants' browsers make, not the server

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Live:
    """A recording that this process started. The lock orders start, first media, and stop."""

    row: RecordingRow
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    end_reason: EndReason | None = None
    stop_waits: bool = False  # a stop that could not be written down is being tried again
    progress: Progress = field(default_factory=Progress)

    def note_fault(self, reason: str) -> None:
        """What went wrong with its media, for the log and, once it is finished, its row."""
        log.error("recording %s: %s", self.row.id, reason)
        if reason not in self.progress.faults:
            self.progress.faults.append(reason)


class LiveRecordings:
    def __init__(self) -> None:
        self._live: dict[str, Live] = {}  # by recording id
        self._callbacks: list[Callable[[RecordingRow], None]] = []

    def __contains__(self, recording_id: str) -> bool:
        return recording_id in self._live

    def get(self, recording_id: str) -> Live | None:
        return self._live.get(recording_id)

    def active(self, room: str) -> RecordingRow | None:
        """The recording of a room that is `starting` or `recording`."""
        return next((row for row in self.running() if row.room == room), None)

    def running(self) -> list[RecordingRow]:
        """Every recording that is `starting` or `recording`."""
        return [live.row for live in self._live.values() if live.row.status in ACTIVE]

    def subscribe(self, callback: Callable[[RecordingRow], None]) -> None:
        """`callback` hears of every change of status. It must not raise."""
        self._callbacks.append(callback)

    def add(self, row: RecordingRow) -> Live:
        """Tell of it with `changed`."""
        live = self._live[row.id] = Live(row)
        return live

    def changed(self, row: RecordingRow) -> None:
        """Any recording got to a status, here or not."""
        live = self._live.get(row.id)
        if live is not None:
            live.row = row
            if row.status in FINAL:
                del self._live[row.id]
        for callback in self._callbacks:
            callback(row)

    def forget(self, recording_id: str) -> None:
        self._live.pop(recording_id, None)
