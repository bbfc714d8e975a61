"""A journal gives back what was written, up to the first byte that is wrong."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediaserver.errors import JournalError
from mediaserver.journal import (
    MAGIC,
    MAX_HEADER,
    MAX_PAYLOAD,
    JournalCut,
    JournalHeader,
    JournalReader,
    JournalRecord,
    RecordKind,
    decode_sender_report,
    encode_header,
    encode_record,
    encode_sender_report,
)

HEADER = JournalHeader(
    track_id="TR_1",
    recording_id="RC_1",
    kind="video",
    mime_type="video/VP8",
    clock_rate=90000,
    channels=0,
    payload_type=96,
    fmtp="x=y",
    started_at_us=1_760_000_000_000_000,
    labels={"room": "blau-grün"},
)
RECORDS = [
    JournalRecord(RecordKind.RTP, 1_760_000_000_000_001, b"first"),
    JournalRecord(RecordKind.SENDER_REPORT, 1_760_000_000_000_002, encode_sender_report(7, 8)),
    JournalRecord(RecordKind.MUTED, 1_760_000_000_000_003, b""),
    JournalRecord(77, 1_760_000_000_000_004, b"of a later version"),
]
HEAD = encode_header(HEADER)
BODY = b"".join(encode_record(*record) for record in RECORDS)
END = encode_record(RecordKind.END, 1_760_000_000_000_005)


def read(tmp_path: Path, data: bytes) -> tuple[JournalReader, list[JournalRecord]]:
    path = tmp_path / "a.journal"
    path.write_bytes(data)
    reader = JournalReader(path)
    return reader, list(reader)


def test_a_whole_journal_reads_back(tmp_path: Path) -> None:
    reader, records = read(tmp_path, HEAD + BODY + END)
    assert reader.header == HEADER
    assert records == RECORDS
    assert reader.clean_end
    assert not reader.torn


def test_every_iteration_starts_anew(tmp_path: Path) -> None:
    reader, records = read(tmp_path, HEAD + BODY)
    assert list(reader) == records


@pytest.mark.parametrize("size", range(len(HEAD)))
def test_a_journal_cut_within_its_header_says_so(tmp_path: Path, size: int) -> None:
    with pytest.raises(JournalCut):
        read(tmp_path, HEAD[:size])


def test_a_journal_cut_at_any_byte_gives_its_whole_records(tmp_path: Path) -> None:
    edges = [0]
    for record in RECORDS:
        edges.append(edges[-1] + len(encode_record(*record)))
    for size in range(len(BODY)):
        reader, records = read(tmp_path, HEAD + BODY[:size])
        whole = sum(edge <= size for edge in edges) - 1
        assert records == RECORDS[:whole]
        assert reader.torn == (size not in edges)
        assert not reader.damaged
        assert not reader.clean_end


def test_a_flipped_bit_ends_the_reading_at_its_record(tmp_path: Path) -> None:
    first = len(encode_record(*RECORDS[0]))
    for at in range(first, len(BODY)):
        damaged = bytearray(BODY)
        damaged[at] ^= 0x10
        reader, records = read(tmp_path, HEAD + bytes(damaged) + END)
        assert records == RECORDS[: len(records)]
        assert 1 <= len(records) < len(RECORDS)
        assert reader.torn
        assert reader.damaged, f"byte {at}"


def test_what_lies_behind_the_end_is_not_read(tmp_path: Path) -> None:
    reader, records = read(tmp_path, HEAD + BODY + END + b"junk" + BODY)
    assert records == RECORDS
    assert reader.clean_end
    assert not reader.torn


@given(junk=st.binary(min_size=1, max_size=200))
def test_junk_behind_the_last_record_is_torn(
    tmp_path_factory: pytest.TempPathFactory, junk: bytes
) -> None:
    reader, records = read(tmp_path_factory.mktemp("junk"), HEAD + BODY + junk)
    assert records == RECORDS
    assert reader.torn


def test_damage_before_much_data_does_not_read_it_all(tmp_path: Path) -> None:
    many = encode_record(RecordKind.RTP, 1, bytes(60_000)) * 20
    damaged = bytearray(many)
    damaged[30] ^= 1
    reader, records = read(tmp_path, HEAD + bytes(damaged))
    assert records == []
    assert reader.torn
    assert reader.damaged


def test_records_larger_than_a_read_come_whole(tmp_path: Path) -> None:
    wanted = [JournalRecord(RecordKind.RTP, n, bytes([n]) * MAX_PAYLOAD) for n in range(12)]
    reader, records = read(tmp_path, HEAD + b"".join(encode_record(*r) for r in wanted))
    assert records == wanted
    assert not reader.torn


@pytest.mark.parametrize(
    "data",
    [
        b"RIFF" + HEAD,
        MAGIC[:-1] + b"\x09" + HEAD[len(MAGIC) :],
        HEAD[:-1] + b"!",
        MAGIC + (MAX_HEADER + 1).to_bytes(4, "big") + bytes(4) + bytes(64),
        MAGIC + (2).to_bytes(4, "big") + crc32(b"{}").to_bytes(4, "big") + b"{}",
        MAGIC + (2).to_bytes(4, "big") + crc32(b"[]").to_bytes(4, "big") + b"[]",
        MAGIC + (1).to_bytes(4, "big") + crc32(b"{").to_bytes(4, "big") + b"{",
    ],
    ids=["other format", "other version", "damaged", "endless", "no fields", "list", "not json"],
)
def test_a_header_that_is_none_is_refused(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(JournalError) as caught:
        read(tmp_path, data)
    assert not isinstance(caught.value, JournalCut)


@pytest.mark.parametrize(
    ("kind", "arrival_us", "payload"),
    [(1, 1, bytes(MAX_PAYLOAD + 1)), (256, 1, b""), (1, -1, b"")],
)
def test_what_is_no_record_is_not_encoded(kind: int, arrival_us: int, payload: bytes) -> None:
    with pytest.raises(JournalError):
        encode_record(kind, arrival_us, payload)


def test_a_header_without_labels_reads_back(tmp_path: Path) -> None:
    reader, _ = read(tmp_path, encode_header(replace(HEADER, labels={})))
    assert reader.header.labels == {}


def test_sender_reports_read_back() -> None:
    assert decode_sender_report(encode_sender_report(1 << 63, 0xFFFF_FFFF)) == (
        1 << 63,
        0xFFFF_FFFF,
    )
    with pytest.raises(JournalError):
        decode_sender_report(b"short")
