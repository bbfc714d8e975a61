"""Objects in an S3 bucket: Amazon's, Backblaze's, or that of any store with the same interface.

Large objects go in parts, each read from the file while it is sent and repeated by itself. How the
bucket is reached is in `storage.objects.s3_bucket`, what it answers in `storage.objects.s3_errors`.

Backblaze B2 has manners of its own: its buckets keep every version of an object, so deleting means
deleting versions; and it takes no uploads from forms.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from os.path import commonprefix
from pathlib import Path
from typing import Any, Final

from storage.errors import BadRange, EndpointWrong, StoreUnavailable
from storage.objects.keys import check_key, check_metadata, is_key_prefix
from storage.objects.part_sizes import MEBIBYTE, USUAL_PART, part_size
from storage.objects.parts import Piece, pieces_of_file, pieces_of_stream, send_parts
from storage.objects.ranges import BLOCK_BYTES, check_range
from storage.objects.reading import Opened, range_header, resumed, stop_of
from storage.objects.s3_bucket import Bucket
from storage.objects.s3_multipart import S3Multipart, utc
from storage.objects.s3_signing import S3FormSigning
from storage.objects.signing import Part
from storage.objects.sources import FileSlice, SourceFile, opened
from storage.objects.store import ObjectEntry, ObjectInfo, OnProgress, StoredObject
from storage.together import all_of

AT_ONCE: Final = 4  # parts of a file
STREAM_AT_ONCE: Final = 3  # parts of a stream, which are in memory
DELETE_AT_ONCE: Final = 1000  # objects of one DeleteObjects
LARGEST_COPY: Final = 5 << 30  # bytes of one CopyObject
COPY_PART: Final = 512 * MEBIBYTE


class S3Objects(S3Multipart):
    """An ObjectStore, Checkable, Signer and Multipart."""

    async def close(self) -> None:
        self._bucket.close()

    async def check(self) -> None:
        # not HeadBucket: its refusals have no body that says why
        await self._page(MaxKeys=1)

    async def _page(self, **asked: Any) -> Mapping[str, Any]:
        answer = await self._bucket.ask("list_objects_v2", "list the bucket", **asked)
        if "Name" not in answer:  # a page in HTML can be read as an empty list
            raise EndpointWrong(f"{self._bucket.place}: what answers is not S3")
        return answer

    async def digest(self, key: str) -> str:
        digest = hashlib.sha256()
        async for block in self.open(key):
            digest.update(block)
        return digest.hexdigest()

    async def open(self, key: str, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        check_key(key)
        check_range(start, end)
        if start == end:
            await self.head(key)
            return

        async def open_at(position: int, stop: int | None, version: str | None) -> Opened | None:
            return await self._open_at(key, position, stop, version)

        async for block in resumed(open_at, start, end, self._bucket.retrier):
            yield block

    async def _open_at(
        self, key: str, start: int, end: int | None, version: str | None
    ) -> Opened | None:
        insisting: dict[str, Any] = {"IfMatch": version} if version else {}
        try:
            answer = await self._bucket.once(
                "get_object",
                f"read {key!r}",
                key,
                Key=key,
                Range=range_header(start, end),
                **insisting,
            )
        except BadRange:  # past the end
            return None
        body = _Answer(self._bucket, answer["Body"], f"read {key!r}")
        try:
            if "ETag" not in answer:
                raise EndpointWrong(f"{self._bucket.place}: what answers is not S3")
            return Opened(body, answer["ETag"], stop_of(answer.get("ContentRange"), start, end))
        except StoreUnavailable:
            await body.close()
            raise

    async def list(self, prefix: str = "") -> AsyncIterator[ObjectEntry]:
        if not is_key_prefix(prefix):
            return
        more: dict[str, Any] = {}
        while True:
            answer = await self._page(Prefix=prefix, **more)
            for found in answer.get("Contents", ()):
                yield ObjectEntry(found["Key"], found["Size"], utc(found["LastModified"]))
            if not answer.get("IsTruncated"):
                return
            more = {"ContinuationToken": answer["NextContinuationToken"]}

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
        pairs = check_metadata(metadata)
        with opened(path) as source:
            sending = self._put_source(key, source, content_type, pairs, on_progress)
            if sha256 is None:
                hashing = self._bucket.threads.run_cancellable(source.sha256)
                sha256, _ = await all_of(hashing, sending)
                assert sha256 is not None
            else:
                await sending
            return await self._stored(key, source.size, sha256)

    async def _put_source(
        self,
        key: str,
        source: SourceFile,
        content_type: str,
        metadata: Mapping[str, str],
        on_progress: OnProgress | None,
    ) -> None:
        if source.size <= USUAL_PART:
            body = source.slice(0, source.size)
            await self._put_whole(key, body, content_type, metadata)
        else:
            async with self._uploading(key, content_type, metadata) as upload_id:
                parts = await send_parts(
                    pieces_of_file(source),
                    lambda piece: self._send_part(key, upload_id, piece),
                    at_once=AT_ONCE,
                    on_progress=on_progress,
                )
                await self.complete(key, upload_id, parts)
        if on_progress:
            on_progress(source.size)

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
        pairs = check_metadata(metadata)
        digest, size = hashlib.sha256(), 0

        async def counted() -> AsyncIterator[bytes]:
            nonlocal size
            async for block in blocks:
                digest.update(block)
                size += len(block)
                yield block

        parts = pieces_of_stream(counted())
        begun = deque([await anext(parts)])
        if (second := await anext(parts, None)) is not None:
            begun.append(second)
            del second  # held until it is sent, not until the end
        if len(begun) == 1:
            await self._put_whole(key, begun[0].body, content_type, pairs)
        else:
            async with self._uploading(key, content_type, pairs) as upload_id:
                sent = await send_parts(
                    _chained(begun, parts),
                    lambda piece: self._send_part(key, upload_id, piece),
                    at_once=STREAM_AT_ONCE,
                    on_progress=on_progress,
                )
                await self.complete(key, upload_id, sent)
        if on_progress:
            on_progress(size)
        return await self._stored(key, size, digest.hexdigest())

    async def copy(self, source: str, target: str) -> ObjectInfo:
        check_key(source)
        check_key(target)
        info = await self.head(source)
        if source == target:
            return info
        origin = {"Bucket": self._bucket.name, "Key": source}
        if info.size <= LARGEST_COPY:
            await self._bucket.ask(
                "copy_object", f"copy {source!r}", source, Key=target, CopySource=origin
            )
        else:
            await self._copy_in_parts(info, target, origin)
        return await self.head(target)

    async def delete(self, key: str) -> None:
        check_key(key)
        await self._bucket.ask("delete_object", f"delete {key!r}", Key=key)

    async def delete_many(self, keys: Collection[str]) -> None:
        for key in keys:
            check_key(key)
        await self._delete_objects([{"Key": key} for key in keys])

    async def _put_whole(
        self, key: str, body: bytearray | FileSlice, content_type: str, metadata: Mapping[str, str]
    ) -> None:
        await self._bucket.ask(
            "put_object",
            f"store {key!r}",
            Key=key,
            Body=body,
            ContentLength=len(body),
            ContentType=content_type,
            Metadata=metadata,
        )

    async def _send_part(
        self, key: str, upload_id: str, piece: Piece[bytearray] | Piece[FileSlice]
    ) -> Part:
        answer = await self._bucket.ask(
            "upload_part",
            f"store part {piece.number} of {key!r}",
            key,
            Key=key,
            UploadId=upload_id,
            PartNumber=piece.number,
            Body=piece.body,
            ContentLength=piece.size,
        )
        return Part(piece.number, answer["ETag"], piece.size)

    async def _stored(self, key: str, size: int, digest: str) -> StoredObject:
        info = await self.head(key)
        if info.size != size:
            raise StoreUnavailable(
                f"{self._bucket.place} has {info.size} bytes of {key!r}, which was {size}",
                passing=True,
            )
        return StoredObject(
            key, size, info.modified_at, info.content_type, digest, metadata=info.metadata
        )

    async def _copy_in_parts(
        self, info: ObjectInfo, target: str, origin: Mapping[str, str]
    ) -> None:
        async def send(piece: Piece[None], upload_id: str) -> Part:
            answer = await self._bucket.ask(
                "upload_part_copy",
                f"copy {info.key!r}",
                info.key,
                Key=target,
                UploadId=upload_id,
                PartNumber=piece.number,
                CopySource=origin,
                CopySourceRange=range_header(piece.offset, piece.offset + piece.size),
            )
            return Part(piece.number, answer["CopyPartResult"]["ETag"], piece.size)

        async with self._uploading(target, info.content_type, info.metadata) as upload_id:
            parts = await send_parts(
                _pieces_to_copy(info.size), lambda piece: send(piece, upload_id), at_once=AT_ONCE
            )
            await self.complete(target, upload_id, parts)

    async def _delete_objects(self, objects: Sequence[Mapping[str, str]]) -> None:
        for first in range(0, len(objects), DELETE_AT_ONCE):
            batch = objects[first : first + DELETE_AT_ONCE]
            answer = await self._bucket.ask(
                "delete_objects",
                f"delete {len(batch)} objects",
                Delete={"Objects": batch, "Quiet": True},
            )
            if failed := answer.get("Errors"):
                raise StoreUnavailable(
                    f"{self._bucket.place} could not delete {len(failed)} of {len(batch)} objects:"
                    f" it answered {failed[0].get('Code')}"
                )


class S3Store(S3Objects, S3FormSigning):
    """A bucket with the manners of Amazon S3: also a FormSigner."""


class B2Store(S3Objects):
    """A bucket with the manners of Backblaze B2."""

    async def delete(self, key: str) -> None:
        await self.delete_many([key])

    async def delete_many(self, keys: Collection[str]) -> None:
        for key in keys:
            check_key(key)
        # a recording's objects are in one folder: one listing finds the versions of all
        folders: dict[str, set[str]] = {}
        for key in keys:
            folders.setdefault(key.rpartition("/")[0], set()).add(key)
        found = []
        for wanted in folders.values():
            found += await self._versions(commonprefix(sorted(wanted)), wanted)  # noqa: RUF071
        await self._delete_objects(found)

    async def _versions(self, prefix: str, keys: Collection[str]) -> list[dict[str, str]]:
        """Every version and delete marker of the objects `keys`, which all begin with `prefix`."""
        found = []
        more: dict[str, Any] = {}
        last = max(keys)
        while True:
            answer = await self._bucket.ask(
                "list_object_versions", "list versions", Prefix=prefix, **more
            )
            for entry in (*answer.get("Versions", ()), *answer.get("DeleteMarkers", ())):
                if entry["Key"] in keys:
                    found.append({"Key": entry["Key"], "VersionId": entry["VersionId"]})
            if not answer.get("IsTruncated") or answer.get("NextKeyMarker", "") > last:
                return found
            more = {
                "KeyMarker": answer["NextKeyMarker"],
                "VersionIdMarker": answer["NextVersionIdMarker"],
            }


class _Answer:
    """The body of an answer."""

    def __init__(self, bucket: Bucket, body: Any, doing: str) -> None:
        self._bucket = bucket
        self._body = body
        self._doing = doing

    async def read(self) -> bytes:
        return await self._bucket.run(lambda _: bytes(self._body.read(BLOCK_BYTES)), self._doing)

    async def close(self) -> None:
        await self._bucket.run(lambda _: self._body.close(), self._doing)


async def _chained(
    first: deque[Piece[bytearray]], rest: AsyncIterator[Piece[bytearray]]
) -> AsyncIterator[Piece[bytearray]]:
    while first:
        yield first.popleft()
    async for piece in rest:
        yield piece


async def _pieces_to_copy(size: int) -> AsyncIterator[Piece[None]]:
    """Ranges of an object that the store copies by itself; nothing of them comes here."""
    part = part_size(size, COPY_PART)
    for number, offset in enumerate(range(0, size, part), start=1):
        yield Piece(number, offset, min(part, size - offset), None)
