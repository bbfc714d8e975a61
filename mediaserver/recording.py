"""From the media loop to journals on disk: packets go into memory, one thread writes them.

The loop only appends to a deque. The thread wakes every 250 ms, encodes, writes, and once a second
flushes to the medium, so `kill -9` costs at most what the last quarter second brought and a power cut
little more than a second. A disk that fails, or does not keep up, never stops the loop: the journal of
that track ends there, without its END record, and the fault is reported once. "Does not keep up" is
`PENDING_LIMIT` bytes waiting; they are still written.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

from mediaserver.journal import (
    JournalHeader,
    RecordKind,
    encode_header,
    encode_record,
    encode_sender_report,
)

FLUSH_INTERVAL = 0.25
SYNC_INTERVAL = 1.0
PENDING_LIMIT = 32 * 1024 * 1024


class TrackJournal:
    """The journal of one track. All methods but those of the writer run on the media loop.

    The file comes into being with the first packet: a track that never sent leaves nothing.
    """

    def __init__(self, path: Path, header: JournalHeader) -> None:
        self.path = path
        self.header = header
        self.closing = False
        self.closed = asyncio.get_running_loop().create_future()
        self.fault = ""
        self.wrote_media = False
        self.first_media_us = 0
        self.last_media_us = 0  # of what was written; set in the writer thread
        self._pending: deque[tuple[int, int, bytes]] = deque()
        self._put_bytes = 0  # counted on the loop
        self._taken_bytes = 0  # counted in the writer thread
        self._has_media = False
        self._fd = -1
        self._last_arrival = header.started_at_us
        self._synced = 0.0

    def packet(self, arrival_us: int, packet: bytes) -> None:
        if not self._has_media:
            self._has_media, self.first_media_us = True, arrival_us
        self._put(RecordKind.RTP, arrival_us, packet)

    def sender_report(self, arrival_us: int, ntp: int, timestamp: int) -> None:
        self._put(RecordKind.SENDER_REPORT, arrival_us, encode_sender_report(ntp, timestamp))

    def muted(self, arrival_us: int, muted: bool) -> None:
        self._put(RecordKind.MUTED if muted else RecordKind.UNMUTED, arrival_us, b"")

    def _put(self, kind: int, arrival_us: int, payload: bytes) -> None:
        if self.fault:
            return
        if self._put_bytes - self._taken_bytes > PENDING_LIMIT:
            self.fault = "the disk does not keep up with the recording"
            return
        self._put_bytes += len(payload)
        self._pending.append((kind, arrival_us, payload))

    # writer thread

    def flush(self, now: float) -> None:
        """Write what is pending; raises OSError."""
        if not self._has_media:
            return
        blob, last = [], self._last_arrival
        while self._pending:
            kind, arrival_us, payload = self._pending.popleft()
            self._taken_bytes += len(payload)
            last = max(last, arrival_us)
            if kind == RecordKind.RTP:
                self.last_media_us = last
            blob.append(encode_record(kind, last, payload))
        self._last_arrival = last
        if blob:
            self._write(b"".join(blob))
        if self._fd >= 0 and (not self.wrote_media or now - self._synced >= SYNC_INTERVAL):
            os.fdatasync(self._fd)
            self._synced = now
            self.wrote_media = True

    def finish(self) -> None:
        """Write the end, unless the journal has a fault, and close; raises OSError."""
        if self._fd < 0:
            return
        try:
            if not self.fault:
                self._write(encode_record(RecordKind.END, self._last_arrival))
            os.fsync(self._fd)
        finally:
            os.close(self._fd)
            self._fd = -1

    def _write(self, data: bytes) -> None:
        if self._fd < 0:
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
            self._fd = os.open(self.path, flags, 0o600)
            _sync_directory(self.path.parent)
            data = encode_header(self.header) + data
        view = memoryview(data)
        while view:
            view = view[os.write(self._fd, view) :]


class JournalWriter:
    """The thread that writes all journals of a worker.

    `on_media(journal)` is called on the loop when the first media of a journal is on disk, and
    `on_fault(journal, reason)` once when it can't be written.
    """

    def __init__(
        self,
        on_media: Callable[[TrackJournal], None],
        on_fault: Callable[[TrackJournal, str], None],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._on_media = on_media
        self._on_fault = on_fault
        self._journals: list[TrackJournal] = []
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._stop = False
        self._thread = threading.Thread(target=self._run, name="journal-writer", daemon=True)
        self._thread.start()

    def open(self, path: Path, header: JournalHeader) -> TrackJournal:
        journal = TrackJournal(path, header)
        with self._lock:
            self._journals.append(journal)
        return journal

    async def close_journal(self, journal: TrackJournal) -> bool:
        """Flush, end and fsync; True when it holds media."""
        journal.closing = True
        self._wake.set()
        return bool(await journal.closed)

    def stop(self) -> None:
        """End all journals and the thread; blocks until the disk has everything."""
        with self._lock:
            for journal in self._journals:
                journal.closing = True
        self._stop = True
        self._wake.set()
        self._thread.join()

    def _run(self) -> None:
        while True:
            last_round = self._stop
            with self._lock:
                journals = list(self._journals)
            for journal in journals:
                self._serve(journal)
            if last_round:
                return
            self._wake.wait(FLUSH_INTERVAL)
            self._wake.clear()

    def _serve(self, journal: TrackJournal) -> None:
        closing, had_media, fault = journal.closing, journal.wrote_media, journal.fault
        try:
            journal.flush(time.monotonic())
        except OSError as error:
            fault = journal.fault = error.strerror or str(error)
        if closing or fault:
            try:
                journal.finish()
            except OSError as error:
                fault = fault or error.strerror or str(error)
        if journal.wrote_media and not had_media:
            self._loop.call_soon_threadsafe(self._on_media, journal)
        if fault:
            self._report(journal, fault)
        if closing or fault:
            with self._lock:
                self._journals.remove(journal)
            self._loop.call_soon_threadsafe(_resolve, journal)

    def _report(self, journal: TrackJournal, reason: str) -> None:
        journal.fault = reason
        self._loop.call_soon_threadsafe(self._on_fault, journal, reason)


def _sync_directory(directory: Path) -> None:
    """Make a new file's name as durable as its content."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _resolve(journal: TrackJournal) -> None:
    if not journal.closed.done():
        journal.closed.set_result(journal.wrote_media)
