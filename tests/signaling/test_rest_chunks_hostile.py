"""Attacks on the chunk routes: each is refused with a status that says why, and nothing is written."""

from __future__ import annotations

import asyncio
import gzip
import json
import time
import zlib
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from signaling.auth import VideoGrants
from tests.rig.waiting import until
from tests.signaling.chunk_sender import (
    START,
    STOP,
    UPLOAD,
    Sender,
    hang_up_after,
    kept,
    root_of,
    sender,
    speak,
    start_recording,
)
from tests.signaling.house import House, house


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[House]:
    """Which at its end waits for nobody who might send more."""
    async with house(tmp_path, patience=0, allowed_origins="https://app.example.com") as opened:
        yield opened


def put(path: str, token: str, *headers: str, body: bytes = b"chunk") -> bytes:
    """A request whose path no library has put right."""
    lines = [
        f"PUT {path} HTTP/1.1",
        "Host: x",
        f"Authorization: Bearer {token}",
        "Connection: close",
        *headers,
    ]
    if not any(line.lower().startswith(("content-length", "transfer-")) for line in headers):
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


def status_of(answer: bytes) -> int:
    return int(answer.split()[1])


def nothing_written(home: House) -> bool:
    data = home.services.settings.data_dir
    strays = [path for path in data.rglob("*") if path.is_file() and path.read_bytes() == b"chunk"]
    return not kept(home) and not strays


PATHS = (
    "../0/0",
    "%2e%2e/0/0",
    "..%2f..%2fetc/0/0",
    "%2e%2e%5c/0/0",
    "paul%00/0/0",
    "paul%0a/0/0",
    "p" * 257 + "/0/0",
    "paul/../0",
    "paul/0/..",
    "paul/%2e%2e/0",
    "paul/0/%2e%2e%2f0",
    "paul/-1/0",
    "paul/0/-1",
    "paul/0/00",
    "paul/0/1e3",
    "paul/0/+1",
    "paul/0/%D9%A1",  # an Arabic digit
    "paul/1000/0",
    "paul/0/10000000",
    "paul/0/99999999999999999999",
    "paul/0/%200",
)


async def test_names_that_are_paths_and_numbers_that_are_none(home: House) -> None:
    recording_id = await start_recording(home)
    for token in (home.server(), home.participant("r")):
        for tail in PATHS:
            path = f"/api/v1/recordings/{recording_id}/chunks/{tail}"
            answer = await speak(home, put(path, token))
            assert status_of(answer) in (400, 403, 404, 405), answer
    answer = await speak(home, put("/api/v1/recordings/%2e%2e/chunks/paul/0/0", home.server()))
    assert status_of(answer) == 400
    assert nothing_written(home)


async def test_names_that_are_paths_in_json(home: House) -> None:
    page = Sender(home, await start_recording(home), home.server(), route="json")
    for field in ("recordingId", "participantId"):
        for value in ("..", "../..", "..\\x", "/../etc", "a/./b"):
            body = page.body(b"chunk") | {field: value}
            assert (await home.post(UPLOAD, page.token, json=body)).status == 400, value
    assert nothing_written(home)


@pytest.mark.parametrize("route", ["raw", "json"])
async def test_another_participant_s_chunks(home: House, route: Any) -> None:
    page = sender(home, await start_recording(home), route)
    await page.send(b"mine")
    for token in (home.participant("r", "eve"), home.host("r")):
        thief = Sender(home, page.recording_id, token, "paul", route)
        refused = await thief.send(b"chunk", 1)
        assert (refused.status, refused.code) == (403, "not_your_chunks")
        assert (await home.get(thief.path, token)).status == 403
        assert (await thief.complete({0: 0})).status == 403
        assert (await home.post(thief.path, token)).status == 403
    assert len(kept(home)) == 1


@pytest.mark.parametrize("route", ["raw", "json"])
async def test_another_room_s_token(home: House, route: Any) -> None:
    recording_id = await start_recording(home)
    for token in (home.participant("other"), home.host("other", "paul")):
        refused = await Sender(home, recording_id, token, route=route).send(b"chunk")
        assert (refused.status, refused.code) == (403, "not_member")
    assert nothing_written(home)
    assert await home.services.catalog.chunk_sets.of(recording_id) == ()


@pytest.mark.parametrize("route", ["raw", "json"])
async def test_the_audience_and_users_without_a_room(home: House, route: Any) -> None:
    recording_id = await start_recording(home)
    user = home.services.authority.mint("paul", VideoGrants(), timedelta(hours=1))
    for token in (home.token("audience", "r", "paul"), user):
        refused = await Sender(home, recording_id, token, route=route).send(b"chunk")
        assert (refused.status, refused.code) == (403, "not_allowed")
    assert (await Sender(home, recording_id, "no token", route=route).send(b"chunk")).status == 401
    assert nothing_written(home)


