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
from recorder.presence import NETWORK_US, Presence
from recorder.reorder import Lost, ReorderBuffer
from recorder.scan import ScannedTrack
from recorder.timeline import ArrivalBound, EpochClock

ClockKey = tuple[str, int]
"""A journal's file name and an epoch in it."""

PAUSE_US = 1_000_000
"""No frame for longer is looked into."""
USUAL_US = 500_000
"""What pictures are apart before it is known."""
FREEZE_TIMES = 3
"""So many times the usual interval is a freeze: a shared screen may have one picture a second."""

_REPORT_EVERY = 256
_new = tuple.__new__  # what a NamedTuple's own does, without a call in between
_RTP = int(RecordKind.RTP)
_HEARD = frozenset({_RTP, int(RecordKind.SENDER_REPORT)})


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
            stream = TrackStream(track, self._clocks, ledger, self._on_bytes)
            first = True
            for frame in stream:
                at_us = frame.at_us
                if last is not None:
                    length_us = last.coded.duration_us or 0
                    if ledger.kind == "audio" and at_us < last.at_us + length_us / 2:
                        continue
                    if first:
                        if at_us > last.at_us + length_us:
                            ledger.gap(last.at_us + length_us, at_us, "absent")
                    else:
                        stream.note_interval(last.at_us, at_us)
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
        self._presence = Presence()
        self._interval_us = float(USUAL_US)

    def note_interval(self, before_us: float, at_us: float) -> None:
        """Two frames of this journal that follow each other: was the time between them a fault?"""
        interval_us = at_us - before_us
        if interval_us > PAUSE_US:
            self._note_pause(before_us, at_us)
        self._interval_us += (interval_us - self._interval_us) / 8

    def _note_pause(self, before_us: float, at_us: float) -> None:
        for start_us, end_us in self._presence.outages(before_us, at_us):
            self._ledger.gap(start_us, end_us, "network")
        if self._ledger.kind == "video":
            least_us = max(PAUSE_US, FREEZE_TIMES * self._interval_us)
            for start_us, end_us in self._presence.unmuted_within(before_us, at_us):
                if end_us - start_us > least_us:
                    self._ledger.freeze(start_us, end_us)

    def __iter__(self) -> Iterator[TimedFrame]:
        reader = JournalReader(self._track.path)
        tracker = EpochTracker()
        epoch: _Epoch | None = None
        pending = 0
        arrival_us = reader.header.started_at_us
        heard_us = self._track.first_arrival_us or arrival_us
        for number, (kind, arrival_us, data) in enumerate(reader):
            pending += len(data)
            if number % _REPORT_EVERY == 0:
                self._on_bytes(pending)
                pending = 0
            if kind in _HEARD:
                if arrival_us - heard_us > NETWORK_US:
                    self._presence.silent(heard_us, arrival_us)
                heard_us = arrival_us
            if kind != _RTP:
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
            fragment = _new(Fragment, (placed.timestamp, packet.marker, payload, arrival_us))
            if frames := epoch.push(placed.sequence, arrival_us, fragment):
                yield from frames
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
        return _Epoch(number, clock, assembler, self._ledger, self._presence)

    def _note_mute(self, kind: int, arrival_us: int) -> None:
        if kind == RecordKind.MUTED:
            self._presence.muted(arrival_us)
        elif kind == RecordKind.UNMUTED and (mute := self._presence.unmuted(arrival_us)):
            self._ledger.gap(*mute, "muted")


class _Epoch:
    """Reordering, assembly and bookkeeping of one epoch."""

    def __init__(
        self,
        number: int,
        clock: EpochClock,
        assembler: FrameAssembler,
        ledger: TrackLedger,
        presence: Presence,
    ) -> None:
        self.number = number
        self._clock = ArrivalBound(clock)
        self._assembler = assembler
        self._ledger = ledger
        self._presence = presence
        self._reorder: ReorderBuffer[Fragment] = ReorderBuffer()
        self._shown = False  # a frame was given
        self._dropped: Dropped | None = None  # the first frame dropped in a row
        self._last: Fragment | None = None  # the newest packet in order
        self._lost = 0  # packets between it and the next one

    def push(self, sequence: int, arrival_us: int, item: Fragment) -> list[TimedFrame]:
        return self._take(self._reorder.push(sequence, arrival_us, item))

    def close(self) -> Iterator[TimedFrame]:
        yield from self._take(self._reorder.flush())
        yield from self._give(self._assembler.flush())
        if self._dropped is not None and self._last is not None:
            self._note_dropped(self._last)
        self._ledger.packets_recovered += self._reorder.recovered

    def _take(self, items: Iterable[Fragment | Lost]) -> list[TimedFrame]:
        out: list[TimedFrame] = []
        for item in items:
            if isinstance(item, Lost):
                self._lost = item.count
            else:
                self._ledger.packets_received += 1
                if self._lost:
                    self._note_lost(item)
                self._last = item
            if results := self._assembler.push(item):
                out += self._give(results)
        return out

    def _note_lost(self, item: Fragment) -> None:
        """Packets are missing before `item`. Those that were sent while the track was muted are not."""
        count, self._lost = self._lost, 0
        if self._last is None or self._presence.muted_since(self._last.arrival_us, item.arrival_us):
            return
        self._ledger.packets_lost += count
        if not self._presence.outages(self._last.arrival_us, item.arrival_us):
            start_us, end_us = self._server_us(self._last), self._server_us(item)
            self._ledger.gap(start_us, max(start_us, end_us), "lost")

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
