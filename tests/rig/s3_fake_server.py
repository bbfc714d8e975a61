"""The server of `tests.rig.s3_fake`: S3 that counts bytes instead of keeping them.

It holds clients to the limits of Amazon S3 ("Multipart upload limits" and "Error responses" in its
reference) and takes bytes as fast as loopback brings them. It checks no signatures: rights are
tested with radosgw. Objects read as zeros. Paths below `/-/` are for the tests: the state, and
which error to answer with.

Run as `python -m tests.rig.s3_fake_server`: the first line of output is its port.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import secrets
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, unquote
from xml.sax.saxutils import escape

from tests.rig.s3_fake_contents import (
    BUCKET,
    ERRORS,
    LARGEST_COPY,
    LARGEST_PUT,
    MAX_KEY_BYTES,
    REGION,
    Contents,
    Kept,
    Refused,
    Upload,
    require,
)

BLOCK = 1 << 20


def text_of(element: ET.Element, name: str) -> str:
    """The text of the first child of this name, whatever its namespace."""
    return next((child.text or "" for child in element if child.tag.endswith(name)), "")


def children_of(body: bytes, name: str) -> Iterator[ET.Element]:
    try:
        root = ET.fromstring(body)
    except ET.ParseError:
        raise Refused("MalformedXML") from None
    return (element for element in root if element.tag.endswith(name))


class Handler(BaseHTTPRequestHandler):
    """One connection. Each operation is a method named as in boto3."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: FakeServer

    def setup(self) -> None:
        super().setup()
        self.sink = memoryview(bytearray(BLOCK))

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: tests ask for the state."""

    def handle_method(self) -> None:
        path, _, query = self.path.partition("?")
        self.query = dict(parse_qsl(query, keep_blank_values=True))
        self.left = int(self.headers.get("Content-Length", 0))
        if path.startswith("/-/"):
            self.control(path)
            return
        bucket, _, key = unquote(path).removeprefix("/").partition("/")
        self.key = key
        operation = self.operation()
        with self.contents.lock:
            self.contents.requests[operation] += 1
        try:
            if ordered := self.contents.ordered_error():
                raise Refused(ordered)
            require(bucket == BUCKET, "NoSuchBucket")
            require(len(key.encode()) <= MAX_KEY_BYTES, "KeyTooLongError")
            framed = "STREAMING" in self.headers.get("x-amz-content-sha256", "")
            require(not framed and "Transfer-Encoding" not in self.headers, "NotImplemented")
            getattr(self, operation)()
        except Refused as refused:
            self.refuse(refused.code)

    # the names that http.server looks for
    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = handle_method  # noqa: N815

    @property
    def contents(self) -> Contents:
        return self.server.contents

    def operation(self) -> str:
        copies = "x-amz-copy-source" in self.headers
        match self.command, bool(self.key):
            case "PUT", True if "uploadId" in self.query:
                return "upload_part_copy" if copies else "upload_part"
            case "PUT", True:
                return "copy_object" if copies else "put_object"
            case "POST", True:
                return (
                    "create_multipart_upload"
                    if "uploads" in self.query
                    else ("complete_multipart_upload")
                )
            case "POST", False:
                return "delete_objects"
            case "DELETE", _:
                return "abort_multipart_upload" if "uploadId" in self.query else "delete_object"
            case "HEAD", _:
                return "head_object" if self.key else "head_bucket"
            case _, True:
                return "get_object"
        return "list_multipart_uploads" if "uploads" in self.query else "list_objects_v2"

    # --- operations -------------------------------------------------------------------------------

    def put_object(self) -> None:
        size = self.swallow()
        require(size <= LARGEST_PUT, "EntityTooLarge")
        etag = hashlib.md5(f"{self.key} {size}".encode()).hexdigest()
        kept = Kept(size, etag, self.headers.get("Content-Type", ""), self.metadata(), [size])
        self.contents.objects[self.key] = kept
        self.answer(200, {"ETag": f'"{etag}"'})

    def copy_object(self) -> None:
        source = self.contents.found(self.copied_key())
        require(source.size <= LARGEST_COPY, "InvalidRequest")
        kept = Kept(source.size, source.etag, source.content_type, source.metadata, [source.size])
        self.contents.objects[self.key] = kept
        self.answer_xml("CopyObjectResult", ETag=f'"{kept.etag}"', LastModified=iso(kept))

    def create_multipart_upload(self) -> None:
        upload_id = secrets.token_hex(16)
        upload = Upload(self.key, self.headers.get("Content-Type", ""), self.metadata())
        self.contents.uploads[upload_id] = upload
        self.answer_xml(
            "InitiateMultipartUploadResult", Bucket=BUCKET, Key=self.key, UploadId=upload_id
        )

    def upload_part(self) -> None:
        self.contents.upload(self.query["uploadId"], self.key)
        self.answer(200, {"ETag": f'"{self.add_part(self.swallow())}"'})

    def upload_part_copy(self) -> None:
        source = self.contents.found(self.copied_key())
        first, last = self.range(self.headers.get("x-amz-copy-source-range"), source.size)
        etag = self.add_part(last - first)
        self.answer_xml("CopyPartResult", ETag=f'"{etag}"', LastModified=iso(source))

    def complete_multipart_upload(self) -> None:
        listed = [
            (int(text_of(part, "PartNumber")), text_of(part, "ETag").strip('"'))
            for part in children_of(self.read_body(), "Part")
        ]
        kept = self.contents.complete(self.key, self.query["uploadId"], listed)
        self.answer_xml(
            "CompleteMultipartUploadResult", Bucket=BUCKET, Key=self.key, ETag=f'"{kept.etag}"'
        )

    def abort_multipart_upload(self) -> None:
        self.contents.upload(self.query["uploadId"], self.key)
        del self.contents.uploads[self.query["uploadId"]]
        self.answer(204)

    def list_multipart_uploads(self) -> None:
        uploads = "".join(
            element("Upload", Key=upload.key, UploadId=upload_id, Initiated=iso(upload))
            for upload_id, upload in list(self.contents.uploads.items())
        )
        self.answer_xml("ListMultipartUploadsResult", uploads, Bucket=BUCKET, IsTruncated="false")

    def list_objects_v2(self) -> None:
        listed = "".join(
            element("Contents", Key=key, Size=str(kept.size), LastModified=iso(kept))
            for key, kept in sorted(self.contents.objects.items())
            if key.startswith(self.query.get("prefix", ""))
        )
        self.answer_xml("ListBucketResult", listed, Name=BUCKET, IsTruncated="false")

    def head_bucket(self) -> None:
        self.answer(200)

    def head_object(self) -> None:
        kept = self.contents.found(self.key)
        self.answer(200, self.object_headers(kept), length=kept.size)

    def get_object(self) -> None:
        kept = self.contents.found(self.key)
        headers = self.object_headers(kept)
        asked = self.headers.get("Range")
        first, last = self.range(asked, kept.size)
        if asked:
            headers["Content-Range"] = f"bytes {first}-{last - 1}/{kept.size}"
        self.answer(206 if asked else 200, headers, length=last - first)
        zeros, left = bytes(BLOCK), last - first
        while left:
            left -= self.wfile.write(zeros[: min(BLOCK, left)])

    def delete_object(self) -> None:
        self.contents.objects.pop(self.key, None)
        self.answer(204)

    def delete_objects(self) -> None:
        body = self.read_body()
        digest = base64.b64encode(hashlib.md5(body).digest()).decode()
        require(self.headers.get("Content-MD5") == digest, "InvalidRequest")
        for listed in children_of(body, "Object"):
            self.contents.objects.pop(text_of(listed, "Key"), None)
        self.answer_xml("DeleteResult")

    # --- requests and answers ---------------------------------------------------------------------

    def swallow(self) -> int:
        """Read the body and forget it; its size."""
        size = self.left
        while self.left:
            got = self.rfile.readinto(self.sink[: min(BLOCK, self.left)])
            if not got:
                raise ConnectionError("the client left in the middle of a body")
            self.left -= got
        return size

    def read_body(self) -> bytes:
        body = self.rfile.read(self.left)
        self.left = 0
        return body

    def add_part(self, size: int) -> str:
        number = int(self.query["partNumber"])
        return self.contents.add_part(self.key, self.query["uploadId"], number, size)

    def metadata(self) -> dict[str, str]:
        prefix = "x-amz-meta-"
        names = [name for name in self.headers if name.lower().startswith(prefix)]
        return {name.lower().removeprefix(prefix): self.headers[name] for name in names}

    def copied_key(self) -> str:
        source = unquote(self.headers["x-amz-copy-source"]).removeprefix("/")
        return source.partition("/")[2]

    def range(self, header: str | None, size: int) -> tuple[int, int]:
        found = re.fullmatch(r"bytes=(\d+)-(\d*)", header or "bytes=0-")
        require(found is not None, "InvalidArgument")
        assert found is not None
        first, last = int(found[1]), int(found[2] or size - 1) + 1
        require(header is None or first < size, "InvalidRange")
        return first, min(last, size)

    def object_headers(self, kept: Kept) -> dict[str, str]:
        return {
            "ETag": f'"{kept.etag}"',
            "Content-Type": kept.content_type,
            "Last-Modified": format_datetime(kept.modified_at, usegmt=True),
            **{f"x-amz-meta-{name}": value for name, value in kept.metadata.items()},
        }

    def refuse(self, code: str) -> None:
        status, message, further = ERRORS[code]
        body = element("Error", Code=code, Message=message, Resource=self.path, **further)
        headers = {"x-amz-bucket-region": REGION} if code == "PermanentRedirect" else {}
        if self.left:  # as S3 does when it need not hear the rest
            headers["Connection"] = "close"
            self.close_connection = True
        self.answer(status, headers, body.encode())

    def answer_xml(self, name: str, inner: str = "", **elements: str) -> None:
        self.swallow()
        body = '<?xml version="1.0" encoding="UTF-8"?>' + element(name, inner, **elements)
        self.answer(200, {"Content-Type": "application/xml"}, body.encode())

    def answer(
        self,
        status: int,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        length: int | None = None,
    ) -> None:
        """`length` of a body that the caller sends by itself, or that a HEAD only tells of."""
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def control(self, path: str) -> None:
        if path == "/-/answer":
            with self.contents.lock:
                self.contents.answer_code = self.query.get("code", "")
                self.contents.answer_times = int(self.query["times"])
        if path == "/-/hold":
            etag = hashlib.md5(self.query["key"].encode()).hexdigest()
            kept = Kept(int(self.query["size"]), etag, self.query["type"], {})
            self.contents.objects[self.query["key"]] = kept
        self.answer(200, body=json.dumps(self.contents.state()).encode())


class FakeServer(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.contents = Contents()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that leaves in the middle is the client's business; the rest is ours."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


def element(name: str, inner: str = "", **children: str) -> str:
    body = "".join(f"<{child}>{escape(text)}</{child}>" for child, text in children.items())
    return f"<{name}>{body}{inner}</{name}>"


def iso(dated: Kept | Upload) -> str:
    moment = dated.modified_at if isinstance(dated, Kept) else dated.begun_at
    return moment.strftime("%Y-%m-%dT%H:%M:%S.000Z")


if __name__ == "__main__":
    fake = FakeServer()
    print(fake.server_address[1], flush=True)
    fake.serve_forever()