@pytest.mark.parametrize("route", ["raw", "json"])
async def test_an_ended_recording(home: House, route: Any) -> None:
    row = await home.recorded("r", "paul")
    refused = await sender(home, row.id, route).send(b"chunk")
    assert (refused.status, refused.code) == (409, "recording_ended")
    assert nothing_written(home)


@pytest.mark.parametrize("route", ["raw", "json"])
async def test_a_recording_that_never_was(home: House, route: Any) -> None:
    refused = await sender(home, "RC_none", route).send(b"chunk")
    assert (refused.status, refused.code) == (404, "unknown_recording")
    assert nothing_written(home)


async def test_a_token_in_the_wrong_place_is_not_written_down(
    home: House, caplog: pytest.LogCaptureFixture
) -> None:
    page = sender(home, await start_recording(home))
    await page.send(b"chunk")
    await Sender(home, page.recording_id, home.participant("other")).send(b"chunk")
    assert page.token not in caplog.text


# --- bodies ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("route", ["raw", "json"])
async def test_a_body_that_breaks_off(home: House, route: Any) -> None:
    page = sender(home, await start_recording(home), route)
    body = b"chunk" if route == "raw" else json.dumps(page.body(b"chunk")).encode()
    line = f"PUT {page.path}/0/0" if route == "raw" else f"POST {UPLOAD}"
    head = f"{line} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {page.token}\r\n"
    await hang_up_after(home, f"{head}Content-Length: {len(body) + 1}\r\n\r\n".encode() + body)
    await hang_up_after(home, f"{head}Transfer-Encoding: chunked\r\n\r\n5\r\nchunk\r\n".encode())
    assert (await page.send(b"other")).status == 201  # it was not the first
    assert len(kept(home)) == 1


async def test_a_packed_body_that_grows(home: House) -> None:
    page = sender(home, await start_recording(home))
    packed = {"gzip": gzip.compress(b"chunk"), "deflate": zlib.compress(b"chunk")}
    for encoding, body in packed.items():
        for method, path in (("PUT", f"{page.path}/0/0"), ("POST", UPLOAD)):
            refused = await home.request(
                method, path, page.token, data=body, headers={"Content-Encoding": encoding}
            )
            assert refused.status == 415, encoding
    assert nothing_written(home)


async def test_a_packed_body_behind_a_header_that_says_plain(home: House) -> None:
    """aiohttp believes the last of two headers, and whoever asks for one gets the first."""
    page = sender(home, await start_recording(home))
    headers = ("Content-Encoding: identity", "Content-Encoding: gzip")
    bomb = gzip.compress(bytes(10_000_000))
    answer = await speak(home, put(f"{page.path}/0/0", page.token, *headers, body=bomb))
    assert status_of(answer) == 415
    assert nothing_written(home)


async def test_a_disk_that_fills_while_chunks_come(home: House) -> None:
    """Bodies that do not say how long they are, many at once: none of them is too much alone."""
    page = sender(home, await start_recording(home))
    free = 1 << 40
    home.services.space._free = lambda _: free
    piece = b"100000\r\n" + bytes(0x100000) + b"\r\n"
    reader, writer = await asyncio.open_connection(home.client.host, home.client.port)
    writer.write(put(f"{page.path}/0/0", page.token, "Transfer-Encoding: chunked", body=piece * 3))
    await until(lambda: kept(home), within=20, what="the chunk begins to be written")
    free = 0
    await until(
        lambda: time.monotonic() > home.services.chunks._look_at, within=20, what="the next look"
    )
    writer.write(piece * 4 + b"0\r\n\r\n")
    async with asyncio.timeout(10):
        assert b"507" in await reader.readline()
        assert b"disk_low" in await reader.read()
    writer.close()
    await until(lambda: not kept(home), within=20, what="nothing of it is left")


async def test_a_thousand_parts_that_end_with_the_last_number(home: House) -> None:
    """Each misses ten million: one small request for an answer of any size."""
    page = sender(home, await start_recording(home))
    await page.send(b"chunk", 1)
    refused = await page.complete(dict.fromkeys(range(1000), 9_999_999))
    assert (refused.status, refused.code) == (409, "chunks_missing")
    parts = refused.details["parts"]
    assert (len(parts), parts[0]["missing"][:3]) == (1000, [0, 2, 3])
    assert len(refused.body) < 200_000


async def test_the_last_number_of_many_parts(home: House) -> None:
    """Whoever watches the recording is told of it again and again."""
    page = sender(home, await start_recording(home))
    await asyncio.gather(*(page.send(b"chunk", 9_999_999, part) for part in range(30)))
    assert [part["next"] for part in (await page.state())["parts"]] == [10_000_000] * 30
    status = f"/video-calls/recording/{page.recording_id}/status"
    for path, token in ((page.path, page.token), (status, home.host("r"))):
        assert len((await home.get(path, token)).body) < 200_000


