"""Files through this server, from a store that is somewhere else."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from aiohttp import ClientPayloadError

from signaling.traffic import month_of
from storage.catalog import RecordingRow, TrafficRow
from storage.objects.ranges import BLOCK_BYTES
from tests.signaling.house import House, file_path, house
from tests.signaling.stores import S3_SETTINGS, FarStore

CONTENT = bytes(range(256)) * 1024 * 3  # three blocks of the store's
SIZE = len(CONTENT)
ETAG = f'"{hashlib.sha256(CONTENT).hexdigest()}"'


@pytest.fixture
def store() -> FarStore:
    return FarStore()


@pytest.fixture
async def home(tmp_path: Path, store: FarStore) -> AsyncIterator[House]:
    async with house(tmp_path, {"s3": store}, **S3_SETTINGS) as opened:
        yield opened


@pytest.fixture
async def row(home: House) -> RecordingRow:
    return await home.recorded("a", "ada", content=CONTENT, provider="s3")


async def traffic(home: House) -> dict[tuple[str, str], int]:
    """Bytes by provider and room, as far as they were counted."""
    await home.services.traffic.flush()
    rows: tuple[TrafficRow, ...] = await home.services.catalog.usage.traffic(
        month_of(datetime.now(UTC))
    )
    return {(row.provider, row.room): row.bytes for row in rows}


async def test_the_whole_file(home: House, row: RecordingRow) -> None:
    answer = await home.get(file_path(row), home.host("a"))
    assert (answer.status, answer.body) == (200, CONTENT)
    assert answer.headers["Content-Type"] == "video/webm"
    assert answer.headers["Content-Length"] == str(SIZE)
    assert answer.headers["Accept-Ranges"] == "bytes"
    assert answer.headers["ETag"] == ETAG
    assert answer.headers["Cache-Control"] == "private, max-age=3600"
    assert answer.headers["Content-Disposition"].startswith("inline; filename=")
    assert "Content-Range" not in answer.headers


async def test_downloads_are_saved(home: House, row: RecordingRow) -> None:
    answer = await home.get(f"{file_path(row)}?download=1", home.host("a"))
    assert answer.body == CONTENT
    assert answer.headers["Content-Disposition"].startswith("attachment; filename=")


async def test_an_empty_file(home: House) -> None:
    row = await home.recorded("a", content=b"", provider="s3")
    answer = await home.get(file_path(row), home.host("a"))
    assert (answer.status, answer.body, answer.headers["Content-Length"]) == (200, b"", "0")
    ranged = await home.get(file_path(row), home.host("a"), headers={"Range": "bytes=0-"})
    assert (ranged.status, ranged.headers["Content-Range"]) == (416, "bytes */0")


# --- ranges -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "start", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=0-", 0, SIZE),
        ("bytes=100-199", 100, 200),
        (f"bytes={BLOCK_BYTES - 1}-{BLOCK_BYTES}", BLOCK_BYTES - 1, BLOCK_BYTES + 1),
        (f"bytes={SIZE - 1}-", SIZE - 1, SIZE),
        (f"bytes=5-{SIZE * 2}", 5, SIZE),
        ("bytes=-20", SIZE - 20, SIZE),
        (f"bytes=-{SIZE}", 0, SIZE),
        (f"bytes=-{SIZE * 2}", 0, SIZE),
        ("Bytes=1-2", 1, 3),
    ],
)
async def test_ranges(home: House, row: RecordingRow, wanted: str, start: int, end: int) -> None:
    answer = await home.get(file_path(row), home.host("a"), headers={"Range": wanted})
    assert (answer.status, answer.body) == (206, CONTENT[start:end])
    assert answer.headers["Content-Range"] == f"bytes {start}-{end - 1}/{SIZE}"
    assert answer.headers["Content-Length"] == str(end - start)
    assert answer.headers["ETag"] == ETAG
    assert await traffic(home) == {("s3", "a"): end - start}


@pytest.mark.parametrize("wanted", [f"bytes={SIZE}-", f"bytes={SIZE * 9}-{SIZE * 10}", "bytes=-0"])
async def test_ranges_that_are_not_there(home: House, row: RecordingRow, wanted: str) -> None:
    answer = await home.get(file_path(row), home.host("a"), headers={"Range": wanted})
    assert (answer.status, answer.body) == (416, b"")
    assert answer.headers["Content-Range"] == f"bytes */{SIZE}"
    assert await traffic(home) == {}


@pytest.mark.parametrize(
    "wanted",
    ["items=0-5", "bytes=5-2", "bytes=-", "bytes=a-b", "bytes=0-1,5-6", "0-5", "bytes 0-5"],
)
async def test_what_is_not_one_range_of_bytes_is_ignored(
    home: House, row: RecordingRow, wanted: str
) -> None:
    """RFC 9110, 14.2: a server may ignore any range, and has to where it knows no such unit."""
    answer = await home.get(file_path(row), home.host("a"), headers={"Range": wanted})
    assert (answer.status, answer.body) == (200, CONTENT)


@pytest.mark.parametrize(
    ("version", "status"),
    [
        (ETAG, 206),
        ('"another version"', 200),
        (f"W/{ETAG}", 200),
        ("Wed, 21 Oct 2026 07:28:00 GMT", 200),
    ],
)
async def test_if_range(home: House, row: RecordingRow, version: str, status: int) -> None:
    headers = {"Range": "bytes=2-3", "If-Range": version}
    answer = await home.get(file_path(row), home.host("a"), headers=headers)
    assert (answer.status, answer.body) == (status, CONTENT[2:4] if status == 206 else CONTENT)


@pytest.mark.parametrize(
    ("known", "status"),
    [
        (ETAG, 304),
        (f'"one", W/{ETAG}', 304),
        ("*", 304),
        ('"another version"', 200),
    ],
)
async def test_if_none_match(
    home: House, row: RecordingRow, store: FarStore, known: str, status: int
) -> None:
    answer = await home.get(file_path(row), home.host("a"), headers={"If-None-Match": known})
    assert (answer.status, answer.body) == (status, b"" if status == 304 else CONTENT)
    assert answer.headers["ETag"] == ETAG
    assert store.opened == (status == 200)
    assert await traffic(home) == ({("s3", "a"): SIZE} if status == 200 else {})


async def test_head_reads_nothing(home: House, row: RecordingRow, store: FarStore) -> None:
    answer = await home.request("HEAD", file_path(row), home.host("a"))
    assert (answer.status, answer.body) == (200, b"")
    assert answer.headers["Content-Length"] == str(SIZE)
    assert answer.headers["Accept-Ranges"] == "bytes"
    assert answer.headers["ETag"] == ETAG
    assert store.opened == 0
    assert await traffic(home) == {}


# --- what goes wrong --------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_an_object_that_is_gone(
    home: House, row: RecordingRow, store: FarStore, method: str
) -> None:
    await store.delete(row.files[0].key)
    answer = await home.request(method, file_path(row), home.host("a"))
    assert answer.status == 404
    if method == "GET":
        assert answer.code == "object_not_found"


async def test_a_store_that_is_down(home: House, row: RecordingRow, store: FarStore) -> None:
    store.down = True
    answer = await home.get(file_path(row), home.host("a"))
    assert (answer.status, answer.code) == (503, "store_unavailable")
    assert "Retry-After" in answer.headers


async def test_a_provider_whose_settings_are_gone(home: House, store: FarStore) -> None:
    row = await home.recorded("a", provider="s3")
    moved = await home.services.catalog.recordings.set_files(
        row.id, [replace(row.files[0], provider="gcs")]
    )
    answer = await home.get(file_path(moved), home.host("a"))
    assert (answer.status, answer.code) == (503, "store_misconfigured")


@pytest.mark.parametrize("blocks", [0, 1])
async def test_a_store_that_breaks_off_cuts_the_answer(
    home: House,
    row: RecordingRow,
    store: FarStore,
    blocks: int,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The status is said already: only a cut tells that the rest is missing."""
    store.breaks_after = blocks
    assert await _cut(home, row) == CONTENT[: blocks * BLOCK_BYTES]
    assert await traffic(home) == ({("s3", "a"): BLOCK_BYTES} if blocks else {})
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
    store.breaks_after = None
    assert (await home.get(file_path(row), home.host("a"))).body == CONTENT


