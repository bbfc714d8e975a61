"""Follows the journals of one recording, all together, in the order in which things arrived."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable
from heapq import heapify, heappop, heapreplace
from pathlib import Path
from typing import Any

from mediaserver.errors import JournalError
from mediaserver.journal import JOURNAL_SUFFIX, JournalHeader, JournalRecord, JournalTail
from recorder.depacketize import CodedFrame
from recorder.errors import MuxFailed
from recorder.live.clock import SenderOffsets
from recorder.live.slot import Slot
from recorder.live.stream import LiveStream
from recorder.live.track import LiveFrame, LiveTrack

HOLD_US = 1_000_000
"""So long after its arrival everything is waited for that was captured before: longer than the
network, reordering and the writing of journals take between them."""
STEP_US = 200_000
"""How often streams move on, in arrival time."""
MOST_RECORDS = 20_000
"""In one step, so that the news of a long catching up do not wait for its end."""
MOST_STILL_US = 60_000_000
"""In one step, when nothing arrived for long: silence takes room too."""
MOST_STREAMS = 1000
"""Of one recording; who begins more of them sends no media."""

_SCREEN = frozenset({"screen_share", "screen_share_audio"})

log = logging.getLogger(__name__)

SlotKey = tuple[str, str]
"""Participant and "camera" or "screen"."""


class _Journal:
    """One journal, and the next of its records."""

    def __init__(self, path: Path, order: int) -> None:
        self.tail = JournalTail(path)
        self.order = order
        self.track: LiveTrack | None = None
        self.slot: Slot | None = None
        self.over = False
        self._records: deque[JournalRecord] = deque()

    def fill(self) -> bool:
        """Is there a record? Reads on when none is waiting; what can't be read is over."""
        if not self._records and not self.over:
            try:
                self._records.extend(self.tail.read())
            except (JournalError, OSError) as error:
                log.warning("%s: %s", self.tail.path.name, error)
                self.over = True
        return bool(self._records)

    @property
    def next_us(self) -> int:
        return self._records[0].arrival_us

    @property
    def is_done(self) -> bool:
        return not self._records and (self.over or self.tail.ended)

    def pop(self) -> JournalRecord:
        return self._records.popleft()


