"""The second pass over a journal: frames on the server's clock, in order, as they are asked for.

Memory holds one reorder window and one frame. What is missing goes into the track's ledger.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

from mediaserver.journal import JournalReader, RecordKind
from recorder.assembly import Dropped, Fragment, Frame, FrameAssembler
from recorder.depacketize import CODECS, CodedFrame
from recorder.integrity import TrackLedger
from recorder.packets import EpochTracker, parse_rtp
from recorder.plan import Lane
from recorder.reorder import Lost, ReorderBuffer
from recorder.scan import ScannedTrack
from recorder.timeline import ArrivalBound, EpochClock

ClockKey = tuple[str, int]
"""A journal's file name and an epoch in it."""

_REPORT_EVERY = 256


class TimedFrame(NamedTuple):
    """A frame and when it was captured: server time in microseconds."""

    at_us: float
    coded: CodedFrame


class LaneStream:
    """The frames of several journals one after the other, times rising.

    Audio that would overlap what was already given is left out; video never is, because later
    frames refer to it, but its time is moved up to the one before.
    """

    def __init__(
        self,
        lane: Lane,
        clocks: Mapping[ClockKey, EpochClock],
        ledgers: Mapping[str, TrackLedger],
        on_bytes: Callable[[int], None],
    ) -> None:
        self._lane = lane
        self._clocks = clocks
        self._ledgers = ledgers
        self._on_bytes = on_bytes

    def __iter__(self) -> Iterator[TimedFrame]:
        last: TimedFrame | None = None
        for track in self._lane:
            ledger = self._ledgers[track.path.name]
            first = True
            for frame in TrackStream(track, self._clocks, ledger, self._on_bytes):
                at_us = frame.at_us
                if last is not None:
                    length_us = last.coded.duration_us or 0
                    if ledger.kind == "audio" and at_us < last.at_us + length_us / 2:
                        continue
                    if first and at_us > last.at_us + length_us:
                        ledger.gap(last.at_us + length_us, at_us, "absent")
                    at_us = max(at_us, last.at_us)
                first = False
                last = TimedFrame(at_us, frame.coded)
                yield last


class TrackStream:
    """The frames of one journal."""

    def __init__(
        self,
        track: ScannedTrack,
        clocks: Mapping[ClockKey, EpochClock],
        ledger: TrackLedger,
        on_bytes: Callable[[int], None],
    ) -> None:
        self._track = track
        self._ledger = ledger
        self._on_bytes = on_bytes
        self._clocks = clocks
        header = track.header
        self._codec = CODECS[track.mime_type]
        known = header.payload_type in track.payload_types
        self._payload_types = {header.payload_type} if known else track.payload_types
        self._muted_us: int | None = None

    def __iter__(self) -> Iterator[TimedFrame]:
        reader = JournalReader(self._track.path)
        tracker = EpochTracker()
        epoch: _Epoch | None = None
        pending = 0
        arrival_us = reader.header.started_at_us
        for number, (kind, arrival_us, data) in enumerate(reader):
            pending += len(data)
            if number % _REPORT_EVERY == 0:
                self._on_bytes(pending)
                pending = 0
            if kind != RecordKind.RTP:
                self._note_mute(kind, arrival_us)
                continue
            packet = parse_rtp(data)
            placed = tracker.place(packet, arrival_us) if packet else None
            if packet is None or placed is None:
                continue
            if epoch is None or placed.epoch != epoch.number:
                if epoch is not None:
                    yield from epoch.close()
                epoch = self._begin(placed.epoch)
            payload = packet.payload if packet.payload_type in self._payload_types else b""
            fragment = Fragment(placed.timestamp, packet.marker, payload, arrival_us)
            yield from epoch.push(placed.sequence, arrival_us, fragment)
        if epoch is not None:
            yield from epoch.close()
        self._on_bytes(pending)
        self._note_mute(RecordKind.UNMUTED, arrival_us)
        if reader.torn:
            self._ledger.gap(arrival_us, arrival_us, "unreadable")

    def _begin(self, number: int) -> _Epoch:
        clock = self._clocks[self._track.path.name, number]
        single = self._track.mime_type.startswith("audio/")
        depacketizer = self._codec.depacketizer(self._track.header)
        assembler = FrameAssembler(depacketizer, single=single)
        return _Epoch(number, clock, assembler, self._ledger)

    def _note_mute(self, kind: int, arrival_us: int) -> None:
        if kind == RecordKind.MUTED and self._muted_us is None:
            self._muted_us = arrival_us
        elif kind == RecordKind.UNMUTED and self._muted_us is not None:
            self._ledger.gap(self._muted_us, arrival_us, "muted")
            self._muted_us = None


class _Epoch:
    """Reordering, assembly and bookkeeping of one epoch."""

    def __init__(
        self, number: int, clock: EpochClock, assembler: FrameAssembler, ledger: TrackLedger
    ) -> None:
        self.number = number
        self._clock = ArrivalBound(clock)
        self._assembler = assembler
        self._ledger = ledger
        self._reorder: ReorderBuffer[Fragment] = ReorderBuffer()
        self._shown = False  # a frame was given
        self._dropped: Dropped | None = None  # the first frame dropped in a row
        self._last: Fragment | None = None  # the newest packet in order
        self._lost = False

    def push(self, sequence: int, arrival_us: int, item: Fragment) -> Iterator[TimedFrame]:
        return self._take(self._reorder.push(sequence, arrival_us, item))

    def close(self) -> Iterator[TimedFrame]:
        yield from self._take(self._reorder.flush())
        yield from self._give(self._assembler.flush())
        if self._dropped is not None and self._last is not None:
            self._note_dropped(self._last)
        self._ledger.packets_recovered += self._reorder.recovered

    def _take(self, items: Iterable[Fragment | Lost]) -> Iterator[TimedFrame]:
        for item in items:
            if isinstance(item, Lost):
                self._ledger.packets_lost += item.count
                self._lost = True
            else:
                self._ledger.packets_received += 1
                if self._lost and self._last is not None:
                    start_us, end_us = self._server_us(self._last), self._server_us(item)
                    self._ledger.gap(start_us, max(start_us, end_us), "lost")
                self._lost = False
                self._last = item
            yield from self._give(self._assembler.push(item))

    def _give(self, results: Iterable[Frame | Dropped]) -> Iterator[TimedFrame]:
        for result in results:
            if isinstance(result, Dropped):
                if self._dropped is None:
                    self._dropped = result
                continue
            if self._dropped is not None:
                self._note_dropped(result)
            self._shown = True
            at_us = self._server_us(result)
            if result.coded.size is not None:
                self._ledger.resolution(at_us, result.coded.size)
            yield TimedFrame(at_us, result.coded)

    def _note_dropped(self, until: Frame | Fragment) -> None:
        assert self._dropped is not None
        start_us, end_us = self._server_us(self._dropped), self._server_us(until)
        if self._shown:
            self._ledger.not_decodable(start_us, max(start_us, end_us))
        else:
            self._ledger.gap(start_us, max(start_us, end_us), "before_keyframe")
        self._dropped = None

    def _server_us(self, item: Frame | Dropped | Fragment) -> float:
        return self._clock.server_us(item.timestamp, item.arrival_us)
