"""The XML interface of Google Cloud Storage before the emulator: signatures, forms and parts."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from email.parser import BytesParser
from urllib.parse import unquote
from xml.sax.saxutils import escape

from multidict import CIMultiDict

from tests.rig.gcs_emulator import BUCKET, Emulator, Reply
from tests.rig.gcs_incoming import Incoming, Manners
from tests.rig.gcs_parts import Upload, Uploads, document
from tests.rig.gcs_signatures import Denied, ServiceAccount, check_form, check_request

META = "x-goog-meta-"


class XmlInterface:
    """Whoever reads or writes an object here needs a signature of `account`.

    Beginning, completing and ending uploads is for the store itself, which comes without credentials.
    """

    def __init__(self, emulator: Emulator, account: ServiceAccount, manners: Manners) -> None:
        self.uploads = Uploads()
        self._emulator = emulator
        self._account = account
        self._manners = manners

    async def answer(self, incoming: Incoming) -> Reply:
        try:
            return await self._answer(incoming)
        except Denied as denied:
            return _error(denied)

    async def _answer(self, incoming: Incoming) -> Reply:
        bucket, _, name = incoming.path.removeprefix("/").partition("/")
        key = unquote(name)
        if bucket != BUCKET:
            raise Denied(404, "NoSuchBucket")
        signed = "X-Goog-Signature" in incoming.query
        if signed:
            headers = list(incoming.headers.items())
            check_request(self._account, incoming.method, incoming.target, headers, self._now())
        match incoming.method, set(incoming.query) & {"uploads", "uploadId", "partNumber"}, signed:
            case "GET", found, False if found == {"uploads"}:
                return self._list(incoming.query)
            case "POST", found, False if found == {"uploads"}:
                return self._begin(key, incoming.headers)
            case "POST", found, False if found == {"uploadId"}:
                return await self._complete(key, incoming)
            case "GET", found, False if found == {"uploadId"}:
                return self._parts(key, incoming.query)
            case "DELETE", found, False if found == {"uploadId"}:
                self.uploads.end(key, incoming.query["uploadId"])
                return Reply(204)
            case "PUT", found, True if found == {"uploadId", "partNumber"}:
                upload = self.uploads.find(key, incoming.query["uploadId"])
                etag = upload.put(int(incoming.query["partNumber"]), incoming.body)
                return Reply(200, CIMultiDict(ETag=etag))
            case "PUT", found, True if not found:
                return await self._put(key, incoming)
            case "GET", found, True if not found:
                return await self._get(key, incoming)
            case "POST", found, False if not found and not key:
                return await self._post(incoming)
        raise Denied(403, "AccessDenied", "Access denied.")

    def _now(self) -> datetime:
        return datetime.now(UTC) + self._manners.ahead

    async def _put(self, key: str, incoming: Incoming) -> Reply:
        allowed = incoming.headers.get("x-goog-content-length-range")
        if allowed is not None:
            smallest, _, largest = allowed.partition(",")
            if len(incoming.body) < int(smallest):
                raise Denied(400, "EntityTooSmall")
            if len(incoming.body) > int(largest):
                raise Denied(400, "EntityTooLarge")
        content_type = incoming.headers.get("Content-Type", "application/octet-stream")
        await self._emulator.store(key, content_type, _metadata(incoming.headers), incoming.body)
        return Reply(200)

    async def _get(self, key: str, incoming: Incoming) -> Reply:
        if await self._emulator.resource(key) is None:
            raise Denied(404, "NoSuchKey")
        reply = await self._emulator.ask("GET", incoming.target, incoming.headers)
        if content_type := incoming.query.get("response-content-type"):
            reply.headers["Content-Type"] = content_type
        return reply

    async def _post(self, incoming: Incoming) -> Reply:
        fields, content = _form(incoming)
        check_form(self._account, BUCKET, fields, len(content), self._now())
        content_type = fields.get("Content-Type", "application/octet-stream")
        await self._emulator.store(fields["key"], content_type, _metadata(fields), content)
        return Reply(204)

    def _begin(self, key: str, headers: Mapping[str, str]) -> Reply:
        content_type = headers.get("Content-Type", "application/octet-stream")
        upload_id = self.uploads.begin(Upload(key, content_type, _metadata(headers)))
        content = f"<Key>{escape(key)}</Key><UploadId>{upload_id}</UploadId>"
        return _document("InitiateMultipartUploadResult", content)

    async def _complete(self, key: str, incoming: Incoming) -> Reply:
        upload_id = incoming.query["uploadId"]
        upload = self.uploads.find(key, upload_id)
        content = upload.joined(incoming.body)
        await self._emulator.store(key, upload.content_type, upload.metadata, content)
        self.uploads.end(key, upload_id)
        return _document("CompleteMultipartUploadResult", f"<Key>{escape(key)}</Key>")

    def _parts(self, key: str, query: Mapping[str, str]) -> Reply:
        upload = self.uploads.find(key, query["uploadId"])
        page = upload.listed(int(query.get("part-number-marker", "0")), self._manners.page)
        return Reply.of(200, page, "application/xml")

    def _list(self, query: Mapping[str, str]) -> Reply:
        after = (query.get("key-marker", ""), query.get("upload-id-marker", ""))
        page = self.uploads.listed(query.get("prefix", ""), after, self._manners.page)
        return Reply.of(200, page, "application/xml")


def _form(incoming: Incoming) -> tuple[dict[str, str], bytes]:
    """Fields and the file of multipart/form-data (RFC 7578)."""
    head = f"Content-Type: {incoming.headers.get('Content-Type', '')}\r\n\r\n"
    fields: dict[str, str] = {}
    for part in BytesParser().parsebytes(head.encode() + incoming.body).walk():
        name = part.get_param("name", header="content-disposition")
        content = part.get_payload(decode=True)
        if not isinstance(name, str) or not isinstance(content, bytes):
            continue
        if name == "file":  # what follows it does not count
            return fields, content
        fields[name] = content.decode()
    raise Denied(400, "InvalidArgument", "no file")


def _metadata(headers: Mapping[str, str]) -> dict[str, str]:
    return {
        name.lower().removeprefix(META): value
        for name, value in CIMultiDict(headers).items()
        if name.lower().startswith(META)
    }


def _document(name: str, content: str) -> Reply:
    return Reply.of(200, document(name, content), "application/xml")


def _error(denied: Denied) -> Reply:
    content = f"<Code>{denied.code}</Code><Message>{escape(denied.message)}</Message>"
    text = f"<?xml version='1.0' encoding='UTF-8'?><Error>{content}</Error>"
    return Reply.of(denied.status, text, "application/xml")
