"""What every object store promises to readers, checked on every store. Writing is in the next file.

Tests marked ANY_NETWORK also run with a proxy between that fails a fifth of the requests.
"""

from __future__ import annotations

import asyncio
import hashlib
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from storage.errors import (
    BadKey,
    BadRange,
    ObjectChanged,
    ObjectNotFound,
    SourceUnreadable,
    StoreUnavailable,
)
from storage.objects import ObjectInfo, ObjectStore, StoredObject
from tests.storage.contents import BLOCK, LARGE, LONG, WEBM, Put, counting, keys, read, rest_of
from tests.storage.stores import FAULTY, LOCAL, STORES, Servers, basic

ANY_NETWORK = pytest.mark.parametrize("kind", STORES + FAULTY)
ON_THIS_MACHINE = pytest.mark.parametrize("kind", LOCAL)


@ANY_NETWORK
@pytest.mark.parametrize("size", [0, 1, BLOCK, LONG])
async def test_what_is_put_is_found_again(store: ObjectStore, put: Put, size: int) -> None:
    content = counting(size)
    digest = hashlib.sha256(content).hexdigest()

    stored = await put("room/a.webm", content)

    found = await store.head("room/a.webm")
    assert found == ObjectInfo("room/a.webm", size, found.modified_at, WEBM)
    assert stored == StoredObject("room/a.webm", size, found.modified_at, WEBM, digest)
    assert await store.digest("room/a.webm") == digest
    assert await read(store, "room/a.webm") == content
    assert await keys(store) == ["room/a.webm"]


@pytest.mark.parametrize("kind", FAULTY)
async def test_the_network_between_is_as_bad_as_said(
    store: ObjectStore, put: Put, servers: Servers, kind: str
) -> None:
    for number in range(20):
        await put("a", b"%d" % number)
        assert await read(store, "a") == b"%d" % number
    assert servers.faults_met(basic(kind)) >= 5


async def test_put_says_what_head_says(store: ObjectStore, put: Put) -> None:
    stored = await put("a.mp4", b"123", "video/mp4")
    found = await store.head("a.mp4")
    assert (stored.size, stored.content_type) == (found.size, found.content_type)
    assert (found.size, found.content_type) == (3, "video/mp4")
    assert stored.modified_at == found.modified_at
    assert found.modified_at.tzinfo is UTC
    assert abs(datetime.now(UTC) - found.modified_at) < timedelta(minutes=1)


@pytest.mark.parametrize(
    "content_type", ['video/webm;codecs="vp8,opus"', "application/octet-stream", "text/plain"]
)
async def test_a_type_is_kept_as_it_is(store: ObjectStore, put: Put, content_type: str) -> None:
    await put("a", b"123", content_type)
    assert (await store.head("a")).content_type == content_type


async def test_the_source_stays_where_it_is(store: ObjectStore, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"one")
    await store.put_file("a", source, WEBM)
    source.write_bytes(b"changed later")
    assert await read(store, "a") == b"one"


async def test_a_missing_source_is_the_callers_fault(store: ObjectStore, tmp_path: Path) -> None:
    with pytest.raises(SourceUnreadable):
        await store.put_file("a", tmp_path / "missing", WEBM)
    with pytest.raises(SourceUnreadable):
        await store.put_file("a", tmp_path, WEBM)
    assert await keys(store) == []


# --- ranges ---------------------------------------------------------------------------------------


RANGES = (
    (0, None),
    (0, 0),
    (0, 1),
    (1, None),
    (5, 5),
    (BLOCK - 1, BLOCK + 1),
    (BLOCK, 2 * BLOCK),
    (5, LONG - 5),
    (LONG - 1, None),
    (LONG - 1, LONG + 100),
    (LONG, None),
    (LONG, LONG),
    (LONG + 1, None),
    (LONG + 1, LONG + 2),
)


async def test_a_range_is_a_slice(store: ObjectStore, put: Put) -> None:
    content = counting(LONG)
    await put("a", content)
    for start, end in RANGES:
        assert await read(store, "a", start, end) == content[start:end], (start, end)


