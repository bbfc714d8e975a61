"""The thread that writes journals: what is on disk, and what a bad disk does."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from mediaserver import recording
from mediaserver.journal import JournalHeader, JournalReader
from mediaserver.recording import JournalWriter, TrackJournal

HEADER = JournalHeader("TR_1", "RC_1", "audio", "audio/opus", 48000, 2, 111, "", 1_000_000)


class Heard:
    def __init__(self) -> None:
        self.media: list[TrackJournal] = []
        self.faults: list[str] = []


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
async def writer(heard: Heard) -> Iterator[JournalWriter]:
    writer = JournalWriter(heard.media.append, lambda _journal, reason: heard.faults.append(reason))
    yield writer
    writer.stop()


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


async def test_everything_given_before_the_end_is_in_the_file(writer, heard, tmp_path) -> None:
    journal = writer.open(tmp_path / "TR_1.journal", HEADER)
    for number in range(1000):
        journal.packet(1_000_000 + number, bytes([number & 0xFF]) * 100)
    assert await writer.close_journal(journal)
    reader = JournalReader(tmp_path / "TR_1.journal")
    assert [record.payload[0] for record in reader] == [n & 0xFF for n in range(1000)]
    assert reader.clean_end
    assert journal.first_media_us == 1_000_000
    assert heard.media == [journal]
    assert heard.faults == []


async def test_a_track_without_packets_leaves_no_file(writer, tmp_path) -> None:
    journal = writer.open(tmp_path / "TR_1.journal", HEADER)
    journal.muted(1_000_000, True)
    assert not await writer.close_journal(journal)
    assert list(tmp_path.iterdir()) == []


async def test_arrival_times_never_run_backwards(writer, tmp_path) -> None:
    journal = writer.open(tmp_path / "TR_1.journal", HEADER)
    for at in (2_000_000, 1_500_000, 3_000_000):
        journal.packet(at, b"x")
    await writer.close_journal(journal)
    times = [record.arrival_us for record in JournalReader(tmp_path / "TR_1.journal")]
    assert times == [2_000_000, 2_000_000, 3_000_000]


async def test_a_disk_that_fails_ends_the_journal_and_leaks_no_descriptor(
    writer, heard, tmp_path
) -> None:
    before = open_files()
    journals = []
    for number in range(20):
        target = tmp_path / f"TR_{number}.journal"
        target.symlink_to("/dev/full")
        journal = writer.open(target, HEADER)
        journal.packet(1, b"x")
        journals.append(journal)
    assert [await journal.closed for journal in journals] == [False] * 20
    await asyncio.sleep(0)
    assert heard.faults == ["No space left on device"] * 20
    assert open_files() == before
    assert not await writer.close_journal(journals[0])


async def test_a_disk_that_falls_behind_keeps_what_was_queued_and_says_so(
    writer, heard, tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recording, "PENDING_LIMIT", 10_000)
    journal = writer.open(Path(tmp_path / "TR_1.journal"), HEADER)
    for number in range(1000):
        journal.packet(number, bytes(1000))
    assert await journal.closed
    reader = JournalReader(tmp_path / "TR_1.journal")
    assert len(list(reader)) >= 10
    assert not reader.clean_end
    assert heard.faults == ["the disk does not keep up with the recording"]