async def test_moments_that_are_on_no_calendar_and_types_that_are_none(home: House) -> None:
    page = sender(home, await start_recording(home))
    for field, value in (
        ("startedAt", "0001-01-01T00:00:00+23:59"),
        ("sentAt", "9999-12-31T23:59:59-23:59"),
        ("mimeType", "video/webm\0"),
        ("mimeType", "video/webm\r\nx: y"),
    ):
        refused = await home.post(page.path, page.token, json={field: value})
        assert refused.status == 400, value


async def test_holding_all_places_by_sending_slowly(home: House) -> None:
    """A few who take all they get leave some to who comes after them."""
    page = sender(home, await start_recording(home))
    taken = home.services.copies._open.is_sending
    writers = []
    for name in ("eve", "mallory", "trudy", "oscar"):
        path, token = page.path.replace("paul", name), home.participant("r", name)
        for sequence in range(32):
            _, writer = await asyncio.open_connection(home.client.host, home.client.port)
            head = put(f"{path}/0/{sequence}", token, "Content-Length: 1000000", body=b"x")
            writer.write(head)
            writers.append(writer)
        await until(lambda who=name: taken(who), within=20, what="the first of them is read")
    assert (await page.send(b"chunk")).status == 201
    for writer in writers:
        writer.close()


async def test_a_body_without_an_end_of_its_own(home: House) -> None:
    """Chunked transfer coding says no size; the limit holds at the first byte too many."""
    home.services.chunks.limits = type(home.services.chunks.limits)(100_000, 1 << 30)
    page = sender(home, await start_recording(home))
    piece = b"10000\r\n" + bytes(0x10000) + b"\r\n"
    request = put(f"{page.path}/0/0", page.token, "Transfer-Encoding: chunked", body=piece * 4)
    answer = await speak(home, request + b"0\r\n\r\n")
    assert status_of(answer) == 413
    assert b"chunk_too_large" in answer
    assert kept(home) == []


async def test_what_is_too_large_is_refused_before_it_comes(home: House) -> None:
    """`Expect: 100-continue`: the client never sends it."""
    page = sender(home, await start_recording(home))
    huge = (128 << 20) + 1
    for path, token, status in (
        (f"{page.path}/0/0", page.token, 413),
        (f"{page.path}/0/0", home.participant("other"), 403),
        (f"{page.path}/0/zero", page.token, 400),
    ):
        request = put(path, token, "Expect: 100-continue", f"Content-Length: {huge}", body=b"")
        answer = await speak(home, request)
        assert status_of(answer) == status
        assert b"100 Continue" not in answer
        assert b"connection: close" in answer.lower()
    assert kept(home) == []


async def test_who_asks_first_is_told_to_go_on(home: House) -> None:
    page = sender(home, await start_recording(home))
    reader, writer = await asyncio.open_connection(home.client.host, home.client.port)
    writer.write(
        put(f"{page.path}/0/0", page.token, "Expect: 100-continue", "Content-Length: 5", body=b"")
    )
    async with asyncio.timeout(10):
        assert await reader.readline() == b"HTTP/1.1 100 Continue\r\n"
        writer.write(b"chunk")
        answer = await reader.read()
    writer.close()
    assert b"HTTP/1.1 201 Created" in answer
    assert len(kept(home)) == 1


async def test_the_answer_to_a_large_refused_body_can_be_read(home: House) -> None:
    """The client sends all of it before it reads, as browsers do."""
    page = sender(home, await start_recording(home))
    foreign = home.participant("other")
    answer = await speak(home, put(f"{page.path}/0/0", foreign, body=bytes(24 << 20)))
    assert status_of(answer) == 403
    assert b"not_member" in answer


async def test_what_follows_a_refused_body_is_no_request(home: House) -> None:
    """The body looks like a request of its own."""
    page = sender(home, await start_recording(home))
    inner = put(f"{page.path}/0/0", page.token)
    outer = put(f"{page.path}/0/zero", page.token, body=inner * 100).replace(
        b"Connection: close\r\n", b"", 1
    )
    answer = await speak(home, outer + put(f"{page.path}/0/1", page.token, body=b"last"))
    assert answer.count(b"HTTP/1.1 ") in (1, 2)
    assert [path.name for path in kept(home)] in ([], ["1"])


async def test_a_chunk_may_not_be_sent_where_its_recording_began_anew(home: House) -> None:
    """The first recording of the room is over; its id stays its own."""
    first = await start_recording(home)
    await home.post(STOP, home.host("r"))
    second = str(
        (await home.post(START, home.host("r"), json={"mode": "client"})).data["recordingId"]
    )
    assert (await sender(home, second).send(b"chunk")).status == 201
    assert first != second
    assert len(list(root_of(home).glob("CS_*"))) == 1