@ANY_NETWORK
async def test_ranges_follow_each_other_without_a_gap(store: ObjectStore, put: Put) -> None:
    content = counting(LONG)
    await put("a", content)
    starts = [*range(0, LONG, 100_003), LONG]
    assert content == b"".join(
        [await read(store, "a", start, end) for start, end in pairwise(starts)]
    )


async def test_an_empty_object_has_no_bytes(store: ObjectStore, put: Put) -> None:
    await put("a", b"")
    for start, end in ((0, None), (0, 5), (3, None)):
        assert await read(store, "a", start, end) == b"", (start, end)


async def test_a_range_that_is_none_is_refused(store: ObjectStore, put: Put) -> None:
    await put("a")
    for start, end in ((-1, None), (0, -1), (2, 1)):
        with pytest.raises(BadRange):
            await read(store, "a", start, end)


@ANY_NETWORK
async def test_blocks_are_bounded(store: ObjectStore, put: Put) -> None:
    content = counting(LONG)
    await put("a", content)
    blocks = [block async for block in store.open("a")]
    assert b"".join(blocks) == content
    assert all(0 < len(block) <= BLOCK for block in blocks)


async def test_a_reader_may_leave_early(store: ObjectStore, put: Put) -> None:
    await put("a", counting(LONG))
    blocks = store.open("a")
    assert await anext(blocks)
    await blocks.aclose()  # type: ignore[attr-defined]
    await store.delete("a")
    assert await keys(store) == []


# --- absence --------------------------------------------------------------------------------------


@ANY_NETWORK
async def test_what_is_not_there_is_not_found(store: ObjectStore, put: Put) -> None:
    await put("a/b/c")
    for key in ("x", "a", "a/b", "a/b/c/d", "a/b/x"):
        with pytest.raises(ObjectNotFound):
            await store.head(key)
        with pytest.raises(ObjectNotFound):
            await store.digest(key)
        for start, end in ((0, None), (0, 0), (5, 9)):
            with pytest.raises(ObjectNotFound):
                await read(store, key, start, end)
        await store.delete(key)
    assert await keys(store) == ["a/b/c"]


@ANY_NETWORK
async def test_delete_twice(store: ObjectStore, put: Put) -> None:
    await put("a/b")
    await store.delete("a/b")
    await store.delete("a/b")
    assert await keys(store) == []
    with pytest.raises(ObjectNotFound):
        await store.head("a/b")


async def test_a_folder_ends_with_its_last_object(store: ObjectStore, put: Put) -> None:
    await put("a/b/c")
    await store.delete("a/b/c")
    await put("a")
    assert await keys(store) == ["a"]


@ON_THIS_MACHINE
async def test_a_key_is_an_object_or_a_folder(store: ObjectStore, put: Put) -> None:
    await put("a/b")
    await put("c")
    for key in ("a", "a/b/c", "c/d", "c/d/e"):
        with pytest.raises(BadKey):
            await put(key)
        with pytest.raises(BadKey):
            await store.copy("c", key)
    assert await keys(store) == ["a/b", "c"]


# --- list -----------------------------------------------------------------------------------------


@ANY_NETWORK
async def test_a_list_is_sorted_by_key_whatever_the_folders(store: ObjectStore, put: Put) -> None:
    expected = ["a/1", "a/b/1", "a/b0", "a0", "a-/x", "a.webm", "B", "é", "z", "\uffee", "🎥"]
    for key in expected:
        await put(key)
    assert await keys(store) == sorted(expected)


PREFIXES = {
    "": ["a/b/1", "a/b/2", "a/bc", "ab"],
    "a": ["a/b/1", "a/b/2", "a/bc", "ab"],
    "a/": ["a/b/1", "a/b/2", "a/bc"],
    "a/b": ["a/b/1", "a/b/2", "a/bc"],
    "a/b/": ["a/b/1", "a/b/2"],
    "a/b/1": ["a/b/1"],
    "a/b/1/": [],
    "b": [],
    "/": [],
    "../": [],
    "a/../": [],
    ".": [],
    ".incoming": [],
    "\0": [],
    "\udce9": [],
    "a" * 5000: [],
}


