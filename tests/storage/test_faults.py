"""Stores behind a bad network: what is repeated, what isn't, how often, and what comes out at last.

The servers are real and the faults are ordered one by one; time is virtual, so pauses cost nothing
and can be counted.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import traceback
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from storage.errors import (
    EndpointWrong,
    ObjectChanged,
    ObjectNotFound,
    StorageError,
    StoreUnavailable,
)
from storage.objects import Retrier, RetryPolicy
from storage.objects.s3 import S3Store
from storage.objects.s3_bucket import Bucket
from tests.rig.faults import (
    Answer,
    CutAnswer,
    CutRequest,
    Dribble,
    Fault,
    Lie,
    LoseAnswer,
    Refuse,
)
from tests.storage.contents import LARGE, LONG, WEBM, counting, keys, read, rest_of, streamed
from tests.storage.stores import Network, Servers

FOREVER = 1 << 30
ONLY_S3 = pytest.mark.parametrize("provider", ["s3"])
FAULTS: tuple[Fault, ...] = (
    Answer(500),
    Answer(503),
    Answer(429, retry_after="1"),
    Refuse(),
    CutRequest(10),
    LoseAnswer(),
)


@pytest.fixture
def small_file(tmp_path: Path) -> Path:
    path = tmp_path / "small"
    path.write_bytes(b"content")
    return path


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: type(fault).__name__)
async def test_every_call_outlives_a_fault_of_its_first_request(
    network: Network, small_file: Path, fault: Fault
) -> None:
    store = network.store
    content = small_file.read_bytes()

    network.proxy.inject(fault)
    await store.put_file("a", small_file, WEBM)
    network.proxy.inject(fault)
    await store.put_stream("b", streamed(content), WEBM)
    network.proxy.inject(fault)
    assert (await store.head("a")).size == len(content)
    network.proxy.inject(fault)
    assert await read(store, "a") == content
    network.proxy.inject(fault)
    await store.copy("a", "c")
    network.proxy.inject(fault)
    assert await keys(store) == ["a", "b", "c"]
    network.proxy.inject(fault)
    await store.delete("a")
    network.proxy.inject(fault)
    await store.delete_many(["b"])
    assert await keys(store) == ["c"]


# --- when it is sent again ------------------------------------------------------------------------


# of a 503 Vercel's SDK does not tell the header
@pytest.mark.parametrize(
    ("provider", "status"),
    [("s3", 429), ("s3", 503), ("gcs", 429), ("gcs", 503), ("vercel", 429)],
)
async def test_the_store_s_wish_to_be_left_alone_is_obeyed(
    network: Network, small_file: Path, status: int
) -> None:
    network.proxy.inject(Answer(status, retry_after="7"), times=2)
    await network.store.put_file("a", small_file, WEBM)
    assert network.time.pauses == [7, 7]


async def test_the_wish_may_be_a_date(network: Network, small_file: Path) -> None:
    later = datetime.now(UTC) + timedelta(seconds=30)
    network.proxy.inject(Answer(429, retry_after=format_datetime(later, usegmt=True)))
    await network.store.put_file("a", small_file, WEBM)
    (pause,) = network.time.pauses
    assert 20 < pause <= 30


async def test_a_wish_for_longer_than_all_attempts_may_take_ends_them(
    network: Network, small_file: Path
) -> None:
    network.proxy.inject(Answer(429, retry_after="3600"), times=FOREVER)
    with pytest.raises(StoreUnavailable):
        await network.store.put_file("a", small_file, WEBM)
    assert network.time.pauses == []
    assert len(network.proxy.requests) == 1


@pytest.mark.parametrize("policy", [RetryPolicy(attempts=4)])
@pytest.mark.parametrize("fault", FAULTS[:4], ids=["500", "503", "429", "refused"])
async def test_attempts_are_capped(network: Network, fault: Fault) -> None:
    network.proxy.inject(fault, times=FOREVER)
    with pytest.raises(StoreUnavailable):
        await network.store.head("a")
    assert len(network.proxy.requests) == 4
    assert len(network.time.pauses) == 3


@pytest.mark.parametrize("policy", [RetryPolicy(attempts=100, total=60)])
async def test_the_time_for_all_attempts_is_capped(network: Network) -> None:
    network.proxy.inject(Answer(429, retry_after="25"), times=FOREVER)
    with pytest.raises(StoreUnavailable):
        await network.store.head("a")
    assert len(network.proxy.requests) == 3, "at 0, 25 and 50 seconds"


async def test_pauses_grow(network: Network) -> None:
    network.proxy.inject(Answer(500), times=FOREVER)
    with pytest.raises(StoreUnavailable):
        await network.store.head("a")
    pauses = network.time.pauses
    assert pauses == sorted(pauses)
    assert pauses[-1] > 10 * pauses[0]


# --- connections that are refused -----------------------------------------------------------------


async def test_a_server_that_was_away_for_a_while_is_found_again(
    network: Network, small_file: Path
) -> None:
    def back_after_three() -> None:
        if len(network.time.pauses) == 3:
            network.proxy.down = False

    network.time.on_pause = back_after_three
    network.proxy.down = True
    await network.store.put_file("a", small_file, WEBM)
    assert len(network.time.pauses) == 3
    assert await read(network.store, "a") == b"content"


async def test_a_server_that_stays_away_is_named(network: Network) -> None:
    network.proxy.down = True
    with pytest.raises(StoreUnavailable) as caught:
        await network.store.head("a")
    assert len(network.time.pauses) == RetryPolicy().attempts - 1
    assert "\n" not in str(caught.value)


async def test_cancelling_in_a_pause_ends_the_put_at_once(
    network: Network, small_file: Path
) -> None:
    pausing = asyncio.Event()
    network.time.on_pause = pausing.set
    network.proxy.inject(Answer(503), times=FOREVER)
    putting = asyncio.ensure_future(network.store.put_file("a", small_file, WEBM))
    await pausing.wait()
    putting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await putting
    network.proxy.forget()
    assert await keys(network.store) == []
    assert not any(request.method in ("PUT", "POST") for request in network.proxy.requests)


# --- reading --------------------------------------------------------------------------------------


async def test_a_read_that_is_cut_goes_on_where_it_broke(network: Network) -> None:
    content = counting(LARGE)
    await network.store.put_stream("a", streamed(content), WEBM)
    network.proxy.forget()
    network.proxy.inject(CutAnswer(3_000_000), method="GET", times=4)
    assert await read(network.store, "a") == content
    starts = [start_of(request.headers) for request in network.proxy.matching("GET")]
    assert len(starts) == 5
    assert starts == sorted(set(starts)), "no byte is asked for twice"
    assert len(network.time.pauses) == 4


def start_of(headers: dict[str, str]) -> int:
    found = re.match(r"bytes=(\d+)-", headers.get("range", "bytes=0-"))
    assert found is not None
    return int(found[1])


async def test_a_read_that_makes_no_progress_is_given_up(network: Network) -> None:
    await network.store.put_stream("a", streamed(counting(LONG)), WEBM)
    network.proxy.inject(CutAnswer(0), method="GET", times=FOREVER)
    with pytest.raises(StoreUnavailable):
        await read(network.store, "a")
    assert len(network.time.pauses) == RetryPolicy().attempts - 1


@pytest.mark.parametrize("by", [-1, -1000, 1, 1000, -LONG, 1 << 40])
async def test_a_length_that_lies_gives_no_wrong_bytes(network: Network, by: int) -> None:
    content = counting(LONG)
    await network.store.put_stream("a", streamed(content), WEBM)
    network.proxy.inject(Lie(by), method="GET", times=2)
    assert await read(network.store, "a") == content
    network.proxy.inject(Lie(by), method="GET", times=2)
    assert await network.store.digest("a") == hashlib.sha256(content).hexdigest()
    network.proxy.inject(Lie(by), method="GET", times=2)
    assert await read(network.store, "a", 10, LONG - 10) == content[10:-10]


@pytest.mark.parametrize("by", [-1000, 1000])
async def test_a_length_that_always_lies_gives_right_bytes_or_an_error(
    network: Network, by: int
) -> None:
    content = counting(LONG)
    await network.store.put_stream("a", streamed(content), WEBM)
    network.proxy.inject(Lie(by), method="GET", times=FOREVER)
    seen, error = await rest_of(network.store.open("a"))
    assert isinstance(error, StoreUnavailable | None)
    assert content.startswith(seen) if error else seen == content


async def test_a_slow_read_passes(network: Network) -> None:
    content = counting(LONG)
    await network.store.put_stream("a", streamed(content), WEBM)
    network.proxy.forget()
    network.proxy.inject(Dribble(20_000, 0.005), method="GET")
    assert await read(network.store, "a") == content
    assert network.proxy.count("GET") == 1
    assert network.time.pauses == []


async def test_an_object_that_was_replaced_while_a_read_was_cut_has_changed(
    network: Network,
) -> None:
    old = counting(LARGE)
    await network.store.put_stream("a", streamed(old), WEBM)
    network.proxy.inject(CutAnswer(2_000_000), method="GET")
    blocks = network.store.open("a")
    seen = await anext(blocks)
    await network.store.put_stream("a", streamed(bytes(LARGE)), WEBM)
    rest, error = await rest_of(blocks)
    assert isinstance(error, ObjectChanged)
    assert old.startswith(seen + rest)


async def test_an_object_that_was_deleted_while_a_read_was_cut_is_gone(network: Network) -> None:
    old = counting(LARGE)
    await network.store.put_stream("a", streamed(old), WEBM)
    network.proxy.inject(CutAnswer(2_000_000), method="GET")
    blocks = network.store.open("a")
    seen = await anext(blocks)
    await network.store.delete("a")
    rest, error = await rest_of(blocks)
    assert isinstance(error, ObjectNotFound | ObjectChanged)
    assert old.startswith(seen + rest)


# --- what errors say ------------------------------------------------------------------------------


async def test_a_page_of_somebody_else_is_not_taken_for_a_store(
    network: Network, small_file: Path
) -> None:
    """As a hotel's network answers everything with its log-in page."""
    page = Answer(200, body=b"<html><body>Please log in</body></html>", content_type="text/html")
    network.proxy.inject(page, times=FOREVER)
    with pytest.raises(EndpointWrong):
        await keys(network.store)
    with pytest.raises(StoreUnavailable):
        await network.store.put_file("a", small_file, WEBM)
    with pytest.raises(StoreUnavailable):
        await read(network.store, "a")


