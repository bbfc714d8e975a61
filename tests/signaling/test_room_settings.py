"""The settings of rooms: who may set what, and what becomes of it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import jwt
import pytest

from signaling.room_settings import REMEMBERED, RoomBook
from tests.signaling.house import KEYS, House, house

DEFAULTS = {
    "recordingEnabled": True,
    "automaticRecording": False,
    "maxDurationMinutes": 120,
    "access": "members",
    "waitingRoom": False,
    "recordingAccess": "members",
    "recordingMode": "tracks",
    "layout": "grid",
    "quality": "720p",
    "audioOnly": False,
}
PATHS = ("/api/v1/rooms/r/settings", "/api/video-call/settings?room=r")


@pytest.mark.parametrize("path", PATHS)
async def test_what_is_not_said_stays_as_it_is(home: House, path: str) -> None:
    assert (await home.get(path, home.host("r"))).data == DEFAULTS
    first = await home.request("PUT", path, home.host("r"), json={"maxDurationMinutes": 5})
    assert first.data == {**DEFAULTS, "maxDurationMinutes": 5}
    second = await home.request("PUT", path, home.server(), json={"access": "open"})
    assert second.data == {**DEFAULTS, "maxDurationMinutes": 5, "access": "open"}
    for same in PATHS:
        assert (await home.get(same, home.host("r"))).data == second.data
    assert (await home.request("PUT", path, home.host("r"))).data == second.data


async def test_they_outlive_the_server(tmp_path: Path) -> None:
    wanted = {"recordingEnabled": False, "quality": {"height": 1080, "fps": 25}}
    async with house(tmp_path) as home:
        await home.request("PUT", PATHS[0], home.host("r"), json=wanted)
    async with house(tmp_path) as home:
        assert (await home.get(PATHS[0], home.host("r"))).data == {**DEFAULTS, **wanted}
        assert (await home.get("/api/v1/rooms/other/settings", home.server())).data == DEFAULTS


@pytest.mark.parametrize(
    ("change", "code", "field"),
    [
        ({"nonsense": 1}, "unknown_field", "nonsense"),
        ({"max_duration_minutes": 5}, "unknown_field", "max_duration_minutes"),
        ({"maxDurationMinutes": 0}, "bad_max_duration_minutes", "maxDurationMinutes"),
        ({"maxDurationMinutes": 10**9}, "bad_max_duration_minutes", "maxDurationMinutes"),
        ({"maxDurationMinutes": 1.5}, "bad_max_duration_minutes", "maxDurationMinutes"),
        ({"maxDurationMinutes": True}, "bad_max_duration_minutes", "maxDurationMinutes"),
        ({"maxDurationMinutes": None}, "bad_max_duration_minutes", "maxDurationMinutes"),
        ({"recordingEnabled": "yes"}, "bad_recording_enabled", "recordingEnabled"),
        ({"access": "everybody"}, "bad_access", "access"),
        ({"recordingAccess": "open"}, "bad_recording_access", "recordingAccess"),
        ({"recordingMode": "client"}, "bad_recording_mode", "recordingMode"),
        ({"layout": "circle"}, "bad_layout", "layout"),
        ({"quality": "8k"}, "bad_quality", "quality"),
        ({"audioOnly": 1}, "bad_audio_only", "audioOnly"),
    ],
)
async def test_what_can_not_be_set_is_named_and_nothing_is_changed(
    home: House, change: dict[str, Any], code: str, field: str
) -> None:
    wanted = {"waitingRoom": True, **change}
    answer = await home.request("PUT", PATHS[0], home.host("r"), json=wanted)
    assert (answer.status, answer.code) == (400, code)
    assert answer.details["fields"][0]["field"] == field
    assert (await home.get(PATHS[0], home.host("r"))).data == DEFAULTS


@pytest.mark.parametrize("body", [b"[]", b'"x"', b"{", b"\xff", b"7"])
async def test_a_body_that_is_no_object(home: House, body: bytes) -> None:
    answer = await home.request("PUT", PATHS[0], home.host("r"), data=body)
    assert (answer.status, answer.code) == (400, "invalid_request")


async def test_without_a_room(home: House) -> None:
    answer = await home.get("/api/video-call/settings", home.server())
    assert (answer.status, answer.details["fields"][0]["field"]) == (400, "room")


@pytest.mark.parametrize("method", ["GET", "PUT"])
@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(("role", "room"), [("participant", "r"), ("host", "another")])
async def test_attack_settings_of_a_room_that_is_not_one_s_own(
    home: House, method: str, path: str, role: Any, room: str
) -> None:
    token = home.token(role, room, "eve")
    answer = await home.request(method, path, token, json={"recordingEnabled": False})
    assert (answer.status, answer.code) == (403, "not_host")
    assert (await home.request(method, path)).status == 401


async def test_attack_a_host_who_may_not_record_has_it_done_by_the_room(home: House) -> None:
    key, secret = next(iter(KEYS.items()))
    video = {"room": "r", "roomJoin": True, "roomAdmin": True, "roomRecord": False}
    claims = {"iss": key, "sub": "hanna", "exp": time.time() + 60, "video": video}
    token = jwt.encode(claims, secret, algorithm="HS256")
    for wish in ({"automaticRecording": True}, {"recordingEnabled": True, "access": "open"}):
        answer = await home.request("PUT", PATHS[0], token, json=wish)
        assert (answer.status, answer.code) == (403, "not_allowed_to_record")
    assert (await home.request("PUT", PATHS[0], token, json={"access": "open"})).status == 200


async def test_a_room_that_is_not_to_be_recorded(home: House) -> None:
    await home.enter("r", "hanna")
    start = "/api/v1/rooms/r/recording/start"
    await home.request("PUT", PATHS[0], home.host("r"), json={"recordingEnabled": False})
    for token in (home.host("r"), home.server()):
        answer = await home.post(start, token)
        assert (answer.status, answer.code) == (403, "recording_disabled")
    await home.request("PUT", PATHS[0], home.host("r"), json={"recordingEnabled": True})
    assert (await home.post(start, home.host("r"))).status == 200


async def test_what_another_version_wrote_and_this_one_can_not_read(
    home: House, caplog: pytest.LogCaptureFixture
) -> None:
    rooms = home.services.catalog.rooms
    await rooms.set("r", {"layout": "hologram", "maxDurationMinutes": 7, "later": {"x": 1}})
    book = RoomBook(rooms)
    settings = await book.of("r")
    assert (settings.layout, settings.max_duration_minutes) == ("grid", 7)
    assert "layout" in caplog.text
    assert (await book.change("r", {"waitingRoom": True})).max_duration_minutes == 7


async def test_attack_filling_memory_with_rooms(home: House) -> None:
    book = RoomBook(home.services.catalog.rooms)
    for number in range(REMEMBERED + 50):
        await book.of(f"room {number}")
    assert len(vars(book)["_known"]) == REMEMBERED
