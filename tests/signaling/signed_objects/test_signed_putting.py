"""Objects put with signed links through this server, whole and in parts."""

from __future__ import annotations

import asyncio
import gzip
import logging
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from aiohttp import web

from signaling.rest import objects
from signaling.rest.objects import received
from storage.objects import Part
from storage.objects.local_grants import Grant
from tests.rig.waiting import until
from tests.signaling.signed_objects.desk import CONTENT, LIFE, SMALLEST, WEBM, Desk, refused

# --- putting --------------------------------------------------------------------------------------


async def test_a_put(desk: Desk) -> None:
    link = await desk.signer.sign_put("a/b.webm", LIFE, "video/webm;codecs=vp8,opus", len(CONTENT))
    answer = await desk.send(link, CONTENT)
    assert answer.status == 200
    assert await desk.contents() == {"a/b.webm": CONTENT}
    assert (await desk.store.head("a/b.webm")).content_type == "video/webm;codecs=vp8,opus"
    read = await desk.send(await desk.signer.sign_get("a/b.webm", LIFE))
    assert read.headers["ETag"] == answer.headers["ETag"]


async def test_a_put_is_not_limited_as_json_is(desk: Desk) -> None:
    content = b"x" * (3 << 20)
    link = await desk.signer.sign_put("a", LIFE, WEBM, len(content))
    assert (await desk.send(link, content)).status == 200
    assert await desk.contents() == {"a": content}


async def chunked(*blocks: bytes) -> AsyncIterator[bytes]:
    """A body whose length nobody says before."""
    for block in blocks:
        yield block


@pytest.mark.parametrize("body", [lambda content: content, chunked], ids=["length_said", "chunked"])
@pytest.mark.parametrize(("size", "status"), [(9, 400), (10, 200), (11, 413), (0, 400)], ids=str)
async def test_attack_a_body_of_another_size_than_signed(
    desk: Desk, body: Callable[[bytes], Any], size: int, status: int
) -> None:
    await desk.put("a", b"old")
    link = await desk.signer.sign_put("a", LIFE, WEBM, 10)
    answer = await desk.send(link, body(b"x" * size))
    assert answer.status == status
    assert await desk.contents() == {"a": b"x" * 10 if status == 200 else b"old"}
    assert desk.incoming() == []


async def test_attack_a_body_far_longer_than_signed_is_refused_before_it_is_sent(
    desk: Desk,
) -> None:
    link = desk.target(await desk.signer.sign_put("a", LIFE, WEBM, 10))
    answer = await desk.raw(
        b"PUT " + link + b" HTTP/1.1\r\nHost: x\r\nContent-Type: video/webm\r\n"
        b"Content-Length: 10000000000\r\n\r\n",
    )
    assert answer.split()[1] == b"413"


async def test_attack_another_content_type_than_signed(desk: Desk) -> None:
    link = await desk.signer.sign_put("a", LIFE, WEBM)
    for other in ("text/html", "video/webm; x", ""):
        answer = await desk.send(link, CONTENT, Content_Type=other)
        await refused(answer, "content_type_refused", desk)
    assert await desk.contents() == {}


async def test_attack_a_body_that_unpacks_to_more(desk: Desk) -> None:
    link = await desk.signer.sign_put("a", LIFE, WEBM)
    answer = await desk.send(link, b"\x1f\x8b", Content_Encoding="gzip")
    assert answer.status == 415
    assert await desk.contents() == {}


async def test_attack_a_packed_body_behind_a_header_that_says_plain(desk: Desk) -> None:
    """aiohttp believes the last of two headers, and whoever asks for one gets the first."""
    link = desk.target(await desk.signer.sign_put("a", LIFE, WEBM))
    packed = gzip.compress(CONTENT)
    answer = await desk.raw(
        b"PUT " + link + b" HTTP/1.1\r\nHost: x\r\nContent-Type: video/webm\r\n"
        b"Content-Encoding: identity\r\nContent-Encoding: gzip\r\n"
        b"Content-Length: %d\r\n\r\n" % len(packed) + packed
    )
    assert answer.split()[1] == b"415"
    assert await desk.contents() == {}


