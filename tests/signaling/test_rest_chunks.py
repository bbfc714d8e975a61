"""Chunks over REST: both routes, one store; what a page that was reloaded learns."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import random
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from recorder.chunks.parts import open_part
from tests.rig.waiting import until
from tests.signaling.chunk_sender import (
    MEDIA_CHUNKS,
    STOP,
    UPLOAD,
    Route,
    Sender,
    digest,
    kept,
    media_chunks,
    sender,
    start_recording,
)
from tests.signaling.house import House, house

ROUTES: tuple[Route, ...] = ("raw", "json")
SETS = sorted(path.name for path in MEDIA_CHUNKS.iterdir() if path.is_dir())


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[House]:
    """Which at its end waits for nobody who might send more."""
    async with house(tmp_path, patience=0, allowed_origins="https://app.example.com") as opened:
        yield opened


@pytest.fixture(params=ROUTES)
async def page(request: pytest.FixtureRequest, home: House) -> Sender:
    """Paul's, whose recording runs."""
    return sender(home, await start_recording(home), request.param)


def assembled(folder: Path, part: int = 0) -> bytes:
    """As assembly reads it."""
    chunks = open_part(folder / str(part))
    assert len(chunks.runs) == 1
    return b"".join(block.data for block in chunks.blocks(chunks.runs[0]))


@pytest.mark.parametrize("name", SETS)
async def test_shuffled_twice_and_every_third_answer_lost(
    home: House, page: Sender, name: str
) -> None:
    chunks = media_chunks(name)
    assert chunks
    order = [*range(len(chunks))] * 2
    random.Random(name).shuffle(order)

    async def send(number: int, sequence: int) -> None:
        if number % 3 == 2:
            await page.send_and_hang_up(chunks[sequence], sequence)
        assert (await page.send(chunks[sequence], sequence)).status in (200, 201)

    await asyncio.gather(*(send(*each) for each in enumerate(order)))
    state = await page.state()
    last = len(chunks) - 1
    assert state["parts"] == [{"part": 0, "received": [[0, last]], "missing": [], "next": last + 1}]
    assert assembled(await page.folder()) == b"".join(chunks)
    assert len(kept(home)) == len(chunks)


async def test_first_201_then_200_then_409(page: Sender) -> None:
    first = await page.send(b"bytes", 3, part=2)
    assert (first.status, first.data) == (
        201,
        {"part": 2, "sequence": 3, "size": 5, "status": "stored"},
    )
    again = await page.send(b"bytes", 3, part=2)
    assert (again.status, again.data["status"]) == (200, "same")
    other = await page.send(b"other", 3, part=2)
    assert (other.status, other.code) == (409, "chunk_conflict")
    assert (await page.folder() / "2/0/3").read_bytes() == b"bytes"


async def test_the_two_routes_have_one_store(home: House) -> None:
    recording_id = await start_recording(home)
    raw, encoded = (sender(home, recording_id, route) for route in ROUTES)
    assert (await raw.send(b"chunk")).status == 201
    assert (await encoded.send(b"chunk")).status == 200
    assert (await encoded.send(b"other")).status == 409


async def test_chunks_of_any_size(page: Sender) -> None:
    for sequence, size in enumerate((0, 1, 60 << 20)):
        content = os.urandom(size)
        assert (await page.send(content, sequence)).status == 201
        assert (await page.folder() / f"0/0/{sequence}").read_bytes() == content


async def test_a_wrong_digest_keeps_nothing(home: House) -> None:
    page = sender(home, await start_recording(home))
    refused = await home.request(
        "PUT",
        f"{page.path}/0/0",
        page.token,
        data=b"damaged",
        headers={"Content-Digest": digest(b"sent")},
    )
    assert (refused.status, refused.code) == (422, "digest_mismatch")
    assert kept(home) == []
    assert (await page.send(b"sent")).status == 201


