"""Multipart uploads of Vercel Blob's API (`POST /mpu`), which the SDK sends one part after another.

There is no call that aborts an upload or lists unfinished ones, neither in the SDKs nor in the
documentation: parts of an upload that is given up stay, unseen, with Vercel.
"""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import astuple, dataclass
from datetime import timedelta
from mimetypes import MimeTypes
from typing import Final
from urllib.parse import quote

from vercel.blob import HeadResult, head_blob

from storage.errors import BadParts, ObjectNotFound, StoreUnavailable, UploadGone
from storage.objects.keys import check_key, check_metadata
from storage.objects.signing import Part, SignedRequest, UnfinishedUpload
from storage.objects.store import ObjectInfo
from storage.objects.vercel_bodies import Body
from storage.objects.vercel_client import CACHE_SECONDS
from storage.objects.vercel_http import Answer
from storage.objects.vercel_signing import VercelSigning

CLOCKS_APART: Final = 5.0  # seconds that two of the store's machines may differ


@dataclass(frozen=True, slots=True)
class Upload:
    """What the ids of uploads say, because the API wants it said again at each call.

    `key` is the API's own name of the object; `begun` is unix time by the store's clock.
    """

    upload_id: str
    key: str
    content_type: str
    begun: float

    def encoded(self) -> str:
        return base64.urlsafe_b64encode(json.dumps(astuple(self)).encode()).decode()

    @classmethod
    def decoded(cls, text: str) -> Upload:
        """Raises UploadGone for what no upload was ever called."""
        try:
            upload_id, key, content_type, begun = json.loads(base64.urlsafe_b64decode(text))
            return cls(str(upload_id), str(key), str(content_type), float(begun))
        except (ValueError, TypeError):
            raise UploadGone("there is no such upload") from None

    def made(self, found: HeadResult, parts: Sequence[Part]) -> bool:
        """Is it this upload's object? By time and size: how ETags are made is Vercel's secret."""
        since = found.uploaded_at.timestamp() - self.begun
        sizes = [part.size for part in parts]
        return since >= -CLOCKS_APART and (0 in sizes or sum(sizes) == found.size)


class VercelMultipart(VercelSigning):
    """A Multipart. Differs from other stores in what the API lacks.

    The answer to a part has its ETag in a JSON body (`{"etag": ...}`), not in a header. A part's
    URL is a permission to put the object: not only this part, and not only in parts. `abort` does
    nothing, `unfinished` finds nothing, and nobody tells which parts there are (no PartLister).
    """

    async def head(self, key: str) -> ObjectInfo:
        check_key(key)
        return info_of(key, await self._head(key))

    async def begin(
        self, key: str, content_type: str, metadata: Mapping[str, str] | None = None
    ) -> str:
        check_key(key)
        check_metadata(metadata)
        return (await self._begin(key, content_type)).encoded()

    async def sign_part(
        self,
        key: str,
        upload_id: str,
        number: int,
        life: timedelta,
        size: int | None = None,  # noqa: ARG002 can't be bound
    ) -> SignedRequest:
        check_key(key)
        upload = Upload.decoded(upload_id)
        query, expires_at = await self._signed("put", key, life, {}, {})
        url = self._client.address.api("/mpu", {"pathname": key, **query})
        headers = self._headers(_part_headers(upload, number))
        return SignedRequest("POST", url, expires_at, headers)

    async def complete(self, key: str, upload_id: str, parts: Sequence[Part]) -> ObjectInfo:
        check_key(key)
        await self._complete(key, Upload.decoded(upload_id), parts)
        return await self.head(key)

    async def abort(self, key: str, upload_id: str) -> None:  # noqa: ARG002 the API can't
        check_key(key)

    async def unfinished(self, prefix: str = "") -> AsyncIterator[UnfinishedUpload]:  # noqa: ARG002
        nothing: tuple[UnfinishedUpload, ...] = ()
        for upload in nothing:
            yield upload

    # --- the calls --------------------------------------------------------------------------------

    async def _head(self, key: str) -> HeadResult:
        return await self._client.sdk(f"look at {key!r}", lambda: head_blob(key))

    async def _begin(self, key: str, content_type: str) -> Upload:
        headers = {**self._put_headers(content_type), "x-mpu-action": "create"}
        answer = await self._ask(f"begin an upload of {key!r}", key, headers)
        return Upload(answer.get("uploadId", str), answer.get("key", str), content_type, answer.at)

    async def _send(self, key: str, upload: Upload, number: int, body: Body) -> Part:
        headers = {**self._put_headers(upload.content_type), **_part_headers(upload, number)}
        answer = await self._ask(f"store part {number} of {key!r}", key, headers, body=body)
        return Part(number, answer.get("etag", str), body.size)

    async def _complete(self, key: str, upload: Upload, parts: Sequence[Part]) -> str:
        """The ETag of the object. It is made once, and found when that answer was lost."""
        headers = {
            **self._put_headers(upload.content_type),
            **_upload_headers(upload),
            "x-mpu-action": "complete",
        }
        ordered = sorted(parts, key=lambda part: part.number)
        listed = [{"partNumber": part.number, "etag": part.etag} for part in ordered]
        try:
            answer = await self._ask(f"complete {key!r}", key, headers, fields=listed)
        except UploadGone as gone:
            try:
                found = await self._head(key)
            except ObjectNotFound:
                raise gone from None
            if not upload.made(found, parts):
                raise
            return found.etag
        except StoreUnavailable as error:
            # the API has no word of its own for it: it answers "bad_request"
            if type(error) is StoreUnavailable and not error.passing:
                raise BadParts(f"{error}: see that all parts are named with their ETags") from None
            raise
        return answer.get("etag", str)

    async def _ask(
        self,
        doing: str,
        key: str,
        headers: Mapping[str, str],
        *,
        body: Body | None = None,
        fields: object = None,
    ) -> Answer:
        try:
            return await self._client.call(
                doing, "POST", "/mpu", {"pathname": key}, headers=headers, body=body, fields=fields
            )
        except ObjectNotFound:
            raise UploadGone(f"Vercel Blob knows no such upload of {key!r}") from None

    def _put_headers(self, content_type: str) -> dict[str, str]:
        return {
            "x-vercel-blob-access": self._client.address.access,
            "x-content-type": content_type,
            "x-allow-overwrite": "1",
            "x-add-random-suffix": "0",
            "x-cache-control-max-age": str(CACHE_SECONDS),
        }


def info_of(key: str, found: HeadResult) -> ObjectInfo:
    guess = MimeTypes().guess_type(key)[0] or "application/octet-stream"
    return ObjectInfo(key, found.size, found.uploaded_at, found.content_type or guess)


def _upload_headers(upload: Upload) -> dict[str, str]:
    return {"x-mpu-upload-id": upload.upload_id, "x-mpu-key": quote(upload.key, safe="")}


def _part_headers(upload: Upload, number: int) -> dict[str, str]:
    return {
        **_upload_headers(upload),
        "x-mpu-action": "upload",
        "x-mpu-part-number": str(number),
    }
