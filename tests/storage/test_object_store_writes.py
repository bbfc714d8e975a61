"""What every object store promises to writers, checked on every store.

Tests marked ANY_NETWORK also run with a proxy between that fails a fifth of the requests.
"""

from __future__ import annotations

import asyncio
import hashlib
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from storage.errors import BadKey, BadMetadata, ObjectNotFound
from storage.objects import ObjectStore
from tests.storage.contents import BLOCK, LARGE, LONG, WEBM, Put, counting, keys, read, streamed
from tests.storage.stores import FAULTY, KEEP_METADATA, STORES, basic, unfinished
from tests.storage.streams import Failed, HeldStream, blocks_of

ANY_NETWORK = pytest.mark.parametrize("kind", STORES + FAULTY)
# More objects than a page of a list has and one call deletes, where that does not take too long.
MANY = {"memory": 300, "local": 300, "s3": 1050, "b2": 30, "gcs": 130, "vercel": 1050}
METADATA = {"room": "r1", "taken-at": "2026-01-02T03:04:05Z", "a": "", "b": 'x "y" = %41, z'}


class Heard:
    """What a put told of its progress, which it has to do on the event loop."""

    def __init__(self) -> None:
        self.counts: list[int] = []
        self._thread = threading.get_ident()

    def __call__(self, count: int) -> None:
        assert threading.get_ident() == self._thread
        self.counts.append(count)


# --- files ----------------------------------------------------------------------------------------


async def test_a_file_whose_hash_is_known_is_stored_as_it_is(
    store: ObjectStore, large_file: Path
) -> None:
    known = hashlib.sha256(large_file.read_bytes()).hexdigest()
    stored = await store.put_file("a", large_file, WEBM, sha256=known)
    assert (stored.sha256, stored.size) == (known, large_file.stat().st_size)
    assert await store.digest("a") == known


async def test_a_hash_that_is_wrong_does_not_reach_what_is_read_back(
    store: ObjectStore, large_file: Path
) -> None:
    await store.put_file("a", large_file, WEBM, sha256="0" * 64)
    assert await store.digest("a") == hashlib.sha256(large_file.read_bytes()).hexdigest()


# --- streams --------------------------------------------------------------------------------------


@ANY_NETWORK
@pytest.mark.parametrize(
    ("size", "block"),
    [(0, 1), (1, 1), (LONG, 7777), (LONG, LONG), (LARGE, BLOCK + 1), (LARGE, LARGE)],
)
async def test_a_stream_is_found_again(store: ObjectStore, size: int, block: int) -> None:
    content = counting(size)
    stored = await store.put_stream("room/a.webm", streamed(content, block), WEBM)
    assert (stored.size, stored.content_type) == (size, WEBM)
    assert stored.sha256 == hashlib.sha256(content).hexdigest()
    assert await store.digest("room/a.webm") == stored.sha256
    found = await store.head("room/a.webm")
    assert (found.size, found.content_type) == (size, WEBM)


async def test_empty_blocks_of_a_stream_are_nothing(store: ObjectStore) -> None:
    await store.put_stream("a", blocks_of(b"", b"x", b"", b"", b"y", b""), WEBM)
    assert await read(store, "a") == b"xy"


@pytest.mark.parametrize("before", [0, 1, LARGE])
async def test_what_a_stream_raises_comes_out_and_nothing_is_stored(
    store: ObjectStore, put: Put, before: int
) -> None:
    await put("old", b"old")
    for key in ("new", "old"):
        with pytest.raises(Failed):
            await store.put_stream(key, blocks_of(counting(before), Failed()), WEBM)
    assert await keys(store) == ["old"]
    assert await read(store, "old") == b"old"
    assert await unfinished(store) == []


async def test_what_a_stream_raises_while_parts_are_under_way_ends_them(
    store: ObjectStore,
) -> None:
    async def failing() -> AsyncIterator[bytes]:
        async for block in streamed(counting(LARGE)):
            yield block
        raise Failed

    with pytest.raises(Failed):
        await store.put_stream("a", failing(), WEBM)
    assert await keys(store) == []
    assert await unfinished(store) == []


