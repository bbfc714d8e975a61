"""The library: lists, records, files, and whose they are."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from tests.signaling.house import HOUR, House, file_path

FIELDS = {
    *("id", "room", "callId", "status", "mode", "startedBy", "startedAt", "stoppedAt"),
    *("durationSeconds", "size", "url", "key", "provider", "error", "metadata", "files"),
    "integrity",
    *("options", "renders"),  # beyond the contract
}
FILE_FIELDS = {
    *("id", "kind", "participantId", "contentType", "size", "durationSeconds", "width"),
    *("height", "sha256", "url"),
    # beyond the contract
    *("participantName", "source", "startSeconds", "provider", "role", "derivedFrom"),
    *("poster", "strip", "cues", "hls"),
}


async def test_a_recording_as_the_contract_has_it(home: House) -> None:
    row = await home.recorded("r", "ada", content=b"some media")
    data = (await home.get(f"/api/v1/recordings/{row.id}", home.host("r"))).data
    assert set(data) == FIELDS
    (file,) = data["files"]
    assert set(file) == FILE_FIELDS
    assert data["startedAt"] == "2026-08-01T09:30:00.000Z"
    assert data["url"] == file["url"]
    assert (data["size"], file["participantId"]) == (10, "ada")
    assert file["sha256"] == hashlib.sha256(b"some media").hexdigest()
    assert (data["provider"], file["provider"]) == ("local", "local")


@pytest.mark.parametrize(
    "path", ["/api/v1/recordings/{}/status", "/video-calls/recording/{}/status"]
)
async def test_status(home: House, path: str) -> None:
    row = await home.recorded("r")
    data = (await home.get(path.format(row.id), home.host("r"))).data
    assert (data["status"], data["progress"], data["bytes"]) == ("recorded", 1, row.size)
    assert (data["id"], data["error"], data["chunks"]) == (row.id, None, [])


# --- lists ----------------------------------------------------------------------------------------


async def listed(home: House, token: str, **query: Any) -> tuple[list[str], int]:
    data = (await home.get("/api/v1/recordings", token, params=query)).data
    return [item["id"] for item in data["items"]], data["total"]


async def test_everybody_lists_what_is_theirs(home: House) -> None:
    in_a = await home.recorded("a", "hanna", "paul")
    alone_in_a = await home.recorded("a", "hanna")
    in_b = await home.recorded("b", "paul")
    assert await listed(home, home.server()) == ([in_b.id, alone_in_a.id, in_a.id], 3)
    assert await listed(home, home.host("a")) == ([alone_in_a.id, in_a.id], 2)
    assert await listed(home, home.participant("a")) == ([in_a.id], 1)
    assert await listed(home, home.participant("a", "stranger")) == ([], 0)


async def test_filters(home: House) -> None:
    first = await home.recorded("a")
    second = await home.recorded("b")
    server = home.server()
    assert await listed(home, server, room="a") == ([first.id], 1)
    assert await listed(home, server, mentorshipId="b") == ([second.id], 1)
    assert await listed(home, server, callId=first.call_id) == ([first.id], 1)
    assert await listed(home, server, status="failed") == ([], 0)
    assert await listed(home, server, **{"from": "2100-01-01T00:00:00Z"}) == ([], 0)
    assert await listed(home, server, to="2100-01-01T00:00:00+02:00", limit=1, page=2) == (
        [first.id],
        2,
    )


async def test_pages_of_a_participant(home: House) -> None:
    rows = [await home.recorded("a", "paul") for _ in range(3)]
    assert await listed(home, home.participant("a"), page=2, limit=2) == ([rows[0].id], 3)


@pytest.mark.parametrize(
    "query",
    [
        {"page": 0},
        {"page": "nonsense"},
        {"limit": 1000},
        {"status": "nonsense"},
        {"from": "yesterday"},
        {"from": "2026-01-01T00:00:00"},  # in which time zone?
    ],
)
async def test_wrong_filters(home: House, query: dict[str, Any]) -> None:
    answer = await home.get("/api/v1/recordings", home.server(), params=query)
    assert (answer.status, answer.code) == (400, "invalid_request")
    assert [field["field"] for field in answer.details["fields"]] == list(query)


async def test_attack_listing_another_room(home: House) -> None:
    for token in (home.host("a"), home.participant("a")):
        answer = await home.get("/api/v1/recordings?room=b", token)
        assert (answer.status, answer.code) == (403, "not_member")


# --- whose ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["", "/status", "/files/{}"])
async def test_who_may_look(home: House, end: str) -> None:
    row = await home.recorded("a", "hanna", "paul")
    path = f"/api/v1/recordings/{row.id}{end.format(row.files[0].id)}"
    statuses = {
        "server": (await home.get(path, home.server())).status,
        "host": (await home.get(path, home.host("a", "another host"))).status,
        "took part": (await home.get(path, home.participant("a"))).status,
        "was not there": (await home.get(path, home.participant("a", "eve"))).status,
        "other room": (await home.get(path, home.host("b"))).status,
        "nobody": (await home.get(path)).status,
    }
    assert statuses == {
        "server": 200,
        "host": 200,
        "took part": 200,
        "was not there": 403,
        "other room": 403,
        "nobody": 401,
    }


async def test_deleting_takes_the_object_along(home: House) -> None:
    row = await home.recorded("a", "hanna", "paul")
    path = f"/api/v1/recordings/{row.id}"
    stored = home.services.depots.store("local").path(row.files[0].key)
    for token in (home.participant("a"), home.host("b")):
        assert (await home.request("DELETE", path, token)).status == 403
    assert stored.exists()
    assert (await home.request("DELETE", path, home.host("a"))).status == 200
    assert not stored.exists()
    assert (await home.get(path, home.host("a"))).status == 404
    assert (await home.request("DELETE", path, home.host("a"))).status == 404


async def test_a_running_recording_is_not_deleted(home: House) -> None:
    await home.enter("r", "hanna")
    started = (await home.post("/api/v1/rooms/r/recording/start", home.host("r"))).data
    answer = await home.request(
        "DELETE", f"/api/v1/recordings/{started['recordingId']}", home.host("r")
    )
    assert (answer.status, answer.code) == (409, "recording_active")


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/recordings/..%2F..%2Fkeys.json",
        "/api/v1/recordings/RC_1/files/..%2F..%2F..%2Fkeys.json",
        "/api/v1/recordings/%00/files/%00",
        "/api/v1/recordings/RC_%27%20OR%201=1--",
        "/assets/..%2f..%2fapp.py",
        "/assets/%2e%2e/index.html",
        "/assets//etc/passwd",
    ],
)
async def test_attack_paths_in_ids(home: House, path: str) -> None:
    answer = await home.get(path, home.server())
    assert answer.status in {400, 404}


# --- files ----------------------------------------------------------------------------------------

CONTENT = bytes(range(256)) * 20


async def test_a_signed_link_needs_no_token(home: House) -> None:
    row = await home.recorded("a", content=CONTENT)
    url = (await home.get(f"/api/v1/recordings/{row.id}", home.host("a"))).data["url"]
    answer = await home.get(url)
    assert (answer.status, answer.body) == (200, CONTENT)
    assert answer.headers["Content-Type"] == "video/webm"


async def test_links_are_left_out_when_not_wanted(home: House) -> None:
    row = await home.recorded("a")
    path = f"/api/v1/recordings/{row.id}?includeSignedUrl=false"
    assert "sig=" not in (await home.get(path, home.host("a"))).data["url"]


async def test_attack_a_changed_link(home: House) -> None:
    one, other = [await home.recorded("a") for _ in range(2)]
    url = (await home.get(f"/api/v1/recordings/{one.id}", home.host("a"))).data["url"]
    assert (await home.get(url + "0")).code == "link_invalid"
    assert (await home.get(url.replace(one.id, other.id))).code == "link_invalid"
    assert (await home.get(url.replace(one.files[0].id, other.files[0].id))).status == 401


async def test_attack_an_old_link(home: House) -> None:
    row = await home.recorded("a")
    past = home.services.links.sign(file_path(row), life=-HOUR)
    answer = await home.get(past)
    assert (answer.status, answer.code) == (401, "link_expired")


@pytest.mark.parametrize(
    ("wanted", "part", "content_range"),
    [
        ("bytes=0-0", CONTENT[:1], "bytes 0-0/5120"),
        ("bytes=100-199", CONTENT[100:200], "bytes 100-199/5120"),
        ("bytes=5000-", CONTENT[5000:], "bytes 5000-5119/5120"),
        ("bytes=-20", CONTENT[-20:], "bytes 5100-5119/5120"),
        ("bytes=5000-99999", CONTENT[5000:], "bytes 5000-5119/5120"),
        ("Bytes=1-2", CONTENT[1:3], "bytes 1-2/5120"),
    ],
)
async def test_ranges(home: House, wanted: str, part: bytes, content_range: str) -> None:
    row = await home.recorded("a", content=CONTENT)
    path = file_path(row)
    answer = await home.get(path, home.host("a"), headers={"Range": wanted})
    assert (answer.status, answer.body) == (206, part)
    assert answer.headers["Content-Range"] == content_range
    assert answer.headers["Content-Type"] == "video/webm"


@pytest.mark.parametrize("wanted", ["bytes=5120-", "bytes=-0"])
async def test_ranges_that_are_not_there(home: House, wanted: str) -> None:
    path = file_path(await home.recorded("a", content=CONTENT))
    answer = await home.get(path, home.host("a"), headers={"Range": wanted})
    assert (answer.status, answer.headers["Content-Range"]) == (416, "bytes */5120")


@pytest.mark.parametrize("wanted", ["items=0-5", "bytes=5-2", "bytes=a-b", "bytes=0-1,5-6"])
async def test_what_is_not_one_range_of_bytes_is_ignored(home: House, wanted: str) -> None:
    path = file_path(await home.recorded("a", content=CONTENT))
    answer = await home.get(path, home.host("a"), headers={"Range": wanted})
    assert (answer.status, answer.body) == (200, CONTENT)


async def test_head(home: House) -> None:
    row = await home.recorded("a", content=CONTENT)
    path = file_path(row)
    answer = await home.request("HEAD", path, home.host("a"))
    assert (answer.status, answer.body) == (200, b"")
    assert answer.headers["Content-Length"] == "5120"
    assert answer.headers["Accept-Ranges"] == "bytes"


async def test_downloads_have_a_name_for_people(home: House) -> None:
    row = await home.recorded("Büro/Ost", "ada lovelace")
    path = file_path(row)
    shown = await home.get(path, home.host("Büro/Ost"))
    assert shown.headers["Content-Disposition"].startswith("inline;")
    saved = await home.get(f"{path}?download=1", home.host("Büro/Ost"))
    assert saved.headers["Content-Disposition"] == (
        'attachment; filename="B_ro_Ost-2026-08-01_09-30-ada_lovelace.webm";'
        " filename*=UTF-8''B%C3%BCro_Ost-2026-08-01_09-30-ada_lovelace.webm"
    )


async def test_a_file_that_is_gone_from_the_store(home: House) -> None:
    row = await home.recorded("a")
    await home.services.depots.store("local").delete(row.files[0].key)
    answer = await home.get(file_path(row), home.host("a"))
    assert (answer.status, answer.code) == (404, "object_not_found")