class Follower:
    """Makes the streams of the journals in `journals` into `output`.

    `run` is the first part of all stream ids, another one each time: offsets in a stream of an
    earlier run mean nothing in this one's. Raises OSError when the disk refuses.
    """

    def __init__(self, journals: Path, output: Path, run: str) -> None:
        self._journals_dir = journals
        self._output = output
        self._run = run
        self._known: set[str] = set()
        self._journals: list[_Journal] = []
        self._slots: dict[SlotKey, Slot] = {}
        self._offsets: dict[str, SenderOffsets] = {}  # by participant
        self._described: list[tuple[LiveStream, dict[str, str]]] = []
        self._zero_us: int | None = None  # when the first record arrived
        self._now_us = 0  # how far all journals have been read, in arrival time
        self._moved_us = 0

    def step(self, horizon_us: int) -> bool:
        """Goes on, up to the arrival time `horizon_us`; False when more is there already."""
        self._discover()
        self._bury()
        waiting = [
            (journal.next_us, journal.order, journal)
            for journal in self._journals
            if journal.fill()
        ]
        heapify(waiting)
        for _ in range(MOST_RECORDS):
            if not waiting or waiting[0][0] > horizon_us:
                break
            journal = waiting[0][2]
            self._take(journal)
            if journal.fill():
                heapreplace(waiting, (journal.next_us, journal.order, journal))
            else:
                heappop(waiting)
                if journal.is_done:
                    self._end(journal)
        else:
            return False
        if self._zero_us is None:
            return True
        self._now_us = max(self._now_us, min(horizon_us, self._now_us + MOST_STILL_US))
        self._move()
        return self._now_us >= horizon_us

    def finish(self) -> None:
        """Writes the rest of everything; nothing more will arrive."""
        for journal in list(self._journals):
            if journal.track is not None:
                self._end(journal)
        for slot in self._slots.values():
            slot.finish()

    def close(self) -> None:
        for slot in self._slots.values():
            slot.close()

    def state(self, now_us: int = 0) -> dict[str, Any]:
        """All streams, as JSON values; see `recorder.live.__main__`. `now_us` is unix time."""
        now_us = max(now_us, self._now_us)
        zero_us = self._zero_us if self._zero_us is not None else now_us
        return {
            "elapsedSeconds": round((now_us - zero_us) / 1e6, 3),
            "streams": [
                {
                    "streamId": stream.stream_id,
                    **about,
                    "contentType": stream.content_type,
                    "file": stream.name,
                    "startSeconds": round(max(stream.start_us - zero_us, 0) / 1e6, 3),
                    "seconds": round(stream.through_us / 1e6, 3),
                    "ended": stream.ended,
                }
                for stream, about in self._described
                if stream.size
            ],
        }

    def _discover(self) -> None:
        for path in sorted(self._journals_dir.glob(f"*{JOURNAL_SUFFIX}")):
            if path.name not in self._known:
                self._known.add(path.name)
                self._journals.append(_Journal(path, len(self._known)))

    def _take(self, journal: _Journal) -> None:
        record = journal.pop()
        self._now_us = max(self._now_us, record.arrival_us)
        if self._zero_us is None:
            self._zero_us = self._moved_us = record.arrival_us
        if journal.track is None and not journal.over:
            self._begin(journal)
        if journal.track is not None:
            self._give(journal, journal.track.take(record))
        if self._now_us - self._moved_us >= STEP_US:
            self._move()

    def _begin(self, journal: _Journal) -> None:
        header = journal.tail.header
        assert header is not None  # there is a record
        participant_id = header.labels.get("participantId") or header.track_id
        offsets = self._offsets.setdefault(participant_id, SenderOffsets())
        try:
            journal.track = LiveTrack(header, offsets)
        except JournalError as error:
            log.warning("%s: %s", journal.tail.path.name, error)
            journal.over = True
            return
        journal.slot = self._slot(participant_id, header)
        journal.slot.join(journal.track)

    def _slot(self, participant_id: str, header: JournalHeader) -> Slot:
        source = "screen" if header.labels.get("source", "") in _SCREEN else "camera"
        slot = self._slots.get((participant_id, source))
        if slot is None:
            about = {
                "participantId": participant_id,
                "participantName": header.labels.get("participantName", ""),
                "source": source,
            }
            slot = self._slots[participant_id, source] = Slot(self._opener(about))
        return slot

    def _opener(self, about: dict[str, str]) -> Callable[..., LiveStream]:
        def open_stream(start_us: int, mime_type: str, first: CodedFrame | None) -> LiveStream:
            if len(self._described) >= MOST_STREAMS:
                raise MuxFailed(f"more than {MOST_STREAMS} streams of one recording")
            stream_id = f"{self._run}-{len(self._described) + 1}"
            stream = LiveStream(self._output, stream_id, start_us, mime_type, first)
            self._described.append((stream, about))
            return stream

        return open_stream

    def _bury(self) -> None:
        """Lets go of the journals that ended."""
        for journal in [journal for journal in self._journals if journal.is_done]:
            self._end(journal)

    def _end(self, journal: _Journal) -> None:
        self._journals.remove(journal)
        if journal.track is not None and journal.slot is not None:
            self._give(journal, journal.track.close())
            journal.slot.leave(journal.track)

    def _give(self, journal: _Journal, frames: Iterable[LiveFrame]) -> None:
        """Supervises: media that nobody foresaw ends its own journal and nobody else's."""
        assert journal.track is not None
        assert journal.slot is not None
        try:
            for frame in frames:
                journal.slot.take(journal.track, journal.order, frame)
        except OSError:
            raise
        except Exception as error:  # noqa: BLE001
            log.warning("%s: %r", journal.tail.path.name, error)
            journal.over = True

    def _move(self) -> None:
        self._moved_us = self._now_us
        for slot in self._slots.values():
            try:
                slot.advance(self._now_us - HOLD_US)
            except MuxFailed as error:
                log.warning("%s", error)
