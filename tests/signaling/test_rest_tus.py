"""The tus routes: what the protocol demands of every answer, and attacks."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from storage.errors import StoreUnavailable
from storage.objects import MemoryStore, ObjectStore
from tests.signaling.house import Answer, House, house
from tests.signaling.uploading import REFUSED, Shelf

TUS = "/api/v1/media/tus"
DATA = bytes(range(256)) * 100
PIECE = {"Content-Type": "application/offset+octet-stream"}


def b64(text: str | bytes) -> str:
    return base64.b64encode(text.encode() if isinstance(text, str) else text).decode()


@asynccontextmanager
async def serving(
    folder: Path, stores: Mapping[str, ObjectStore] | None = None
) -> AsyncIterator[House]:
    """A server of small files whose library takes everything but what begins with `REFUSED`."""
    shelf = Shelf()
    settings = {"allowed_origins": "https://app.example.com", "max_video_size_mb": "1"}
    async with house(folder, stores, admission=shelf, **settings) as served:
        shelf.catalog, shelf.stores = served.services.catalog, served.services.depots.store
        yield served


@pytest_asyncio.fixture
async def served(tmp_path: Path) -> AsyncIterator[House]:
    async with serving(tmp_path) as served:
        yield served


class Closed(MemoryStore):
    closed = True

    async def put_file(self, *arguments: Any, **options: Any) -> Any:
        if self.closed:
            raise StoreUnavailable("the store is closed")
        return await super().put_file(*arguments, **options)


class Client:
    """One user's requests, with the version that each of them needs."""

    def __init__(self, house: House, identity: str = "ada") -> None:
        self._house = house
        self._token = house.participant("room", identity)

    async def ask(
        self, method: str, path: str, headers: Mapping[str, str] | None = None, **options: Any
    ) -> Answer:
        headers = {"Tus-Resumable": "1.0.0"} | dict(headers or {})
        answer = await self._house.request(method, path, self._token, headers, **options)
        assert answer.headers["Tus-Resumable"] == "1.0.0"
        return answer

    async def create(self, size: int = len(DATA), name: str = "talk.mp4", **headers: str) -> Answer:
        told = f"filename {b64(name)},filetype {b64('video/mp4')}"
        headers = {"Upload-Length": str(size), "Upload-Metadata": told} | headers
        return await self.ask("POST", TUS, headers)

    async def begin(self, size: int = len(DATA)) -> str:
        answer = await self.create(size)
        assert answer.status == 201, answer
        return str(answer.headers["Location"])

    async def patch(self, path: str, data: bytes, offset: int | str = 0, **headers: str) -> Answer:
        sent = PIECE | {"Upload-Offset": str(offset)} | headers
        return await self.ask("PATCH", path, sent, data=data)


def spooled(house: House) -> list[str]:
    folder = house.services.settings.data_dir / "journals/.uploads"
    return sorted({path.stem for path in folder.iterdir()}) if folder.exists() else []


# --- the protocol ---------------------------------------------------------------------------------


async def test_capabilities_need_no_token(served: House) -> None:
    answer = await served.request("OPTIONS", TUS)
    assert answer.status == 204
    assert answer.headers["Tus-Version"] == answer.headers["Tus-Resumable"] == "1.0.0"
    assert answer.headers["Tus-Max-Size"] == str(1 << 20)
    assert "creation-with-upload" in answer.headers["Tus-Extension"].split(",")
    assert "sha1" in answer.headers["Tus-Checksum-Algorithm"].split(",")


