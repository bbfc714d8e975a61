"""What is special to Vercel Blob: its errors, its CDN, what is repeated and what is not."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
import pytest_asyncio
from vercel.api import session
from vercel.blob import BlobCredentials, BlobServiceOptions, put_blob

from storage.errors import (
    BucketMissing,
    CredentialsRefused,
    EndpointWrong,
    ObjectChanged,
    ObjectNotFound,
    PermissionMissing,
    SourceUnreadable,
    StorageError,
    StoreMisconfigured,
    StoreUnavailable,
    UploadGone,
)
from storage.objects import Part, Retrier, RetryPolicy
from storage.objects.vercel_blob import VercelBlobStore
from tests.rig.faults import (
    Answer,
    CutAnswer,
    CutRequest,
    FaultProxy,
    LoseAnswer,
    Request,
    Stall,
    fault_proxy,
)
from tests.rig.vercel import STORE, VercelRig, new_token
from tests.rig.waiting import until
from tests.storage.contents import LARGE, LONG, WEBM, Put, counting, keys, read, streamed
from tests.storage.stores import IMPATIENT, Servers

HOUR = timedelta(hours=1)
SECRET = "s3cretS3CRET"
STRANGER = f"vercel_blob_rw_RigStore_{SECRET}"


@pytest.fixture
def rig(servers: Servers) -> VercelRig:
    servers.vercel.empty()
    return servers.vercel


@pytest.fixture
def proxy(rig: VercelRig) -> Iterator[FaultProxy]:
    """Between the store and the rig, without faults at first."""
    with fault_proxy(rig.api_url) as running:
        yield running


@pytest_asyncio.fixture
async def store(rig: VercelRig, proxy: FaultProxy) -> AsyncIterator[VercelBlobStore]:
    async with opened(rig.token, proxy.url) as store:
        yield store


@pytest.fixture
def large_file(tmp_path: Path) -> Path:
    path = tmp_path / "large"
    path.write_bytes(counting(LARGE))
    return path


@asynccontextmanager
async def opened(
    token: str, url: str, *, access: str = "private", retrier: Retrier | None = None
) -> AsyncIterator[VercelBlobStore]:
    store = VercelBlobStore(
        token, api_url=url, access=access, retrier=retrier or Retrier(IMPATIENT)
    )
    yield store
    await store.close()


class Naps:
    """A retrier's waits: written down, and over at once. `meanwhile` is what happens in them."""

    def __init__(self, meanwhile: Callable[[], None] = lambda: None) -> None:
        self.seconds: list[float] = []
        self._meanwhile = meanwhile

    @property
    def retrier(self) -> Retrier:
        return Retrier(RetryPolicy(), sleep=self._sleep)

    async def _sleep(self, seconds: float) -> None:
        self.seconds.append(seconds)
        self._meanwhile()


def parts_sent(proxy: FaultProxy) -> list[str]:
    """The numbers of the parts in the order of their requests."""
    sent = (request.headers.get("x-mpu-part-number") for request in list(proxy.requests))
    return [number for number in sent if number is not None]


def error_answer(status: int, code: str, **more: str) -> Answer:
    """An error as the API words it; its words quote what nobody else should see."""
    said = {"error": {"code": code, "message": f"with your token {STRANGER}"}}
    return Answer(status, body=json.dumps(said).encode(), **more)


# --- misconfiguration -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "token",
    [
        "",
        SECRET,
        f"vercel_blob_rw_{SECRET}",
        f"vercel_blob_rw__{SECRET}",
        "vercel_blob_rw_store_",
        f"vercel_blob_client_store_{SECRET}",
        f"vercel_blob_rw_store_{SECRET}\n",
        f" vercel_blob_rw_store_{SECRET}",
        f"vercel_blob_rw_a.example/store_{SECRET}",
        f'BLOB_READ_WRITE_TOKEN="vercel_blob_rw_store_{SECRET}"',
    ],
)
def test_a_malformed_token_is_refused_at_once_and_not_repeated_to_anybody(token: str) -> None:
    with pytest.raises(CredentialsRefused, match="BLOB_READ_WRITE_TOKEN") as refused:
        VercelBlobStore(token)
    assert SECRET not in str(refused.value)


@pytest.mark.parametrize(
    "url", ["", "vercel.com/api/blob", "ftp://vercel.com", "http://", "http://a:b@c", "http://a:x"]
)
def test_an_api_url_that_is_none_is_refused_at_once(url: str) -> None:
    with pytest.raises(EndpointWrong):
        VercelBlobStore(new_token(), api_url=url)


def test_an_access_that_is_none_is_refused_at_once() -> None:
    with pytest.raises(StoreMisconfigured, match="'secret'"):
        VercelBlobStore(new_token(), access="secret")


async def test_a_right_store_passes_the_check_empty_and_not(
    store: VercelBlobStore, put: Put
) -> None:
    await store.check()
    await put("a")
    await store.check()


