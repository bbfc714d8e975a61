"""What is special to Google Cloud Storage: resumable uploads, generations, batches and permissions."""

from __future__ import annotations

import asyncio
import json
import socket
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import suppress

import pytest
import pytest_asyncio
from aiohttp import web

from storage.errors import (
    BucketMissing,
    EndpointWrong,
    ObjectChanged,
    PermissionMissing,
    StoreUnavailable,
)
from storage.objects import Retrier, RetryPolicy
from storage.objects.gcs import GcsStore
from storage.objects.gcs_upload import CHUNK
from tests.rig.faults import (
    Answer,
    CutAnswer,
    CutRequest,
    Fault,
    FaultProxy,
    Lie,
    LoseAnswer,
    Refuse,
    fault_proxy,
)
from tests.rig.gcs import GcsRig, gcs_rig
from tests.storage.contents import WEBM, counting, keys, read, streamed
from tests.storage.streams import Failed, HeldStream, blocks_of

LARGE = 2 * CHUNK + (3 << 20)  # three chunks
ATTEMPTS = 4
SESSION = "upload_id"  # in the address of one


@pytest.fixture(scope="module")
def running() -> Iterator[tuple[GcsRig, FaultProxy]]:
    with gcs_rig() as rig, fault_proxy(rig.endpoint) as proxy:
        yield rig, proxy


@pytest.fixture
def rig(running: tuple[GcsRig, FaultProxy]) -> GcsRig:
    running[0].wipe()
    return running[0]


@pytest.fixture
def proxy(running: tuple[GcsRig, FaultProxy]) -> FaultProxy:
    running[1].forget()
    return running[1]


@pytest.fixture
def pauses() -> list[float]:
    """How long the store wanted to wait each time, in seconds; nobody did."""
    return []


@pytest_asyncio.fixture
async def store(rig: GcsRig, proxy: FaultProxy, pauses: list[float]) -> AsyncIterator[GcsStore]:
    async def wait(seconds: float) -> None:
        pauses.append(seconds)

    opened = GcsStore(
        rig.bucket,
        credentials=rig.credentials_json,
        endpoint=proxy.url,
        retrier=Retrier(RetryPolicy(attempts=ATTEMPTS), sleep=wait),
    )
    yield opened
    await opened.close()


async def put(store: GcsStore, key: str = "a", content: bytes = b"content") -> None:
    await store.put_stream(key, streamed(content), WEBM)


def said_of(error: BaseException) -> str:
    """All that a log would show of it."""
    return "".join(traceback.format_exception(error))


# --- uploads --------------------------------------------------------------------------------------

BREAKS = {
    "refused": Refuse(),
    "unavailable": Answer(503),
    "failed": Answer(500),
    "cut_before_anything_arrived": CutRequest(0),
    "cut_in_the_middle": CutRequest(2_000_000),
    "answer_lost": LoseAnswer(),
}


@pytest.mark.parametrize("chunk", [0, 1, 2])
@pytest.mark.parametrize("fault", BREAKS.values(), ids=BREAKS.keys())
async def test_a_break_costs_one_chunk(
    store: GcsStore, proxy: FaultProxy, fault: Fault, chunk: int
) -> None:
    content, told = counting(LARGE), list[int]()
    proxy.inject(fault, method="PUT", containing=SESSION, skip=chunk)

    await store.put_stream("a", streamed(content), WEBM, on_progress=told.append)

    assert await read(store, "a") == content
    assert told == [CHUNK, 2 * CHUNK, LARGE]
    assert sum(request.body_bytes for request in proxy.matching("PUT", SESSION)) <= LARGE + CHUNK
    assert proxy.count("POST", "uploadType=resumable") == 1


async def test_what_arrived_before_a_cut_is_not_sent_again(
    store: GcsStore, proxy: FaultProxy, rig: GcsRig
) -> None:
    arriving = 3_000_000
    rig.manners.cutting = arriving
    await put(store, content=counting(LARGE))
    kept = arriving // 262_144 * 262_144
    assert [request.headers["content-range"] for request in proxy.matching("PUT", SESSION)] == [
        f"bytes 0-{CHUNK - 1}/*",
        "bytes */*",
        f"bytes {kept}-{CHUNK - 1}/*",
        f"bytes {CHUNK}-{2 * CHUNK - 1}/*",
        f"bytes {2 * CHUNK}-{LARGE - 1}/{LARGE}",
    ]
    assert await read(store, "a") == counting(LARGE)