async def test_a_file_in_two_pieces(served: House) -> None:
    ada = Client(served)
    created = await ada.create(courseId="c-1")
    path = created.headers["Location"]
    assert path.startswith(f"{TUS}/UP_")
    assert parsedate_to_datetime(created.headers["Upload-Expires"]) > datetime.now(UTC)

    first = await ada.patch(path, DATA[:10_000])
    assert (first.status, first.headers["Upload-Offset"]) == (204, "10000")
    assert "Upload-Expires" in first.headers

    seen = await ada.ask("HEAD", path)
    assert seen.status == 200
    assert seen.headers["Upload-Offset"] == "10000"
    assert seen.headers["Upload-Length"] == str(len(DATA))
    assert seen.headers["Upload-Metadata"].startswith(f"filename {b64('talk.mp4')},")
    assert seen.headers["Cache-Control"] == "no-store"

    last = await ada.patch(path, DATA[10_000:], 10_000)
    assert (last.status, last.headers["Upload-Offset"]) == (204, str(len(DATA)))
    media = await served.services.catalog.media.get(last.headers["Upload-Media-Id"])
    assert media is not None
    assert (media.user_id, media.size, media.filename) == ("ada", len(DATA), "talk.mp4")
    store = served.services.depots.store(media.provider)
    assert b"".join([block async for block in store.open(media.storage_key)]) == DATA
    again = await ada.ask("HEAD", path)
    assert again.headers["Upload-Media-Id"] == media.id
    assert spooled(served) == []


async def test_the_whole_file_with_the_creation(served: House) -> None:
    headers = PIECE | {"Upload-Length": str(len(DATA)), "Upload-Metadata": f"name {b64('a.mp4')}"}
    answer = await Client(served).ask("POST", f"{TUS}/", headers, data=DATA)
    assert (answer.status, answer.headers["Upload-Offset"]) == (201, str(len(DATA)))
    assert answer.headers["Upload-Media-Id"].startswith("MF_")


async def test_the_course_of_a_file_is_kept(served: House) -> None:
    told = f"filename {b64('talk.mp4')},courseId {b64('c-1')}"
    await Client(served).create(**{"Upload-Metadata": told})
    (row,) = await served.services.catalog.uploads.in_states({"open"})
    assert row.course_id == "c-1"


async def test_a_piece_with_a_checksum(served: House) -> None:
    ada = Client(served)
    path = await ada.begin()
    wrong = await ada.patch(path, DATA[:100], **{"Upload-Checksum": f"sha1 {b64(bytes(20))}"})
    assert (wrong.status, wrong.code) == (460, "checksum_mismatch")
    assert (await ada.ask("HEAD", path)).headers["Upload-Offset"] == "0"
    digest = b64(hashlib.sha1(DATA[:100]).digest())
    right = await ada.patch(path, DATA[:100], **{"Upload-Checksum": f"sha1 {digest}"})
    assert right.headers["Upload-Offset"] == "100"


async def test_termination(served: House) -> None:
    ada = Client(served)
    path = await ada.begin()
    assert (await ada.ask("DELETE", path)).status == 204
    assert (await ada.ask("HEAD", path)).status == 410
    assert (await ada.patch(path, b"x")).code == "upload_over"
    assert spooled(served) == []


async def test_clients_that_know_post_only(served: House) -> None:
    ada = Client(served)
    path = await ada.begin()
    sent = PIECE | {"Upload-Offset": "0", "X-HTTP-Method-Override": "PATCH"}
    assert (await ada.ask("POST", path, sent, data=DATA[:7])).headers["Upload-Offset"] == "7"
    assert (await ada.ask("POST", path, {"X-HTTP-Method-Override": "DELETE"})).status == 204
    answer = await served.post(path, served.participant("room", "ada"))
    assert (answer.status, answer.code) == (405, "method_not_allowed")


async def test_another_version_is_refused(served: House) -> None:
    for version in ({}, {"Tus-Resumable": "0.2.2"}):
        answer = await served.post(TUS, served.participant("room"), headers=version)
        assert (answer.status, answer.code) == (412, "unsupported_tus_version")
        assert answer.headers["Tus-Version"] == "1.0.0"


async def test_a_refusal_is_the_answer_to_the_last_piece(served: House) -> None:
    ada = Client(served)
    path = await ada.begin(len(REFUSED))
    answer = await ada.patch(path, REFUSED)
    assert (answer.status, answer.code) == (415, "unsupported_format")
    assert (await ada.ask("HEAD", path)).status == 415
    assert spooled(served) == []


