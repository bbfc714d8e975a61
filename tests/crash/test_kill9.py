"""`kill -9` of the whole process tree, then a start: nothing that was on disk is lost."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from mediaserver.journal import JOURNAL_SUFFIX, JournalCut, JournalReader, RecordKind
from tests.e2e.recordings import fetch
from tests.media_truth import measure
from tests.rig.browser import chromium, rig_pages
from tests.rig.known_content import known_content_page
from tests.rig.media import decode_errors, ffprobe
from tests.rig.rest import FINAL, Rest, originals
from tests.rig.sdk import hears, joined, tone
from tests.rig.server import MediaserverProcess
from tests.rig.tokens import participant_token, server_token

ROOM = "crash"
FPS = 30


def media_in(folder: Path) -> bool:
    """Is a packet in a journal of a killed server?"""
    for path in folder.glob(f"*{JOURNAL_SUFFIX}"):
        with suppress(JournalCut):
            if any(record.kind == RecordKind.RTP for record in JournalReader(path)):
                return True
    return False


async def test_killed_ten_seconds_into_a_recording(data_dir: Path, tmp_path: Path) -> None:
    async with (
        MediaserverProcess(data_dir) as server,
        Rest(server.base_url, server_token()) as rest,
        rig_pages() as pages,
        chromium() as browser,
        known_content_page(browser, pages) as alice,
    ):
        await alice.join(server.ws_url, participant_token(ROOM, "alice"), "alice")
        recording = await rest.start_recording(ROOM)
        began = await alice.snapshot()
        await alice.elapse(10)
        killed = await alice.snapshot()
        await server.kill9()

        await server.restart()
        row = await rest.recorded(recording, within=60)
        (file,) = originals(row)
        path = await fetch(rest, file, tmp_path)
        truth = measure(path)
        drawn = await alice.drawn()
        due = range(drawn[began.drawn - 1], drawn[killed.drawn - 1] + 1)
        missing = len(set(drawn) & set(due) - set(truth.counters))
        assert truth.backwards == 0
        assert missing <= FPS, f"{missing} of {len(due)} pictures are missing"
        assert abs(row["durationSeconds"] - (killed.at - began.at)) <= 1
        assert len(truth.beeps_s) >= 9
        assert decode_errors(path) == 0
        assert float((await ffprobe(path))["format"]["duration"]) >= 9


async def test_killed_while_the_file_is_being_made(data_dir: Path, tmp_path: Path) -> None:
    async with (
        MediaserverProcess(data_dir) as server,
        Rest(server.base_url, server_token()) as rest,
    ):
        async with joined(server, ROOM, "alice") as alice, tone(alice, 440):
            recording = await rest.start_recording(ROOM)
            async with joined(server, ROOM, "bob") as bob:
                await hears(await bob.subscribed("alice", 1), 440)
            stopped = await rest.post(f"/api/v1/rooms/{ROOM}/recording/stop")
            assert stopped["recordingId"] == recording
            await server.kill9()
        await server.restart()
        row = await rest.recorded(recording, within=60)
        (file,) = originals(row)
        assert file["durationSeconds"] > 0.5
        assert decode_errors(await fetch(rest, file, tmp_path)) == 0


async def test_killed_right_after_the_start_of_a_recording(data_dir: Path) -> None:
    """Whatever was on disk by then: the recording ends, and a new one may begin."""
    async with (
        MediaserverProcess(data_dir) as server,
        Rest(server.base_url, server_token()) as rest,
    ):
        async with joined(server, ROOM, "alice") as alice, tone(alice, 440):
            started = await rest.post(f"/api/v1/rooms/{ROOM}/recording/start")
            await server.kill9()
        had_media = media_in(data_dir / "journals" / started["recordingId"])
        await server.restart()
        row = await rest.recording_in(started["recordingId"], FINAL, within=60)
        assert row["status"] == ("recorded" if had_media else "failed"), row
        async with joined(server, ROOM, "alice") as alice, tone(alice, 440):
            again = await rest.start_recording(ROOM)
            assert again != started["recordingId"]
            await rest.stop_recording(ROOM)


async def test_a_clean_stop_finishes_what_was_being_recorded(data_dir: Path) -> None:
    async with (
        MediaserverProcess(data_dir) as server,
        Rest(server.base_url, server_token()) as rest,
    ):
        async with joined(server, ROOM, "alice") as alice, tone(alice, 440):
            recording = await rest.start_recording(ROOM)
            assert await server.stop() == 0
        await server.restart()
        await rest.recorded(recording, within=30)
