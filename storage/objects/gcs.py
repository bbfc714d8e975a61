"""Objects in a bucket of Google Cloud Storage.

How the bucket is reached is in `storage.objects.gcs_bucket`, how bytes get there in
`storage.objects.gcs_upload`, what Google answers in `storage.objects.gcs_errors`. Importing this
module imports Google's libraries.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Final

import requests

from storage.errors import (
    BucketMissing,
    EndpointWrong,
    ObjectNotFound,
    PermissionMissing,
    StoreUnavailable,
)
from storage.objects.gcs_account import Account, key_of
from storage.objects.gcs_batch import batched, delete_batch
from storage.objects.gcs_bucket import Bucket, Call
from storage.objects.gcs_multipart import GcsMultipart
from storage.objects.gcs_resources import (
    ENTRY_FIELDS,
    entry_of,
    info_of,
    resource_of,
    stored_of,
    understood,
)
from storage.objects.gcs_upload import Described, Tally, put, tallied_file, tallied_stream
from storage.objects.keys import check_key, check_metadata, is_key_prefix
from storage.objects.ranges import BLOCK_BYTES, check_range
from storage.objects.reading import Opened, range_header, resumed, stop_of
from storage.objects.retry import Retrier
from storage.objects.sources import opened
from storage.objects.store import ObjectEntry, ObjectInfo, OnProgress, StoredObject

NEEDED: Final = tuple(f"storage.objects.{may}" for may in ("create", "delete", "get", "list"))


class GcsStore(GcsMultipart):
    """An ObjectStore, Checkable, Signer, FormSigner and Multipart.

    `credentials` is the JSON of a service account's key, `key_file` a file with it; without either
    the machine's own credentials count. `endpoint` (http:// or https:// and a host) is an emulator's
    or one's own: it is asked without credentials, and signing still needs the key. `project` is told
    to the SDK that signs; no call needs it. Raises CredentialsRefused, EndpointWrong.
    """

    def __init__(
        self,
        bucket: str,
        *,
        project: str | None = None,
        credentials: str | None = None,
        key_file: Path | None = None,
        endpoint: str | None = None,
        retrier: Retrier | None = None,
    ) -> None:
        self._emulated = endpoint is not None
        account = Account(key_of(credentials, key_file), anonymous=self._emulated)
        super().__init__(Bucket(bucket, account, endpoint, retrier), project)

    async def close(self) -> None:
        self._bucket.close()

    async def check(self) -> None:
        """Which permissions the credentials have is asked for: that itself needs none, while seeing
        the bucket's own metadata needs one that roles for objects don't hold. An emulator may know
        no permissions: there the list of objects has to do."""
        call = Call(
            "GET",
            f"{self._bucket.url}/iam/testPermissions",
            "look at its permissions",
            query={"permissions": NEEDED},
        )
        try:
            granted = resource_of(await self._bucket.ask(call)).get("permissions", [])
        except (EndpointWrong, BucketMissing):
            if not self._emulated:
                raise
            async for _ in self.list():
                break
            return
        if missing := [permission for permission in NEEDED if permission not in granted]:
            raise PermissionMissing(
                f"{self._bucket.place}: the credentials lack {', '.join(missing)}"
            )

    # --- reading ----------------------------------------------------------------------------------

    async def digest(self, key: str) -> str:
        digest = hashlib.sha256()
        async for block in self.open(key):
            await self._bucket.threads.run(partial(digest.update, block))
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
        if version == "":  # asking again might get another one
            raise StoreUnavailable(
                f"{self._bucket.place} could not read {key!r}: the connection was cut, and nothing"
                " says which version it was"
            )
        insisting = {} if version is None else {"ifGenerationMatch": version}
        answer = await self._bucket.once(
            Call(
                "GET",
                self._bucket.object_url(key),
                f"read {key!r}",
                key,
                query={"alt": "media", **insisting},
                headers={
                    "Accept-Encoding": "gzip",  # else what is stored so would be unpacked
                    # always: only an answer to it says how long the object is
                    "Range": range_header(start, end),
                },
                also=frozenset({416}),
                streamed=True,
            )
        )
        if answer.status_code == 416:  # past the end
            answer.close()
            return None
        try:
            generation = answer.headers.get("X-Goog-Generation", "")
            if not generation and not self._emulated:  # an emulator may know none
                raise EndpointWrong(f"{self._bucket.place} does not say what version it sends")
            stop = stop_of(answer.headers.get("Content-Range"), start, end)
        except StoreUnavailable:
            answer.close()
            raise
        return Opened(_Media(self._bucket, answer, f"read {key!r}"), generation, stop)

    async def list(self, prefix: str = "") -> AsyncIterator[ObjectEntry]:
        if not is_key_prefix(prefix):
            return
        query = {"prefix": prefix, "fields": f"items({ENTRY_FIELDS}),nextPageToken"}
        while True:
            call = Call("GET", f"{self._bucket.url}/o", "list the bucket", query=query)
            page = resource_of(await self._bucket.ask(call))
            for resource in page.get("items", ()):
                entry = entry_of(resource)
                if not entry.key.endswith("/"):  # a folder that a console made to show
                    yield entry
            if not page.get("nextPageToken"):
                return
            query["pageToken"] = page["nextPageToken"]

    # --- writing ----------------------------------------------------------------------------------

    async def put_file(
        self,
        key: str,
        path: Path,
        content_type: str,
        *,
        metadata: Mapping[str, str] | None = None,
        on_progress: OnProgress | None = None,
        sha256: str | None = None,  # noqa: ARG002  (found out in passing)
    ) -> StoredObject:
        described = _described(key, content_type, metadata)
        tally = Tally()
        with opened(path) as source:
            chunks = tallied_file(self._bucket, source, tally)
            return await self._put(described, chunks, tally, on_progress)

    async def put_stream(
        self,
        key: str,
        blocks: AsyncIterator[bytes],
        content_type: str,
        *,
        metadata: Mapping[str, str] | None = None,
        on_progress: OnProgress | None = None,
    ) -> StoredObject:
        described = _described(key, content_type, metadata)
        tally = Tally()
        chunks = tallied_stream(self._bucket, blocks, tally)
        return await self._put(described, chunks, tally, on_progress)

    async def _put(
        self,
        described: Described,
        chunks: AsyncGenerator[bytearray, None],
        tally: Tally,
        on_progress: OnProgress | None,
    ) -> StoredObject:
        resource = await put(self._bucket, described, chunks, tally, on_progress)
        return stored_of(resource, tally.sha256)

    async def copy(self, source: str, target: str) -> ObjectInfo:
        check_key(source)
        check_key(target)
        url = f"{self._bucket.object_url(source)}/rewriteTo{self._bucket.object_path(target)}"
        query: dict[str, str] = {}
        while True:  # a large object between places takes several calls
            call = Call("POST", url, f"copy {source!r}", source, query=query)
            said = resource_of(await self._bucket.ask(call))
            with understood():
                if said["done"]:
                    return info_of(said["resource"])
                query["rewriteToken"] = said["rewriteToken"]

    async def delete(self, key: str) -> None:
        check_key(key)
        call = Call("DELETE", self._bucket.object_url(key), f"delete {key!r}", key)
        with suppress(ObjectNotFound):
            await self._bucket.ask(call)

    async def delete_many(self, keys: Collection[str]) -> None:
        for key in keys:
            check_key(key)
        for batch in batched(keys):
            await self._bucket.retrier(partial(delete_batch, self._bucket, batch))


def _described(key: str, content_type: str, metadata: Mapping[str, str] | None) -> Described:
    check_key(key)
    return Described(key, content_type, check_metadata(metadata))


class _Media:
    """The body of an answer."""

    def __init__(self, bucket: Bucket, answer: requests.Response, doing: str) -> None:
        self._bucket = bucket
        self._answer = answer
        self._doing = doing

    async def read(self) -> bytes:
        return await self._bucket.run(
            lambda: bytes(self._answer.raw.read(BLOCK_BYTES)), self._doing
        )

    async def close(self) -> None:
        self._answer.close()
