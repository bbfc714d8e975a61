"""PyPI's gcp-storage-emulator: a process of its own that keeps everything in memory."""

from __future__ import annotations

import asyncio
import json
import secrets
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from typing import IO, Any
from urllib.parse import quote

import aiohttp
from multidict import CIMultiDict
from yarl import URL

BUCKET = "rig-bucket"
START_SECONDS = 20
IN_MEMORY = 16 << 20
OWN_HEADERS = frozenset(
    {"connection", "content-length", "date", "host", "server", "transfer-encoding"}
)


@dataclass(slots=True)
class Reply:
    """An answer, all of it here."""

    status: int
    headers: CIMultiDict[str] = field(default_factory=CIMultiDict)
    body: IO[bytes] = field(default_factory=BytesIO)

    @classmethod
    def of(cls, status: int, content: str, content_type: str) -> Reply:
        known = CIMultiDict({"Content-Type": content_type})
        return cls(status, known, BytesIO(content.encode()))

    @classmethod
    def of_json(cls, status: int, said: Any) -> Reply:
        return cls.of(status, json.dumps(said), "application/json")

    def json(self) -> Any:
        self.body.seek(0)
        return json.load(self.body)

    @property
    def size(self) -> int:
        return self.body.seek(0, 2)


class Emulator:
    """A client of it. One request at a time: it has one thread."""

    def __init__(self, url: str) -> None:
        self.turn = asyncio.Lock()
        self._url = url
        self._client = aiohttp.ClientSession(auto_decompress=False)

    async def close(self) -> None:
        await self._client.close()

    async def ask(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes = b""
    ) -> Reply:
        """The answer, taken whole before the next request. `target` goes as it is."""
        passed = _others(headers)
        if host := headers.get("Host"):
            passed["Host"] = host  # it makes addresses of it
        file = tempfile.SpooledTemporaryFile(IN_MEMORY)  # noqa: SIM115 - the reply's
        async with self._client.request(
            method,
            URL(self._url + target, encoded=True),
            headers=passed,
            data=body,
            allow_redirects=False,
            skip_auto_headers=("Content-Type", "Accept-Encoding", "User-Agent"),
        ) as answer:
            async for block in answer.content.iter_chunked(1 << 20):
                file.write(block)
            kept = _others(answer.headers)
            return Reply(answer.status, kept, file)

    async def resource(self, key: str) -> dict[str, Any] | None:
        found = await self.ask("GET", object_target(key), {})
        return found.json() if found.status == 200 else None

    async def has_bucket(self, bucket: str) -> bool:
        found = await self.ask("GET", f"/storage/v1/b/{quote(bucket, safe='')}", {})
        return found.status == 200

    async def store(
        self, key: str, content_type: str, metadata: Mapping[str, str], content: bytes
    ) -> None:
        boundary = secrets.token_hex(16)
        resource = json.dumps(
            {"name": key, "contentType": content_type, "metadata": dict(metadata)}
        )
        head = (
            f"--{boundary}\r\nContent-Type: application/json\r\n\r\n{resource}\r\n"
            f"--{boundary}\r\nContent-Type: application/octet-stream\r\n\r\n"
        )
        stored = await self.ask(
            "POST",
            f"/upload/storage/v1/b/{BUCKET}/o?uploadType=multipart",
            {"Content-Type": f"multipart/related; boundary={boundary}"},
            b"".join((head.encode(), content, f"\r\n--{boundary}--\r\n".encode())),
        )
        assert stored.status == 200, stored.json()

    async def wipe(self) -> None:
        await self.ask("GET", "/wipe?keep-buckets=1", {})


def _others(headers: Mapping[str, str]) -> CIMultiDict[str]:
    """Those that are not of one connection only."""
    return CIMultiDict(
        (name, value) for name, value in headers.items() if name.lower() not in OWN_HEADERS
    )


def object_target(key: str) -> str:
    return f"/storage/v1/b/{BUCKET}/o/{quote(key, safe='')}"


@contextmanager
def running_emulator() -> Iterator[str]:
    """Its URL. There is the bucket `BUCKET`; what is deleted from it is gone at once."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "gcp_storage_emulator", "start", "--quiet", "--in-memory"),
            *("--host", "127.0.0.1", "--port", str(port), "--default-bucket", BUCKET),
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        url = f"http://127.0.0.1:{port}"
        _await(process, url)
        _send("PATCH", f"{url}/storage/v1/b/{BUCKET}", KEEP_NOTHING)
        yield url
    finally:
        process.terminate()
        process.wait()


KEEP_NOTHING = {"softDeletePolicy": {"retentionDurationSeconds": "0"}}


def _await(process: subprocess.Popen[bytes], url: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            return _send("GET", url)
        except (urllib.error.URLError, ConnectionError) as error:
            if process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError("gcp-storage-emulator does not serve") from error
        time.sleep(0.05)


def _send(method: str, url: str, body: Any = None) -> None:
    content = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(url, content, headers, method=method)
    with urllib.request.urlopen(request, timeout=START_SECONDS) as answer:
        answer.read()
