"""A journal that grows, read at every byte."""

from __future__ import annotations

from pathlib import Path

import pytest

from mediaserver.errors import JournalError
from mediaserver.journal import JournalReader, JournalRecord, JournalTail
from tests.recorder.known_media import audio_track


@pytest.fixture
def blob() -> bytes:
    return audio_track(0.1).to_bytes()


def test_split_at_every_byte_it_gives_every_record_once(tmp_path: Path, blob: bytes) -> None:
    path = tmp_path / "TR.journal"
    path.write_bytes(blob)
    whole = list(JournalReader(path))
    for cut in range(len(blob)):
        path.write_bytes(blob[:cut])
        tail = JournalTail(path)
        got: list[JournalRecord] = tail.read()
        assert not tail.ended
        path.write_bytes(blob)
        assert got + tail.read() == whole, cut
        assert tail.ended
        assert tail.read() == []


def test_small_reads_give_the_same(tmp_path: Path, blob: bytes) -> None:
    path = tmp_path / "TR.journal"
    path.write_bytes(blob)
    tail, got = JournalTail(path), []
    for _ in range(len(blob)):
        got += tail.read(7)
    assert got == list(JournalReader(path))
    assert tail.ended


def test_a_damaged_record_ends_it_without_a_growing_buffer(tmp_path: Path, blob: bytes) -> None:
    path = tmp_path / "TR.journal"
    spoilt = bytearray(blob)
    spoilt[-60] ^= 0xFF
    path.write_bytes(bytes(spoilt) + bytes(200_000))
    tail = JournalTail(path)
    before = tail.read()
    assert before
    assert tail.read() == []
    assert tail.ended


def test_what_is_no_journal_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "TR.journal"
    path.write_bytes(b"\x1aE\xdf\xa3 not a journal at all")
    with pytest.raises(JournalError):
        JournalTail(path).read()
