"""The XML interface's multipart uploads, which the emulator doesn't have: parts kept in memory."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import md5
from itertools import pairwise
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from tests.rig.gcs_signatures import Denied

SMALLEST_PART = 5 << 20
MOST_PARTS = 10_000


@dataclass(slots=True)
class Upload:
    """One that was begun; `parts` by number, the last of each number."""

    key: str
    content_type: str
    metadata: Mapping[str, str]
    begun_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    parts: dict[int, bytes] = field(default_factory=dict)

    def put(self, number: int, content: bytes) -> str:
        """The part's ETag."""
        if not 1 <= number <= MOST_PARTS:
            raise Denied(400, "InvalidArgument", "no such part number")
        self.parts[number] = content
        return _etag(content)

    def listed(self, after: int, most: int) -> str:
        """A page in XML of the parts whose numbers come after one."""
        numbers = sorted(number for number in self.parts if number > after)
        lines = [
            f"<Part><PartNumber>{number}</PartNumber><ETag>{escape(_etag(self.parts[number]))}</ETag>"
            f"<Size>{len(self.parts[number])}</Size></Part>"
            for number in numbers[:most]
        ]
        more = len(numbers) > most
        lines.append(f"<IsTruncated>{str(more).lower()}</IsTruncated>")
        if more:
            lines.append(f"<NextPartNumberMarker>{numbers[most - 1]}</NextPartNumberMarker>")
        return document("ListPartsResult", "".join(lines))

    def joined(self, listed: bytes) -> bytes:
        """The content of the parts that a client lists."""
        chosen = [
            (int(part.findtext("{*}PartNumber", "0")), part.findtext("{*}ETag", ""))
            for part in ElementTree.fromstring(listed).iterfind("{*}Part")
        ]
        if not chosen:
            raise Denied(400, "MalformedCompleteMultipartUploadRequest")
        if any(one >= other for (one, _), (other, _) in pairwise(chosen)):
            raise Denied(400, "InvalidPartOrder")
        for number, etag in chosen:
            if number not in self.parts or _etag(self.parts[number]).strip('"') != etag.strip('"'):
                raise Denied(400, "InvalidPart")
        if any(len(self.parts[number]) < SMALLEST_PART for number, _ in chosen[:-1]):
            raise Denied(400, "EntityTooSmall")
        return b"".join(self.parts[number] for number, _ in chosen)


class Uploads:
    """All that are unfinished, in the order Google lists them in: of keys, then of ids."""

    def __init__(self) -> None:
        self._uploads: dict[str, Upload] = {}

    def begin(self, upload: Upload) -> str:
        upload_id = secrets.token_urlsafe(24)
        self._uploads[upload_id] = upload
        return upload_id

    def find(self, key: str, upload_id: str) -> Upload:
        found = self._uploads.get(upload_id)
        if found is None or found.key != key:
            raise Denied(404, "NoSuchUpload")
        return found

    def end(self, key: str, upload_id: str) -> None:
        self.find(key, upload_id)
        del self._uploads[upload_id]

    def clear(self) -> None:
        self._uploads.clear()

    def listed(self, prefix: str, after: tuple[str, str], most: int) -> str:
        """A page in XML of those that come after a key and an id."""
        matching = sorted(
            (upload.key, upload_id, upload.begun_at)
            for upload_id, upload in self._uploads.items()
            if upload.key.startswith(prefix) and (upload.key, upload_id) > after
        )
        page = matching[:most]
        lines = [
            f"<Upload><Key>{escape(key)}</Key><UploadId>{upload_id}</UploadId>"
            f"<Initiated>{begun_at:%Y-%m-%dT%H:%M:%S.%fZ}</Initiated></Upload>"
            for key, upload_id, begun_at in page
        ]
        more = len(matching) > most
        lines.append(f"<IsTruncated>{str(more).lower()}</IsTruncated>")
        if more:
            lines.append(f"<NextKeyMarker>{escape(page[-1][0])}</NextKeyMarker>")
            lines.append(f"<NextUploadIdMarker>{page[-1][1]}</NextUploadIdMarker>")
        return document("ListMultipartUploadsResult", "".join(lines))


def document(name: str, content: str) -> str:
    return (
        "<?xml version='1.0' encoding='UTF-8'?>"
        f"<{name} xmlns='http://s3.amazonaws.com/doc/2006-03-01/'>{content}</{name}>"
    )


def _etag(content: bytes) -> str:
    return f'"{md5(content, usedforsecurity=False).hexdigest()}"'
