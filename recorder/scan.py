"""The first pass over a journal: what must be known before the first frame is placed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from mediaserver.errors import JournalError
from mediaserver.journal import JournalHeader, JournalReader, RecordKind, decode_sender_report
from recorder.depacketize.h264 import sequence_parameter_sets
from recorder.packets import EpochTracker, RtpPacket, parse_rtp
from recorder.timeline import Observation, ntp_to_unix_us

_REPORT_EVERY = 256


@dataclass(slots=True)
class ScannedTrack:
    """A journal without its media. Times are server time in microseconds, None without packets.

    `parameter_sets` are the distinct H.264 sequence parameter sets seen, two at most.
    """

    path: Path
    header: JournalHeader
    observations: dict[int, Observation] = field(default_factory=dict)  # by epoch
    first_arrival_us: int | None = None
    last_arrival_us: int | None = None
    last_record_us: int | None = None
    payload_types: set[int] = field(default_factory=set)
    parameter_sets: set[bytes] = field(default_factory=set)
    clean: bool = False

    @property
    def participant_id(self) -> str:
        return self.header.labels.get("participantId") or self.header.track_id

    @property
    def source(self) -> str:
        return self.header.labels.get("source", "")

    @property
    def mime_type(self) -> str:
        return self.header.mime_type.lower()


def scan_journal(path: Path, on_bytes: Callable[[int], None]) -> ScannedTrack:
    """Raises JournalError when the header can't be read, OSError when the file can't."""
    reader = JournalReader(path)
    track = ScannedTrack(path, reader.header)
    tracker = EpochTracker()
    clock_rate = max(reader.header.clock_rate, 1)
    pending = 0
    for number, record in enumerate(reader):
        track.last_record_us = record.arrival_us
        pending += len(record.payload)
        if number % _REPORT_EVERY == 0:
            on_bytes(pending)
            pending = 0
        if record.kind == RecordKind.SENDER_REPORT:
            _note_report(track, tracker.epoch, record.arrival_us, record.payload)
        elif record.kind == RecordKind.RTP and (packet := parse_rtp(record.payload)):
            placed = tracker.place(packet, record.arrival_us)
            if placed is not None:
                seen = track.observations.get(placed.epoch)
                if seen is None:
                    seen = track.observations[placed.epoch] = Observation(clock_rate)
                seen.packet(placed.timestamp, record.arrival_us)
                _note_packet(track, packet, record.arrival_us)
    on_bytes(pending)
    track.clean = reader.clean_end
    return track


def _note_packet(track: ScannedTrack, packet: RtpPacket, arrival_us: int) -> None:
    if track.first_arrival_us is None:
        track.first_arrival_us = arrival_us
    track.last_arrival_us = arrival_us
    track.payload_types.add(packet.payload_type)
    if track.mime_type == "video/h264" and len(track.parameter_sets) < 2:
        track.parameter_sets.update(sequence_parameter_sets(packet.payload))


def _note_report(track: ScannedTrack, epoch: int, arrival_us: int, payload: bytes) -> None:
    """Reports before the first packet are about the epoch that it begins."""
    try:
        ntp, rtp_timestamp = decode_sender_report(payload)
    except JournalError:
        return
    if ntp == 0:
        return  # a sender without a clock (RFC 3550 section 6.4.1)
    clock_rate = max(track.header.clock_rate, 1)
    seen = track.observations.setdefault(max(epoch, 0), Observation(clock_rate))
    seen.report(ntp_to_unix_us(ntp), rtp_timestamp, arrival_us)