DIGESTS = {
    "unixsum=:AAA=:": 201,
    "unixsum=:AAA=:, " + digest(b"chunk"): 201,
    digest(b"chunk") + ";q=1": 201,
    digest(b"chunK"): 422,
    digest(b"chunk") + ", " + digest(b"chunk", "sha-512"): 201,
    digest(b"chunk") + ", " + digest(b"chunK", "sha-512"): 422,
    "sha-256=:AAAA:": 400,
    "sha-256=AAAA": 400,
    "sha-256": 400,
    "": 400,
    "sha-256=:A:": 400,
}


async def test_content_digests(home: House) -> None:
    page = sender(home, await start_recording(home))
    seen = {}
    for number, header in enumerate(DIGESTS):
        path, sent = f"{page.path}/0/{number}", {"Content-Digest": header}
        answer = await home.request("PUT", path, page.token, data=b"chunk", headers=sent)
        seen[header] = answer.status
    assert seen == DIGESTS
    assert len(kept(home)) == 4


async def test_a_reloaded_page_learns_what_is_missing(home: House, page: Sender) -> None:
    nothing = await page.state()
    assert (nothing["status"], nothing["parts"], nothing["announced"]) == ("none", [], False)
    for sequence in (0, 1, 4, 6):
        await page.send(b"x", sequence)
    await page.send(b"x", 0, part=1)
    state = await page.state()
    assert (state["participantId"], state["status"]) == ("paul", "open")
    assert state["parts"] == [
        {"part": 0, "received": [[0, 1], [4, 4], [6, 6]], "missing": [2, 3, 5], "next": 7},
        {"part": 1, "received": [[0, 0]], "missing": [], "next": 1},
    ]
    limits = home.services.chunks.limits
    assert state["limits"]["chunkBytes"] == limits.chunk_bytes == 128 << 20
    assert state["limits"]["totalBytes"] == limits.set_bytes == 50 << 30


async def test_completing(page: Sender) -> None:
    for sequence in (0, 1, 3):
        await page.send(b"x" * sequence, sequence)
    refused = await page.complete({0: 4, 1: 0})
    assert (refused.status, refused.code) == (409, "chunks_missing")
    assert refused.details["participantId"] == "paul"
    assert [part["missing"] for part in refused.details["parts"]] == [[2, 4], [0]]
    for sequence in (2, 4):
        await page.send(b"x" * sequence, sequence)
    for _ in range(2):
        done = await page.complete({0: 4})
        assert done.status == 202
        assert done.data["status"] != "open"
    assert (await page.complete({0: 5})).code == "already_completed"
    late = await page.send(b"late", 5)
    assert (late.status, late.code) == (409, "already_completed")


async def test_an_answer_that_was_lost_before_completing_can_be_had_again(page: Sender) -> None:
    """While the chunks are on the disk; nothing of what comes now is kept."""
    await page.send(b"first", 0)
    assert (await page.complete({0: 0})).status == 202
    routes: tuple[Route, ...] = ("raw", "json")
    for route in routes:
        by = replace(page, route=route)
        same, other = await by.send(b"first", 0), await by.send(b"other", 0)
        assert (same.status, same.data["status"]) == (200, "same")
        assert (other.status, other.code) == (409, "chunk_conflict")
    assert (await page.send(b"first", 0, part=1)).code == "already_completed"
    assert (await page.state())["status"] != "open"


async def test_completing_without_sense(home: House) -> None:
    page = sender(home, await start_recording(home))
    twice = [{"part": 0, "lastSequence": 1}, {"part": 0, "lastSequence": 2}]
    bodies: list[dict[str, Any]] = [
        {},
        {"parts": {}},
        {"parts": [{"part": 0}]},
        {"parts": [{"part": 0, "lastSequence": -1}]},
        {"parts": [{"part": 1000, "lastSequence": 1}]},
        {"parts": twice},
    ]
    for body in bodies:
        refused = await home.post(f"{page.path}/complete", page.token, json=body)
        assert (refused.status, refused.code) == (400, "bad_parts"), body


