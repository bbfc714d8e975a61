"""What the fake Vercel Blob holds: objects and unfinished uploads, their bytes in files of a folder.

A put has a file of its own, an upload one for all its parts, each at the place that was free when it
came. An object is a list of places in one file. Replacing or deleting unlinks the file; who reads it
meanwhile reads it to the end.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

BLOCK = 256 * 1024
SMALLEST_PART = 5 << 20
MAX_PARTS = 10_000


class Refusal(Exception):
    """An answer of the API that is an error."""

    def __init__(self, status: int, code: str, message: str = "") -> None:
        super().__init__(message or code)
        self.status = status
        self.code = code


@dataclass(frozen=True, slots=True)
class Place:
    """Bytes in a file."""

    offset: int
    size: int
    md5: bytes

    @property
    def etag(self) -> str:
        return f'"{self.md5.hex()}"'


@dataclass(frozen=True, slots=True)
class Blob:
    """An object. `max_age` in seconds."""

    pathname: str
    access: str
    content_type: str
    max_age: int
    path: Path
    places: Sequence[Place]
    etag: str
    uploaded_at: datetime

    @property
    def size(self) -> int:
        return sum(place.size for place in self.places)

    def blocks(self, file: BinaryIO, start: int, end: int) -> Iterator[bytes]:
        """The bytes `[start:end]`; `file` is its open file."""
        begin = 0
        for place in self.places:
            first, last = max(start, begin), min(end, begin + place.size)
            for position in range(first, last, BLOCK):
                file.seek(place.offset + position - begin)
                yield file.read(min(BLOCK, last - position))
            begin += place.size


@dataclass(frozen=True, slots=True)
class Wanted:
    """How an object is to be put."""

    pathname: str
    access: str
    content_type: str
    max_age: int
    overwrite: bool
    if_match: str | None = None


@dataclass(slots=True)
class Upload:
    """A multipart upload under way; `end` is where its file ends."""

    pathname: str
    path: Path
    parts: dict[int, Place] = field(default_factory=dict)
    end: int = 0


class Blobs:
    """Objects by pathname, and uploads by id."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.objects: dict[str, Blob] = {}
        self.uploads: dict[str, Upload] = {}
        self.replaced: dict[str, Blob] = {}  # what the CDN still has while it lags
        self.cdn_lags = False

    def empty(self) -> None:
        self.objects.clear()
        self.uploads.clear()
        self.replaced.clear()
        self.cdn_lags = False
        for path in self._folder.iterdir():
            path.unlink()

    async def put(self, wanted: Wanted, body: AsyncIterator[bytes], limit: int | None) -> Blob:
        path = self._new_path()
        place = await _write(path, 0, body, limit)
        return self._appear(wanted, path, [place], place.etag)

    def copy(self, source: str, wanted: Wanted) -> Blob:
        found = self.find(source)
        path = self._new_path()
        path.unlink()
        os.link(found.path, path)  # files are only ever added to: a second name is a copy
        return self._appear(wanted, path, found.places, found.etag)

    def find(self, pathname: str) -> Blob:
        if pathname not in self.objects:
            raise Refusal(404, "not_found")
        return self.objects[pathname]

    def delete(self, pathname: str, if_match: str | None) -> None:
        found = self.objects.get(pathname)
        if if_match is not None and (found is None or found.etag != if_match):
            raise Refusal(412, "precondition_failed")
        if found:
            del self.objects[pathname]
            found.path.unlink()

    def listed(self, prefix: str, after: str) -> list[Blob]:
        names = sorted(name for name in self.objects if name.startswith(prefix) and name > after)
        return [self.objects[name] for name in names]

    # --- uploads in parts -------------------------------------------------------------------------

    def begin(self, pathname: str) -> str:
        upload_id = secrets.token_hex(8)
        self.uploads[upload_id] = Upload(pathname, self._new_path())
        return upload_id

    def upload(self, upload_id: str, pathname: str) -> Upload:
        upload = self.uploads.get(upload_id)
        if upload is None or upload.pathname != pathname:
            raise Refusal(404, "not_found", "there is no such upload")
        return upload

    async def add_part(
        self, upload: Upload, number: int, size: int, body: AsyncIterator[bytes]
    ) -> Place:
        if not 1 <= number <= MAX_PARTS:
            raise Refusal(400, "bad_request", f"no part has the number {number}")
        offset = upload.end
        upload.end += size
        place = await _write(upload.path, offset, body, size)
        upload.parts[number] = place
        return place

    def complete(self, upload_id: str, wanted: Wanted, listed: Sequence[tuple[int, str]]) -> Blob:
        upload = self.upload(upload_id, wanted.pathname)
        places = []
        for number, etag in sorted(listed):
            place = upload.parts.get(number)
            if place is None or place.etag != etag:
                raise Refusal(400, "bad_request", f"there is no such part {number}")
            places.append(place)
        if not places or any(place.size < SMALLEST_PART for place in places[:-1]):
            raise Refusal(400, "bad_request", "a part is too small")
        digest = hashlib.md5(b"".join(place.md5 for place in places)).hexdigest()
        blob = self._appear(wanted, upload.path, places, f'"{digest}-{len(places)}"')
        del self.uploads[upload_id]
        return blob

    def _new_path(self) -> Path:
        path = self._folder / secrets.token_hex(16)
        path.touch()
        return path

    def _appear(self, wanted: Wanted, path: Path, places: Sequence[Place], etag: str) -> Blob:
        old = self.objects.get(wanted.pathname)
        if wanted.if_match is not None and (old is None or old.etag != wanted.if_match):
            raise Refusal(412, "precondition_failed")
        if old and not wanted.overwrite and wanted.if_match is None:
            raise Refusal(
                400, "bad_request", "This blob already exists, use `allowOverwrite: true`"
            )
        blob = Blob(
            wanted.pathname,
            wanted.access,
            wanted.content_type,
            wanted.max_age,
            path,
            tuple(places),
            etag,
            _now(),
        )
        self.objects[wanted.pathname] = blob
        if old and self.cdn_lags:
            self.replaced[wanted.pathname] = old
        elif old:
            old.path.unlink()
        return blob


async def _write(path: Path, offset: int, body: AsyncIterator[bytes], limit: int | None) -> Place:
    digest, size = hashlib.md5(), 0
    with path.open("r+b") as file:
        file.seek(offset)
        async for block in body:
            size += len(block)
            if limit is not None and size > limit:
                raise Refusal(400, "bad_request", f"the file length cannot be greater than {limit}")
            digest.update(block)
            file.write(block)
    return Place(offset, size, digest.digest())


def _now() -> datetime:
    """To the millisecond, as the API says it."""
    now = datetime.now(UTC)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)