@pytest.mark.parametrize("size", [CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK])
async def test_sizes_around_a_chunk(store: GcsStore, size: int) -> None:
    await put(store, content=counting(size))
    assert await read(store, "a") == counting(size)


async def test_a_store_that_stays_away_ends_the_put(
    store: GcsStore, proxy: FaultProxy, rig: GcsRig
) -> None:
    proxy.inject(Answer(503), method="PUT", containing=SESSION, skip=1, times=100)
    with pytest.raises(StoreUnavailable, match="could not store 'a': it answered 503") as caught:
        await put(store, content=counting(LARGE))
    assert caught.value.passing
    assert proxy.count("PUT", SESSION) == 1 + ATTEMPTS
    assert rig.cancelled_sessions == 1
    assert await keys(store) == []


async def test_the_store_says_how_long_to_wait(
    store: GcsStore, proxy: FaultProxy, pauses: list[float]
) -> None:
    proxy.inject(Answer(429, retry_after="7"), method="PUT", containing=SESSION)
    await put(store, content=counting(LARGE))
    assert pauses == [7.0]


async def test_a_session_that_is_lost_can_not_be_mended(store: GcsStore, proxy: FaultProxy) -> None:
    proxy.inject(Answer(410), method="PUT", containing=SESSION, skip=1)
    with pytest.raises(StoreUnavailable, match="ended before its time") as caught:
        await put(store, content=counting(LARGE))
    assert caught.value.passing
    assert proxy.count("PUT", SESSION) == 2


async def test_a_session_that_takes_nothing_is_given_up(store: GcsStore, proxy: FaultProxy) -> None:
    proxy.inject(Answer(308), method="PUT", containing=SESSION, times=100)
    with pytest.raises(StoreUnavailable, match="it takes nothing"):
        await put(store, content=counting(LARGE))
    assert proxy.count("PUT", SESSION) == ATTEMPTS


async def test_attack_a_session_somewhere_else_gets_nothing(
    store: GcsStore, proxy: FaultProxy
) -> None:
    """It would be sent the content, and with it the access token."""
    proxy.inject(Answer(200), method="POST", containing="uploadType=resumable")
    with pytest.raises(EndpointWrong, match="it sends elsewhere"):
        await put(store, content=counting(LARGE))
    assert proxy.count("PUT") == 0


async def test_a_right_that_is_taken_away_ends_the_put(
    store: GcsStore, proxy: FaultProxy, rig: GcsRig
) -> None:
    proxy.inject(Answer(403), method="PUT", containing=SESSION, skip=1)
    with pytest.raises(PermissionMissing):
        await put(store, content=counting(LARGE))
    assert rig.cancelled_sessions == 1
    assert await keys(store) == []


async def test_a_cancelled_put_cancels_its_session(
    store: GcsStore, proxy: FaultProxy, rig: GcsRig
) -> None:
    stream = HeldStream(counting(CHUNK))
    putting = asyncio.create_task(store.put_stream("a", stream, WEBM))
    await stream.asked_for_more.wait()
    putting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await putting
    assert rig.cancelled_sessions == 1
    asked = proxy.count()
    assert await keys(store) == []
    assert proxy.count() == asked + 1, "nothing went on after the put had ended"


async def test_a_cancelled_put_stops_sending() -> None:
    """Whoever takes it is slow: all of it would take long."""
    receiving, go_on, gone = asyncio.Event(), asyncio.Event(), asyncio.Event()
    received = 0

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal received
        await reader.readuntil(b"\r\n\r\n")
        receiving.set()
        await go_on.wait()
        with suppress(ConnectionError):
            while received < CHUNK and (block := await reader.read(1 << 16)):
                received += len(block)
        writer.close()
        gone.set()

    listening = socket.create_server(("127.0.0.1", 0))
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
    async with await asyncio.start_server(take, sock=listening, limit=1 << 16):
        store = GcsStore("b", endpoint=f"http://127.0.0.1:{listening.getsockname()[1]}")
        putting = asyncio.create_task(put(store, content=bytes(CHUNK - 1)))
        await receiving.wait()
        putting.cancel()
        go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await putting
        await gone.wait()
        await store.close()
    assert received < CHUNK