async def test_a_prefix_is_text(store: ObjectStore, put: Put) -> None:
    for key in PREFIXES[""]:
        await put(key)
    assert {prefix: await keys(store, prefix) for prefix in PREFIXES} == PREFIXES


async def test_a_list_says_what_head_says(store: ObjectStore, put: Put) -> None:
    await put("a/b.mp4", b"123", "video/mp4")
    (entry,) = [entry async for entry in store.list()]
    found = await store.head("a/b.mp4")
    assert (entry.key, entry.size) == (found.key, found.size)
    # S3 and others tell of fractions of a second in a list only
    assert abs(entry.modified_at - found.modified_at) <= timedelta(seconds=1)
    assert entry.modified_at.tzinfo is UTC


async def test_deleting_while_listing(store: ObjectStore, put: Put) -> None:
    for number in range(5):
        await put(f"a/{number}")
    async for entry in store.list():
        await store.delete(entry.key)
    assert await keys(store) == []


# --- replacing and concurrency --------------------------------------------------------------------


@ANY_NETWORK
async def test_a_put_replaces_the_object_whole(store: ObjectStore, put: Put) -> None:
    await put("a.webm", b"a long first version")
    await put("a.webm", b"second", "video/x-matroska")
    assert await read(store, "a.webm") == b"second"
    found = await store.head("a.webm")
    assert (found.size, found.content_type) == (6, "video/x-matroska")
    assert await keys(store) == ["a.webm"]


@ANY_NETWORK
async def test_a_reader_never_gets_bytes_of_two_objects(store: ObjectStore, put: Put) -> None:
    old, new = counting(LARGE), bytes(LARGE)
    await put("a", old)
    blocks = store.open("a")
    first = await anext(blocks)
    await put("a", new)
    rest, error = await rest_of(blocks)
    assert isinstance(error, ObjectChanged | None)
    assert old.startswith(first + rest) if error else first + rest == old
    assert await read(store, "a") == new


@ON_THIS_MACHINE
async def test_a_reader_keeps_the_bytes_it_began_with(store: ObjectStore, put: Put) -> None:
    old = counting(LONG)
    await put("a", old)
    blocks = store.open("a")
    first = await anext(blocks)
    await put("a", b"new")
    assert first + b"".join([block async for block in blocks]) == old
    assert await read(store, "a") == b"new"


async def test_a_reader_of_a_deleted_object_gets_its_bytes_or_an_error(
    store: ObjectStore, put: Put, kind: str
) -> None:
    old = counting(LARGE)
    await put("a", old)
    blocks = store.open("a")
    first = await anext(blocks)
    await store.delete("a")
    rest, error = await rest_of(blocks)
    if kind in LOCAL:
        assert error is None
    assert isinstance(error, ObjectNotFound | ObjectChanged | StoreUnavailable | None)
    assert old.startswith(first + rest) if error else first + rest == old


async def test_readers_never_see_a_mixture_of_two_puts(store: ObjectStore, put: Put) -> None:
    versions = [bytes([number]) * LONG for number in range(4)]
    await put("a", versions[0])
    for old, new in pairwise(versions):
        _, *seen = await asyncio.gather(
            put("a", new),
            *(read(store, "a") for _ in range(4)),
            return_exceptions=True,
        )
        whole = [content for content in seen if not isinstance(content, ObjectChanged)]
        assert all(content in (old, new) for content in whole)
        assert await read(store, "a") == new


async def test_concurrent_puts_of_one_key_leave_one_of_them(store: ObjectStore, put: Put) -> None:
    versions = [bytes([number]) * 50_000 for number in range(10)]
    await asyncio.gather(*(put("a/b", version) for version in versions))
    assert await read(store, "a/b") in versions
    assert await keys(store) == ["a/b"]


async def test_puts_and_deletes_in_one_folder_do_not_disturb_each_other(
    store: ObjectStore, put: Put
) -> None:
    async def come_and_go(number: int) -> None:
        for _ in range(5):
            await put(f"a/b/c/{number}")
            assert await read(store, f"a/b/c/{number}") == b"content"
            await store.delete(f"a/b/c/{number}")

    await asyncio.gather(*(come_and_go(number) for number in range(6)))
    assert await keys(store) == []
