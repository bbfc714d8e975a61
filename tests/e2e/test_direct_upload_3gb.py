"""3 GB from Chromium straight into a bucket: what the server sees of them is a few requests.

The page runs under the server's own Content-Security-Policy. It reaches the server through a relay that
counts bytes; every part goes to the gateway, as the browser's own list of requests shows. The file is a
real film with 3 GB of padding in a box that players skip (`free`), so that the library takes it.
"""

from __future__ import annotations

import asyncio
import base64
import os
import re
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Request

from tests.crash.outages import s3_settings
from tests.rig.browser import chromium, faults_of, visitor
from tests.rig.ceph import radosgw
from tests.rig.rest import Rest
from tests.rig.server import MediaserverProcess, members
from tests.rig.tokens import participant_token
from tests.rig.uploads import write_film

SIZE = 3_000_000_000
PIECE = 16 << 20  # bytes of the blob that the padding is made of, again and again
MEBIBYTE = 1 << 20
PAGE_MEMORY = os.sysconf("SC_PAGE_SIZE")

# Sends a file of `size` bytes that begins with `head`: parts are slices, three of them at a time.
SEND = """
async ({ head, size, piece, token }) => {
  const start = Uint8Array.from(atob(head), (c) => c.charCodeAt(0));
  const padding = new Blob([crypto.getRandomValues(new Uint8Array(65536))]);
  const block = new Blob(Array(piece / 65536).fill(padding));
  const left = size - start.length;
  const whole = Math.floor(left / piece);
  const file = new Blob([start, ...Array(whole).fill(block), block.slice(0, left - whole * piece)]);
  const call = async (path, body) => {
    const answer = await fetch("/api/v1/media/upload/" + path, {
      method: "POST",
      headers: { Authorization: "Bearer " + token, "Content-Type": "application/json" },
      body: JSON.stringify(body),
    });
    const said = await answer.json();
    if (!said.success) throw new Error(JSON.stringify(said.error));
    return said.data;
  };
  const begun = await call("initiate", {
    filename: "long talk.mp4", fileSize: file.size, contentType: "video/mp4",
  });
  window.sessionKey = begun.sessionKey;
  const sent = [];
  let next = 1;
  const work = async () => {
    while (next <= begun.parts) {
      const partNumber = next++;
      const { urls: [link] } = await call("parts", {
        sessionKey: begun.sessionKey, partNumbers: [partNumber],
      });
      const first = (partNumber - 1) * begun.partSize;
      const body = file.slice(first, first + begun.partSize);
      const answer = await fetch(link.url, { method: link.method, headers: link.headers, body });
      if (!answer.ok) throw new Error(partNumber + ": " + answer.status);
      sent.push({ partNumber, etag: answer.headers.get("ETag") });
    }
  };
  await Promise.all([work(), work(), work()]);
  const media = await call("complete", {
    sessionKey: begun.sessionKey, storageKey: begun.storageKey, parts: sent,
  });
  return { begun, media };
}
"""


@dataclass(slots=True)
class Relay:
    """What is between the page and the server. `carried` are bytes in both directions."""

    url: str
    carried: int = 0