async def test_a_stream_that_fails_cancels_its_session(store: GcsStore, rig: GcsRig) -> None:
    with pytest.raises(Failed):
        await store.put_stream("a", blocks_of(counting(CHUNK), Failed()), WEBM)
    assert rig.cancelled_sessions == 1
    assert await keys(store) == []


async def test_what_arrives_damaged_is_sent_again(
    store: GcsStore, proxy: FaultProxy, rig: GcsRig
) -> None:
    rig.manners.damaging = 1
    await put(store)
    assert await read(store, "a") == b"content"
    assert proxy.count("POST", "uploadType=multipart") == 2


async def test_what_arrives_damaged_does_not_stay(store: GcsStore, rig: GcsRig) -> None:
    """The rig does not compare the sum that goes along with the last chunk, as Google does."""
    rig.manners.damaging = 1
    with pytest.raises(StoreUnavailable, match="something else arrived") as caught:
        await put(store, content=counting(LARGE))
    assert caught.value.passing
    assert await keys(store) == []


async def test_a_sum_that_google_refuses_ends_the_put(
    store: GcsStore, proxy: FaultProxy, rig: GcsRig
) -> None:
    """The chunks before are no longer held, so the put can't mend it; its caller can."""
    said = {"error": {"message": 'Provided CRC32C "a" doesn\'t match calculated CRC32C "b".'}}
    refusal = Answer(400, body=json.dumps(said).encode())
    proxy.inject(refusal, method="PUT", containing=SESSION, skip=2, times=9)
    with pytest.raises(StoreUnavailable, match="something else arrived") as caught:
        await put(store, content=counting(LARGE))
    assert caught.value.passing
    assert proxy.count("PUT", SESSION) == 3
    assert rig.cancelled_sessions == 1


async def test_attack_no_error_tells_the_address_of_an_upload(
    store: GcsStore, proxy: FaultProxy
) -> None:
    for fault in (Refuse(), LoseAnswer(), Answer(400), Answer(410)):
        proxy.forget()
        proxy.inject(fault, method="PUT", containing=SESSION, times=100)
        with pytest.raises(StoreUnavailable) as caught:
            await put(store, content=counting(LARGE))
        assert SESSION not in said_of(caught.value)


# --- reading --------------------------------------------------------------------------------------


async def test_a_cut_read_goes_on_with_the_same_generation(
    store: GcsStore, proxy: FaultProxy
) -> None:
    content = counting(3_000_000)
    await put(store, content=content)
    proxy.inject(CutAnswer(1_000_000), containing="alt=media")
    assert await read(store, "a") == content
    first, second = proxy.matching("GET", "alt=media")
    assert first.headers["range"] == "bytes=0-"
    assert "ifGenerationMatch" not in first.query
    assert 0 < int(second.headers["range"].removeprefix("bytes=").partition("-")[0]) <= 1_000_000
    assert "ifGenerationMatch" in second.query


async def test_a_replaced_object_is_not_mixed_with_the_old(
    store: GcsStore, proxy: FaultProxy
) -> None:
    await put(store, content=counting(3_000_000))
    proxy.inject(CutAnswer(1_000_000), containing="alt=media")
    blocks = store.open("a")
    await anext(blocks)
    await put(store, content=b"new" * 1_000_000)
    with pytest.raises(ObjectChanged):
        async for _ in blocks:
            pass


@pytest.mark.parametrize("by", [-1000, 1000])
async def test_an_answer_that_lies_about_its_length(
    store: GcsStore, proxy: FaultProxy, by: int
) -> None:
    content = counting(600_000)
    await put(store, content=content)
    proxy.inject(Lie(by), containing="alt=media")
    assert await read(store, "a") == content


