"""What the S3 fake knows: objects without their bytes, uploads, limits, and the errors of S3."""

from __future__ import annotations

import hashlib
import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

BUCKET = "bucket"
REGION = "eu-central-1"  # where a bucket "in another region" says that it is

MAX_KEY_BYTES = 1024
MAX_PARTS = 10_000
SMALLEST_PART = 5 << 20
LARGEST_PART = LARGEST_PUT = LARGEST_COPY = 5 << 30
LARGEST_OBJECT = 5 << 40

# code: status, message, further elements of the answer
ERRORS: Mapping[str, tuple[int, str, Mapping[str, str]]] = {
    "AccessDenied": (403, "Access Denied", {}),
    "AuthorizationHeaderMalformed": (
        400,
        f"The authorization header is malformed; the region is wrong; expecting '{REGION}'",
        {"Region": REGION},
    ),
    "EntityTooLarge": (400, "Your proposed upload exceeds the maximum allowed size", {}),
    "EntityTooSmall": (400, "Your proposed upload is smaller than the minimum allowed size", {}),
    "ExpiredToken": (400, "The provided token has expired.", {}),
    "InternalError": (500, "We encountered an internal error. Please try again.", {}),
    "InvalidAccessKeyId": (
        403,
        "The AWS Access Key Id you provided does not exist in our records.",
        {"AWSAccessKeyId": "AKQUOTED"},
    ),
    "InvalidArgument": (400, "Invalid Argument", {}),
    "InvalidPart": (400, "One or more of the specified parts could not be found.", {}),
    "InvalidPartOrder": (400, "The list of parts was not in ascending order.", {}),
    "InvalidRange": (416, "The requested range is not satisfiable", {}),
    "InvalidRequest": (400, "The copy source is too large, or a needed header is missing.", {}),
    "KeyTooLongError": (400, "Your key is too long", {}),
    "MalformedXML": (400, "The XML you provided was not well-formed", {}),
    "NoSuchBucket": (404, "The specified bucket does not exist", {}),
    "NoSuchKey": (404, "The specified key does not exist.", {}),
    "NoSuchUpload": (404, "The specified multipart upload does not exist.", {}),
    "NotImplemented": (501, "A header you provided implies functionality that is missing.", {}),
    "PermanentRedirect": (
        301,
        "The bucket you are attempting to access must be addressed using the specified endpoint.",
        {"Endpoint": f"{BUCKET}.s3.{REGION}.amazonaws.com", "Bucket": BUCKET},
    ),
    "RequestTimeTooSkewed": (
        403,
        "The difference between the request time and the current time is too large.",
        {"MaxAllowedSkewMilliseconds": "900000"},
    ),
    "SignatureDoesNotMatch": (
        403,
        "The request signature we calculated does not match the signature you provided.",
        {"StringToSign": "AWS4-HMAC-SHA256 quoted", "SignatureProvided": "quoted"},
    ),
    "SlowDown": (503, "Please reduce your request rate.", {}),
}


class Refused(Exception):
    """The answer is this error."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def require(holds: bool, code: str) -> None:
    if not holds:
        raise Refused(code)


@dataclass(frozen=True, slots=True)
class Kept:
    """What stays of an object: all but its bytes. `parts` are the sizes it was sent in."""

    size: int
    etag: str
    content_type: str
    metadata: Mapping[str, str]
    parts: list[int] = field(default_factory=list)
    modified_at: datetime = field(default_factory=lambda: datetime.now(UTC))


@dataclass(slots=True)
class Upload:
    key: str
    content_type: str
    metadata: Mapping[str, str]
    parts: dict[int, tuple[int, str]] = field(default_factory=dict)
    begun_at: datetime = field(default_factory=lambda: datetime.now(UTC))


class Contents:
    """The bucket. Used by many threads."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.objects: dict[str, Kept] = {}
        self.uploads: dict[str, Upload] = {}
        self.requests: Counter[str] = Counter()
        self.answer_code = ""
        self.answer_times = 0

    def state(self) -> dict[str, Any]:
        return {
            "requests": dict(self.requests),
            "uploads": len(self.uploads),
            "objects": {
                key: {"size": kept.size, "parts": kept.parts} for key, kept in self.objects.items()
            },
        }

    def ordered_error(self) -> str:
        """The code of the error that a test wants now, or nothing."""
        with self.lock:
            if not self.answer_code or not self.answer_times:
                return ""
            self.answer_times -= 1
            return self.answer_code

    def found(self, key: str) -> Kept:
        require(key in self.objects, "NoSuchKey")
        return self.objects[key]

    def upload(self, upload_id: str, key: str) -> Upload:
        upload = self.uploads.get(upload_id)
        if upload is None or upload.key != key:
            raise Refused("NoSuchUpload")
        return upload

    def add_part(self, key: str, upload_id: str, number: int, size: int) -> str:
        require(1 <= number <= MAX_PARTS, "InvalidArgument")
        require(size <= LARGEST_PART, "EntityTooLarge")
        with self.lock:
            upload = self.upload(upload_id, key)
            etag = hashlib.md5(f"{upload_id} {number} {size}".encode()).hexdigest()
            upload.parts[number] = (size, etag)
        return etag

    def complete(self, key: str, upload_id: str, listed: list[tuple[int, str]]) -> Kept:
        with self.lock:
            upload = self.upload(upload_id, key)
            require(0 < len(listed) <= MAX_PARTS, "MalformedXML")
            numbers = [number for number, _ in listed]
            require(numbers == sorted(set(numbers)), "InvalidPartOrder")
            known = [upload.parts.get(number, (0, "")) for number in numbers]
            require([etag for _, etag in known] == [etag for _, etag in listed], "InvalidPart")
            sizes = [size for size, _ in known]
            require(all(size >= SMALLEST_PART for size in sizes[:-1]), "EntityTooSmall")
            require(sum(sizes) <= LARGEST_OBJECT, "EntityTooLarge")
            digests = b"".join(bytes.fromhex(etag) for _, etag in known)
            etag = f"{hashlib.md5(digests).hexdigest()}-{len(known)}"
            kept = Kept(sum(sizes), etag, upload.content_type, upload.metadata, sizes)
            self.objects[key] = kept
            del self.uploads[upload_id]
        return kept