SECRET = "SECRETsecretSECRETsecret0123456789ABCDEF"
TOKEN = "TOKENtokenTOKENtoken0123456789"


@ONLY_S3
@pytest.mark.parametrize(
    "fault",
    [*FAULTS, CutAnswer(0), Answer(403), Answer(400, body=f"<Error>{SECRET}</Error>".encode())],
    ids=lambda fault: f"{type(fault).__name__}{getattr(fault, 'status', '')}",
)
async def test_errors_tell_no_secret_and_no_signed_link(
    network: Network, servers: Servers, large_file: Path, fault: Fault
) -> None:
    store = S3Store(
        Bucket(
            servers.buckets["s3"],
            access_key_id="AKIDaccess",
            secret_access_key=SECRET,
            session_token=TOKEN,
            endpoint=network.proxy.url,
            retrier=Retrier(RetryPolicy(attempts=2), sleep=network.time.sleep),
        )
    )
    network.proxy.inject(fault, times=FOREVER)
    said = [
        await said_by(store.put_file("a", large_file, WEBM)),
        await said_by(store.put_stream("a", streamed(b"1"), WEBM)),
        await said_by(store.head("a")),
        await said_by(read(store, "a")),
        await said_by(keys(store)),
        await said_by(store.check()),
        await said_by(store.delete_many(["a"])),
        await said_by(store.begin("a", WEBM)),
    ]
    await store.close()
    for message, trace in said:
        assert message.isprintable()
        assert "\n" not in message
        for forbidden in (SECRET, TOKEN, "X-Amz-", "Signature="):
            assert forbidden not in message
            assert forbidden not in trace


async def said_by(call: object) -> tuple[str, str]:
    """The message of the error that a call raises, and all that a log would show of it."""
    with pytest.raises(StorageError) as caught:
        await call  # type: ignore[misc]
    return str(caught.value), "".join(traceback.format_exception(caught.value))
