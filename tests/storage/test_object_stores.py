"""What every object store promises, checked on every store."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from storage.errors import BadKey, BadRange, ObjectNotFound, SourceUnreadable
from storage.objects import ObjectInfo, ObjectStore, StoredObject

WEBM = "video/webm"
LONG = 600_001  # more than two blocks, and not a whole number of them

HOSTILE_KEYS = {
    "empty": "",
    "parent": "..",
    "climbs_out": "../outside",
    "climbs_out_from_below": "a/../../outside",
    "climbs_but_stays_inside": "a/../b",
    "here": ".",
    "here_below": "a/./b",
    "absolute": "/etc/passwd",
    "double_slash": "a//b",
    "trailing_slash": "a/",
    "only_a_slash": "/",
    "nul": "a\0b",
    "nul_hides_an_extension": "a.webm\0.html",
    "backslash": "a\\b",
    "climbs_out_as_on_windows": "..\\outside",
    "lone_surrogate": "a\udce9b",
    "over_1024_bytes": "/".join(["a" * 200] * 6),
    "component_over_255_bytes": "a" * 256,
    "component_over_255_bytes_in_unicode": "€" * 86,
    "folder_of_unfinished_puts": ".incoming/a",
    "folder_of_unfinished_puts_itself": ".incoming",
}

AWKWARD_KEYS = {
    "space_and_newline": " a b\nc ",
    "percent_encoded_climb": "%2e%2e/%2Foutside",
    "three_dots": ".../a",
    "hidden": ".a",
    "incoming_below": "a/.incoming/b",
    "not_latin": "комната/会议/🎥.webm",
    "combining_accent": "cafe\u0301",
    "composed_accent": "caf\u00e9",
    "right_to_left_override": "a\u202egpj.webm",
    "dash": "-rf",
    "shell": "$(id);`id`|*?",
    "component_of_255_bytes": "€" * 85,
    "key_of_1024_bytes": "/".join(["a" * 204] * 5),
    "deep": "/".join("a" * 512),
}


Put = Callable[..., Awaitable[StoredObject]]


@pytest.fixture
def put(store: ObjectStore, tmp_path: Path) -> Put:
    """Put bytes rather than a file."""

    async def put(key: str, content: bytes = b"content", content_type: str = WEBM) -> StoredObject:
        source = tmp_path / hashlib.sha256(key.encode(errors="replace") + content).hexdigest()
        source.write_bytes(content)
        return await store.put_file(key, source, content_type)

    return put


async def read(store: ObjectStore, key: str, start: int = 0, end: int | None = None) -> bytes:
    return b"".join([block async for block in store.open(key, start, end)])


async def keys(store: ObjectStore, prefix: str = "") -> list[str]:
    return [info.key async for info in store.list(prefix)]


def counting(size: int) -> bytes:
    return b"".join(number.to_bytes(4) for number in range(size // 4 + 1))[:size]


@pytest.mark.parametrize("size", [0, 1, 262_144, LONG])
async def test_what_is_put_is_found_again(store: ObjectStore, put: Put, size: int) -> None:
    content = counting(size)
    digest = hashlib.sha256(content).hexdigest()

    stored = await put("room/a.webm", content)

    found = await store.head("room/a.webm")
    assert found == ObjectInfo("room/a.webm", size, WEBM, found.modified_at)
    assert stored == StoredObject("room/a.webm", size, WEBM, found.modified_at, digest)
    assert await store.digest("room/a.webm") == digest
    assert await read(store, "room/a.webm") == content
    assert await keys(store) == ["room/a.webm"]


async def test_put_says_what_head_says(store: ObjectStore, put: Put) -> None:
    stored = await put("a.mp4", b"123", "video/mp4")
    found = await store.head("a.mp4")
    assert (
        (stored.size, stored.content_type) == (found.size, found.content_type) == (3, "video/mp4")
    )
    assert stored.modified_at == found.modified_at
    assert datetime.now(UTC) - found.modified_at < timedelta(minutes=1)


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


@pytest.mark.parametrize(
    ("start", "end"),
    [
        (0, None),
        (0, 0),
        (0, 1),
        (1, None),
        (262_143, 262_145),
        (262_144, 524_288),
        (5, LONG - 5),
        (LONG - 1, None),
        (LONG - 1, LONG + 100),
        (LONG, None),
        (LONG + 1, None),
        (LONG + 1, LONG + 2),
    ],
)
async def test_a_range_is_a_slice(
    store: ObjectStore, put: Put, start: int, end: int | None
) -> None:
    content = counting(LONG)
    await put("a", content)
    assert await read(store, "a", start, end) == content[start:end]


@pytest.mark.parametrize(("start", "end"), [(-1, None), (0, -1), (2, 1)])
async def test_a_range_that_is_none_is_refused(
    store: ObjectStore, put: Put, start: int, end: int
) -> None:
    await put("a")
    with pytest.raises(BadRange):
        await read(store, "a", start, end)


async def test_blocks_are_bounded(store: ObjectStore, put: Put) -> None:
    await put("a", counting(LONG))
    assert [len(block) async for block in store.open("a")] == [262_144, 262_144, 75_713]


async def test_a_reader_may_leave_early(store: ObjectStore, put: Put) -> None:
    await put("a", counting(LONG))
    blocks = store.open("a")
    assert await anext(blocks)
    await blocks.aclose()  # type: ignore[attr-defined]
    await store.delete("a")
    assert await keys(store) == []


# --- absence --------------------------------------------------------------------------------------


async def test_what_is_not_there_is_not_found(store: ObjectStore, put: Put) -> None:
    await put("a/b/c")
    for key in ("x", "a", "a/b", "a/b/c/d", "a/b/x"):
        with pytest.raises(ObjectNotFound):
            await store.head(key)
        with pytest.raises(ObjectNotFound):
            await store.digest(key)
        with pytest.raises(ObjectNotFound):
            await read(store, key)
        await store.delete(key)
    assert await keys(store) == ["a/b/c"]


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


async def test_a_key_is_an_object_or_a_folder(store: ObjectStore, put: Put) -> None:
    await put("a/b")
    await put("c")
    for key in ("a", "a/b/c", "c/d", "c/d/e"):
        with pytest.raises(BadKey):
            await put(key)
    assert await keys(store) == ["a/b", "c"]


# --- list -----------------------------------------------------------------------------------------


async def test_a_list_is_sorted_by_key_whatever_the_folders(store: ObjectStore, put: Put) -> None:
    expected = ["a/1", "a/b/1", "a/b0", "a0", "a-/x", "a.webm", "B", "é", "z"]
    for key in expected:
        await put(key)
    assert await keys(store) == sorted(expected)


@pytest.mark.parametrize(
    ("prefix", "expected"),
    [
        ("", ["a/b/1", "a/b/2", "a/bc", "ab"]),
        ("a", ["a/b/1", "a/b/2", "a/bc", "ab"]),
        ("a/", ["a/b/1", "a/b/2", "a/bc"]),
        ("a/b", ["a/b/1", "a/b/2", "a/bc"]),
        ("a/b/", ["a/b/1", "a/b/2"]),
        ("a/b/1", ["a/b/1"]),
        ("a/b/1/", []),
        ("b", []),
        ("/", []),
        ("../", []),
        ("a/../", []),
        (".", []),
        (".incoming", []),
        ("\0", []),
        ("\udce9", []),
        ("a" * 5000, []),
    ],
)
async def test_a_prefix_is_text(
    store: ObjectStore, put: Put, prefix: str, expected: list[str]
) -> None:
    for key in ("a/b/1", "a/b/2", "a/bc", "ab"):
        await put(key)
    assert await keys(store, prefix) == expected


async def test_a_list_of_more_than_one_batch(store: ObjectStore, put: Put) -> None:
    expected = [f"{number % 3}/{number:04}" for number in range(300)]
    for key in expected:
        await put(key, b"")
    assert await keys(store) == sorted(expected)


async def test_a_list_says_what_head_says(store: ObjectStore, put: Put) -> None:
    await put("a/b.mp4", b"123", "video/mp4")
    assert [info async for info in store.list()] == [await store.head("a/b.mp4")]


async def test_deleting_while_listing(store: ObjectStore, put: Put) -> None:
    for number in range(5):
        await put(f"a/{number}")
    async for info in store.list():
        await store.delete(info.key)
    assert await keys(store) == []


# --- keys -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", HOSTILE_KEYS.values(), ids=HOSTILE_KEYS.keys())
async def test_a_hostile_key_is_refused_by_every_method(
    store: ObjectStore, put: Put, tmp_path: Path, root: Path, key: str
) -> None:
    (tmp_path / "outside").write_bytes(b"secret")
    with pytest.raises(BadKey):
        await put(key, b"overwritten")
    with pytest.raises(BadKey):
        await store.head(key)
    with pytest.raises(BadKey):
        await store.digest(key)
    with pytest.raises(BadKey):
        await read(store, key)
    with pytest.raises(BadKey):
        await store.delete(key)
    assert (tmp_path / "outside").read_bytes() == b"secret"
    assert await keys(store) == []
    assert not root.exists(), "a refused key must not touch the disk"


@pytest.mark.parametrize("key", AWKWARD_KEYS.values(), ids=AWKWARD_KEYS.keys())
async def test_an_awkward_key_is_a_key(store: ObjectStore, put: Put, key: str) -> None:
    await put(key)
    assert await keys(store) == [key]
    assert (await store.head(key)).key == key
    assert await read(store, key) == b"content"
    await store.delete(key)
    assert await keys(store) == []


async def test_keys_that_look_alike_are_different_keys(store: ObjectStore, put: Put) -> None:
    alike = sorted(["cafe\u0301", "caf\u00e9", "CAF\u00c9", "cafe"])
    for key in alike:
        await put(key, key.encode())
    assert await keys(store) == alike
    assert [await read(store, key) for key in alike] == [key.encode() for key in alike]


@given(key=st.text(min_size=1, max_size=300))
@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
async def test_any_text_is_a_key_or_is_refused(store: ObjectStore, put: Put, key: str) -> None:
    try:
        await put(key)
    except BadKey:
        assert await keys(store) == []
        return
    assert await keys(store) == [key]
    await store.delete(key)


# --- overwriting and concurrency ------------------------------------------------------------------


async def test_a_put_replaces_the_object_whole(store: ObjectStore, put: Put) -> None:
    await put("a.webm", b"a long first version")
    await put("a.webm", b"second", "video/x-matroska")
    assert await read(store, "a.webm") == b"second"
    assert (await store.head("a.webm")).size == 6
    assert await keys(store) == ["a.webm"]


async def test_a_reader_keeps_the_bytes_it_began_with(store: ObjectStore, put: Put) -> None:
    old = counting(LONG)
    await put("a", old)
    blocks = store.open("a")
    first = await anext(blocks)
    await put("a", b"new")
    assert first + b"".join([block async for block in blocks]) == old
    assert await read(store, "a") == b"new"


async def test_a_reader_keeps_the_bytes_of_a_deleted_object(store: ObjectStore, put: Put) -> None:
    old = counting(LONG)
    await put("a", old)
    blocks = store.open("a")
    first = await anext(blocks)
    await store.delete("a")
    assert first + b"".join([block async for block in blocks]) == old


async def test_readers_never_see_a_mixture_of_two_puts(store: ObjectStore, put: Put) -> None:
    versions = [bytes([number]) * LONG for number in range(6)]
    await put("a", versions[0])
    for old, new in pairwise(versions):
        _, *seen = await asyncio.gather(put("a", new), *(read(store, "a") for _ in range(4)))
        assert all(content in (old, new) for content in seen)
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
        for _ in range(15):
            await put(f"a/b/c/{number}")
            assert await read(store, f"a/b/c/{number}") == b"content"
            await store.delete(f"a/b/c/{number}")

    await asyncio.gather(*(come_and_go(number) for number in range(6)))
    assert await keys(store) == []
