"""A user who uploads files, over the REST interface of a house with any provider's store."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
from yarl import URL

from recorder.errors import FileRefused
from recorder.uploads.stores import kept_key
from storage.catalog import Catalog, MediaRow, UploadRow
from storage.objects import ObjectStore
from tests.rig.waiting import until
from tests.signaling.house import Answer, House, house
from tests.storage.media_rows import media_row
from tests.storage.stores import Servers

PROVIDERS = ("local", "s3", "b2", "gcs", "vercel")
PART = 5 << 20
REFUSED = b"not what it says"

UPLOADS = "/api/v1/media/upload"
SETTINGS: Mapping[str, Mapping[str, str]] = {
    "local": {},
    "s3": {"recording_storage_provider": "s3", "recording_s3_bucket": "bucket"},
    "b2": {
        "recording_storage_provider": "b2",
        "backblaze_b2_endpoint": "https://s3.us-west-004.backblazeb2.com",
        "backblaze_b2_access_key_id": "id",
        "backblaze_b2_secret_access_key": "secret",
        "backblaze_b2_bucket_name": "bucket",
    },
    "gcs": {"recording_storage_provider": "gcs", "recording_gcs_bucket": "bucket"},
    "vercel": {
        "recording_storage_provider": "vercel-blob",
        "blob_read_write_token": "vercel_blob_rw_Store_secret",
    },
}


@dataclass(slots=True)
class Shelf:
    """A media library that takes everything but what begins with `REFUSED`. `down`: it can't say.

    `open_door`, where there is one, is waited for; `asked` are the uploads that came.
    """

    catalog: Catalog | None = None
    stores: Callable[[str], ObjectStore] | None = None
    down: Exception | None = None
    open_door: asyncio.Event | None = None
    asked: list[UploadRow] = field(default_factory=list)

    async def admit(self, upload: UploadRow) -> MediaRow:
        assert self.catalog is not None
        assert self.stores is not None
        self.asked.append(upload)
        if self.open_door is not None:
            await self.open_door.wait()
        if self.down is not None:
            raise self.down
        content = b"".join(
            [
                block
                async for block in self.stores(upload.provider).open(
                    upload.storage_key, 0, len(REFUSED)
                )
            ]
        )
        if content == REFUSED:
            raise FileRefused("it is a text", code="unsupported_format", details={"is": "text"})
        return await self.catalog.media.create(media_of(upload))


def media_of(upload: UploadRow) -> MediaRow:
    return media_row(
        id=upload.metadata["mediaId"],
        user_id=upload.user_id,
        filename=upload.filename,
        content_type=upload.content_type,
        size=upload.size,
        provider=upload.provider,
        storage_key=upload.storage_key,
    )


@dataclass(slots=True)
class Uploader:
    """`token` is the user's. The client has no SDK, and knows only what the answers say."""

    home: House
    store: ObjectStore
    shelf: Shelf
    http: aiohttp.ClientSession
    token: str

    def somebody_else(self, identity: str = "eve") -> Uploader:
        return replace(self, token=self.home.participant("elsewhere", identity))

    async def call(self, method: str, path: str, body: Any = None) -> Answer:
        return await self.home.request(method, UPLOADS + path, self.token, json=body)

    async def initiate(self, size: int, **changes: Any) -> Any:
        """What the server says to an MP4 of this size."""
        return (await self.try_to_initiate(size, **changes)).data

    async def try_to_initiate(self, size: int, **changes: Any) -> Answer:
        body = {
            "filename": "Мой talk.mp4",
            "fileSize": size,
            "contentType": "video/mp4",
            **changes,
        }
        return await self.call("POST", "/initiate", body)

    async def post(self, begun: Any, content: bytes, **changes: str) -> int:
        """The form, as a page sends it: the status of the answer."""
        form = aiohttp.FormData(quote_fields=False)
        for name, value in {**begun["fields"], **changes}.items():
            form.add_field(name, value)
        form.add_field("file", content, filename="talk.mp4", content_type="video/mp4")
        url = URL(begun["uploadUrl"], encoded=True)
        async with self.http.post(url, data=form) as answer:
            return answer.status

    async def links(self, begun: Any, *numbers: int) -> Any:
        body = {"sessionKey": begun["sessionKey"], "partNumbers": numbers}
        return (await self.call("POST", "/parts", body)).data["urls"]

    async def put(self, link: Any, content: bytes) -> tuple[int, dict[str, Any]]:
        """A part: the status of the answer, and the part as `complete` wants it."""
        async with self.http.request(
            link["method"], URL(link["url"], encoded=True), data=content, headers=link["headers"]
        ) as answer:
            etag = answer.headers.get("ETag")
            if etag is None and answer.status == 200:
                etag = json.loads(await answer.read()).get("etag", "")
            return answer.status, {"partNumber": link["partNumber"], "etag": etag or ""}

    async def send_parts(self, begun: Any, content: bytes) -> list[dict[str, Any]]:
        parts = []
        for number in range(1, begun["parts"] + 1):
            (link,) = await self.links(begun, number)
            first = (number - 1) * begun["partSize"]
            status, part = await self.put(link, content[first : first + begun["partSize"]])
            assert 200 <= status < 300, status
            parts.append(part)
        return parts

    async def complete(self, begun: Any, parts: Any = None, **changes: Any) -> Answer:
        body = {"sessionKey": begun["sessionKey"], "storageKey": begun["storageKey"], **changes}
        if parts is not None:
            body["parts"] = parts
        return await self.call("POST", "/complete", body)

    async def progress(self, begun: Any) -> Any:
        return (await self.call("GET", f"/progress/{begun['sessionKey']}")).data

    async def sent(self, content: bytes, **changes: Any) -> Any:
        """A session whose form has arrived."""
        begun = await self.initiate(len(content), **changes)
        assert 200 <= await self.post(begun, content) < 300
        return begun

    async def row(self, begun: Any) -> UploadRow:
        row = await self.home.services.catalog.uploads.get(begun["sessionKey"])
        assert row is not None
        return row

    async def rows(self, status: str) -> tuple[UploadRow, ...]:
        return await self.home.services.catalog.uploads.in_states({status})

    # --- what is in the store -------------------------------------------------------------------

    async def keys(self) -> list[str]:
        return [entry.key async for entry in self.store.list("media/")]

    async def content(self, key: str) -> bytes:
        return b"".join([block async for block in self.store.open(key)])

    async def nothing_is_left(self) -> None:
        """No object, no part and no session of anybody."""
        assert await self.keys() == []
        signer: Any = self.store
        if hasattr(self.store, "root"):
            signer = self.home.services.local_objects
        assert [each async for each in signer.unfinished("media/")] == []
        assert await self.rows("open") == ()
        assert await self.rows("finishing") == ()
        assert (await self.home.services.catalog.media.find(user_id="paul")).total == 0

    async def kept(self, begun: Any) -> bytes:
        """The content of the file that is done."""
        return await self.content(kept_key(await self.row(begun)))


