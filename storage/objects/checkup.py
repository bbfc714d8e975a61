"""Trying a store out, step by step, with a small object of random bytes under a random key.

The steps are what a server does with a store: put an object, read it back, read a range, list, copy,
begin and abort an upload in parts, hand out a signed link, delete. Abilities that a store lacks have
no step. When a step fails in a way that makes the later ones pointless, it is the last. Whatever
happens, the objects are deleted at the end, if the store lets us.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from functools import partial
from typing import Final
from urllib.parse import urlsplit

import aiohttp
from yarl import URL

from storage.errors import (
    PermissionMissing,
    StorageError,
    StoreMisconfigured,
    StoreUnavailable,
)
from storage.objects.signing import Multipart, SignedRequest, Signer
from storage.objects.store import ObjectStore

PROBE_BYTES: Final = 1024
RANGE: Final = (100, 300)
CONTENT_TYPE: Final = "application/octet-stream"
LINK_LIFE: Final = timedelta(minutes=5)
FETCH_SECONDS: Final = 20.0

Reach = Callable[[str], tuple[str, Mapping[str, str]]]
"""How a signed URL is reached from here: at which address, with which headers on top."""


class Step(StrEnum):
    OPEN = "open"  # of the caller: making the store from its settings
    WRITE = "write"
    READ = "read back"
    RANGE = "read a range"
    LIST = "list"
    COPY = "copy"
    PARTS = "multipart upload"
    LINK = "signed link"
    DELETE = "delete"


@dataclass(frozen=True, slots=True)
class Finding:
    """What became of a step, and how many seconds it took. Without a `problem` it works."""

    step: Step
    seconds: float
    problem: StorageError | None = None


def straight(url: str) -> tuple[str, Mapping[str, str]]:
    """A `Reach`: where the URL says."""
    return url, {}


async def checkup(
    store: ObjectStore,
    below: str,
    *,
    reach: Reach = straight,
    clock: Callable[[], float] = time.perf_counter,
) -> AsyncGenerator[Finding, None]:
    """A finding for each step taken. `below` is what the keys begin with: "" or a folder and "/".

    The store should repeat little: somebody is waiting. To end early, close the iterator; that
    deletes the objects.
    """
    probe = _Probe(store, below, reach)
    try:
        for step, take in probe.steps():
            began, problem = clock(), None
            try:
                await take()
            except StorageError as error:
                problem = error
            yield Finding(step, clock() - began, problem)
            if problem is not None and _is_last(step, problem):
                return
    finally:
        await probe.clear()


def _is_last(step: Step, problem: StorageError) -> bool:
    """Without an object there is nothing to try, and a store that is down would fail each step."""
    down = isinstance(problem, StoreUnavailable) and problem.passing
    return step == Step.WRITE or down


class _Probe:
    """The object, its copy, and what is done with them."""

    def __init__(self, store: ObjectStore, below: str, reach: Reach) -> None:
        self._store = store
        self._reach = reach
        self._folder = f"{below}.check-{secrets.token_hex(8)}/"
        self._key = f"{self._folder}probe"
        self._copy = f"{self._folder}copy"
        self._content = secrets.token_bytes(PROBE_BYTES)
        self._there: set[str] = set()  # keys that may have an object

    def steps(self) -> Iterator[tuple[Step, Callable[[], Awaitable[None]]]]:
        yield Step.WRITE, self._write
        yield Step.READ, self._read
        yield Step.RANGE, self._read_range
        yield Step.LIST, self._list
        yield Step.COPY, self._copy_it
        if isinstance(self._store, Multipart):
            yield Step.PARTS, partial(self._begin_and_abort, self._store)
        if isinstance(self._store, Signer):
            yield Step.LINK, partial(self._fetch_by_link, self._store)
        yield Step.DELETE, self._delete

    async def clear(self) -> None:
        for key in sorted(self._there):
            with suppress(StorageError):
                await self._store.delete(key)

    async def _write(self) -> None:
        self._there.add(self._key)
        try:
            stored = await self._store.put_stream(self._key, self._blocks(), CONTENT_TYPE)
        except StoreMisconfigured as error:
            # what may not be looked at may have been stored all the same
            if not isinstance(error, PermissionMissing):
                self._there.clear()
            raise
        _expect(stored.size == PROBE_BYTES, "it says that the object has another size")

    async def _blocks(self) -> AsyncIterator[bytes]:
        yield self._content

    async def _read(self) -> None:
        same = await self._store.digest(self._key) == hashlib.sha256(self._content).hexdigest()
        _expect(same, "what was read back is not what was stored (SHA-256)")

    async def _read_range(self) -> None:
        first, stop = RANGE
        blocks = [block async for block in self._store.open(self._key, first, stop)]
        same = b"".join(blocks) == self._content[first:stop]
        _expect(same, f"bytes {first} to {stop - 1} are not those that were stored")

    async def _list(self) -> None:
        found = [entry.key async for entry in self._store.list(self._folder)]
        _expect(self._key in found, "the list lacks the object that was just stored")

    async def _copy_it(self) -> None:
        self._there.add(self._copy)
        copied = await self._store.copy(self._key, self._copy)
        _expect(copied.size == PROBE_BYTES, "the copy has another size")

    async def _begin_and_abort(self, multipart: Multipart) -> None:
        key = f"{self._folder}parts"
        await multipart.abort(key, await multipart.begin(key, CONTENT_TYPE))

    async def _fetch_by_link(self, signer: Signer) -> None:
        signed = await signer.sign_get(self._key, LINK_LIFE)
        same = await _fetched(signed, self._reach) == self._content
        _expect(same, "what the link gives is not what was stored")

    async def _delete(self) -> None:
        await self._store.delete(self._key)  # both ways that objects go: one by one, and many
        await self._store.delete_many([self._key, self._copy])
        self._there.clear()


def _expect(holds: bool, otherwise: str) -> None:
    if not holds:
        raise StoreUnavailable(f"the store does not keep what it promises: {otherwise}")


async def _fetched(signed: SignedRequest, reach: Reach) -> bytes:
    """As a browser would. Errors never quote the URL, which is a permission."""
    url, headers = reach(signed.url)
    place = f"a signed link to {urlsplit(url).netloc}"
    timeout = aiohttp.ClientTimeout(total=FETCH_SECONDS)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as http,
            http.get(URL(url, encoded=True), headers={**signed.headers, **headers}) as answer,
        ):
            body = await answer.read()
    except (aiohttp.ClientError, OSError, ValueError) as error:
        reason = type(error).__name__
        raise StoreUnavailable(f"{place} could not be fetched ({reason})") from None
    if answer.status in (401, 403):
        raise PermissionMissing(f"{place} was refused with status {answer.status}")
    if answer.status != 200:
        raise StoreUnavailable(f"{place} was answered with status {answer.status}")
    return body
