"""Trying a store out: what is found, and that nothing stays."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import pytest

from storage.errors import BucketMissing, PermissionMissing, StorageError, StoreUnavailable
from storage.objects import MemoryStore, Multipart, ObjectEntry, ObjectStore, Signer
from storage.objects.checkup import Finding, Reach, Step, checkup, straight
from tests.storage.stores import Servers

FOLDER = "recordings/"
ALWAYS = [Step.WRITE, Step.READ, Step.RANGE, Step.LIST, Step.COPY]


async def findings(store: ObjectStore, reach: Reach = straight) -> list[Finding]:
    return [finding async for finding in checkup(store, FOLDER, reach=reach)]


async def keys_in(store: ObjectStore) -> list[str]:
    return [entry.key async for entry in store.list()]


async def test_every_store_passes_and_is_empty_again(
    kind: str, store: ObjectStore, servers: Servers
) -> None:
    reach = servers.vercel.reached if kind == "vercel" else straight
    found = await findings(store, reach)
    assert [finding.problem for finding in found] == [None] * len(found)
    able = [Step.PARTS] * isinstance(store, Multipart) + [Step.LINK] * isinstance(store, Signer)
    assert [finding.step for finding in found] == [*ALWAYS, *able, Step.DELETE]
    assert await keys_in(store) == []


class Troubled(MemoryStore):
    """A store of which one method fails."""

    def __init__(self, method: str, error: StorageError) -> None:
        super().__init__()
        self.calls: list[str] = []

        async def fail(*_arguments: Any, **_options: Any) -> None:
            self.calls.append(method)
            raise error

        setattr(self, method, fail)


async def problems(store: ObjectStore) -> dict[str, StorageError]:
    return {found.step: found.problem for found in await findings(store) if found.problem}


@pytest.mark.parametrize(
    ("method", "step"), [("digest", Step.READ), ("copy", Step.COPY), ("delete_many", Step.DELETE)]
)
async def test_a_missing_permission_does_not_hide_what_else_works(method: str, step: Step) -> None:
    store = Troubled(method, PermissionMissing("no"))
    found = await findings(store)
    assert [finding.step for finding in found if finding.problem] == [step]
    assert [finding.step for finding in found] == [*ALWAYS, Step.DELETE]
    assert await keys_in(store) == []


async def test_without_an_object_nothing_else_is_tried() -> None:
    found = await findings(Troubled("put_stream", PermissionMissing("no")))
    assert [finding.step for finding in found] == [Step.WRITE]


async def test_a_store_that_goes_down_is_not_asked_again_and_again() -> None:
    store = Troubled("digest", StoreUnavailable("down", passing=True))
    assert [finding.step for finding in await findings(store)] == [Step.WRITE, Step.READ]
    assert await keys_in(store) == []


async def test_what_was_stored_though_it_may_not_be_looked_at_is_deleted() -> None:
    class Blind(MemoryStore):
        async def put_stream(self, *arguments: Any, **options: Any) -> Any:
            await super().put_stream(*arguments, **options)
            raise PermissionMissing("stored, but it may not be looked at")

    store = Blind()
    assert list(await problems(store)) == [Step.WRITE]
    assert await keys_in(store) == []


async def test_nothing_is_deleted_where_nothing_can_be() -> None:
    store = Troubled("put_stream", BucketMissing("none"))
    deletes: list[str] = []

    async def delete(key: str) -> None:
        deletes.append(key)

    store.delete = delete  # type: ignore[method-assign]
    assert list(await problems(store)) == [Step.WRITE]
    assert deletes == []


async def test_ending_early_deletes_the_object() -> None:
    store = MemoryStore()
    async with aclosing(checkup(store, FOLDER)) as steps:
        async for finding in steps:
            if finding.step == Step.COPY:
                break
        assert len(await keys_in(store)) == 2
    assert await keys_in(store) == []


async def test_a_store_that_gives_other_bytes_is_told() -> None:
    class Liar(MemoryStore):
        async def digest(self, key: str) -> str:
            return "00" * 32

        async def open(
            self, key: str, start: int = 0, end: int | None = None
        ) -> AsyncIterator[bytes]:
            yield b"something else"

        async def list(self, prefix: str = "") -> AsyncIterator[ObjectEntry]:
            for entry in ():
                yield entry

    found = await problems(Liar())
    assert list(found) == [Step.READ, Step.RANGE, Step.LIST]
    assert "SHA-256" in str(found[Step.READ])
