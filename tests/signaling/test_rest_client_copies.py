"""Participants' own recordings over HTTP: real chunks, the real job, and what the status says."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from recorder.chunks.made_at import read_made_at
from recorder.chunks.places import chunks_root, set_folder
from recorder.journals import journals_root
from tests.signaling.house import Answer, House, house

CHUNKS = Path(__file__).parents[1] / "media_chunks" / "webm_vp8"


@pytest_asyncio.fixture
async def home(tmp_path: Path) -> AsyncIterator[House]:
    """Nobody publishes anything in its calls."""
    async with house(tmp_path) as opened:
        opened.media.media_arrives = False
        yield opened


def real_chunks() -> list[bytes]:
    return [path.read_bytes() for path in sorted(CHUNKS.glob("*.bin"))]


async def start(home: House, **wanted: Any) -> str:
    """A call with Hanna and Paul in it, whose recording was started; its id."""
    await home.enter("r", "hanna")
    await home.enter("r", "paul")
    answer = await home.post("/api/v1/rooms/r/recording/start", home.host("r"), json=wanted)
    assert answer.data["status"] == "starting"
    return str(answer.data["recordingId"])


async def post_chunk(
    home: House, recording: str, sequence: int, content: bytes, timestamp: object = 0
) -> Answer:
    body = {
        "recordingId": recording,
        "participantId": "paul",
        "chunk": base64.b64encode(content).decode(),
        "type": "video",
        "timestamp": timestamp,
        "sequence": sequence,
    }
    return await home.post("/video-calls/chunks/upload", home.participant("r"), json=body)


async def complete(home: House, recording: str, last: int) -> Answer:
    path = f"/api/v1/recordings/{recording}/chunks/paul/complete"
    said = {"parts": [{"part": 0, "lastSequence": last}]}
    return await home.post(path, home.participant("r"), json=said)


async def status(home: House, recording: str) -> Any:
    path = f"/video-calls/recording/{recording}/status"
    return (await home.get(path, home.participant("r"))).data


async def status_in(home: House, recording: str, *wanted: str) -> Any:
    async with asyncio.timeout(30):
        while (told := await status(home, recording))["status"] not in wanted:
            await home.services.copies.look()  # as the keeper does
            await asyncio.sleep(0.05)
    return told


async def test_real_chunks_become_a_file_that_the_recording_offers(home: House) -> None:
    recording = await start(home)
    sent = real_chunks()
    answers = await asyncio.gather(
        *(post_chunk(home, recording, number, data) for number, data in enumerate(sent[:-1]))
    )
    assert {answer.status for answer in answers} == {201}
    assert (await status_in(home, recording, "recording"))["bytes"] == sum(map(len, sent[:-1]))
    await home.post("/api/v1/rooms/r/recording/stop", home.host("r"))
    assert (await post_chunk(home, recording, len(sent) - 1, sent[-1])).status == 201
    assert (await complete(home, recording, len(sent) - 1)).status == 202
    told = await status_in(home, recording, "recorded", "failed")
    assert told["status"] == "recorded"
    (copy,) = told["chunks"]
    assert (copy["participantId"], copy["status"]) == ("paul", "done")
    assert copy["parts"] == [
        {"part": 0, "received": [[0, len(sent) - 1]], "missing": [], "next": len(sent)}
    ]
    row = (await home.get(f"/api/v1/recordings/{recording}", home.host("r"))).data
    (file,) = [each for each in row["files"] if not each["role"]]
    assert (file["kind"], file["participantId"], file["contentType"]) == (
        "client",
        "paul",
        "video/webm",
    )
    assert file["durationSeconds"] > 5
    assert row["url"] == file["url"]
    assert {track["source"] for track in row["integrity"]["tracks"]} == {"client"}
    part = await home.get(file["url"], headers={"Range": "bytes=0-99"})
    assert (part.status, len(part.body)) == (206, 100)


async def test_when_chunks_were_made_is_kept_for_the_time_line(home: House) -> None:
    recording = await start(home, mode="client")
    for sequence, made in ((1, 1_790_000_005_000), (0, 1_790_000_001_000)):
        assert (await post_chunk(home, recording, sequence, b"chunk", made)).status == 201
    (row,) = await home.services.catalog.chunk_sets.of(recording)
    part = set_folder(chunks_root(journals_root(home.services.settings.data_dir)), row.id) / "0"
    assert read_made_at(part) == {0: 1_790_000_001.0, 1: 1_790_000_005.0}


async def test_a_pause_that_the_server_did_not_hear_changes_no_file(home: House) -> None:
    """All chunks come at once, and their `timestamp` tells of a pause; there is no sound but theirs."""
    folder = CHUNKS.with_name("webm_vp8_pause")
    log = json.loads((folder / "index.json").read_text())["log"]
    recording = await start(home, mode="client")
    for number, entry in enumerate(log):
        data = (folder / f"{number:05d}.bin").read_bytes()
        made = 1_790_000_000_000 + entry["t"]
        assert (await post_chunk(home, recording, number, data, made)).status == 201
    await home.post("/api/v1/rooms/r/recording/stop", home.host("r"))
    await complete(home, recording, len(log) - 1)
    await status_in(home, recording, "recorded")
    row = (await home.get(f"/api/v1/recordings/{recording}", home.host("r"))).data
    (file,) = [each for each in row["files"] if not each["role"]]
    assert file["durationSeconds"] == pytest.approx(11.6, abs=0.1)


async def test_a_timestamp_may_be_anything(home: House) -> None:
    """Clients that send something else were taken before it was read."""
    recording = await start(home)
    for number, timestamp in enumerate((None, "now", True, [1], {"t": 1}, 10**400, -1.5)):
        assert (await post_chunk(home, recording, number, b"chunk", timestamp)).status == 201


async def test_a_hole_is_told_in_the_refusal_and_in_the_status(home: House) -> None:
    recording = await start(home)
    for number in (0, 1, 3):
        await post_chunk(home, recording, number, b"chunk")
    answer = await complete(home, recording, 4)
    assert (answer.status, answer.code) == (409, "chunks_missing")
    assert answer.details["parts"] == [
        {"part": 0, "received": [[0, 1], [3, 3]], "missing": [2, 4], "next": 4}
    ]
    (told,) = (await status(home, recording))["chunks"]
    assert told["parts"][0]["missing"] == [2]


async def test_the_mode_client_is_taken_and_the_server_records_nothing(home: House) -> None:
    recording = await start(home, mode="client")
    assert home.media.recordings == {}
    row = (await home.get(f"/api/v1/recordings/{recording}", home.host("r"))).data
    assert (row["mode"], row["options"]["quality"]) == ("client", "720p")


async def test_a_room_can_not_be_set_to_the_mode_client(home: House) -> None:
    """Nobody would be asked whether their browser may record."""
    path = "/api/v1/rooms/r/settings"
    answer = await home.request("PUT", path, home.host("r"), json={"recordingMode": "client"})
    assert (answer.status, answer.code) == (400, "bad_recording_mode")


async def test_an_ended_recording_refuses_a_first_chunk(home: House) -> None:
    row = await home.recorded("r", "paul")
    answer = await post_chunk(home, row.id, 0, b"chunk")
    assert (answer.status, answer.code) == (409, "recording_ended")
    assert await home.services.catalog.chunk_sets.of(row.id) == ()


async def test_what_is_complete_refuses_more(home: House) -> None:
    recording = await start(home)
    await post_chunk(home, recording, 0, b"chunk")
    assert (await complete(home, recording, 0)).status == 202
    assert (await complete(home, recording, 0)).status == 202
    answer = await post_chunk(home, recording, 1, b"chunk")
    assert (answer.status, answer.code) == (409, "already_completed")


async def test_bytes_that_are_no_media_fail_with_a_reason_and_are_kept(home: House) -> None:
    recording = await start(home)
    await post_chunk(home, recording, 0, b"no media at all" * 100)
    await complete(home, recording, 0)
    await home.post("/api/v1/rooms/r/recording/stop", home.host("r"))
    told = await status_in(home, recording, "recorded", "failed")
    assert told["status"] == "failed"
    (row,) = await home.services.catalog.chunk_sets.of(recording)
    assert (row.status, bool(row.error)) == ("failed", True)
    folder = home.services.settings.data_dir / "journals" / ".chunks" / row.id
    assert (folder / "0" / "0" / "0").is_file()


@pytest.mark.parametrize("ended", [False, True])
async def test_a_deleted_recording_leaves_no_chunk(home: House, ended: bool) -> None:
    recording = await start(home, mode="client")
    await post_chunk(home, recording, 0, b"chunk")
    await home.post("/api/v1/rooms/r/recording/stop", home.host("r"))
    path = f"/api/v1/recordings/{recording}"
    if ended:
        await complete(home, recording, 0)
        await status_in(home, recording, "failed")
    answer = await home.request("DELETE", path, home.host("r"))
    folder = home.services.settings.data_dir / "journals" / ".chunks"
    left = [each.name for each in folder.iterdir() if each.name.startswith("CS_")]
    assert (answer.status, left == []) == ((200, True) if ended else (409, False))