async def test_a_store_of_the_other_access_is_found_at_the_check(
    rig: VercelRig, proxy: FaultProxy, put: Put
) -> None:
    await put("a")
    async with opened(rig.token, proxy.url, access="public") as store:
        with pytest.raises(StoreMisconfigured, match="not public"):
            await store.check()


async def test_another_store_is_named_as_missing(rig: VercelRig) -> None:
    async with opened(new_token("other"), rig.api_url) as store:
        with pytest.raises(BucketMissing):
            await store.check()


async def test_a_host_that_speaks_something_else_is_named(rig: VercelRig) -> None:
    for url in (f"{rig.api_url}/wrong", rig.api_url.replace("http", "https")):
        async with opened(rig.token, url) as store:
            with pytest.raises(EndpointWrong):
                await store.check()
            with pytest.raises(EndpointWrong):
                await keys(store)


async def test_a_host_that_does_not_exist_is_named(rig: VercelRig) -> None:
    async with opened(rig.token, "http://nowhere.invalid") as store:
        for call in (store.check, partial(keys, store), partial(read, store, "a")):
            with pytest.raises(EndpointWrong, match=r"nowhere\.invalid"):
                await call()


@pytest.mark.parametrize("body", [b"<html>", b"[]", b"{}", b'{"blobs": 1}'])
async def test_an_answer_that_makes_no_sense_is_none_of_the_api(
    store: VercelBlobStore, proxy: FaultProxy, body: bytes
) -> None:
    proxy.schedule = lambda request: Answer(200, body=body)
    for call in (store.check, partial(keys, store), partial(store.head, "a")):
        with pytest.raises(EndpointWrong):
            await call()


async def test_nothing_is_read_from_the_environment(
    rig: VercelRig, monkeypatch: pytest.MonkeyPatch, put: Put, store: VercelBlobStore
) -> None:
    for name, value in {
        "BLOB_READ_WRITE_TOKEN": STRANGER,
        "VERCEL_OIDC_TOKEN": SECRET,
        "BLOB_STORE_ID": "another",
        "VERCEL_BLOB_API_URL": "http://127.0.0.1:1",
        "HTTP_PROXY": "http://127.0.0.1:1",
        "http_proxy": "http://127.0.0.1:1",
        "ALL_PROXY": "http://127.0.0.1:1",
    }.items():
        monkeypatch.setenv(name, value)
    await store.check()
    await put("a")
    assert await read(store, "a") == b"content"
    assert await keys(store) == ["a"]


# --- the token is kept secret ---------------------------------------------------------------------


def every_call(store: VercelBlobStore, path: Path) -> dict[str, Callable[[], Awaitable[object]]]:
    return {
        "check": store.check,
        "head": lambda: store.head("a"),
        "digest": lambda: store.digest("a"),
        "read": lambda: read(store, "a"),
        "list": lambda: keys(store),
        "put": lambda: store.put_stream("a", streamed(b"evil"), WEBM),
        "put in parts": lambda: store.put_file("a", path, WEBM),
        "copy": lambda: store.copy("a", "b"),
        "delete": lambda: store.delete("a"),
        "sign get": lambda: store.sign_get("a", HOUR),
        "sign put": lambda: store.sign_put("a", HOUR, WEBM),
        "begin": lambda: store.begin("a", WEBM),
    }