@asynccontextmanager
async def relay(target: str) -> AsyncIterator[Relay]:
    parts = urlsplit(target)
    tasks: set[asyncio.Task[Any]] = set()

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while block := await reader.read(65536):
                between.carried += len(block)
                writer.write(block)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        up_reader, up_writer = await asyncio.open_connection(parts.hostname, parts.port)
        await asyncio.gather(pump(reader, up_writer), pump(up_reader, writer))
        tasks.discard(task)

    listening = await asyncio.start_server(connected, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    between = Relay(f"http://127.0.0.1:{port}")
    try:
        yield between
    finally:
        listening.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@dataclass(slots=True)
class Watch:
    """A process tree while something happens: memory in bytes, and bytes over TCP by socket."""

    pid: int
    before: int = 0
    most: int = 0
    sockets: dict[str, int] = field(default_factory=dict)

    @property
    def growth(self) -> int:
        """Of the server's own process; its jobs come and go."""
        return self.most - self.before

    @property
    def carried(self) -> int:
        return sum(self.sockets.values())

    async def run(self) -> None:
        self.before = self.most = resident(self.pid)
        while True:
            self.most = max(self.most, resident(self.pid))
            for name, count in (await tcp_bytes(set(members(self.pid)))).items():
                self.sockets[name] = max(count, self.sockets.get(name, 0))
            await asyncio.sleep(0.25)


def resident(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_MEMORY


async def tcp_bytes(pids: set[int]) -> dict[str, int]:
    """Bytes received and sent by each open socket of these processes, as the kernel counts them."""
    listing = await asyncio.create_subprocess_exec("ss", "-tinpOH", stdout=asyncio.subprocess.PIPE)
    out, _ = await listing.communicate()
    found = {}
    for line in out.decode().splitlines():
        if {int(pid) for pid in re.findall(r"pid=(\d+)", line)} & pids:
            counts = re.findall(r"bytes_(?:received|sent):(\d+)", line)
            found[" ".join(line.split()[3:5])] = sum(map(int, counts))
    return found


def film_of(size: int, folder: Path) -> bytes:
    """The beginning of an MP4 of `size` bytes; the rest is a box that holds anything."""
    film = write_film(folder / "film.mp4", frames=5).read_bytes()
    box = struct.pack(">I4sQ", 1, b"free", size - len(film))
    return film + box


@pytest.mark.long
@pytest.mark.timeout(1200)
async def test_three_gigabytes_pass_by_the_server(data_dir: Path) -> None:
    with radosgw() as gateway:
        bucket = gateway.new_bucket()
        settings = {
            **s3_settings(gateway, bucket),
            "MAX_VIDEO_SIZE_MB": "4096",
            "CHUNK_SIZE_MB": "16",
        }
        async with (
            MediaserverProcess(data_dir, settings) as server,
            relay(server.base_url) as between,
            chromium() as browser,
            visitor(browser) as person,
        ):
            gateway.allow_pages(bucket, between.url)
            token = participant_token("school", "paul")
            page = await person.new_page()
            faults, requests = faults_of(page), list[Request]()

            def note(request: Request) -> None:
                requests.append(request)

            page.on("request", note)
            await page.goto(between.url)
            between.carried = 0
            watch = Watch(server.pid)
            watching = asyncio.create_task(watch.run())
            progress = asyncio.create_task(followed(between.url, token, page))
            try:
                options = {
                    "head": base64.b64encode(film_of(SIZE, data_dir.parent)).decode(),
                    "size": SIZE,
                    "piece": PIECE,
                    "token": token,
                }
                done = await page.evaluate(SEND, options)
            finally:
                watching.cancel()
                progress.cancel()
                seen = (await asyncio.gather(watching, progress, return_exceptions=True))[1]

            begun, media = done["begun"], done["media"]
            assert media["size"] == SIZE
            assert media["status"] in ("processing", "ready")
            head = await asyncio.to_thread(
                gateway.client.head_object, Bucket=bucket, Key=media["storageKey"]
            )
            assert head["ContentLength"] == SIZE
            assert gateway.unfinished_uploads(bucket) == 0

            puts = [each for each in requests if each.method == "PUT"]
            assert len(puts) >= begun["parts"]
            gateway_host = urlsplit(gateway.endpoint).netloc
            assert {urlsplit(each.url).netloc for each in puts} == {gateway_host}
            assert between.carried < 5 * MEBIBYTE, between.carried
            assert watch.carried < 50 * MEBIBYTE, watch.sockets
            assert watch.growth < 50 * MEBIBYTE, watch.growth
            print(
                f"page and server: {between.carried:,} bytes;"
                f" all of the server's sockets: {watch.carried:,};"
                f" memory grew by {watch.growth:,} from {watch.before:,};"
                f" progress seen {seen}"
            )
            assert faults == []


async def followed(base_url: str, token: str, page: Any) -> list[float]:
    """What the progress route says meanwhile; ends by being cancelled."""
    percents: list[float] = []
    try:
        async with Rest(base_url, token) as rest:
            while True:
                await asyncio.sleep(1)
                key = await page.evaluate("window.sessionKey")
                if key:
                    said = await rest.get(f"/api/v1/media/upload/progress/{key}")
                    percents.append(said["uploadProgress"])
    except asyncio.CancelledError:
        pass
    assert percents == sorted(percents)
    assert len(set(percents)) > 5, percents
    return percents
