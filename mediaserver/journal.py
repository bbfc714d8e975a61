"""Append-only record of one track: every RTP packet and sender report with its arrival time.

File layout, all integers big-endian:

    magic   8 bytes
    header  length u32, crc32 u32 (over the text), JSON text
    record  crc32 u32 (over all that follows), length u16, kind u8, arrival u64, payload
    record  ...

A record is whole or it is not there: a reader stops at the first one whose length runs past the end
of the file or whose checksum is wrong. So a file that lost its tail to `kill -9` or to a power cut
is read up to the last whole record, and nothing behind a damaged record is guessed at. A journal
that was closed in order ends with an END record.

Encoding and decoding are pure. Who writes decides when to flush; `JournalReader` reads lazily.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from enum import IntEnum
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple
from zlib import crc32

from mediaserver.errors import JournalError

MAGIC = b"MSJRNL\x00\x01"
"""The last byte is the version of the layout."""

JOURNAL_SUFFIX = ".journal"
"""How the file name of every journal ends."""

MAX_PAYLOAD = 0xFFFF
"""Bytes a record can carry; a UDP datagram is never longer."""

MAX_HEADER = 1 << 20
"""Bytes of JSON that a header can have."""

_HEADER_HEAD = struct.Struct("!II")
_CRC = struct.Struct("!I")
_RECORD_BODY = struct.Struct("!HBQ")
_RECORD_HEAD = struct.Struct("!IHBQ")
_SENDER_REPORT = struct.Struct("!QI")
_READ_SIZE = 1 << 18

_CRC_SIZE, _HEAD_SIZE = _CRC.size, _RECORD_HEAD.size

_pack_crc = _CRC.pack
_pack_body = _RECORD_BODY.pack
_unpack_head = _RECORD_HEAD.unpack_from
_new = tuple.__new__  # what a NamedTuple's own does, without a call in between


class RecordKind(IntEnum):
    """What a record's payload is. Readers pass over kinds they don't know."""

    RTP = 1  # a plain RTP packet with its header (RFC 3550 section 5.1); may repeat, may be late
    SENDER_REPORT = 2  # see `encode_sender_report`
    MUTED = 3  # no payload: the publisher muted the track
    UNMUTED = 4  # no payload
    END = 255  # no payload: the journal was closed in order


_END = int(RecordKind.END)


@dataclass(frozen=True, slots=True)
class JournalHeader:
    """What is known about the track when its journal is opened.

    `started_at_us` is the server's unix time in microseconds. `fmtp` is the format-specific
    parameters of the negotiated payload type as in SDP, "" if none. `labels` come from the control
    side and mean nothing here.
    """

    track_id: str
    recording_id: str
    kind: str  # "audio" | "video"
    mime_type: str  # "audio/opus", "video/VP8", ...
    clock_rate: int
    channels: int
    payload_type: int
    fmtp: str
    started_at_us: int
    labels: Mapping[str, str] = field(default_factory=dict)


class JournalCut(JournalError):
    """The file ends within its header, so it holds no media. Its writer was killed at once."""


class JournalRecord(NamedTuple):
    """One record. `arrival_us` is the server's unix time in microseconds, rising in a journal."""

    kind: int
    arrival_us: int
    payload: bytes


def encode_header(header: JournalHeader) -> bytes:
    """The first bytes of a journal."""
    text = json.dumps({**asdict(header), "labels": dict(header.labels)}).encode()
    return MAGIC + _HEADER_HEAD.pack(len(text), crc32(text)) + text


def encode_record(kind: int, arrival_us: int, payload: bytes = b"") -> bytes:
    """One record, ready to append. Raises JournalError when `payload` exceeds MAX_PAYLOAD."""
    try:
        body = _pack_body(len(payload), kind, arrival_us) + payload
    except struct.error as error:
        raise JournalError(
            f"not a record: kind {kind}, arrival {arrival_us}, {len(payload)} bytes"
        ) from error
    return _pack_crc(crc32(body)) + body


def encode_sender_report(ntp: int, rtp_timestamp: int) -> bytes:
    """The payload of a SENDER_REPORT: 64-bit NTP time and RTP timestamp of one instant at the
    sender (RFC 3550 section 6.4.1)."""
    return _SENDER_REPORT.pack(ntp, rtp_timestamp)


def decode_sender_report(payload: bytes) -> tuple[int, int]:
    """(NTP time as 64-bit fixed point, RTP timestamp). Raises JournalError."""
    try:
        ntp, rtp_timestamp = _SENDER_REPORT.unpack(payload)
    except struct.error as error:
        raise JournalError(f"a sender report of {len(payload)} bytes") from error
    return ntp, rtp_timestamp


