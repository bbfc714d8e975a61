"""Starting and stopping recordings, and the calls they belong to."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from mediaserver.messages import RecordingId, RecordingStarted
from tests.signaling.house import House, house

START, STOP = "/api/v1/rooms/r/recording/start", "/api/v1/rooms/r/recording/stop"


async def call_id(home: House, room: str = "r") -> str:
    return str((await home.get(f"/api/v1/rooms/{room}/call", home.host(room))).data["callId"])


async def test_the_host_starts_and_stops(home: House) -> None:
    await home.enter("r", "hanna")
    started = (await home.post(START, home.host("r"))).data
    assert started["status"] in {"starting", "recording"}
    assert list(home.media.recordings) == [started["recordingId"]]
    stopped = (await home.post(STOP, home.host("r"))).data
    assert stopped["recordingId"] == started["recordingId"]
    assert not home.media.recordings
    row = (await home.get(f"/api/v1/recordings/{started['recordingId']}", home.host("r"))).data
    assert (row["room"], row["startedBy"], row["mode"]) == ("r", "hanna", "tracks")


async def test_by_call_as_embedding_pages_do_it(home: House) -> None:
    """Without a body, but with its content type."""
    await home.enter("r", "hanna")
    path = f"/video-calls/{await call_id(home)}/recording"
    headers = {"Content-Type": "application/json"}
    started = (await home.post(f"{path}/start", home.host("r"), headers=headers)).data
    stopped = (await home.post(f"{path}/stop", home.host("r"), headers=headers)).data
    assert stopped["recordingId"] == started["recordingId"]


async def test_stop_is_idempotent_also_when_the_call_is_over(home: House) -> None:
    await home.enter("r", "hanna")
    call = await call_id(home)
    started = (await home.post(START, home.host("r"))).data
    await home.everybody_leaves("r")
    for path in (STOP, STOP, f"/video-calls/{call}/recording/stop"):
        assert (await home.post(path, home.server())).data["recordingId"] == started["recordingId"]


async def test_a_room_that_empties_ends_its_recording_and_its_call(home: House) -> None:
    await home.enter("r", "hanna")
    call = await call_id(home)
    await home.post(START, home.host("r"))
    await home.everybody_leaves("r")
    assert not home.media.recordings
    row = await home.services.catalog.calls.get(call)
    assert row is not None
    assert row.ended_at is not None
    answer = await home.post(f"/video-calls/{call}/recording/start", home.host("r"))
    assert (answer.status, answer.code) == (409, "no_call")


async def test_only_one_recording_at_a_time(home: House) -> None:
    await home.enter("r", "hanna")
    answers = await asyncio.gather(*(home.post(START, home.host("r")) for _ in range(5)))
    (won,) = [answer for answer in answers if answer.status == 200]
    for lost in answers:
        if lost is not won:
            assert (lost.status, lost.code) == (409, "already_recording")
            assert lost.details["recordingId"] == won.data["recordingId"]


async def test_nobody_to_record(home: House) -> None:
    for token in (home.host("r"), home.server()):
        answer = await home.post(START, token)
        assert (answer.status, answer.code) == (409, "no_call")


async def test_nothing_to_stop(home: House) -> None:
    answer = await home.post(STOP, home.host("r"))
    assert (answer.status, answer.code) == (404, "recording_not_found")


@pytest.mark.parametrize("verb", ["start", "stop"])
async def test_an_unknown_call(home: House, verb: str) -> None:
    answer = await home.post(f"/video-calls/CA_unknown/recording/{verb}", home.server())
    assert (answer.status, answer.code) == (404, "call_not_found")


async def options_of(home: House, started: Any) -> tuple[str, dict[str, Any]]:
    row = await home.services.catalog.recordings.get(started["recordingId"])
    assert row is not None
    return row.mode, row.options


async def test_what_the_start_says_is_kept_with_the_recording(home: House) -> None:
    await home.enter("r", "hanna")
    quality = {"height": 1080, "videoBitrate": 4_000_000, "fps": 25}
    wanted = {"mode": "composite", "layout": "speaker", "quality": quality, "tracks": True}
    started = (await home.post(START, home.host("r"), json=wanted)).data
    assert await options_of(home, started) == (
        "composite",
        {"layout": "speaker", "quality": quality, "audioOnly": False, "tracks": True},
    )


async def test_what_it_does_not_say_the_room_s_settings_say(home: House) -> None:
    await home.enter("r", "hanna")
    settings = {"recordingMode": "composite", "layout": "single", "quality": "1080p"}
    await home.request(
        "PUT", "/api/v1/rooms/r/settings", home.host("r"), json={**settings, "audioOnly": True}
    )
    started = (await home.post(START, home.host("r"), json={"layout": "grid", "mode": None})).data
    assert await options_of(home, started) == (
        "composite",
        {"layout": "grid", "quality": "1080p", "audioOnly": True, "tracks": False},
    )


@pytest.mark.parametrize(("audio_only", "kinds"), [(True, {"audio"}), (False, {"audio", "video"})])
async def test_of_which_kinds_journals_are_made(
    home: House, audio_only: bool, kinds: set[str]
) -> None:
    await home.enter("r", "hanna")
    started = (await home.post(START, home.host("r"), json={"audioOnly": audio_only})).data
    assert home.media.kinds[started["recordingId"]] == kinds


@pytest.mark.parametrize(
    ("wanted", "code"),
    [
        ({"mode": 5}, "bad_mode"),
        ({"mode": "room"}, "bad_mode"),
        ({"layout": "../../etc/passwd"}, "bad_layout"),
        ({"audioOnly": "yes"}, "bad_audio_only"),
        ({"audioOnly": 1}, "bad_audio_only"),
        ({"quality": "4k"}, "bad_quality"),
        ({"quality": {"height": 100_000}}, "bad_quality"),
        ({"quality": {"videoBitrate": 1}}, "bad_quality"),
        ({"quality": ["720p"]}, "bad_quality"),
        ({"tracks": "all"}, "bad_tracks"),
        ([], "invalid_request"),
        ("tracks", "invalid_request"),
    ],
)
async def test_options_that_can_not_be(home: House, wanted: Any, code: str) -> None:
    await home.enter("r", "hanna")
    answer = await home.post(START, home.host("r"), json=wanted)
    assert (answer.status, answer.code) == (400, code)
    assert not home.media.recordings


async def test_nothing_but_the_fields_of_a_quality_is_kept(home: House) -> None:
    await home.enter("r", "hanna")
    quality = {"height": 720, "junk": ["x"] * 1000}
    started = (await home.post(START, home.host("r"), json={"quality": quality})).data
    assert (await options_of(home, started))[1]["quality"] == {"height": 720}


async def test_who_ended_it_is_said(home: House) -> None:
    await home.enter("r", "hanna")
    started = (await home.post(START, home.host("r"))).data["recordingId"]
    status = f"/api/v1/recordings/{started}/status"
    assert (await home.get(status, home.host("r"))).data["endReason"] is None
    await home.everybody_leaves("r")
    await home.post(STOP, home.host("r"))
    assert (await home.get(status, home.host("r"))).data["endReason"] == "room_empty"


async def test_a_target_that_can_not_be_written_is_said_at_the_start(home: House) -> None:
    """And no row is left behind, since nothing was begun."""
    await home.enter("r", "hanna")
    (home.services.settings.data_dir / "journals").write_text("in the way")
    answer = await home.post(START, home.host("r"))
    assert (answer.status, answer.code) == (503, "journals_unwritable")
    assert "journals" in answer.json["error"]["message"]
    assert (await home.get("/api/v1/recordings", home.host("r"))).data["total"] == 0


async def test_a_folder_of_recordings_that_can_not_be_written(home: House) -> None:
    await home.enter("r", "hanna")
    recordings = home.services.settings.recordings_dir
    for entry in sorted(recordings.rglob("*"), reverse=True):
        entry.rmdir() if entry.is_dir() else entry.unlink()
    recordings.rmdir()
    recordings.write_text("in the way")
    answer = await home.post(START, home.host("r"))
    assert (answer.status, answer.code) == (503, "store_unavailable")
    recordings.unlink()


@pytest.mark.parametrize("verb", ["start", "stop"])
@pytest.mark.parametrize(
    ("role", "room"), [("participant", "r"), ("audience", "r"), ("host", "another")]
)
async def test_attack_recording_without_being_host(
    home: House, verb: str, role: Any, room: str
) -> None:
    await home.enter("r", "hanna")
    token = home.token(role, room, "eve")
    for path in (
        f"/api/v1/rooms/r/recording/{verb}",
        f"/video-calls/{await call_id(home)}/recording/{verb}",
    ):
        answer = await home.post(path, token)
        assert (answer.status, answer.code) == (403, "not_host")
    assert not home.media.recordings


async def test_no_starts_while_the_server_stops(home: House) -> None:
    await home.enter("r", "hanna")
    home.services.lifecycle.draining = True
    answer = await home.post(START, home.host("r"))
    assert (answer.status, answer.code) == (503, "stopping")
    assert "Retry-After" in answer.headers


async def test_a_disk_that_is_low_refuses_starts_and_nothing_else(tmp_path: Path) -> None:
    async with house(tmp_path, disk_low_mb="1000000000") as home:
        await home.enter("r", "hanna")
        for path in (START, f"/video-calls/{await call_id(home)}/recording/start"):
            answer = await home.post(path, home.host("r"))
            assert (answer.status, answer.code) == (507, "disk_low")
            assert "1000000000 MiB" in answer.json["error"]["message"]
        assert (await home.get("/api/v1/recordings", home.host("r"))).data["total"] == 0
        assert (await home.get("/readyz")).status == 200
        assert await call_id(home)


# --- calls and rooms ------------------------------------------------------------------------------


async def test_the_call_says_recording_once_media_is_on_disk(home: House) -> None:
    await home.enter("r", "hanna")
    await home.enter("r", "paul")
    await home.enter("r", "ghost", hidden=True)
    home.media.media_arrives = False
    before = (await home.get("/api/v1/rooms/r/call", home.participant("r"))).data
    assert (before["recordingId"], before["recordingStatus"]) == (None, "not_recorded")
    assert before["participants"] == [
        {"identity": "hanna", "name": "Hanna"},
        {"identity": "paul", "name": "Paul"},
    ]
    started = (await home.post(START, home.host("r"))).data
    waiting = (await home.get("/api/v1/rooms/r/call", home.participant("r"))).data
    assert waiting["recordingStatus"] == "not_recorded"
    on_disk = asyncio.Event()
    home.services.recordings.subscribe(lambda _row: on_disk.set())
    home.media.emit(RecordingStarted(RecordingId(started["recordingId"]), 1_760_000_000_000_000))
    await on_disk.wait()
    running = (await home.get("/api/v1/rooms/r/call", home.participant("r"))).data
    assert running["recordingId"] == started["recordingId"]
    assert running["recordingStatus"] == "recording"


async def test_no_call(home: House) -> None:
    answer = await home.get("/api/v1/rooms/r/call", home.host("r"))
    assert (answer.status, answer.code) == (404, "call_not_found")


async def test_attack_looking_into_another_room(home: House) -> None:
    await home.enter("r", "hanna")
    answer = await home.get("/api/v1/rooms/r/call", home.host("another"))
    assert (answer.status, answer.code) == (403, "not_member")


async def test_live_rooms_are_listed_to_those_they_belong_to(home: House) -> None:
    for room in ("a", "b", "c d/é"):
        await home.enter(room, "hanna")
    listed = (await home.get("/api/v1/rooms?limit=2", home.server())).data
    assert [item["name"] for item in listed["items"]] == ["a", "b"]
    assert (listed["page"], listed["limit"], listed["total"]) == (1, 2, 3)
    own = (await home.get("/api/v1/rooms", home.host("c d/é"))).data
    assert [item["name"] for item in own["items"]] == ["c d/é"]
    assert (await home.get("/api/v1/rooms", home.participant("a"))).status == 403


async def test_rooms_of_any_name_in_paths(home: House) -> None:
    await home.enter("c d/é", "hanna")
    answer = await home.post("/api/v1/rooms/c%20d%2F%C3%A9/recording/start", home.host("c d/é"))
    assert answer.status == 200
