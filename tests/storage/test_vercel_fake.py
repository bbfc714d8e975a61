"""The fake Vercel Blob, used by the SDKs that Vercel makes for the real one."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import httpx2
import pytest
import pytest_asyncio
from vercel.api import session
from vercel.blob import (
    BlobAccessError,
    BlobCredentials,
    BlobError,
    BlobNotFoundError,
    BlobServiceOptions,
    copy_blob,
    delete_blob,
    get_blob,
    head_blob,
    multipart_upload_blob,
    put_blob,
    query_blobs,
    stream_blob,
)

from tests.rig.vercel import STORE, VercelRig, new_token, vercel_rig
from tests.storage.contents import LARGE, counting, cut_into
from tests.storage.stores import Servers

ROOT = Path(__file__).parents[2]
JS_SDK = ROOT / "web/node_modules/@vercel/blob/dist/index.js"
JS_PROGRAM = ROOT / "tests/rig/vercel_sdk.mjs"
PART = 6 << 20


@pytest.fixture
def rig(servers: Servers) -> VercelRig:
    servers.vercel.empty()
    return servers.vercel


class _ToTheRig(httpx2.AsyncHTTPTransport):
    """Connects to the rig instead of the hosts that deliver; the Host header stays."""

    def __init__(self, rig: VercelRig) -> None:
        super().__init__()
        self._rig = rig

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        request.url = httpx2.URL(self._rig.reached(str(request.url))[0])
        return await super().handle_async_request(request)


def _sdk(rig: VercelRig, token: str) -> Any:
    options = BlobServiceOptions(
        base_url=rig.api_url, credentials_factory=lambda: BlobCredentials(token, STORE)
    )
    return session(
        service_options=[options],
        httpx_client_factory=lambda: httpx2.AsyncClient(transport=_ToTheRig(rig)),
    )


@pytest_asyncio.fixture
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as opened:
        yield opened


async def test_python_puts_reads_lists_copies_and_deletes(rig: VercelRig) -> None:
    async with _sdk(rig, rig.token):
        put = await put_blob("a/ü b?.txt", b"hello", access="private", content_type="text/x-y")
        with pytest.raises(BlobError, match="already exists"):
            await put_blob("a/ü b?.txt", b"other", access="private")
        found = await head_blob("a/ü b?.txt")
        assert (found.size, found.content_type) == (5, "text/x-y")
        assert found.etag == put.etag
        assert (await head_blob(put.url)).url == put.url
        assert (await get_blob("a/ü b?.txt", access="private")).body == b"hello"

        copied = await copy_blob("a/ü b?.txt", "b", access="private")
        assert copied.pathname == "b"
        assert [blob.pathname async for blob in query_blobs(page_size=1)] == ["a/ü b?.txt", "b"]
        await delete_blob(["a/ü b?.txt", copied.url, "never there"])
        with pytest.raises(BlobNotFoundError):
            await head_blob("b")
        assert [blob async for blob in query_blobs()] == []


async def test_python_sends_parts_and_streams_them_back(rig: VercelRig) -> None:
    content = counting(LARGE)
    async with _sdk(rig, rig.token):
        async with multipart_upload_blob("a", access="private") as upload:
            for part in cut_into(content, PART):
                await upload.upload_part(part)
        assert (await head_blob("a")).size == LARGE
        async with stream_blob("a", access="private") as download:
            assert b"".join([block async for block in download]) == content


async def test_parts_that_are_too_small_make_no_object(rig: VercelRig) -> None:
    headers = {
        "authorization": f"Bearer {rig.token}",
        "x-vercel-blob-access": "private",
        "x-mpu-key": f"{STORE.lower()}%2Fa",
    }
    async with aiohttp.ClientSession(f"{rig.api_url}/", headers=headers) as client:

        async def call(action: str, body: bytes | None = None, **more: str) -> Any:
            names = {f"x-mpu-{name.replace('_', '-')}": value for name, value in more.items()}
            async with client.post(
                "mpu?pathname=a", data=body, headers={"x-mpu-action": action, **names}
            ) as answer:
                return answer.status, await answer.json()

        upload_id = (await call("create"))[1]["uploadId"]
        parts = []
        for number in (1, 2):
            _, part = await call("upload", b"small", upload_id=upload_id, part_number=str(number))
            parts.append({"partNumber": number, "etag": part["etag"]})
        status, answer = await call("complete", json.dumps(parts).encode(), upload_id=upload_id)
        assert (status, answer["error"]["code"]) == (400, "bad_request")
    async with _sdk(rig, rig.token):
        assert [blob async for blob in query_blobs()] == []


async def test_a_strangers_token_opens_nothing(rig: VercelRig) -> None:
    async with _sdk(rig, rig.token):
        await put_blob("a", b"secret", access="private")
    async with _sdk(rig, new_token()):
        with pytest.raises(BlobAccessError):
            await put_blob("a", b"evil", access="private", allow_overwrite=True)
        with pytest.raises(BlobAccessError):
            await get_blob("a", access="private")
        with pytest.raises(BlobAccessError):
            await delete_blob("a")
    async with _sdk(rig, rig.token):
        assert (await get_blob("a", access="private")).body == b"secret"


async def test_javascript_puts_lists_copies_deletes_and_signs(
    rig: VercelRig, client: aiohttp.ClientSession
) -> None:
    seen = await _javascript(rig)

    assert seen["url"].startswith(f"https://{STORE.lower()}.private.blob.vercel-storage.com/js/a")
    assert seen["type"] == "text/plain"
    assert "already exists" in seen["again"]
    assert (seen["parts"], seen["copy"]) == ("js/large.bin", "js/b.txt")
    assert seen["size"] == 12_000_000
    assert seen["listed"] == ["js/a.txt", "js/b.txt", "js/large.bin"]
    assert seen["gone"] == "BlobNotFoundError"

    url, headers = rig.reached(seen["get"])
    async with client.get(url, headers=headers) as answer:
        assert await answer.text() == "hello"
    async with client.delete(url, headers=headers) as answer:
        assert answer.status == 405

    sending = {"x-vercel-blob-access": "private", "x-content-type": "text/plain"}
    for body, status in ((b"0123456789", 200), (b"again", 200), (b"0123456789+", 400)):
        async with client.put(seen["put"], data=body, headers=sending) as answer:
            assert answer.status == status
    sending["x-content-type"] = "text/html"
    async with client.put(seen["put"], data=b"<b>", headers=sending) as answer:
        assert answer.status == 400


async def _javascript(rig: VercelRig) -> Any:
    node = shutil.which("node")
    if node is None or not JS_SDK.exists():
        pytest.fail("this test needs node and @vercel/blob: run `npm ci` in web/")
    process = await asyncio.create_subprocess_exec(
        node,
        JS_PROGRAM,
        JS_SDK,
        env={"VERCEL_BLOB_API_URL": rig.api_url, "BLOB_READ_WRITE_TOKEN": rig.token},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    return json.loads(out)


def test_a_rig_with_a_token_of_ones_own_ends_with_its_block() -> None:
    token = new_token("other")
    with vercel_rig(token) as rig:
        rig.empty()
    assert rig.token == token
    with pytest.raises(OSError, match="refused"):
        rig.empty()