async def test_attack_one_link_used_many_times_at_once(desk: Desk) -> None:
    """Each body would have a file of its own until it has come."""
    signed = await desk.signer.sign_put("a", LIFE, WEBM)
    link = desk.target(signed)
    head = b"PUT " + link + b" HTTP/1.1\r\nHost: x\r\nContent-Type: video/webm\r\n"
    writers = []
    for count in (1, 2):
        _, writer = await asyncio.open_connection(*desk.address())
        writer.write(head + b"Content-Length: 100\r\n\r\n" + b"x" * 10)
        writers.append(writer)
        await until(lambda n=count: len(desk.incoming()) == n, within=5, what="a body began")
    refused = await desk.send(signed, CONTENT)
    assert (refused.status, refused.code) == (429, "too_many_at_once")
    for writer in writers:
        writer.close()
    await until(lambda: not desk.incoming(), within=5, what="both were given up")
    assert (await desk.send(signed, CONTENT)).status == 200


@pytest.mark.parametrize("size", [None, 10])
async def test_attack_filling_the_disk_by_links(desk: Desk, size: int | None) -> None:
    link = await desk.signer.sign_put("a", LIFE, WEBM, size)
    form = await desk.signer.sign_post("b", LIFE, WEBM, largest=10)
    desk.space._free = lambda _: 0
    refused = await desk.send(link, chunked(b"x" * 10))
    assert (refused.status, refused.code) == (507, "disk_low")
    assert (await desk.post(form, b"x" * 10)).status == 507
    assert await desk.contents() == {}
    assert desk.incoming() == []