async def test_a_store_that_is_down_makes_clients_wait_not_begin_anew(tmp_path: Path) -> None:
    store = Closed()
    async with serving(tmp_path, {"local": store}) as served:
        ada = Client(served)
        path = await ada.begin()
        assert (await ada.patch(path, DATA)).status == 503
        waiting = await ada.ask("HEAD", path)
        assert (waiting.status, "Upload-Offset" in waiting.headers) == (423, False)
        store.closed = False
        done = await ada.ask("HEAD", path)
        assert (done.status, done.headers["Upload-Offset"]) == (200, str(len(DATA)))
        assert "Upload-Media-Id" in done.headers


async def test_pages_of_allowed_origins_can_read_the_headers(served: House) -> None:
    page = {"Origin": "https://app.example.com"}
    asked = {
        "Access-Control-Request-Method": "PATCH",
        "Access-Control-Request-Headers": "authorization,content-type,tus-resumable,upload-offset",
    }
    preflight = await served.request("OPTIONS", f"{TUS}/UP_x", headers=page | asked)
    assert preflight.status == 204
    assert "PATCH" in preflight.headers["Access-Control-Allow-Methods"]
    assert "upload-offset" in preflight.headers["Access-Control-Allow-Headers"]
    created = await Client(served).create(**page)
    assert created.headers["Access-Control-Allow-Origin"] == page["Origin"]
    exposed = created.headers["Access-Control-Expose-Headers"].split(", ")
    assert {"Location", "Upload-Offset", "Upload-Length", "Tus-Resumable"} <= set(exposed)
    foreign = await Client(served).create(Origin="https://evil.example.com")
    assert "Access-Control-Allow-Origin" not in foreign.headers


# --- attacks --------------------------------------------------------------------------------------


async def test_without_a_token_or_an_identity(served: House) -> None:
    version = {"Tus-Resumable": "1.0.0", "Upload-Length": "5"}
    assert (await served.post(TUS, headers=version)).status == 401
    server = await served.post(TUS, served.server(), headers=version)
    assert (server.status, server.code) == (403, "identity_needed")
    assert (await served.request("HEAD", f"{TUS}/UP_x", headers=version)).status == 401
    assert spooled(served) == []


async def test_another_users_upload_id(served: House) -> None:
    ada, eve = Client(served), Client(served, "eve")
    path = await ada.begin()
    assert (await eve.ask("HEAD", path)).status == 403
    assert (await eve.patch(path, b"evil")).code == "not_your_upload"
    assert (await eve.ask("DELETE", path)).code == "not_your_upload"
    assert (await ada.ask("HEAD", path)).headers["Upload-Offset"] == "0"


async def test_the_id_of_a_direct_upload_is_no_way_in(served: House) -> None:
    token = served.participant("room", "ada")
    wanted = {"filename": "a.mp4", "fileSize": 10, "contentType": "video/mp4"}
    begun = await served.post("/api/v1/media/upload/initiate", token, json=wanted)
    answer = await Client(served).patch(f"{TUS}/{begun.data['sessionKey']}", b"0123456789")
    assert (answer.status, answer.code) == (404, "unknown_upload")


@pytest.mark.parametrize(
    "name",
    ["..%2F..%2Fmediaserver.db", "%2e%2e", "UP_%00", "UP_a%2F..", "UP_" + "a" * 500, "%0d%0a"],
)
async def test_dots_and_slashes_in_ids(served: House, name: str) -> None:
    ada = Client(served)
    for method in ("HEAD", "PATCH", "DELETE"):
        headers = PIECE | {"Upload-Offset": "0"}
        token, version = served.participant("room", "ada"), {"Tus-Resumable": "1.0.0"}
        answer = await served.request(method, f"{TUS}/{name}", token, headers | version)
        assert answer.status in (400, 404), (method, answer)
    assert spooled(served) == []
    assert await ada.begin()


@pytest.mark.parametrize("length", ["-1", "1e6", "", "0x10", "99999999999999999999", "1,2", "NaN"])
async def test_upload_length_lies(served: House, length: str) -> None:
    answer = await Client(served).create(**{"Upload-Length": length})
    assert (answer.status, answer.code) == (400, "bad_upload_length")
    assert spooled(served) == []