class JournalReader:
    """Reads the journal at a path; each iteration starts at its first record.

    Memory stays bounded by the read buffer. Raises JournalCut when the file ends within its header,
    JournalError when the header can't be read (then nothing is known about the track) and OSError
    when the file can't. After an iteration ran to its
    end, `torn` says whether it stopped at a damaged or cut record, and `clean_end` whether an END
    record was found; what lies behind END is not looked at. `damaged` says that more lies behind the
    tear than the cut record that a killed writer leaves: media is in the file that was not read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.torn = False
        self.damaged = False
        self.clean_end = False
        with path.open("rb") as file:
            self.header = _read_header(file)
            self._records_at = file.tell()

    def __iter__(self) -> Iterator[JournalRecord]:
        self.torn = self.damaged = self.clean_end = False
        with self.path.open("rb") as file:
            file.seek(self._records_at)
            buffer = b""
            while chunk := file.read(_READ_SIZE):
                buffer += chunk
                at = 0
                while (record := _decode_record(buffer, at)) is not None:
                    at += _HEAD_SIZE + len(record[2])
                    if record[0] == _END:
                        self.clean_end = True
                        return
                    yield record
                buffer = buffer[at:]
                if len(buffer) >= _RECORD_HEAD.size + MAX_PAYLOAD:
                    break  # no cut record is this long: it is damaged
            self.torn = bool(buffer)
            self.damaged = _goes_on(buffer)


class JournalTail:
    """Reads a journal that is still being written: again and again, from where the last read ended.

    `header` is None until it is there whole. A record that is not whole yet is waited for, so one that
    is damaged ends the reading without a word; `ended` says that nothing comes any more: END was
    read, or what can't be a record.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.header: JournalHeader | None = None
        self.ended = False
        self._at = 0  # offset in the file behind what is in the buffer
        self._buffer = b""

    def read(self, size: int = _READ_SIZE) -> list[JournalRecord]:
        """What is new and whole, in order, of at most `size` more bytes. [] when there is nothing.

        Raises JournalError when the header can't be read, OSError when the file can't.
        """
        if self.ended:
            return []
        with self.path.open("rb") as file:
            if self.header is None:
                try:
                    self.header = _read_header(file)
                except JournalCut:
                    return []
                self._at = file.tell()
            file.seek(self._at)
            chunk = file.read(size)
        self._at += len(chunk)
        buffer = self._buffer + chunk
        records: list[JournalRecord] = []
        at = 0
        while (record := _decode_record(buffer, at)) is not None:
            at += _RECORD_HEAD.size + len(record.payload)
            if record.kind == RecordKind.END:
                self.ended = True
                break
            records.append(record)
        self._buffer = buffer[at:]
        if len(self._buffer) >= _RECORD_HEAD.size + MAX_PAYLOAD and not records:
            self.ended = True  # no cut record is this long: it is damaged
        if self.ended:
            self._buffer = b""
        return records


def _goes_on(rest: bytes) -> bool:
    """Is there more than one record in what begins with one that can't be read?

    A record that was cut runs past the end of the file. A damaged one does not, or says so of a
    length that is damaged: then whole records lie behind it.
    """
    if len(rest) < _RECORD_HEAD.size:
        return False
    length = _RECORD_HEAD.unpack_from(rest)[1]
    return (
        len(rest) >= _RECORD_HEAD.size + MAX_PAYLOAD
        or len(rest) > _RECORD_HEAD.size + length
        or any(_decode_record(rest, at) is not None for at in range(1, len(rest)))
    )


def _decode_record(buffer: bytes, at: int) -> JournalRecord | None:
    """The record at offset `at`, or None when it is cut or damaged there."""
    payload = at + _HEAD_SIZE
    if payload > len(buffer):
        return None
    checksum, length, kind, arrival_us = _unpack_head(buffer, at)
    end = payload + length
    if end > len(buffer) or crc32(buffer[at + _CRC_SIZE : end]) != checksum:
        return None
    return _new(JournalRecord, (kind, arrival_us, buffer[payload:end]))


def _read_header(file: BinaryIO) -> JournalHeader:
    head = file.read(len(MAGIC) + _HEADER_HEAD.size)
    if head[: len(MAGIC)] != MAGIC[: len(head)]:
        raise JournalError("not a journal")
    if len(head) < len(MAGIC) + _HEADER_HEAD.size:
        raise JournalCut("the journal ends within its header")
    length, checksum = _HEADER_HEAD.unpack_from(head, len(MAGIC))
    if length > MAX_HEADER:
        raise JournalError("the journal's header is damaged")
    text = file.read(length)
    if len(text) < length:
        raise JournalCut("the journal ends within its header")
    if crc32(text) != checksum:
        raise JournalError("the journal's header is damaged")
    try:
        return _header_from(json.loads(text))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise JournalError(f"the journal's header is not understood: {error!r}") from error


def _header_from(fields: dict[str, Any]) -> JournalHeader:
    """Unknown fields are passed over, so that a later version may add some."""
    return JournalHeader(
        track_id=str(fields["track_id"]),
        recording_id=str(fields["recording_id"]),
        kind=str(fields["kind"]),
        mime_type=str(fields["mime_type"]),
        clock_rate=int(fields["clock_rate"]),
        channels=int(fields["channels"]),
        payload_type=int(fields["payload_type"]),
        fmtp=str(fields["fmtp"]),
        started_at_us=int(fields["started_at_us"]),
        labels={str(key): str(value) for key, value in fields["labels"].items()},
    )
