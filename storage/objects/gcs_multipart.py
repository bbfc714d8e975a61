"""Objects in parts over Google's XML interface, for clients that send the parts themselves.

Source: "XML API multipart uploads" in the documentation of Cloud Storage.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from typing import Final
from xml.etree import ElementTree
from xml.sax.saxutils import escape

import requests

from storage.errors import EndpointWrong, ObjectNotFound, UploadGone
from storage.objects.gcs_bucket import Call
from storage.objects.gcs_errors import refusal_of, refused
from storage.objects.gcs_resources import NOT_GOOGLE, info_of, resource_of, understood
from storage.objects.gcs_signing import GcsSigning
from storage.objects.keys import check_key, check_metadata, is_key_prefix
from storage.objects.signing import Part, SignedRequest, UnfinishedUpload
from storage.objects.store import ObjectInfo

COMPLETE_SECONDS: Final = 600.0  # it "can take several minutes"


class GcsMultipart(GcsSigning):
    """A Multipart of a bucket."""

    async def head(self, key: str) -> ObjectInfo:
        check_key(key)
        answer = await self._bucket.ask(
            Call("GET", self._bucket.object_url(key), f"look at {key!r}", key)
        )
        return info_of(resource_of(answer))

    async def begin(
        self, key: str, content_type: str, metadata: Mapping[str, str] | None = None
    ) -> str:
        check_key(key)
        pairs = check_metadata(metadata)
        # not idempotent: an upload whose answer was lost would be kept, and paid for
        answer = await self._bucket.ask(
            Call(
                "POST",
                self._bucket.xml_url(key),
                f"begin an upload of {key!r}",
                query={"uploads": ""},
                headers={
                    "Content-Type": content_type,
                    **{f"x-goog-meta-{name}": value for name, value in pairs.items()},
                },
            ),
            idempotent=False,
        )
        return _text(_parsed(answer), "UploadId")

    async def sign_part(
        self,
        key: str,
        upload_id: str,
        number: int,
        life: timedelta,
        size: int | None = None,  # noqa: ARG002 can't be bound
    ) -> SignedRequest:
        query = {"partNumber": str(number), "uploadId": upload_id}
        return await self._sign("PUT", key, life, query=query)

    async def parts(self, key: str, upload_id: str) -> tuple[Part, ...]:
        check_key(key)
        query = {"uploadId": upload_id}
        found: list[Part] = []
        while True:
            call = Call(
                "GET", self._bucket.xml_url(key), f"list parts of {key!r}", key, query=query
            )
            try:
                page = _parsed(await self._bucket.ask(call))
            except ObjectNotFound as error:
                raise UploadGone(f"there is no such upload of {key!r}") from error
            found += [_part(each) for each in page.iterfind("{*}Part")]
            if page.findtext("{*}IsTruncated") != "true":
                return tuple(sorted(found, key=lambda part: part.number))
            query |= {"part-number-marker": _text(page, "NextPartNumberMarker")}

    async def complete(self, key: str, upload_id: str, parts: Sequence[Part]) -> ObjectInfo:
        check_key(key)
        ordered = sorted(parts, key=lambda part: part.number)
        try:
            await self._bucket.retrier(partial(self._complete, key, upload_id, ordered))
        except UploadGone:
            found = await self._made_of(key, ordered)
            if found is None:
                raise
            return found
        return await self.head(key)

    async def _complete(self, key: str, upload_id: str, parts: Sequence[Part]) -> None:
        listed = "".join(
            f"<Part><PartNumber>{part.number}</PartNumber><ETag>{escape(part.etag)}</ETag></Part>"
            for part in parts
        )
        call = Call(
            "POST",
            self._bucket.xml_url(key),
            f"complete {key!r}",
            key,
            query={"uploadId": upload_id},
            headers={"Content-Type": "application/xml"},
            body=f"<CompleteMultipartUpload>{listed}</CompleteMultipartUpload>".encode(),
            idle=COMPLETE_SECONDS,
        )
        answer = await self._bucket.once(call)
        # it says 200 before it begins, so that nobody gives up waiting
        if _parsed(answer).tag.endswith("Error"):
            said = refusal_of(answer.status_code, answer.headers, answer.content)
            raise refused(self._bucket.place, call.doing, key, said)

    async def _made_of(self, key: str, parts: Sequence[Part]) -> ObjectInfo | None:
        """The object, if it can be of these parts: then an earlier answer was lost on the way.

        The parts' ETags tell nothing of the object's, so this is by the size alone.
        """
        if not all(part.size for part in parts):
            return None
        try:
            found = await self.head(key)
        except ObjectNotFound:
            return None
        return found if found.size == sum(part.size for part in parts) else None

    async def abort(self, key: str, upload_id: str) -> None:
        check_key(key)
        with suppress(UploadGone):
            await self._bucket.ask(
                Call(
                    "DELETE",
                    self._bucket.xml_url(key),
                    f"abort {key!r}",
                    key,
                    query={"uploadId": upload_id},
                )
            )

    async def unfinished(self, prefix: str = "") -> AsyncIterator[UnfinishedUpload]:
        if not is_key_prefix(prefix):
            return
        query = {"uploads": "", "prefix": prefix}
        while True:
            answer = await self._bucket.ask(
                Call("GET", self._bucket.xml_url(), "list unfinished uploads", query=query)
            )
            page = _parsed(answer)
            for found in page.iterfind("{*}Upload"):
                yield _unfinished(found)
            if page.findtext("{*}IsTruncated") != "true":
                return
            query |= {
                "key-marker": _text(page, "NextKeyMarker"),
                "upload-id-marker": _text(page, "NextUploadIdMarker"),
            }


def _unfinished(found: ElementTree.Element) -> UnfinishedUpload:
    with understood():
        begun_at = datetime.fromisoformat(_text(found, "Initiated"))
    return UnfinishedUpload(_text(found, "Key"), _text(found, "UploadId"), begun_at)


def _part(found: ElementTree.Element) -> Part:
    with understood():
        number, size = int(_text(found, "PartNumber")), int(_text(found, "Size"))
    return Part(number, _text(found, "ETag"), size)


def _parsed(answer: requests.Response) -> ElementTree.Element:
    with understood():
        # expat itself refuses entities that grow beyond all bounds (since 2.4.1)
        return ElementTree.fromstring(answer.content)  # noqa: S314


def _text(element: ElementTree.Element, name: str) -> str:
    found = element.findtext(f"{{*}}{name}")
    if not found:
        raise EndpointWrong(NOT_GOOGLE)
    return found