async def test_upload_length_that_is_too_large_or_nothing(served: House) -> None:
    ada = Client(served)
    large = await ada.create((1 << 20) + 1)
    assert (large.status, large.code) == (413, "file_too_large")
    assert large.details["limitBytes"] == 1 << 20
    assert (await ada.create(0)).status == 400
    assert (await ada.create(**{"Upload-Defer-Length": "1"})).status == 400


@pytest.mark.parametrize("offset", ["-1", "-0", "+1", "1.5", "", "9" * 30])
async def test_negative_offsets(served: House, offset: str) -> None:
    ada = Client(served)
    path = await ada.begin()
    answer = await ada.patch(path, b"x", offset)
    assert (answer.status, answer.code) == (400, "bad_upload_offset")
    assert (await ada.ask("HEAD", path)).headers["Upload-Offset"] == "0"


async def test_offsets_beyond_the_end(served: House) -> None:
    ada = Client(served)
    path = await ada.begin()
    answer = await ada.patch(path, b"x", 5)
    assert (answer.status, answer.code, answer.details) == (409, "offset_conflict", {"offset": 0})


async def test_patch_beyond_length(served: House) -> None:
    ada = Client(served)
    path = await ada.begin(100)
    answer = await ada.patch(path, DATA)
    assert (answer.status, answer.code) == (413, "beyond_upload_length")

    async def unannounced() -> AsyncIterator[bytes]:
        yield DATA

    sent = PIECE | {"Upload-Offset": "0"}
    answer = await ada.ask("PATCH", path, sent, data=unannounced())
    assert (answer.status, answer.code) == (413, "beyond_upload_length")
    assert (await ada.ask("HEAD", path)).headers["Upload-Offset"] == "0"


async def test_concurrent_patches(served: House) -> None:
    ada = Client(served)
    path = await ada.begin()
    answers = await asyncio.gather(*(ada.patch(path, DATA) for _ in range(8)))
    # what came late finds the file in the library, and says so
    assert {answer.status for answer in answers} <= {204, 409}
    assert 204 in {answer.status for answer in answers}
    (media,) = (await served.services.catalog.media.find(user_id="ada")).items
    store = served.services.depots.store(media.provider)
    assert b"".join([block async for block in store.open(media.storage_key)]) == DATA


@pytest.mark.parametrize(
    "name", ["a\0.mp4", "a\r\nSet-Cookie: x=1.mp4", "\x1b[2J.mp4", "\u2028.mp4"]
)
async def test_metadata_with_control_characters(served: House, name: str) -> None:
    answer = await Client(served).create(name=name)
    assert (answer.status, answer.code) == (400, "bad_upload_metadata")
    assert spooled(served) == []


async def test_names_that_are_paths(served: House) -> None:
    await Client(served).create(name="../../etc/passwd.mp4")
    (row,) = await served.services.catalog.uploads.in_states({"open"})
    assert row.filename == "passwd.mp4"
    assert spooled(served) == [row.id]


async def test_abandoned_creations(served: House) -> None:
    ada, bob = Client(served), Client(served, "bob")
    answers = await asyncio.gather(*(ada.create() for _ in range(50)))
    assert [answer.status for answer in answers].count(201) == 5
    refused = next(answer for answer in answers if answer.status != 201)
    assert (refused.status, refused.code) == (429, "too_many_uploads")
    assert int(refused.headers["Retry-After"]) > 0
    assert len(spooled(served)) == 5
    assert (await bob.create()).status == 201  # one user's limit is nobody else's


async def test_a_compressed_body_is_not_unpacked(served: House) -> None:
    ada = Client(served)
    path = await ada.begin()
    answer = await ada.patch(path, b"\x1f\x8b", **{"Content-Encoding": "gzip"})
    assert (answer.status, answer.code) == (400, "bad_content_encoding")


async def test_a_body_of_another_type(served: House) -> None:
    ada = Client(served)
    path = await ada.begin()
    answer = await ada.patch(path, b"x", **{"Content-Type": "video/mp4"})
    assert (answer.status, answer.code) == (415, "unsupported_media_type")
