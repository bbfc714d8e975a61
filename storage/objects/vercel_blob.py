"""Objects in a Vercel Blob store.

Two clients share the work. The official SDK does what carries no bytes of objects: head, copy,
delete, the check. It knows no repetition, no ranges and no signed URLs, gives no way to go on with
a list after a failure, writes small bodies to the network in one piece and sends the parts of large
ones one after another. That is done over the same HTTP protocol (its version 12) in
`storage.objects.vercel_http`. Neither client reads anything from the environment: no token, no
address, no proxy.

What Vercel Blob lacks:
- There is no metadata. Pairs that an object is put with are checked and dropped; `head` has none.
- Uploads can't be aborted or found again; `storage.objects.vercel_multipart` says what of it stays.
- A CDN is in front. Private objects are read past it; a public one can be had only from it, and may
  be the old one for a minute after it was replaced. `digest` waits for the new one, `open` does
  not; bytes of two versions are never mixed by either.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Collection,
    Mapping,
    Sequence,
)
from contextlib import aclosing, suppress
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

from vercel.blob import ListBlob, copy_blob, delete_blob, query_blobs

from storage.errors import (
    BadKey,
    ObjectChanged,
    ObjectNotFound,
    StoreMisconfigured,
    StoreUnavailable,
    UploadGone,
)
from storage.objects.keys import check_key, check_metadata, is_key_prefix
from storage.objects.part_sizes import USUAL_PART
from storage.objects.parts import Piece, pieces_of_file, pieces_of_stream, send_parts
from storage.objects.ranges import BLOCK_BYTES, check_range
from storage.objects.reading import Opened, resumed
from storage.objects.retry import Retrier
from storage.objects.signing import Part
from storage.objects.sources import FileSlice, opened
from storage.objects.store import ObjectEntry, ObjectInfo, OnProgress, StoredObject
from storage.objects.threads import Threads
from storage.objects.vercel_address import DELIVERY_DOMAIN, blob_address
from storage.objects.vercel_bodies import Body, Bytes, FilePart, FileReads
from storage.objects.vercel_client import CACHE_SECONDS, BlobClient
from storage.objects.vercel_errors import misunderstood
from storage.objects.vercel_http import Answer
from storage.objects.vercel_multipart import Upload, VercelMultipart, info_of
from storage.objects.vercel_reading import opened_at, same_version
from storage.together import all_of

PieceBody = TypeVar("PieceBody", bytearray, FileSlice)

AT_ONCE: Final = 4  # parts of a file
STREAM_AT_ONCE: Final = 3  # parts of a stream, which are in memory
LIST_PAGE: Final = 1000
DELETE_AT_ONCE: Final = 1000
STALE_SECONDS: Final = 9.0  # between looks at the CDN, which catches up within a minute


class VercelBlobStore(VercelMultipart):
    """An ObjectStore, Checkable, Signer and Multipart.

    `token` is a BLOB_READ_WRITE_TOKEN; it names the store. `access` is what the store was made
    with, and stays: "private" or "public". `api_url` is for proxies and tests: all connections go
    to its host, also those for downloads; signed URLs for downloads keep the host that Vercel
    delivers from. None is Vercel's own. Raises CredentialsRefused, EndpointWrong and
    StoreMisconfigured for what can't be right.
    """

    def __init__(
        self,
        token: str,
        *,
        api_url: str | None = None,
        access: str = "private",
        retrier: Retrier | None = None,
    ) -> None:
        super().__init__(BlobClient(blob_address(token, api_url, access), retrier or Retrier()))
        self._access = self._client.address.access
        self._reading = Threads("vercel-blob-read", AT_ONCE)
        self._hashing = Threads("vercel-blob-hash", 2)

    async def close(self) -> None:
        await self._client.close()
        self._reading.close()
        self._hashing.close()

    async def check(self) -> None:
        async def any_object() -> ListBlob | None:
            return await anext(query_blobs(page_size=1), None)

        doing = "list the store"
        try:
            found = await self._client.sdk(doing, any_object)
        except ObjectNotFound:  # what the SDK makes of every 404; the API has none for a list
            raise misunderstood(doing) from None
        other = "public" if self._access == "private" else "private"
        if found and f".{other}.{DELIVERY_DOMAIN}/" in found.url:
            raise StoreMisconfigured(f"the Vercel Blob store is {other}, not {self._access}")

    # --- reading ----------------------------------------------------------------------------------

    async def digest(self, key: str) -> str:
        digest = hashlib.sha256()
        async with aclosing(self._read(key, 0, None, fresh=True)) as blocks:
            async for block in blocks:
                digest.update(block)
        return digest.hexdigest()

    async def open(self, key: str, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        async with aclosing(self._read(key, start, end, fresh=False)) as blocks:
            async for block in blocks:
                yield block

    async def _read(
        self, key: str, start: int, end: int | None, *, fresh: bool
    ) -> AsyncGenerator[bytes, None]:
        check_key(key)
        check_range(start, end)
        if start == end:
            await self.head(key)
            return

        async def open_at(position: int, stop: int | None, version: str | None) -> Opened | None:
            return await self._open_at(key, position, stop, version, fresh=fresh)

        async for block in resumed(open_at, start, end, self._client.retrier):
            yield block

    async def _open_at(
        self, key: str, start: int, end: int | None, version: str | None, *, fresh: bool
    ) -> Opened | None:
        """`fresh`: not what the CDN still has of an object that was replaced."""
        current = ""
        if fresh and version is None and self._access == "public":
            current = (await self._head(key)).etag
        found = await opened_at(self._client.http, key, start, end, version)
        if found and current and not same_version(found.version, current):
            await found.body.close()
            raise StoreUnavailable(
                f"Vercel's CDN still gives out an older {key!r}",
                passing=True,
                retry_after=STALE_SECONDS,
            )
        return found

    async def list(self, prefix: str = "") -> AsyncIterator[ObjectEntry]:
        """In the order of the API's pages, which is that of the keys."""
        if not is_key_prefix(prefix):
            return
        query = {"limit": str(LIST_PAGE), "prefix": prefix}
        while True:
            page = await self._client.call("list the store", "GET", "", query)
            for found in page.each("blobs"):
                if entry := _entry(found):
                    yield entry
            if not page.get("hasMore", bool):
                return
            query["cursor"] = page.get("cursor", str)

    # --- writing ----------------------------------------------------------------------------------

    async def put_file(
        self,
        key: str,
        path: Path,
        content_type: str,
        *,
        metadata: Mapping[str, str] | None = None,
        on_progress: OnProgress | None = None,
        sha256: str | None = None,
    ) -> StoredObject:
        check_key(key)
        check_metadata(metadata)
        with opened(path) as source:
            reads = FileReads(source, self._reading)
            try:
                sending = self._put_source(key, reads, content_type, on_progress)
                if sha256 is None:
                    hashing = self._hashing.run_cancellable(source.sha256)
                    sha256, etag = await all_of(hashing, sending)
                    assert sha256 is not None
                else:
                    etag = await sending
            finally:
                await reads.ended()
        if on_progress:
            on_progress(source.size)
        return await self._stored(key, etag, source.size, sha256)

    async def _put_source(
        self, key: str, reads: FileReads, content_type: str, on_progress: OnProgress | None
    ) -> str:
        """The ETag of what was put."""
        size = reads.source.size
        if size < USUAL_PART:
            return await self._put_whole(key, FilePart(reads, 0, size), content_type)

        async def send(upload: Upload, piece: Piece[FileSlice]) -> Part:
            body = FilePart(reads, piece.offset, piece.size)
            return await self._send(key, upload, piece.number, body)

        pieces = pieces_of_file(reads.source)
        return await self._put_parts(key, content_type, pieces, send, AT_ONCE, on_progress)

    async def put_stream(
        self,
        key: str,
        blocks: AsyncIterator[bytes],
        content_type: str,
        *,
        metadata: Mapping[str, str] | None = None,
        on_progress: OnProgress | None = None,
    ) -> StoredObject:
        check_key(key)
        check_metadata(metadata)
        digest, size = hashlib.sha256(), 0

        async def counted() -> AsyncIterator[bytes]:
            nonlocal size
            async for block in blocks:
                if len(block) > BLOCK_BYTES:
                    await self._hashing.run(partial(digest.update, block))
                else:
                    digest.update(block)
                size += len(block)
                yield block

        etag = await self._put_pieces(key, content_type, pieces_of_stream(counted()), on_progress)
        if on_progress:
            on_progress(size)
        return await self._stored(key, etag, size, digest.hexdigest())

    async def _put_pieces(
        self,
        key: str,
        content_type: str,
        pieces: AsyncIterator[Piece[bytearray]],
        on_progress: OnProgress | None,
    ) -> str:
        begun = deque([await anext(pieces)])
        if (second := await anext(pieces, None)) is None:
            return await self._put_whole(key, Bytes(begun[0].body), content_type)
        begun.append(second)
        del second

        async def from_the_first() -> AsyncIterator[Piece[bytearray]]:
            while begun:
                yield begun.popleft()
            async for piece in pieces:
                yield piece

        async def send(upload: Upload, piece: Piece[bytearray]) -> Part:
            return await self._send(key, upload, piece.number, Bytes(piece.body))

        return await self._put_parts(
            key, content_type, from_the_first(), send, STREAM_AT_ONCE, on_progress
        )

    async def _put_whole(self, key: str, body: Body, content_type: str) -> str:
        answer = await self._client.call(
            f"store {key!r}",
            "PUT",
            "/",
            {"pathname": key},
            headers=self._put_headers(content_type),
            body=body,
        )
        return answer.get("etag", str)

    async def _put_parts(
        self,
        key: str,
        content_type: str,
        pieces: AsyncIterator[Piece[PieceBody]],
        send: Callable[[Upload, Piece[PieceBody]], Awaitable[Part]],
        at_once: int,
        on_progress: OnProgress | None,
    ) -> str:
        upload = await self._begin(key, content_type)
        try:
            parts = await send_parts(
                pieces, partial(send, upload), at_once=at_once, on_progress=on_progress
            )
            return await self._complete(key, upload, parts)
        except UploadGone:
            raise StoreUnavailable(
                f"Vercel Blob has forgotten the upload of {key!r} while it ran"
            ) from None

    async def _stored(self, key: str, etag: str, size: int, digest: str) -> StoredObject:
        """What a put returns, once the store says of its own that it has just these bytes."""
        try:
            found = await self._head(key)
        except ObjectNotFound:
            raise StoreUnavailable(
                f"Vercel Blob has no {key!r} though it was just stored"
            ) from None
        if found.size != size and same_version(found.etag, etag):
            # not whole, so it must not be there at all; unless another put replaces it just now
            with suppress(ObjectChanged):
                await self._delete([key], if_match=found.etag)
            raise StoreUnavailable(
                f"Vercel Blob took {found.size} bytes of {key!r}, which has {size}", passing=True
            )
        info = info_of(key, found)
        return StoredObject(key, size, info.modified_at, info.content_type, digest)

    async def copy(self, source: str, target: str) -> ObjectInfo:
        check_key(source)
        check_key(target)
        info = await self.head(source)  # a copy would have neither its type nor its cache control
        if source == target:
            return info
        await self._client.sdk(
            f"copy {source!r}",
            lambda: copy_blob(
                source,
                target,
                access=self._access,
                content_type=info.content_type,
                allow_overwrite=True,
                cache_control_max_age=CACHE_SECONDS,
            ),
        )
        return await self.head(target)

    async def delete(self, key: str) -> None:
        await self.delete_many([key])

    async def delete_many(self, keys: Collection[str]) -> None:
        for key in keys:
            check_key(key)
        every = list(keys)
        for first in range(0, len(every), DELETE_AT_ONCE):
            await self._delete(every[first : first + DELETE_AT_ONCE])

    async def _delete(self, keys: Sequence[str], *, if_match: str | None = None) -> None:
        doing = f"delete {keys[0]!r}" if len(keys) == 1 else f"delete {len(keys)} objects"
        with suppress(ObjectNotFound):
            await self._client.sdk(doing, lambda: delete_blob(keys, if_match=if_match))


def _entry(found: Answer) -> ObjectEntry | None:
    """None for a name that is no key: a folder, or what others put there."""
    key = found.get("pathname", str)
    try:
        check_key(key)
    except BadKey:
        return None
    return ObjectEntry(key, found.get("size", int), found.moment("uploadedAt"))
