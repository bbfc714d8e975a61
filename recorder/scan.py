"""The first pass over a journal: what must be known before the first frame is placed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from mediaserver.errors import JournalError
from mediaserver.journal import JournalHeader, JournalReader, RecordKind, decode_sender_report
from recorder.depacketize import CODECS, Codec
from recorder.depacketize.h264 import sequence_parameter_sets
from recorder.packets import EpochTracker, RtpPacket, parse_rtp
from recorder.timeline import Observation, ntp_to_unix_us

MAX_EPOCHS = 1000
"""SSRCs and restarts of one track; who has more sends no media."""

_REPORT_EVERY = 256
_RTP, _SENDER_REPORT = int(RecordKind.RTP), int(RecordKind.SENDER_REPORT)


@dataclass(slots=True)
class ScannedTrack:
    """A journal without its media. Times are server time in microseconds, None without packets.

    `parameter_sets` are the distinct H.264 sequence parameter sets seen, two at most. `clean` says
    that the journal was closed in order, `damaged` that there is media in it that can't be read.
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
    damaged: bool = False

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
    """Raises JournalError when the header can't be read or believed, OSError when the file can't.

    Of a codec that can't be kept, nothing is observed.
    """
    reader = JournalReader(path)
    track = ScannedTrack(path, reader.header)
    codec = CODECS.get(track.mime_type)
    if codec is not None and reader.header.clock_rate != codec.clock_rate:
        raise JournalError(f"{track.mime_type} has a clock rate of {codec.clock_rate} only")
    tracker = EpochTracker()
    pending = 0
    for number, (kind, arrival_us, payload) in enumerate(reader):
        track.last_record_us = arrival_us
        pending += len(payload)
        if number % _REPORT_EVERY == 0:
            on_bytes(pending)
            pending = 0
        if kind == _SENDER_REPORT and codec is not None:
            seen = _observation(track, codec, max(tracker.epoch, 0))
            _note_report(seen, arrival_us, payload)
        elif kind == _RTP and (packet := parse_rtp(payload)):
            placed = tracker.place(packet, arrival_us)
            if placed is not None:
                if codec is not None:
                    seen = _observation(track, codec, placed.epoch)
                    seen.packet(placed.timestamp, arrival_us)
                _note_packet(track, packet, arrival_us)
    on_bytes(pending)
    track.clean, track.damaged = reader.clean_end, reader.damaged
    return track


def _observation(track: ScannedTrack, codec: Codec, epoch: int) -> Observation:
    """Reports before the first packet are about the epoch that it begins."""
    seen = track.observations.get(epoch)
    if seen is None:
        if epoch >= MAX_EPOCHS:
            raise JournalError("its numbers begin anew again and again")
        seen = track.observations[epoch] = Observation(codec.clock_rate)
    return seen


def _note_packet(track: ScannedTrack, packet: RtpPacket, arrival_us: int) -> None:
    if track.first_arrival_us is None:
        track.first_arrival_us = arrival_us
    track.last_arrival_us = arrival_us
    track.payload_types.add(packet.payload_type)
    if len(track.parameter_sets) < 2 and track.mime_type == "video/h264":
        track.parameter_sets.update(sequence_parameter_sets(packet.payload))


def _note_report(seen: Observation, arrival_us: int, payload: bytes) -> None:
    try:
        ntp, rtp_timestamp = decode_sender_report(payload)
    except JournalError:
        return
    if ntp == 0:
        return  # a sender without a clock (RFC 3550 section 6.4.1)
    seen.report(ntp_to_unix_us(ntp), rtp_timestamp, arrival_us)
