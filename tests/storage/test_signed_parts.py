"""Uploads in parts by a plain HTTP client: the store begins and completes, the client sends."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import pytest_asyncio

from storage.errors import BadParts, StorageError, StoreMisconfigured, UploadGone
from storage.objects import Part, PartLister
from tests.storage.contents import WEBM, counting, cut_into, keys, read, streamed
from tests.storage.signing_stores import (
    REFUSED,
    SIGNERS,
    Answer,
    Signing,
    expiry_of,
    signing_store,
    with_url,
)
from tests.storage.stores import KEEP_METADATA, Servers

HOUR = timedelta(hours=1)
PART = 5 << 20  # bytes: the smallest that may have another behind it
CONTENT = counting(2 * PART + 12_345)
METADATA = {"room": "r1", "taken-at": "2026-01-02T03:04:05Z"}

# Vercel Blob tells of no uploads, and takes no word about giving one up.
TELLING = pytest.mark.parametrize("kind", [kind for kind in SIGNERS if kind != "vercel"])


@pytest.fixture(params=SIGNERS)
def kind(request: pytest.FixtureRequest) -> str:
    kind: str = request.param
    return kind


@pytest_asyncio.fixture
async def signing(kind: str, servers: Servers, root: Path) -> AsyncIterator[Signing]:
    async with signing_store(kind, servers, root) as opened:
        yield opened


async def unfinished(signing: Signing, prefix: str = "") -> list[tuple[str, str]]:
    return [(upload.key, upload.upload_id) async for upload in signing.signer.unfinished(prefix)]


def etag_of(answer: Answer) -> str:
    """Vercel Blob tells it in the body."""
    return answer.headers.get("ETag") or str(json.loads(answer.body)["etag"])


async def send_part(
    signing: Signing, key: str, upload_id: str, number: int, body: bytes, life: timedelta = HOUR
) -> Part:
    """As a client does it that has each part signed when it needs it."""
    answer = await signing.send(await signing.signer.sign_part(key, upload_id, number, life), body)
    assert answer.done, answer
    return Part(number, etag_of(answer), len(body))


async def send_all(signing: Signing, key: str, upload_id: str) -> list[Part]:
    pieces = enumerate(cut_into(CONTENT, PART), start=1)
    return [await send_part(signing, key, upload_id, number, body) for number, body in pieces]


async def test_an_object_appears_when_its_parts_are_completed(signing: Signing) -> None:
    key = "комната/a b.webm"
    upload_id = await signing.signer.begin(key, "video/mp4", METADATA)
    parts = await send_all(signing, key, upload_id)
    assert await keys(signing.store) == []

    info = await signing.signer.complete(key, upload_id, parts)

    assert info == await signing.store.head(key)
    assert (info.size, info.content_type) == (len(CONTENT), "video/mp4")
    assert info.metadata == (METADATA if signing.kind in KEEP_METADATA else {})
    assert await read(signing.store, key) == CONTENT
    assert await unfinished(signing) == []


async def test_parts_may_come_in_any_order_together_and_again(signing: Signing) -> None:
    upload_id = await signing.signer.begin("a", WEBM)
    first, second, third = cut_into(CONTENT, PART)
    await send_part(signing, "a", upload_id, 2, first)
    parts = await asyncio.gather(
        send_part(signing, "a", upload_id, 3, third),
        send_part(signing, "a", upload_id, 2, second),
        send_part(signing, "a", upload_id, 1, first),
    )
    await signing.signer.complete("a", upload_id, parts)
    assert await read(signing.store, "a") == CONTENT


async def test_completing_again_is_completing_once(signing: Signing) -> None:
    upload_id = await signing.signer.begin("a", WEBM)
    parts = await send_all(signing, "a", upload_id)
    first = await signing.signer.complete("a", upload_id, parts)
    again = await signing.signer.complete("a", upload_id, parts)
    assert again == first
    assert await read(signing.store, "a") == CONTENT


async def test_completing_late_does_not_bring_back_what_was_replaced(signing: Signing) -> None:
    upload_id = await signing.signer.begin("a", WEBM)
    parts = await send_all(signing, "a", upload_id)
    await signing.signer.complete("a", upload_id, parts)
    await signing.store.put_stream("a", streamed(b"another object"), WEBM)
    with suppress(StorageError):  # stores differ in how long they remember an upload
        await signing.signer.complete("a", upload_id, parts)
    assert await read(signing.store, "a") == b"another object"


async def test_a_part_that_was_not_sent_makes_no_object(signing: Signing) -> None:
    upload_id = await signing.signer.begin("a", WEBM)
    first, second, _ = await send_all(signing, "a", upload_id)
    with pytest.raises(BadParts):
        await signing.signer.complete("a", upload_id, [first, second, Part(4, second.etag)])
    with pytest.raises(BadParts):
        await signing.signer.complete("a", upload_id, [first, Part(2, first.etag)])
    assert await keys(signing.store) == []
    await signing.signer.abort("a", upload_id)


@TELLING
async def test_an_upload_given_up_is_forgotten(signing: Signing) -> None:
    upload_id = await signing.signer.begin("a/b", WEBM)
    parts = await send_all(signing, "a/b", upload_id)
    signed = await signing.signer.sign_part("a/b", upload_id, 1, HOUR)
    assert await unfinished(signing) == [("a/b", upload_id)]

    await signing.signer.abort("a/b", upload_id)
    await signing.signer.abort("a/b", upload_id)

    assert await unfinished(signing) == []
    assert (await signing.send(signed, b"late")).status == 404
    with pytest.raises(UploadGone):
        await signing.signer.complete("a/b", upload_id, parts)
    assert await keys(signing.store) == []


@TELLING
async def test_unfinished_uploads_are_found_by_the_beginning_of_their_keys(
    signing: Signing,
) -> None:
    begun = [(key, await signing.signer.begin(key, WEBM)) for key in ("a/b", "a/b", "a/c", "d")]
    assert sorted(await unfinished(signing)) == sorted(begun)
    assert sorted(await unfinished(signing, "a/b")) == sorted(begun[:2])
    assert await unfinished(signing, "../") == []
    async for upload in signing.signer.unfinished("d"):
        assert upload.begun_at.tzinfo is UTC
        assert abs(upload.begun_at - datetime.now(UTC)) < timedelta(minutes=1)
    for key, upload_id in begun:
        await signing.signer.abort(key, upload_id)
    assert await unfinished(signing) == []


# --- telling what has come ------------------------------------------------------------------------


def lister(signing: Signing) -> PartLister:
    assert isinstance(signing.signer, PartLister)
    return signing.signer


@TELLING
async def test_the_parts_that_have_come_are_listed_as_they_were_sent_last(
    signing: Signing,
) -> None:
    upload_id = await signing.signer.begin("комната/a b", WEBM)
    assert await lister(signing).parts("комната/a b", upload_id) == ()
    first, second, third = cut_into(CONTENT, PART)
    await send_part(signing, "комната/a b", upload_id, 3, third)
    await send_part(signing, "комната/a b", upload_id, 1, third)
    await send_part(signing, "комната/a b", upload_id, 1, first)

    listed = await lister(signing).parts("комната/a b", upload_id)

    assert [(part.number, part.size) for part in listed] == [(1, len(first)), (3, len(third))]
    await send_part(signing, "комната/a b", upload_id, 2, second)
    all_of_them = await lister(signing).parts("комната/a b", upload_id)
    await signing.signer.complete("комната/a b", upload_id, all_of_them)
    assert await read(signing.store, "комната/a b") == CONTENT


@TELLING
async def test_an_upload_that_is_over_has_no_parts_to_list(signing: Signing) -> None:
    given_up = await signing.signer.begin("a", WEBM)
    await signing.signer.abort("a", given_up)
    done = await signing.signer.begin("b", WEBM)
    await signing.signer.complete("b", done, await send_all(signing, "b", done))
    for key, upload_id in (("a", given_up), ("b", done)):
        with pytest.raises(UploadGone):
            await lister(signing).parts(key, upload_id)


@pytest.mark.parametrize("kind", ["gcs"])  # where pages can be made small
async def test_lists_of_parts_longer_than_a_page_are_whole(
    signing: Signing, servers: Servers
) -> None:
    servers.gcs.manners.page = 2
    upload_id = await signing.signer.begin("a", WEBM)
    for number in range(1, 6):
        await send_part(signing, "a", upload_id, number, b"part")
    listed = await lister(signing).parts("a", upload_id)
    assert [part.number for part in listed] == [1, 2, 3, 4, 5]
    await signing.signer.abort("a", upload_id)


# --- attackers who hold the link of a part --------------------------------------------------------


async def test_a_link_for_a_part_of_one_object_sends_none_of_another(signing: Signing) -> None:
    mine = await signing.signer.begin("room/mine", WEBM)
    yours = await signing.signer.begin("room/your", WEBM)
    signed = await signing.signer.sign_part("room/mine", mine, 1, HOUR)
    assert (await signing.send(with_url(signed, "mine", "your"), b"evil")).status in REFUSED
    assert (await signing.send(signed, b"content")).done
    await signing.signer.abort("room/mine", mine)
    await signing.signer.abort("room/your", yours)


@TELLING
async def test_a_link_for_one_part_sends_no_other_and_makes_no_object(signing: Signing) -> None:
    upload_id = await signing.signer.begin("a", WEBM)
    other_id = await signing.signer.begin("a", WEBM)
    signed = await signing.signer.sign_part("a", upload_id, 1, HOUR)
    number = re.search(r"part(?:Number)?=1", signed.url)
    assert number is not None
    for forged in (
        with_url(signed, number[0], number[0].replace("1", "2")),
        with_url(signed, upload_id, other_id),
        with_url(signed, f"{number[0]}&", ""),
        replace(signed, method="GET"),
        replace(signed, method="DELETE"),
    ):
        assert 400 <= (await signing.send(forged, b"evil")).status < 500
    assert await keys(signing.store) == []
    await signing.signer.abort("a", upload_id)
    await signing.signer.abort("a", other_id)


@pytest.mark.parametrize("kind", ["local", "s3", "b2"])  # the others can't be told
async def test_a_link_for_a_part_of_one_size_takes_no_other(signing: Signing) -> None:
    upload_id = await signing.signer.begin("a", WEBM)
    signed = await signing.signer.sign_part("a", upload_id, 1, HOUR, 7)
    for body in (b"longer than seven", b"less"):
        assert 400 <= (await signing.send(signed, body)).status < 500
    assert await lister(signing).parts("a", upload_id) == ()
    assert (await signing.send(signed, b"content")).done
    await signing.signer.abort("a", upload_id)


async def test_a_link_of_somebody_with_another_secret_sends_no_part(signing: Signing) -> None:
    upload_id = await signing.signer.begin("a", WEBM)
    if signing.kind == "vercel":  # who signs with a key that it has to ask for
        with pytest.raises(StoreMisconfigured):
            await signing.liar.sign_part("a", upload_id, 1, HOUR)
        return
    signed = await signing.liar.sign_part("a", upload_id, 1, HOUR)
    assert (await signing.send(signed, b"evil")).status in REFUSED
    await signing.signer.abort("a", upload_id)


# --- a client that is slower than its links ------------------------------------------------------


@pytest.mark.parametrize(
    "life",
    [timedelta(seconds=2), pytest.param(timedelta(seconds=10), marks=pytest.mark.long)],
    ids=["2s", "10s"],
)
async def test_a_stall_longer_than_a_link_lives_costs_one_more_signature(
    signing: Signing, life: timedelta
) -> None:
    upload_id = await signing.signer.begin("a", WEBM)
    first, second, third = cut_into(CONTENT, PART)
    parts = [await send_part(signing, "a", upload_id, 1, first, life)]
    stalled = await signing.signer.sign_part("a", upload_id, 2, life)
    await expiry_of(stalled)
    assert (await signing.send(stalled, second)).status in REFUSED
    parts.append(await send_part(signing, "a", upload_id, 2, second, life))
    parts.append(await send_part(signing, "a", upload_id, 3, third, life))
    await signing.signer.complete("a", upload_id, parts)
    assert await read(signing.store, "a") == CONTENT


@pytest.mark.parametrize("kind", ["local", "s3", "b2"])  # the others' rigs look when all has come
async def test_a_part_that_began_in_time_may_end_late(signing: Signing) -> None:
    """What counts is when the request begins: a slow line is no reason to refuse."""
    upload_id = await signing.signer.begin("a", WEBM)
    signed = await signing.signer.sign_part("a", upload_id, 1, timedelta(seconds=2))

    async def slow_body() -> AsyncIterator[bytes]:
        yield CONTENT[:PART]
        await expiry_of(signed)
        yield CONTENT[PART:]

    answer = await signing.send(signed, slow_body(), {"Content-Length": str(len(CONTENT))})
    assert answer.done, answer
    part = Part(1, etag_of(answer), len(CONTENT))
    await signing.signer.complete("a", upload_id, [part])
    assert await read(signing.store, "a") == CONTENT