async def test_a_wrong_token_is_refused_everywhere_and_told_to_nobody(
    rig: VercelRig,
    put: Put,
    store: VercelBlobStore,
    large_file: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    await put("a", b"right")
    caplog.set_level(logging.DEBUG)
    async with opened(STRANGER, rig.api_url) as stranger:
        for name, call in every_call(stranger, large_file).items():
            with pytest.raises(CredentialsRefused, match="does not accept the token") as refused:
                await call()
            told = "".join(traceback.format_exception(refused.value)) + repr(refused.value)
            assert SECRET not in told, name
        assert SECRET not in repr(stranger) + repr(vars(stranger))
    assert SECRET not in caplog.text
    assert await read(store, "a") == b"right"


async def test_what_the_store_or_the_network_says_is_not_passed_on(
    proxy: FaultProxy, large_file: Path
) -> None:
    async with opened(STRANGER, proxy.url) as store:
        for fault in (error_answer(400, "bad_request"), Answer(302), CutAnswer(1), LoseAnswer()):
            proxy.schedule = lambda _, fault=fault: fault
            for name, call in every_call(store, large_file).items():
                with pytest.raises(StorageError) as failed:
                    await call()
                told = "".join(traceback.format_exception(failed.value)) + repr(failed.value)
                assert SECRET not in told, (name, fault)


async def test_a_redirect_does_not_take_the_token_to_another_host(rig: VercelRig) -> None:
    heard: list[bytes] = []

    async def elsewhere(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.readuntil(b"\r\n\r\n"))
        writer.close()

    async def redirect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        head = f"HTTP/1.1 307 Elsewhere\r\nLocation: {url_of(listening)}/\r\nContent-Length: 0"
        writer.write(f"{head}\r\nConnection: close\r\n\r\n".encode())
        writer.close()

    async with (
        await asyncio.start_server(elsewhere, "127.0.0.1", 0) as listening,
        await asyncio.start_server(redirect, "127.0.0.1", 0) as redirecting,
        opened(rig.token, url_of(redirecting)) as store,
    ):
        for call in (store.check, partial(keys, store), partial(read, store, "a")):
            with pytest.raises(EndpointWrong):
                await call()
    assert heard == []


def url_of(server: asyncio.Server) -> str:
    return f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def test_a_public_object_is_read_without_the_token(rig: VercelRig, proxy: FaultProxy) -> None:
    async with opened(rig.token, proxy.url, access="public") as store:
        await store.put_stream("a", streamed(b"content"), WEBM)
        proxy.forget()
        assert await read(store, "a") == b"content"
    (request,) = proxy.requests
    assert "authorization" not in request.headers


# --- errors ---------------------------------------------------------------------------------------

ERRORS: dict[tuple[int, str], tuple[type[StorageError], bool, bool]] = {
    (403, "forbidden"): (CredentialsRefused, False, False),
    (401, ""): (CredentialsRefused, False, False),
    (404, "store_not_found"): (BucketMissing, False, False),
    (400, "store_not_found"): (BucketMissing, False, False),
    (403, "store_suspended"): (PermissionMissing, False, False),
    (400, "store_suspended"): (PermissionMissing, False, False),
    (402, ""): (PermissionMissing, False, False),
    (404, "not_found"): (ObjectNotFound, False, False),
    (412, "precondition_failed"): (ObjectChanged, False, False),
    (400, "bad_request"): (StoreUnavailable, False, False),
    (400, "file_too_large"): (StoreUnavailable, False, False),
    (409, ""): (StoreUnavailable, True, False),
    (429, "rate_limited"): (StoreUnavailable, True, True),
    (429, ""): (StoreUnavailable, True, True),
    (500, "internal_server_error"): (StoreUnavailable, True, False),
    (502, ""): (StoreUnavailable, True, False),
    (503, "service_unavailable"): (StoreUnavailable, True, False),
    (504, ""): (StoreUnavailable, True, False),
    (302, ""): (EndpointWrong, False, False),
    (400, "Not A Code <b>"): (StoreUnavailable, False, False),
}


@pytest.mark.parametrize(("answered", "expected"), ERRORS.items(), ids=str)
async def test_errors_are_told_apart_the_same_by_both_clients(
    rig: VercelRig,
    proxy: FaultProxy,
    answered: tuple[int, str],
    expected: tuple[type[StorageError], bool, bool],
) -> None:
    kind, passing, undone = expected
    proxy.schedule = lambda request: error_answer(*answered)
    once = Retrier(RetryPolicy(attempts=1))
    async with opened(rig.token, proxy.url, retrier=once) as store:
        for call in (partial(store.head, "a"), partial(keys, store)):
            with pytest.raises(StorageError) as raised:
                await call()
            error = raised.value
            assert type(error) is kind
            assert "<" not in str(error)
            if isinstance(error, StoreUnavailable):
                assert (error.passing, error.undone) == (passing, undone)


async def test_retry_after_is_obeyed_by_both_clients(rig: VercelRig, proxy: FaultProxy) -> None:
    naps = Naps()
    async with opened(rig.token, proxy.url, retrier=naps.retrier) as store:
        proxy.inject(error_answer(429, "rate_limited", retry_after="7"))
        with pytest.raises(ObjectNotFound):
            await store.head("a")
        proxy.inject(error_answer(429, "rate_limited", retry_after="8"))
        assert await keys(store) == []
    assert naps.seconds == [7, 8]


async def test_a_store_that_is_down_for_a_moment_is_waited_for(
    rig: VercelRig, proxy: FaultProxy
) -> None:
    def up() -> None:
        proxy.down = False

    naps = Naps(up)
    async with opened(rig.token, proxy.url, retrier=naps.retrier) as store:
        for call in (store.check, partial(keys, store)):
            proxy.down = True
            await call()
    assert len(naps.seconds) == 2


async def test_nothing_that_listens_is_undone_and_may_pass(proxy: FaultProxy) -> None:
    proxy.down = True
    once = Retrier(RetryPolicy(attempts=1))
    async with opened(new_token(), proxy.url, retrier=once) as store:
        for call in (store.check, partial(keys, store), partial(read, store, "a")):
            with pytest.raises(StoreUnavailable, match="refuses connections") as failed:
                await call()
            assert (failed.value.passing, failed.value.undone) == (True, True)


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
