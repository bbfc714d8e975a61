"""Vercel Blob: putting, reading past its CDN, and what it lacks."""

from __future__ import annotations

import asyncio
import hashlib
import json
from pathlib import Path

import pytest
from vercel.api import session
from vercel.blob import BlobCredentials, BlobServiceOptions, put_blob

from storage.errors import (
    ObjectChanged,
    SourceUnreadable,
    StoreUnavailable,
    UploadGone,
)
from storage.objects import Part
from storage.objects.vercel_blob import VercelBlobStore
from tests.rig.faults import Answer, CutAnswer, CutRequest, FaultProxy, LoseAnswer, Request, Stall
from tests.rig.vercel import STORE, VercelRig
from tests.rig.waiting import until
from tests.storage.contents import LARGE, LONG, WEBM, Put, counting, keys, read, streamed
from tests.storage.vercel_blob.opening import HOUR, Naps, opened, parts_sent, url_of

# --- putting --------------------------------------------------------------------------------------


async def test_only_the_part_that_failed_is_sent_again(
    store: VercelBlobStore, proxy: FaultProxy, large_file: Path
) -> None:
    failing = [Answer(503), CutRequest(1_000_000), LoseAnswer()]
    proxy.schedule = lambda request: (
        failing.pop() if request.headers.get("x-mpu-part-number") == "2" and failing else None
    )
    stored = await store.put_file("a", large_file, WEBM)
    assert sorted(parts_sent(proxy)) == ["1", "2", "2", "2", "2", "3"]
    assert stored.sha256 == hashlib.sha256(counting(LARGE)).hexdigest()
    assert await store.digest("a") == stored.sha256


async def test_an_upload_whose_last_answer_was_lost_is_found_complete(
    store: VercelBlobStore, proxy: FaultProxy, large_file: Path
) -> None:
    completing: list[Request] = []

    def lose(request: Request) -> LoseAnswer | None:
        if request.headers.get("x-mpu-action") != "complete":
            return None
        completing.append(request)
        return LoseAnswer() if len(completing) == 1 else None

    proxy.schedule = lose
    stored = await store.put_file("a", large_file, WEBM)
    assert len(completing) == 2
    assert await store.digest("a") == stored.sha256


async def test_an_older_object_is_not_taken_for_that_of_an_upload_that_is_gone(
    store: VercelBlobStore, rig: VercelRig, put: Put
) -> None:
    upload_id = await store.begin("a", WEBM)
    with pytest.raises(UploadGone):
        await store.complete("b", upload_id, [Part(1, '"etag"')])
    await put("b")
    with pytest.raises(UploadGone):
        await store.complete("b", upload_id, [Part(1, '"etag"', size=5)])


@pytest.mark.parametrize("upload_id", ["", "nonsense", "W10=", "bnVsbA=="])
async def test_an_upload_nobody_began_is_gone(store: VercelBlobStore, upload_id: str) -> None:
    with pytest.raises(UploadGone):
        await store.complete("a", upload_id, [])
    with pytest.raises(UploadGone):
        await store.sign_part("a", upload_id, 1, HOUR)
    await store.abort("a", upload_id)


async def test_an_object_of_which_the_store_has_less_is_not_left_there(
    store: VercelBlobStore, proxy: FaultProxy, put: Put, rig: VercelRig
) -> None:
    content = b"content"
    stored = {
        "url": "",
        "downloadUrl": "",
        "pathname": "a",
        "size": len(content) - 1,
        "uploadedAt": "2026-11-24T12:00:00.000Z",
        "etag": f'"{hashlib.md5(content).hexdigest()}"',
    }
    proxy.inject(Answer(200, body=json.dumps(stored).encode()), method="GET", containing="url=")
    with pytest.raises(StoreUnavailable, match="took 6 bytes of 'a', which has 7"):
        await put("a", content)
    (deleting,) = proxy.matching("POST", "/delete")
    assert deleting.headers["x-if-match"] == stored["etag"]
    assert await keys(store) == []


