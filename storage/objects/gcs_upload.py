"""Putting an object into Google Cloud Storage, and being sure that it arrived as it was sent.

What is smaller than a chunk goes in one request. Anything larger goes through a resumable upload: a
session takes the chunks one after the other, and after an error it is asked how much it has, so that
a cut costs one chunk at most. Only the last chunk, which names the total, makes the object. A session
that never gets there is cancelled; where that fails too, Google forgets it after a week.

CRC32C of what was sent goes along, for Google to refuse what differs, and is compared afterwards.
Source: "Resumable uploads" and "Data validation" in the documentation of Cloud Storage.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from itertools import repeat
from typing import Final

import google_crc32c
import requests

from storage.errors import EndpointWrong, StorageError, StoreUnavailable
from storage.objects.gcs_bucket import Bucket, Call
from storage.objects.gcs_errors import Damaged
from storage.objects.gcs_resources import Resource, resource_of
from storage.objects.ranges import BLOCK_BYTES
from storage.objects.sources import SourceFile, pieces
from storage.objects.store import OnProgress

CHUNK: Final = 8 << 20  # bytes; Google takes multiples of 256 KiB
CANCEL_SECONDS: Final = 5.0
INCOMPLETE: Final = 308
_GONE: Final = frozenset({404, 410})
_RANGE = re.compile(r"bytes=0-(\d{1,18})")


@dataclass(frozen=True, slots=True)
class Described:
    """An object to be: what is known of it before its bytes."""

    key: str
    content_type: str
    metadata: Mapping[str, str]

    @property
    def doing(self) -> str:
        return f"store {self.key!r}"

    def resource(self) -> Resource:
        return {
            "name": self.key,
            "contentType": self.content_type,
            "metadata": dict(self.metadata),
        }


class Tally:
    """Size and checksums of the bytes that were added."""

    def __init__(self) -> None:
        self.size = 0
        self._sha256 = hashlib.sha256()
        self._crc32c = google_crc32c.Checksum()

    def add(self, chunk: bytearray) -> None:
        """Takes the processor for a while."""
        self.size += len(chunk)
        view = memoryview(chunk)
        for offset in range(0, len(view), BLOCK_BYTES):
            block = bytes(view[offset : offset + BLOCK_BYTES])  # CRC32C takes nothing else
            self._sha256.update(block)
            self._crc32c.update(block)

    @property
    def sha256(self) -> str:
        return self._sha256.hexdigest()

    @property
    def crc32c(self) -> str:
        """As Google writes it: base64 of four bytes, the highest first."""
        return base64.b64encode(self._crc32c.digest()).decode()


async def tallied_file(
    bucket: Bucket, source: SourceFile, tally: Tally
) -> AsyncGenerator[bytearray, None]:
    """The file in chunks, the last one smaller, perhaps empty."""

    def fill(chunk: bytearray, offset: int) -> None:
        for at in range(0, len(chunk), BLOCK_BYTES):
            end = min(at + BLOCK_BYTES, len(chunk))
            chunk[at:end] = source.read(offset + at, end - at)
        tally.add(chunk)

    for offset in range(0, source.size + 1, CHUNK):
        # made here: threads keep what they gave back of memory, each for itself
        chunk = bytearray(min(CHUNK, source.size - offset))
        await bucket.threads.run(partial(fill, chunk, offset))
        yield chunk
        del chunk  # before the next one is made


async def tallied_stream(
    bucket: Bucket, blocks: AsyncIterator[bytes], tally: Tally
) -> AsyncGenerator[bytearray, None]:
    """The same of a stream."""
    length = 0
    async for chunk in pieces(blocks, repeat(CHUNK)):
        length = len(chunk)
        await bucket.threads.run(partial(tally.add, chunk))
        yield chunk
        del chunk  # before the next one is gathered
    if length == CHUNK:
        yield bytearray()


async def put(
    bucket: Bucket,
    described: Described,
    chunks: AsyncGenerator[bytearray, None],
    tally: Tally,
    on_progress: OnProgress | None,
) -> Resource:
    """Store the chunks, all of `CHUNK` bytes but the last, which is smaller."""
    async with aclosing(chunks):
        chunk = await anext(chunks)
        if len(chunk) < CHUNK:
            resource = await _put_at_once(bucket, described, chunk, tally)
        else:
            async with _session(bucket, described) as session:
                while len(chunk) == CHUNK:
                    await session.send(chunk)
                    del chunk  # before the next one is read
                    if on_progress:
                        on_progress(session.received)
                    chunk = await anext(chunks)
                resource = await session.finish(chunk, tally)
    await _verify(bucket, described, resource, tally)
    if on_progress:
        on_progress(tally.size)
    return resource


async def _put_at_once(
    bucket: Bucket, described: Described, content: bytearray, tally: Tally
) -> Resource:
    boundary = secrets.token_hex(16)
    resource = json.dumps({**described.resource(), "crc32c": tally.crc32c})
    head = (
        f"--{boundary}\r\nContent-Type: application/json; charset=UTF-8\r\n\r\n{resource}\r\n"
        f"--{boundary}\r\nContent-Type: {described.content_type}\r\n\r\n"
    )
    answer = await bucket.ask(
        Call(
            "POST",
            bucket.uploads_url,
            described.doing,
            query={"uploadType": "multipart"},
            headers={"Content-Type": f"multipart/related; boundary={boundary}"},
            body=b"".join((head.encode(), content, f"\r\n--{boundary}--\r\n".encode())),
        )
    )
    return resource_of(answer)


async def _verify(bucket: Bucket, described: Described, resource: Resource, tally: Tally) -> None:
    """Whatever arrived otherwise is removed again."""
    if resource.get("size") == str(tally.size) and resource.get("crc32c") == tally.crc32c:
        return
    with suppress(StorageError):
        await bucket.once(
            Call(
                "DELETE",
                bucket.object_url(described.key),
                "remove what arrived damaged",
                described.key,
                query={"ifGenerationMatch": str(resource.get("generation", ""))},
            )
        )
    raise Damaged(f"{bucket.place} could not {described.doing}: something else arrived than sent")


@asynccontextmanager
async def _session(bucket: Bucket, described: Described) -> AsyncIterator[_Session]:
    """A session that is cancelled when the block fails or is cancelled."""
    answer = await bucket.ask(
        Call(
            "POST",
            bucket.uploads_url,
            described.doing,
            query={"uploadType": "resumable"},
            headers={"Content-Type": "application/json; charset=UTF-8"},
            body=json.dumps(described.resource()).encode(),
        )
    )
    url = answer.headers.get("Location", "")
    if not url.startswith(bucket.base + "/"):  # the token would be sent there
        raise EndpointWrong(f"{bucket.place} could not {described.doing}: it sends elsewhere")
    session = _Session(bucket, described.doing, url)
    try:
        yield session
    except BaseException:
        await session.cancel()
        raise


class _Session:
    """A resumable upload. Its address is a permission to write: it is in no text."""

    def __init__(self, bucket: Bucket, doing: str, url: str) -> None:
        self.received = 0
        self._bucket = bucket
        self._doing = doing
        self._url = url

    async def send(self, chunk: bytearray) -> None:
        """Back when the session has all of a chunk that is not the last."""
        answer = await self._until_taken(chunk, "*", {})
        if answer.status_code != INCOMPLETE:
            raise self._failed("it took the object for complete")

    async def finish(self, chunk: bytearray, tally: Tally) -> Resource:
        """Send the last chunk, which may be empty; the object that came of it."""
        checksum = {"X-Goog-Hash": f"crc32c={tally.crc32c}"}
        answer = await self._until_taken(chunk, str(tally.size), checksum)
        return resource_of(answer)

    async def cancel(self) -> None:
        with suppress(StorageError):
            await self._bucket.once(
                Call(
                    "DELETE",
                    self._url,
                    "cancel an upload",
                    also=_GONE | {499},  # "client closed request": that is its yes
                    idle=CANCEL_SECONDS,
                )
            )

    async def _until_taken(
        self, chunk: bytearray, total: str, headers: Mapping[str, str]
    ) -> requests.Response:
        """The answer that says that the chunk, or the object if `total` is known, is there."""
        retrier = self._bucket.retrier
        start, end = self.received, self.received + len(chunk)
        failures, began, doubt = 0, retrier.now(), False
        while True:
            had = self.received
            try:
                if doubt:
                    answer = await self._ask()
                else:
                    answer = await self._put(memoryview(chunk)[had - start :], total, headers)
            except Damaged:
                raise
            except StoreUnavailable as error:
                failures, doubt = failures + 1, True
                await retrier.wait(error, failures, began)
                continue
            if answer.status_code in _GONE:  # what came before this chunk is no longer held here
                raise self._failed("the upload ended before its time")
            if answer.status_code != INCOMPLETE:
                return answer
            self.received = self._taken(answer, start, end)
            if self.received == end and total == "*":
                return answer
            if not doubt and self.received == had:
                failures += 1
                await retrier.wait(self._failed("it takes nothing"), failures, began)
            doubt = False

    async def _put(
        self, body: memoryview, total: str, headers: Mapping[str, str]
    ) -> requests.Response:
        last = self.received + len(body) - 1
        place = f"{self.received}-{last}" if body else "*"
        return await self._bucket.once(
            Call(
                "PUT",
                self._url,
                self._doing,
                headers={"Content-Range": f"bytes {place}/{total}", **headers},
                body=body,
                also=_GONE | {INCOMPLETE},
            )
        )

    async def _ask(self) -> requests.Response:
        """How much the session has: after an error nobody else knows."""
        return await self._put(memoryview(b""), "*", {})

    def _taken(self, answer: requests.Response, start: int, end: int) -> int:
        found = _RANGE.fullmatch(answer.headers.get("Range", ""))
        taken = int(found[1]) + 1 if found else 0
        if not start <= taken <= end:
            raise self._failed("it lost track of how much it has")
        return taken

    def _failed(self, reason: str) -> StoreUnavailable:
        return StoreUnavailable(
            f"{self._bucket.place} could not {self._doing}: {reason}", passing=True
        )