async def test_a_stream_that_waits_holds_up_nobody_else(store: ObjectStore, put: Put) -> None:
    stream = HeldStream(counting(LONG))
    putting = asyncio.ensure_future(store.put_stream("slow", stream, WEBM))
    await stream.asked_for_more.wait()
    await put("quick")
    assert await keys(store) == ["quick"]
    stream.end()
    assert (await putting).size == LONG
    assert await keys(store) == ["quick", "slow"]


# --- large files and progress ---------------------------------------------------------------------


@ANY_NETWORK
async def test_a_large_file_is_found_again(store: ObjectStore, large_file: Path) -> None:
    heard = Heard()
    stored = await store.put_file("a", large_file, WEBM, on_progress=heard)
    assert stored.sha256 == hashlib.sha256(counting(LARGE)).hexdigest()
    assert await store.digest("a") == stored.sha256
    assert await read(store, "a", LARGE - 100) == counting(LARGE)[-100:]
    assert heard.counts == sorted(heard.counts)
    assert heard.counts[-1] == LARGE


@pytest.mark.parametrize("size", [0, 1, LONG, LARGE])
async def test_progress_only_grows_and_ends_with_all_of_it(
    store: ObjectStore, tmp_path: Path, size: int
) -> None:
    path = tmp_path / "source"
    path.write_bytes(counting(size))
    of_file, of_stream = Heard(), Heard()
    await store.put_file("a", path, WEBM, on_progress=of_file)
    await store.put_stream("b", streamed(counting(size)), WEBM, on_progress=of_stream)
    for heard in (of_file, of_stream):
        assert heard.counts == sorted(heard.counts)
        assert heard.counts[-1] == size
        assert heard.counts[0] >= 0


# --- cancellation ---------------------------------------------------------------------------------


@pytest.mark.parametrize("old", [None, b"old"], ids=["new_key", "replacing"])
async def test_a_cancelled_put_of_a_stream_leaves_what_was_there(
    store: ObjectStore, put: Put, old: bytes | None
) -> None:
    if old is not None:
        await put("a", old)
    stream = HeldStream(counting(LARGE))
    putting = asyncio.ensure_future(store.put_stream("a", stream, WEBM))
    await stream.asked_for_more.wait()
    putting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await putting
    assert [await read(store, key) for key in await keys(store)] == ([] if old is None else [old])
    assert await unfinished(store) == []


async def test_a_cancelled_put_of_a_file_leaves_nothing_or_all_of_it(
    store: ObjectStore, large_file: Path
) -> None:
    begun = asyncio.Event()
    putting = asyncio.ensure_future(
        store.put_file("a", large_file, WEBM, on_progress=lambda _: begun.set())
    )
    await begun.wait()
    putting.cancel()
    await asyncio.wait([putting])
    if await keys(store):
        assert await store.digest("a") == hashlib.sha256(counting(LARGE)).hexdigest()
    else:
        assert putting.cancelled()
    assert await unfinished(store) == []


async def test_a_put_that_is_cancelled_at_once_stores_nothing_later(
    store: ObjectStore, large_file: Path, put: Put
) -> None:
    putting = asyncio.ensure_future(store.put_file("a", large_file, WEBM))
    await asyncio.sleep(0)
    putting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await putting
    await put("a", b"later")
    assert await read(store, "a") == b"later"
    assert await unfinished(store) == []


# --- metadata -------------------------------------------------------------------------------------


@ANY_NETWORK
async def test_metadata_are_kept_where_there_is_a_place_for_them(
    store: ObjectStore, kind: str, tmp_path: Path
) -> None:
    expected = METADATA if basic(kind) in KEEP_METADATA else {}
    (tmp_path / "source").write_bytes(b"1")
    stored = await store.put_file("a", tmp_path / "source", WEBM, metadata=METADATA)
    assert stored.metadata == expected
    assert (await store.head("a")).metadata == expected
    for size in (1, LARGE):
        stored = await store.put_stream("b", streamed(counting(size)), WEBM, metadata=METADATA)
        assert stored.metadata == expected
        assert (await store.head("b")).metadata == expected


async def test_a_replaced_object_has_its_own_metadata(store: ObjectStore, put: Put) -> None:
    await store.put_stream("a", streamed(b"1"), WEBM, metadata=METADATA)
    await put("a")
    assert (await store.head("a")).metadata == {}