async def test_beginning_says_what_will_come(home: House) -> None:
    page = sender(home, await start_recording(home))
    ahead = datetime.now(UTC) + timedelta(minutes=5)
    told = {
        "part": 1,
        "mimeType": "video/webm;codecs=vp8,opus",
        "source": "screen",
        "startedAt": ahead.isoformat(),
        "sentAt": ahead.isoformat(),
    }
    begun = await home.post(page.path, page.token, json=told)
    assert (begun.status, begun.data["status"], begun.data["announced"]) == (200, "open", True)
    row = await home.services.catalog.chunk_sets.find(page.recording_id, "paul")
    assert row is not None
    facts = row.parts["1"]
    assert (facts["mimeType"], facts["source"]) == (told["mimeType"], "screen")
    assert facts["startedAt"] == ahead.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    assert -300_000 <= facts["clockOffsetMs"] < -290_000
    again = await home.post(page.path, page.token)  # part 0, nothing known of it
    assert again.status == 200
    assert kept(home) == []


async def test_beginning_without_sense(home: House) -> None:
    page = sender(home, await start_recording(home))
    bodies: list[tuple[dict[str, Any], str]] = [
        ({"part": -1}, "bad_part"),
        ({"source": "window"}, "bad_source"),
        ({"startedAt": "yesterday"}, "bad_started_at"),
        ({"sentAt": "2026-08-01T10:00:00"}, "bad_sent_at"),
        ({"mimeType": "x" * 300}, "bad_mime_type"),
    ]
    for body, code in bodies:
        refused = await home.post(page.path, page.token, json=body)
        assert (refused.status, refused.code) == (400, code), body


async def test_data_urls_and_fields_in_any_order(home: House) -> None:
    page = sender(home, await start_recording(home), "json")
    url = "data:video/webm;codecs=vp8,opus;base64," + base64.b64encode(b"chunk" * 1000).decode()
    first = {"chunk": url, "unknown": {"chunk": ["no"]}}
    body = json.dumps(first | {k: v for k, v in page.body(b"").items() if k != "chunk"})
    headers = {"Content-Type": "application/json"}
    answer = await home.post(UPLOAD, page.token, data=body.replace("/", r"\/"), headers=headers)
    assert answer.status == 201
    assert (await page.folder() / "0/0/0").read_bytes() == b"chunk" * 1000


async def test_a_piece_of_a_data_url_is_told_by_name(home: House) -> None:
    page = sender(home, await start_recording(home), "json")
    body = page.body(b"") | {"chunk": "opus;base64"}
    refused = await home.post(UPLOAD, page.token, json=body)
    assert (refused.status, refused.code) == (400, "chunk_not_base64")
    assert 'dataUrl.split(",")[1]' in refused.json["error"]["message"]
    assert kept(home) == []


async def test_fields_that_make_no_chunk(home: House) -> None:
    page = sender(home, await start_recording(home), "json")
    changes: list[tuple[dict[str, Any], str]] = [
        ({"recordingId": None}, "bad_recording_id"),
        ({"participantId": ""}, "bad_participant_id"),
        ({"chunk": None}, "bad_chunk"),
        ({"chunk": 7}, "bad_chunk"),
        ({"chunk": ["AAAA"]}, "bad_chunk"),
        ({"sequence": -1}, "bad_sequence"),
        ({"sequence": "0"}, "bad_sequence"),
        ({"sequence": 1.5}, "bad_sequence"),
        ({"sequence": None}, "bad_sequence"),
        ({"part": 1000}, "bad_part"),
    ]
    for change, code in changes:
        refused = await home.post(UPLOAD, page.token, json=page.body(b"chunk") | change)
        assert (refused.status, refused.code) == (400, code), change
    assert kept(home) == []


