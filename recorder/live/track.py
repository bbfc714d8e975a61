"""One growing journal -> its frames on the server's clock."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from mediaserver.errors import JournalError
from mediaserver.journal import JournalHeader, JournalRecord, RecordKind, decode_sender_report
from recorder.assembly import Dropped, Fragment, Frame, FrameAssembler
from recorder.depacketize import CODECS, CodedFrame
from recorder.live.clock import LiveClock, SenderOffsets
from recorder.packets import EpochTracker, parse_rtp
from recorder.reorder import Lost, ReorderBuffer

MAX_WAIT_US = 600_000
"""How long a missing packet is waited for: longer than retransmissions take, shorter than viewers
do. The finished file waits longer, so it may have pictures that were not seen live."""


class LiveFrame(NamedTuple):
    """A frame and when it was captured: server time in microseconds."""

    at_us: float
    coded: CodedFrame


class LiveTrack:
    """Takes the records of a journal in order. Raises JournalError for a header that lies."""

    def __init__(self, header: JournalHeader, offsets: SenderOffsets) -> None:
        self.header = header
        self.mime_type = header.mime_type.lower()
        self.is_video = self.mime_type.startswith("video/")
        codec = CODECS.get(self.mime_type)
        if codec is None:
            raise JournalError(f"{self.mime_type} can't be kept")
        if header.clock_rate != codec.clock_rate:
            raise JournalError(f"{self.mime_type} has a clock rate of {codec.clock_rate} only")
        self._codec = codec
        self._offsets = offsets
        self._tracker = EpochTracker()
        self._epoch: _Epoch | None = None

    def take(self, record: JournalRecord) -> Iterator[LiveFrame]:
        """The frames that are whole with this record."""
        if record.kind == RecordKind.SENDER_REPORT:
            if self._epoch is not None:
                self._epoch.report(record)
            return
        packet = parse_rtp(record.payload) if record.kind == RecordKind.RTP else None
        if packet is None:
            return
        placed = self._tracker.place(packet, record.arrival_us)
        if placed is None:
            return
        if self._epoch is None or placed.epoch != self._epoch.number:
            yield from self.close()
            self._epoch = self._begin(placed.epoch)
        known = packet.payload_type == self.header.payload_type
        payload = packet.payload if known else b""
        fragment = Fragment(placed.timestamp, packet.marker, payload, record.arrival_us)
        yield from self._epoch.push(placed.sequence, fragment)

    def close(self) -> Iterator[LiveFrame]:
        """What was still waited for, when nothing more comes."""
        if self._epoch is not None:
            epoch, self._epoch = self._epoch, None
            yield from epoch.close()

    def _begin(self, number: int) -> _Epoch:
        assembler = FrameAssembler(self._codec.depacketizer(self.header), single=not self.is_video)
        return _Epoch(number, LiveClock(self.header.clock_rate, self._offsets), assembler)


class _Epoch:
    def __init__(self, number: int, clock: LiveClock, assembler: FrameAssembler) -> None:
        self.number = number
        self._clock = clock
        self._assembler = assembler
        self._reorder: ReorderBuffer[Fragment] = ReorderBuffer(MAX_WAIT_US)

    def report(self, record: JournalRecord) -> None:
        try:
            ntp, rtp_timestamp = decode_sender_report(record.payload)
        except JournalError:
            return
        self._clock.report(ntp, rtp_timestamp, record.arrival_us)

    def push(self, sequence: int, fragment: Fragment) -> Iterator[LiveFrame]:
        self._clock.packet(fragment.timestamp, fragment.arrival_us)
        return self._frames(self._reorder.push(sequence, fragment.arrival_us, fragment))

    def close(self) -> Iterator[LiveFrame]:
        yield from self._frames(self._reorder.flush())
        yield from self._timed(self._assembler.flush())
        self._clock.close()

    def _frames(self, items: Iterable[Fragment | Lost]) -> Iterator[LiveFrame]:
        for item in items:
            yield from self._timed(self._assembler.push(item))

    def _timed(self, results: Iterable[Frame | Dropped]) -> Iterator[LiveFrame]:
        for result in results:
            if isinstance(result, Frame):
                at_us = self._clock.server_us(result.timestamp, result.arrival_us)
                yield LiveFrame(at_us, result.coded)