@pytest.mark.parametrize(
    "metadata",
    [{"room\r\nX-Evil": "1"}, {"room": "1\r\nX-Evil: 1"}, {"Room": "1"}, {"room": "é"}],
    ids=["header_in_a_name", "header_in_a_value", "upper_case", "not_ascii"],
)
async def test_metadata_that_not_every_store_keeps_are_refused_by_all(
    store: ObjectStore, tmp_path: Path, metadata: dict[str, str]
) -> None:
    (tmp_path / "source").write_bytes(b"1")
    with pytest.raises(BadMetadata):
        await store.put_file("a", tmp_path / "source", WEBM, metadata=metadata)
    with pytest.raises(BadMetadata):
        await store.put_stream("a", streamed(b"1"), WEBM, metadata=metadata)
    assert await keys(store) == []


# --- copies ---------------------------------------------------------------------------------------


@ANY_NETWORK
async def test_a_copy_is_the_same_object_under_another_key(
    store: ObjectStore, kind: str, large_file: Path
) -> None:
    await store.put_file("комната/a b.webm", large_file, "video/mp4", metadata=METADATA)
    copied = await store.copy("комната/a b.webm", "会议/ü+%.webm")
    assert copied == await store.head("会议/ü+%.webm")
    assert (copied.key, copied.size) == ("会议/ü+%.webm", LARGE)
    assert copied.content_type == "video/mp4"
    assert copied.metadata == (METADATA if basic(kind) in KEEP_METADATA else {})
    assert await store.digest("会议/ü+%.webm") == await store.digest("комната/a b.webm")


async def test_a_copy_replaces_what_was_there(store: ObjectStore, put: Put) -> None:
    await put("a", b"a", "video/mp4")
    await put("b", b"bbb")
    await store.copy("a", "b")
    assert await read(store, "b") == b"a"
    assert (await store.head("b")).content_type == "video/mp4"
    assert await keys(store) == ["a", "b"]


async def test_a_copy_onto_itself_changes_nothing(store: ObjectStore) -> None:
    stored = await store.put_stream("a", streamed(b"a"), "video/mp4", metadata=METADATA)
    copied = await store.copy("a", "a")
    assert (copied.size, copied.content_type, copied.metadata) == (1, "video/mp4", stored.metadata)
    assert await read(store, "a") == b"a"
    assert await keys(store) == ["a"]


@ANY_NETWORK
async def test_a_copy_of_nothing_leaves_the_target_alone(store: ObjectStore, put: Put) -> None:
    await put("b", b"b")
    for target in ("b", "c", "a"):
        with pytest.raises(ObjectNotFound):
            await store.copy("a", target)
    assert await keys(store) == ["b"]
    assert await read(store, "b") == b"b"


async def test_a_copy_outlives_its_source(store: ObjectStore, large_file: Path) -> None:
    await store.put_file("a", large_file, WEBM)
    await store.copy("a", "b")
    await store.delete("a")
    assert await read(store, "b") == counting(LARGE)


# --- deleting many --------------------------------------------------------------------------------


@ANY_NETWORK
async def test_many_are_deleted_and_the_missing_ones_do_not_matter(
    store: ObjectStore, put: Put
) -> None:
    for key in ("a", "b/c", "b/d", "é <&> \U0001f3a5"):
        await put(key)
    await store.delete_many([])
    await store.delete_many(["a", "missing", "b/c", "a", "é <&> \U0001f3a5", "b"])
    assert await keys(store) == ["b/d"]


async def test_one_bad_key_and_none_is_deleted(store: ObjectStore, put: Put) -> None:
    await put("a")
    with pytest.raises(BadKey):
        await store.delete_many(["a", "../b"])
    assert await keys(store) == ["a"]


@pytest.mark.parametrize(("kind", "count"), MANY.items())
async def test_more_objects_than_fit_a_page_or_a_call(
    store: ObjectStore, put: Put, count: int
) -> None:
    expected = sorted(f"{number % 3}/{number:04}" for number in range(count))
    source = iter(expected)

    async def put_some() -> None:
        for key in source:
            await put(key, b"")

    await asyncio.gather(*(put_some() for _ in range(8)))
    assert await keys(store) == expected
    assert await keys(store, "1/") == [key for key in expected if key.startswith("1/")]
    await store.delete_many(expected[1:])
    assert await keys(store) == expected[:1]