async def test_bodies_that_are_none(home: House) -> None:
    page = sender(home, await start_recording(home), "json")
    for body in (b"", b"[]", b"{", b'{"chunk":"AAAA', b"AAAA", b'{"chunk":"AAAA"'):
        assert (await home.post(UPLOAD, page.token, data=body)).status == 400, body
    assert kept(home) == []


async def test_an_application_s_server_sends_for_anybody(home: House, page: Sender) -> None:
    by_server = Sender(home, page.recording_id, home.server(), "anybody / else", page.route)
    assert (await by_server.send(b"chunk")).status == 201
    assert (await by_server.state())["participantId"] == "anybody / else"


async def test_chunks_come_after_the_stop_for_a_while(home: House, page: Sender) -> None:
    await page.send(b"first")
    await home.post(STOP, home.host("r"))
    assert (await page.send(b"second", 1)).status == 201


async def test_a_page_of_another_origin_may_send(home: House) -> None:
    page = sender(home, await start_recording(home))
    preflight = await home.request(
        "OPTIONS",
        f"{page.path}/0/0",
        headers={
            "Origin": "https://app.example.com",
            "Access-Control-Request-Method": "PUT",
            "Access-Control-Request-Headers": "authorization,content-digest",
        },
    )
    assert preflight.status == 204
    assert "content-digest" in preflight.headers["Access-Control-Allow-Headers"]


async def test_limits_are_told_with_the_refusal(tmp_path: Path) -> None:
    async with house(
        tmp_path, patience=0, recording_chunk_max_mb="1", recording_chunks_max_gb="0.0025"
    ) as home:
        recording_id = await start_recording(home)
        for route in ROUTES:
            page = sender(home, recording_id, route)
            large = await page.send(bytes((1 << 20) + 1))
            assert (large.status, large.code) == (413, "chunk_too_large")
            assert large.details == {"limitBytes": 1 << 20}
        page = sender(home, recording_id)
        for sequence in range(2):
            assert (await page.send(bytes(1 << 20), sequence)).status == 201
        full = await page.send(bytes(1 << 20), 2)
        assert (full.status, full.code) == (413, "chunks_too_many_bytes")
        assert full.details == {"limitBytes": round(0.0025 * (1 << 30))}
        assert len(kept(home)) == 2


async def test_a_full_disk_is_507(tmp_path: Path) -> None:
    async with house(tmp_path, patience=0) as home:
        recording_id = await start_recording(home)
        pages = [sender(home, recording_id, route) for route in ROUTES]
        home.services.space._free = lambda _: 0
        for page in pages:
            refused = await page.send(b"chunk")
            assert (refused.status, refused.code) == (507, "disk_low")
            assert str(tmp_path) not in refused.body.decode()  # which is the operator's business
        assert kept(home) == []


async def test_nobody_sends_everything_at_once(home: House) -> None:
    """33 bodies under way: one too many. When one has come the next may."""
    page = sender(home, await start_recording(home))
    head = (
        f"PUT {page.path}/0/%d HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {page.token}\r\n"
        "Content-Length: 2\r\n\r\n1"
    )
    writers = []
    for sequence in range(32):
        _, writer = await asyncio.open_connection(home.client.host, home.client.port)
        writer.write((head % sequence).encode())
        writers.append(writer)

    async def refused() -> bool:
        return (await page.send(b"12", 40)).status == 429

    await until(refused, within=10, what="the 33rd is refused")
    answer = await page.send(b"12", 40)
    assert (answer.code, answer.details) == ("too_many_at_once", {"limit": 32})
    assert answer.headers["Retry-After"]
    other = Sender(home, page.recording_id, home.host("r"), "hanna")
    assert (await other.send(b"12")).status == 201
    writers[0].write(b"2")
    await until(lambda: _accepted(page), within=10, what="there is a place again")
    for writer in writers:
        writer.close()


async def _accepted(page: Sender) -> bool:
    return (await page.send(b"12", 41)).status in (200, 201)