async def test_a_list_of_several_pages(store: GcsStore, rig: GcsRig, proxy: FaultProxy) -> None:
    names = [f"a/{number}" for number in range(5)]
    for name in names:
        await put(store, name)
    rig.manners.page = 2
    assert await keys(store, "a/") == names
    assert proxy.count("GET", "pageToken=") == 2


# --- copies and deletes ---------------------------------------------------------------------------


async def test_a_copy_that_takes_several_calls(
    store: GcsStore, rig: GcsRig, proxy: FaultProxy
) -> None:
    await put(store)
    rig.manners.rewrites = 3
    info = await store.copy("a", "b/c")
    assert info == await store.head("b/c")
    assert await read(store, "b/c") == b"content"
    assert proxy.count("POST", "/rewriteTo/") == 3


async def test_deletes_go_a_hundred_at_a_time(store: GcsStore, proxy: FaultProxy) -> None:
    for name in ("a/1", "a/ 2&é", "b"):
        await put(store, name)
    await store.delete_many(["a/1", "a/ 2&é", *(f"missing/{number}" for number in range(150))])
    assert await keys(store) == ["b"]
    assert proxy.count("POST", "/batch/") == 2
    assert proxy.count("DELETE") == 0


def answer_of_a_batch(status: str) -> Answer:
    body = f"--x\r\nContent-Type: application/http\r\n\r\nHTTP/1.1 {status}\r\n\r\n\r\n--x--\r\n"
    return Answer(200, body=body.encode(), content_type="multipart/mixed; boundary=x")


async def test_a_batch_in_which_one_call_failed_in_passing(
    store: GcsStore, proxy: FaultProxy
) -> None:
    await put(store)
    proxy.inject(answer_of_a_batch("503 Service Unavailable"), containing="/batch/")
    await store.delete_many(["a"])
    assert await keys(store) == []
    assert proxy.count("POST", "/batch/") == 2


async def test_a_batch_in_which_one_call_was_refused(store: GcsStore, proxy: FaultProxy) -> None:
    proxy.inject(answer_of_a_batch("403 Forbidden"), containing="/batch/")
    with pytest.raises(PermissionMissing):
        await store.delete_many(["a"])
    proxy.inject(answer_of_a_batch("204 No Content"), containing="/batch/")
    with pytest.raises(EndpointWrong, match="does not answer each call"):
        await store.delete_many(["a", "b"])


# --- checking -------------------------------------------------------------------------------------


async def test_a_check_of_what_works(store: GcsStore, proxy: FaultProxy) -> None:
    await store.check()
    assert proxy.count("GET", "/iam/testPermissions?permissions=storage.objects.create&") == 1


async def test_a_check_names_the_permissions_that_are_missing(store: GcsStore, rig: GcsRig) -> None:
    rig.manners.granted = ("storage.objects.get", "storage.objects.list")
    with pytest.raises(
        PermissionMissing, match=r"lack storage\.objects\.create, storage\.objects\.delete$"
    ):
        await store.check()


async def test_a_bucket_that_does_not_exist(rig: GcsRig, proxy: FaultProxy) -> None:
    store = GcsStore("no-such-bucket", endpoint=proxy.url)
    calls: list[Callable[[], Awaitable[object]]] = [
        store.check,
        lambda: put(store),
        lambda: put(store, content=counting(LARGE)),
        lambda: store.head("a"),
        lambda: read(store, "a"),
        lambda: keys(store),
        lambda: store.copy("a", "b"),
        lambda: store.delete("a"),
        lambda: store.begin("a", WEBM),
    ]
    for call in calls:
        with pytest.raises(BucketMissing, match="no-such-bucket"):
            await call()
    await store.close()


async def test_nothing_at_the_endpoint(store: GcsStore, proxy: FaultProxy) -> None:
    proxy.down = True
    try:
        with pytest.raises(StoreUnavailable, match="nothing answers there") as caught:
            await store.check()
    finally:
        proxy.down = False
    assert caught.value.passing
    assert caught.value.undone