async def test_attack_a_disk_that_fills_while_the_body_comes(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(objects, "ROOM_EVERY", 1000)
    free = iter([1 << 40, 0])
    desk.space._free = lambda _: next(free)
    answer = await desk.send(await desk.signer.sign_put("a", LIFE, WEBM), CONTENT)
    assert answer.status == 507
    assert await desk.contents() == {}
    assert desk.incoming() == []


async def test_attack_bytes_one_by_one_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each comes before patience is at its end."""
    now = 0.0
    monkeypatch.setattr("signaling.rest.objects.time.monotonic", lambda: now)

    async def drop() -> bytes:
        nonlocal now
        now += 59.0
        return b"x"

    async def read_on() -> None:
        async for _ in received(drop, Grant("PUT", "a", 0)):
            pass

    async with asyncio.timeout(5):
        with pytest.raises(web.HTTPRequestTimeout):
            await read_on()
    assert now == 118.0


@pytest.mark.parametrize(
    "body",
    [
        b"Content-Length: 100000\r\n\r\n" + b"x" * 70_000,
        b"Transfer-Encoding: chunked\r\n\r\n5\r\nhell",
    ],
    ids=["length_said", "chunked"],
)
async def test_a_client_that_goes_away_leaves_nothing(desk: Desk, body: bytes) -> None:
    await desk.put("a", b"old")
    link = desk.target(await desk.signer.sign_put("a", LIFE, WEBM))
    await desk.stall(
        b"PUT " + link + b" HTTP/1.1\r\nHost: x\r\nContent-Type: video/webm\r\n" + body
    )
    over = ("PUT", "/objects/{key}", 400)
    await until(lambda: desk.counters.requests[over], within=5, what="the request is over")
    assert desk.incoming() == []
    assert await desk.contents() == {"a": b"old"}


async def test_a_body_that_is_no_http_leaves_nothing(desk: Desk) -> None:
    link = desk.target(await desk.signer.sign_put("a", LIFE, WEBM))
    answer = await desk.raw(
        b"PUT " + link + b" HTTP/1.1\r\nHost: x\r\nContent-Type: video/webm\r\n"
        b"Transfer-Encoding: chunked\r\n\r\nnonsense\r\n",
    )
    assert answer.split()[1] == b"400"
    assert desk.incoming() == []
    assert await desk.contents() == {}


async def test_a_client_that_falls_silent_is_given_up() -> None:
    said = iter([b"some"])

    async def read() -> bytes:
        return next(said, None) or await asyncio.get_running_loop().create_future()

    blocks = received(read, Grant("PUT", "a", 0), patience=0.01)
    assert await anext(blocks) == b"some"
    with pytest.raises(web.HTTPRequestTimeout):
        await anext(blocks)


async def test_the_log_keeps_signatures_to_itself(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    link = await desk.signer.sign_put("a", LIFE, WEBM)
    await desk.send(link, CONTENT)
    await until(lambda: "PUT /objects/a" in caplog.text, within=5, what="the request is logged")
    assert link.url.partition("sig=")[2] not in caplog.text


# --- parts ----------------------------------------------------------------------------------------


async def test_an_object_in_parts(desk: Desk) -> None:
    upload_id = await desk.signer.begin("a.webm", WEBM)
    parts = []
    for number, content in enumerate((b"1" * SMALLEST, b"2"), start=1):
        link = await desk.signer.sign_part("a.webm", upload_id, number, LIFE)
        answer = await desk.send(link, content)
        assert (answer.status, answer.body) == (200, b"")
        parts.append(Part(number, answer.headers["ETag"], len(content)))
    await desk.signer.complete("a.webm", upload_id, parts)
    assert await desk.contents() == {"a.webm": b"1" * SMALLEST + b"2"}


async def test_a_link_that_expired_in_a_stall_is_signed_again_and_the_upload_finished(
    desk: Desk,
) -> None:
    upload_id = await desk.signer.begin("a.webm", WEBM)
    link = await desk.signer.sign_part("a.webm", upload_id, 1, LIFE)
    half = b"PUT " + desk.target(link) + b" HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n1"
    await desk.stall(half)
    desk.clock.now += 601
    answer = await desk.send(link, b"12")
    assert (answer.status, answer.code) == (403, "link_expired")
    again = await desk.signer.sign_part("a.webm", upload_id, 1, LIFE)
    answer = await desk.send(again, b"12")
    await desk.signer.complete("a.webm", upload_id, [Part(1, answer.headers["ETag"])])
    assert await desk.contents() == {"a.webm": b"12"}


async def test_a_link_that_expires_while_its_body_arrives_stays_good(desk: Desk) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b"1"
        await until(desk.receiving, within=5, what="the body began to arrive")
        desk.clock.now += 601
        yield b"2"

    upload_id = await desk.signer.begin("a.webm", WEBM)
    link = await desk.signer.sign_part("a.webm", upload_id, 1, LIFE)
    assert (await desk.send(link, body())).status == 200


async def test_a_part_of_an_upload_that_is_over(desk: Desk) -> None:
    upload_id = await desk.signer.begin("a.webm", WEBM)
    link = await desk.signer.sign_part("a.webm", upload_id, 1, LIFE)
    await desk.signer.abort("a.webm", upload_id)
    answer = await desk.send(link, b"x")
    assert (answer.status, answer.code) == (404, "upload_gone")


async def test_attack_a_part_for_anothers_upload(desk: Desk) -> None:
    theirs = await desk.signer.begin("theirs", WEBM)
    mine = await desk.signer.begin("mine", WEBM)
    link = await desk.signer.sign_part("mine", mine, 1, LIFE)
    for url in (
        link.url.replace(mine, theirs),
        link.url.replace("/mine?", "/theirs?"),
        link.url.replace("part=1", "part=2"),
        link.url.replace(mine, "../" * 3),
        link.url.replace(mine, "%00" * 32),
    ):
        answer = await desk.ask("PUT", url, b"x")
        assert (answer.status, answer.code) == (403, "link_invalid")
    assert sorted(desk.incoming()) == sorted([mine, theirs])
