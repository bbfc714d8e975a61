"""Objects in parts over the S3 interface: for clients that send them, and for our own puts."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any

from storage.errors import (
    BadParts,
    EndpointWrong,
    ObjectNotFound,
    StorageError,
    StoreUnavailable,
    UploadGone,
)
from storage.objects.keys import check_key, check_metadata, is_key_prefix
from storage.objects.s3_signing import S3Signing
from storage.objects.signing import Part, SignedRequest, UnfinishedUpload
from storage.objects.store import ObjectInfo


class S3Multipart(S3Signing):
    """A Multipart of a bucket."""

    async def head(self, key: str) -> ObjectInfo:
        check_key(key)
        return _info(key, await self._head(key))

    async def begin(
        self, key: str, content_type: str, metadata: Mapping[str, str] | None = None
    ) -> str:
        check_key(key)
        # not idempotent: an upload whose answer was lost would be kept, and paid for
        answer = await self._bucket.ask(
            "create_multipart_upload",
            f"begin an upload of {key!r}",
            idempotent=False,
            Key=key,
            ContentType=content_type,
            Metadata=check_metadata(metadata),
        )
        return str(answer["UploadId"])

    async def sign_part(
        self, key: str, upload_id: str, number: int, life: timedelta, size: int | None = None
    ) -> SignedRequest:
        check_key(key)
        asked: dict[str, Any] = {"Key": key, "UploadId": upload_id, "PartNumber": number}
        headers = {}
        if size is not None:
            headers["Content-Length"] = str(size)
            asked["ContentLength"] = size
        return await self._sign("upload_part", "PUT", life, headers, **asked)

    async def parts(self, key: str, upload_id: str) -> tuple[Part, ...]:
        check_key(key)
        found: list[Part] = []
        more: dict[str, Any] = {}
        while True:
            answer = await self._listed(key, upload_id, **more)
            found += [
                Part(part["PartNumber"], part["ETag"], part["Size"])
                for part in answer.get("Parts", ())
            ]
            if not answer.get("IsTruncated"):
                return tuple(sorted(found, key=lambda part: part.number))
            more = {"PartNumberMarker": answer["NextPartNumberMarker"]}

    async def complete(self, key: str, upload_id: str, parts: Sequence[Part]) -> ObjectInfo:
        """Raises BadParts, too, when the parts make no object."""
        check_key(key)
        ordered = sorted(parts, key=lambda part: part.number)
        listed = [{"PartNumber": part.number, "ETag": part.etag} for part in ordered]
        try:
            await self._bucket.ask(
                "complete_multipart_upload",
                f"complete {key!r}",
                key,
                Key=key,
                UploadId=upload_id,
                MultipartUpload={"Parts": listed},
            )
        except (UploadGone, BadParts, StoreUnavailable):
            if not await self._holds(key, ordered):
                await self._listed(key, upload_id)
                raise
        return await self.head(key)

    async def _listed(self, key: str, upload_id: str, **more: Any) -> Mapping[str, Any]:
        """A page of parts. Raises UploadGone for an upload that is over; some stores say "internal
        error" when one is completed."""
        try:
            return await self._bucket.ask(
                "list_parts",
                f"look at an upload of {key!r}",
                key,
                Key=key,
                UploadId=upload_id,
                **more,
            )
        except ObjectNotFound as error:
            raise UploadGone(f"there is no such upload of {key!r}") from error

    async def _holds(self, key: str, parts: Sequence[Part]) -> bool:
        """Is the object made of just these parts? Then an earlier answer was lost on the way."""
        try:
            answer = await self._head(key)
            digests = b"".join(bytes.fromhex(part.etag.strip('"')) for part in parts)
        except (
            ObjectNotFound,
            StoreUnavailable,
            ValueError,
        ):  # ETags that are no MD5, as with keys from KMS
            return False
        made = hashlib.md5(digests, usedforsecurity=False).hexdigest()
        return bool(answer["ETag"].strip('"') == f"{made}-{len(parts)}")

    async def abort(self, key: str, upload_id: str) -> None:
        check_key(key)
        with suppress(UploadGone):
            await self._bucket.ask(
                "abort_multipart_upload", f"abort {key!r}", key, Key=key, UploadId=upload_id
            )

    async def unfinished(self, prefix: str = "") -> AsyncIterator[UnfinishedUpload]:
        if not is_key_prefix(prefix):
            return
        more: dict[str, Any] = {}
        while True:
            answer = await self._bucket.ask(
                "list_multipart_uploads", "list unfinished uploads", Prefix=prefix, **more
            )
            for found in answer.get("Uploads", ()):
                yield UnfinishedUpload(found["Key"], found["UploadId"], utc(found["Initiated"]))
            if not answer.get("IsTruncated"):
                return
            more = {
                "KeyMarker": answer["NextKeyMarker"],
                "UploadIdMarker": answer["NextUploadIdMarker"],
            }

    @asynccontextmanager
    async def _uploading(
        self, key: str, content_type: str, metadata: Mapping[str, str]
    ) -> AsyncIterator[str]:
        """The id of an upload that is aborted when the block fails or is cancelled."""
        beginning = asyncio.ensure_future(self.begin(key, content_type, metadata))
        try:
            # shielded: an upload that began while we were cancelled has to be aborted too
            yield await asyncio.shield(beginning)
        except BaseException:
            with suppress(StorageError):  # then it is found by `unfinished`
                await self.abort(key, await beginning)
            raise

    async def _head(self, key: str) -> Mapping[str, Any]:
        answer = await self._bucket.ask("head_object", f"look at {key!r}", key, Key=key)
        if "LastModified" not in answer:
            raise EndpointWrong(f"{self._bucket.place}: what answers is not S3")
        return answer


def _info(key: str, answer: Mapping[str, Any]) -> ObjectInfo:
    return ObjectInfo(
        key,
        answer["ContentLength"],
        utc(answer["LastModified"]),
        answer.get("ContentType", ""),
        metadata=answer.get("Metadata", {}),
    )


def utc(moment: datetime) -> datetime:
    """boto3's times know their zone, but it is a class of dateutil's."""
    return moment.astimezone(UTC)