@pytest.mark.parametrize("status", [200, 302, 405, 501])
async def test_something_else_at_the_endpoint(
    store: GcsStore, proxy: FaultProxy, status: int
) -> None:
    proxy.inject(Answer(status, body=b"<html>Welcome!</html>", content_type="text/html"), times=9)
    with pytest.raises(EndpointWrong, match="is not Google Cloud Storage"):
        await store.check()


@pytest.mark.parametrize(
    "body", [b"{}", b"[]", b'{"items": [{}]}', b"<a/>", b"<a><b/></a>", b"<a>"]
)
async def test_something_that_talks_another_language(
    store: GcsStore, proxy: FaultProxy, body: bytes
) -> None:
    calls: list[Callable[[], Awaitable[object]]] = [
        lambda: store.head("a"),
        lambda: store.copy("a", "b"),
        lambda: store.begin("a", WEBM),
    ]
    for call in calls:
        proxy.inject(Answer(200, body=body))
        with pytest.raises(EndpointWrong, match="is not Google Cloud Storage"):
            await call()


@pytest.fixture
def bare(rig: GcsRig) -> Iterator[FaultProxy]:
    """The emulator without what the rig adds to it, behind a bad network."""
    with fault_proxy(rig.emulator_url) as proxy:
        yield proxy


async def test_an_emulator_that_knows_no_permissions_and_no_generations(
    rig: GcsRig, bare: FaultProxy
) -> None:
    bare.inject(Answer(501), containing="testPermissions")
    store = GcsStore(rig.bucket, endpoint=bare.url)
    await store.check()
    await put(store, content=counting(1_000_000))
    assert await read(store, "a") == counting(1_000_000)
    await store.close()


async def test_a_cut_read_without_a_generation_is_not_mended(rig: GcsRig, bare: FaultProxy) -> None:
    """What is read might have been replaced meanwhile."""
    store = GcsStore(rig.bucket, endpoint=bare.url)
    await put(store, content=counting(1_000_000))
    bare.inject(CutAnswer(500_000), containing="alt=media")
    with pytest.raises(StoreUnavailable, match="nothing says which version it was"):
        await read(store, "a")
    assert bare.count("GET", "alt=media") == 1
    await store.close()


async def test_folders_that_a_console_made_are_no_objects(
    store: GcsStore, proxy: FaultProxy
) -> None:
    made = {"size": "0", "timeCreated": "2026-01-02T03:04:05.678Z"}
    listed = {"items": [{"name": "a/", **made}, {"name": "a/b", **made}]}
    proxy.inject(Answer(200, body=json.dumps(listed).encode()), containing="/o?")
    assert await keys(store) == ["a/b"]


async def test_attack_a_redirection_is_not_followed() -> None:
    """An access token would go along."""
    asked = []

    async def elsewhere(request: web.BaseRequest) -> web.Response:
        asked.append(request.path)
        return web.Response(status=307, headers={"Location": "/elsewhere"})

    runner = web.ServerRunner(web.Server(elsewhere))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    store = GcsStore("b", endpoint="http://{}:{}".format(*runner.addresses[0]))
    with pytest.raises(EndpointWrong, match="it sends elsewhere"):
        await store.check()
    await store.close()
    await runner.cleanup()
    assert "/elsewhere" not in asked


async def test_an_endpoint_without_the_tls_that_was_expected(rig: GcsRig) -> None:
    store = GcsStore(rig.bucket, endpoint=rig.endpoint.replace("http:", "https:"))
    with pytest.raises(EndpointWrong, match="TLS") as caught:
        await store.check()
    assert not caught.value.passing
    await store.close()


@pytest.mark.parametrize(
    "endpoint",
    [
        "127.0.0.1:9023",
        "gs://bucket",
        "http://",
        "http://h/path",
        "http://u:p@h",
        "http://[",
        "http://h:x",
    ],
)
def test_an_endpoint_that_is_none(endpoint: str) -> None:
    with pytest.raises(EndpointWrong, match=r"the endpoint of Google Cloud Storage"):
        GcsStore("b", endpoint=endpoint)