async def test_a_file_that_becomes_shorter_meanwhile_is_the_callers_fault(
    store: VercelBlobStore, tmp_path: Path
) -> None:
    source = tmp_path / "shrinking"
    with source.open("wb") as file:
        file.truncate(100_000_000)

    def shrink(_: int) -> None:
        with source.open("r+b") as file:
            file.truncate(1_000_000)

    with pytest.raises(SourceUnreadable, match="became shorter"):
        await store.put_file("a", source, WEBM, on_progress=shrink)
    assert await keys(store) == []


async def test_a_cancelled_put_leaves_no_task_and_no_object(
    store: VercelBlobStore, proxy: FaultProxy, large_file: Path
) -> None:
    await store.check()  # connections that are kept have been made
    before = asyncio.all_tasks()
    proxy.schedule = lambda request: (
        Stall(60) if request.headers.get("x-mpu-part-number") == "3" else None
    )
    putting = asyncio.create_task(store.put_file("a", large_file, WEBM))
    await until(lambda: "3" in parts_sent(proxy), within=10, what="the last part is on its way")
    putting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await putting

    await until(lambda: asyncio.all_tasks() <= before, within=5, what="no task of the put is left")
    proxy.schedule = None
    assert await keys(store) == []


# --- reading --------------------------------------------------------------------------------------


async def test_a_cut_download_goes_on_where_it_broke_with_the_same_object(
    store: VercelBlobStore, proxy: FaultProxy, put: Put
) -> None:
    content = counting(LONG)
    await put("a", content)
    proxy.forget()
    proxy.inject(CutAnswer(300_000), method="GET")
    assert await read(store, "a", 5, LONG - 5) == content[5:-5]
    first, second = proxy.requests
    assert "if-match" not in first.headers
    assert second.headers["if-match"] == f'"{hashlib.md5(content).hexdigest()}"'
    assert second.headers["range"].startswith("bytes=300005-")


async def test_an_object_that_was_replaced_is_not_joined_to_what_was_read(
    store: VercelBlobStore, proxy: FaultProxy, put: Put
) -> None:
    for change in (
        lambda: put("a", bytes(LONG)),
        lambda: put("a", b"x"),
        lambda: store.delete("a"),
    ):
        await put("a", counting(LONG))
        proxy.inject(CutAnswer(300_000), method="GET", containing="cache=0")
        blocks = store.open("a")
        await anext(blocks)
        await change()
        with pytest.raises(ObjectChanged):
            async for _ in blocks:
                pass


@pytest.mark.parametrize("weak", ["", "W/"])
async def test_a_server_that_ignores_if_match_is_found_out_by_its_etag(
    rig: VercelRig, weak: str
) -> None:
    """Every answer is cut, and of another version than the one before."""
    asked: list[str] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append((await reader.readuntil(b"\r\n\r\n")).decode().lower())
        start = 0 if len(asked) == 1 else 10
        lines = [
            "HTTP/1.1 206 Partial Content",
            f'ETag: {weak}"{len(asked)}"',
            f"Content-Range: bytes {start}-99/100",
            f"Content-Length: {100 - start}",
        ]
        writer.write("\r\n".join([*lines, "", ""]).encode() + b"0123456789")
        await writer.drain()
        writer.close()

    async with (
        await asyncio.start_server(answer, "127.0.0.1", 0) as server,
        opened(rig.token, url_of(server)) as store,
    ):
        blocks = store.open("a")
        assert await anext(blocks) == b"0123456789"
        with pytest.raises(ObjectChanged):
            await anext(blocks)
    assert ["if-match" in head for head in asked] == [False, not weak]


async def test_an_answer_to_another_range_is_not_believed(
    store: VercelBlobStore, proxy: FaultProxy, put: Put
) -> None:
    content = counting(LONG)
    await put("a", content)
    for answer in (Answer(206, body=b"evil"), Answer(200, body=b"evil")):
        proxy.inject(answer, method="GET")
        assert await read(store, "a", 5) == content[5:]


