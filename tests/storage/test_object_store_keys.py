"""Which keys there are: refused or stored safely, the same on every provider."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from storage.errors import BadKey
from storage.objects import ObjectStore
from tests.storage.awkward_keys import AWKWARD_KEYS, HOSTILE_KEYS
from tests.storage.contents import WEBM, Put, keys, read, streamed


async def test_hostile_keys_are_refused_by_every_method(
    store: ObjectStore, put: Put, tmp_path: Path, root: Path
) -> None:
    (tmp_path / "outside").write_bytes(b"secret")
    for key in HOSTILE_KEYS.values():
        for call in (
            put(key, b"overwritten"),
            store.put_stream(key, streamed(b"overwritten"), WEBM),
            store.copy(key, "a"),
            store.copy("a", key),
            store.head(key),
            store.digest(key),
            read(store, key),
            read(store, key, 0, 0),
            store.delete(key),
            store.delete_many(["a", key]),
        ):
            with pytest.raises(BadKey):
                await call
    assert (tmp_path / "outside").read_bytes() == b"secret"
    assert not root.exists(), "a refused key must not touch the disk"
    assert await keys(store) == []


async def test_awkward_keys_are_keys(store: ObjectStore, put: Put) -> None:
    for key in AWKWARD_KEYS.values():
        await put(key, key.encode())
    assert await keys(store) == sorted(AWKWARD_KEYS.values())
    for key in AWKWARD_KEYS.values():
        assert await keys(store, key) == [key]
        assert (await store.head(key)).key == key
        assert await read(store, key) == key.encode()
    left = sorted(AWKWARD_KEYS.values())
    await store.delete(left.pop())
    await store.delete_many(left)
    assert await keys(store) == []


async def test_awkward_keys_can_be_copied_from_and_to(store: ObjectStore, put: Put) -> None:
    await put("plain", b"plain")
    for key in AWKWARD_KEYS.values():
        await store.copy("plain", key)
        assert await read(store, key) == b"plain"
        await store.copy(key, "again")
        assert await read(store, "again") == b"plain"
        await store.delete("again")


async def test_keys_that_look_alike_are_different_keys(store: ObjectStore, put: Put) -> None:
    alike = sorted(["cafe\u0301", "caf\u00e9", "CAF\u00c9", "cafe", "%63afe", "cafe "])
    for key in alike:
        await put(key, key.encode())
    assert await keys(store) == alike
    assert [await read(store, key) for key in alike] == [key.encode() for key in alike]


@given(key=st.text(min_size=1, max_size=100) | st.text("/.%?&#+ aé~", min_size=1, max_size=12))
@settings(
    max_examples=60,
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
    assert await read(store, key) == b"content"
    await store.delete(key)