async def test_an_object_that_is_too_short_cuts_the_answer(
    home: House, row: RecordingRow, store: FarStore
) -> None:
    async def shorter() -> AsyncIterator[bytes]:
        yield CONTENT[:1000]

    await store.put_stream(row.files[0].key, shorter(), "video/webm")
    assert await _cut(home, row) == CONTENT[:1000]


async def test_an_object_that_is_too_long_is_sent_as_far_as_it_was_announced(
    home: House, row: RecordingRow, store: FarStore
) -> None:
    async def longer() -> AsyncIterator[bytes]:
        yield CONTENT + b"more"

    await store.put_stream(row.files[0].key, longer(), "video/webm")
    assert (await home.get(file_path(row), home.host("a"))).body == CONTENT


async def _cut(home: House, row: RecordingRow) -> bytes:
    """What came before the answer was cut, which it has to be."""
    headers = {"Authorization": f"Bearer {home.host('a')}"}
    received = b""
    async with asyncio.timeout(10), home.client.get(file_path(row), headers=headers) as answer:
        assert (answer.status, answer.headers["Content-Length"]) == (200, str(SIZE))
        try:
            async for block in answer.content.iter_any():
                received += block
        except ClientPayloadError:
            return received
    raise AssertionError("the answer was not cut")


# --- traffic ----------------------------------------------------------------------------------------


async def test_what_is_sent_is_counted_by_provider_and_room(home: House, row: RecordingRow) -> None:
    local = await home.recorded("b", content=b"0123456789")
    for _ in range(2):
        await home.get(file_path(row), home.host("a"))
    await home.get(file_path(local), home.host("b"))
    await home.get(file_path(local), home.host("b"), headers={"Range": "bytes=0-2"})
    await home.get(file_path(local), home.host("b"), headers={"Range": "bytes=99-"})
    await home.request("HEAD", file_path(local), home.host("b"))
    assert await traffic(home) == {("s3", "a"): 2 * SIZE, ("local", "b"): 13}