@asynccontextmanager
async def uploading(
    servers: Servers,
    folder: Path,
    provider: str = "local",
    *,
    largest_form: int | None = None,
    **settings: str,
) -> AsyncIterator[Uploader]:
    """Files larger than `largest_form` bytes go in parts: less than usual, so that tests are quick."""
    shelf = Shelf()
    if provider == "local":
        async with _opened(folder, {}, shelf, provider, largest_form, settings) as uploader:
            yield uploader
        return
    async with servers.store(provider, folder) as store:
        name = "vercel-blob" if provider == "vercel" else provider
        stores = {name: store}
        async with _opened(folder, stores, shelf, provider, largest_form, settings) as uploader:
            yield uploader


@asynccontextmanager
async def _opened(
    folder: Path,
    stores: Mapping[str, ObjectStore],
    shelf: Shelf,
    provider: str,
    largest_form: int | None,
    settings: Mapping[str, str],
) -> AsyncIterator[Uploader]:
    flags = {**SETTINGS[provider], **settings}
    async with (
        house(folder, stores, admission=shelf, **flags) as home,
        aiohttp.ClientSession(auto_decompress=False) as http,
    ):
        depots = home.services.depots
        shelf.catalog, shelf.stores = home.services.catalog, depots.store
        if largest_form is not None:
            uploads = home.services.uploads
            uploads.limits = replace(uploads.limits, largest_form=largest_form)
        yield Uploader(
            home, depots.store(depots.main), shelf, http, home.participant("school", "paul")
        )


async def expired(uploader: Uploader, begun: Any) -> None:
    """The session's time is up, as the server sees it."""
    row = await uploader.row(begun)
    past = datetime.now(UTC) - timedelta(seconds=1)
    await uploader.home.services.catalog.uploads.update(row.id, None, expires_at=past)


async def waits_at_the_door(uploader: Uploader) -> None:
    await until(lambda: bool(uploader.shelf.asked), within=10, what="the library is asked")