async def test_private_objects_are_read_past_a_cdn_that_lags(
    store: VercelBlobStore, rig: VercelRig, put: Put
) -> None:
    rig.let_cdn_lag(True)
    await put("a", b"old")
    stored = await put("a", b"new")
    assert await read(store, "a") == b"new"
    assert await store.digest("a") == stored.sha256


async def test_the_digest_of_a_public_object_waits_for_the_cdn(rig: VercelRig) -> None:
    naps = Naps(lambda: rig.let_cdn_lag(False))
    async with opened(rig.token, rig.api_url, access="public", retrier=naps.retrier) as store:
        rig.let_cdn_lag(True)
        await store.put_stream("a", streamed(b"old"), WEBM)
        stored = await store.put_stream("a", streamed(b"new"), WEBM)
        assert await read(store, "a") == b"old"
        assert await store.digest("a") == stored.sha256
    assert naps.seconds == [9.0]


async def test_a_cdn_that_never_catches_up_is_named(rig: VercelRig) -> None:
    naps = Naps()
    async with opened(rig.token, rig.api_url, access="public", retrier=naps.retrier) as store:
        rig.let_cdn_lag(True)
        await store.put_stream("a", streamed(b"old"), WEBM)
        await store.put_stream("a", streamed(b"new"), WEBM)
        with pytest.raises(StoreUnavailable, match="CDN"):
            await store.digest("a")
    assert sum(naps.seconds) >= 50, "a minute is what the CDN may take"


async def test_a_list_goes_on_with_the_page_that_failed(
    store: VercelBlobStore, proxy: FaultProxy, put: Put
) -> None:
    for key in ("a", "b", "c"):
        await put(key)
    first = {"pathname": "a", "size": 7, "uploadedAt": "2026-11-24T12:00:00.000Z"}
    page = {"blobs": [first], "hasMore": True, "cursor": "a"}
    proxy.forget()
    proxy.inject(Answer(200, body=json.dumps(page).encode()))
    proxy.inject(Answer(500), containing="cursor=a")
    assert await keys(store) == ["a", "b", "c"]
    assert ["cursor" in request.query for request in proxy.requests] == [False, True, True]


async def test_a_thousand_objects_are_deleted_in_one_call(
    store: VercelBlobStore, proxy: FaultProxy, put: Put
) -> None:
    await put("0999")
    await put("1000")
    await store.delete_many([f"{number:04}" for number in range(1001)])
    assert proxy.count("POST", "/delete") == 2
    assert await keys(store) == []


# --- what it lacks --------------------------------------------------------------------------------


async def test_metadata_are_taken_and_dropped(store: VercelBlobStore) -> None:
    stored = await store.put_stream("a", streamed(b"1"), WEBM, metadata={"room": "a"})
    assert stored.metadata == (await store.head("a")).metadata == {}


async def test_objects_are_not_cached_for_longer_than_must_be(
    store: VercelBlobStore, proxy: FaultProxy, large_file: Path
) -> None:
    await store.put_stream("a", streamed(b"1"), WEBM)
    await store.put_file("b", large_file, WEBM)
    await store.copy("a", "c")
    ages = {
        request.headers.get("x-cache-control-max-age")
        for request in proxy.requests
        if "x-vercel-blob-access" in request.headers
    }
    assert ages == {"60"}


async def test_what_others_put_under_names_that_are_no_keys_is_not_listed(
    store: VercelBlobStore, put: Put, rig: VercelRig
) -> None:
    await put("a/b")
    options = BlobServiceOptions(
        base_url=rig.api_url, credentials_factory=lambda: BlobCredentials(rig.token, STORE)
    )
    async with session(service_options=[options]):
        await put_blob("a/", b"", access="private")
    assert await keys(store) == ["a/b"]
