"""What taking chunks costs, beside a bare aiohttp handler in the same run.

    python -m tests.bench.chunks [--chunks 400] [--at-once 8] [--kilobytes 1024] [--rounds 3]

Both take the same chunks over loopback, so many at a time, on the same disk, in turns. The bare handler
reads the body, writes it to a file beside, flushes that to the medium and renames it, in a thread. Ours
is the whole server, as `mediaserver serve` starts it: tokens and rights are checked, and the name of the
file is flushed too before the answer is given. The same with a digest of each chunk to compare, and with
`--json` by the base64 route, is shown beside.

Prints MB/s of all and the ratios to the bare handler; exits with 1 when that of raw chunks is below 0.5.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import hashlib
import json
import multiprocessing as mp
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from multiprocessing.connection import Connection
from pathlib import Path

import uvloop
from aiohttp import ClientSession, ClientTimeout, TCPConnector, web

from tests.rig.rest import Rest
from tests.rig.sdk import joined
from tests.rig.server import MediaserverProcess
from tests.rig.tokens import participant_token, server_token

LEAST = 0.5
ROOM, PARTICIPANT = "bench", "paul"
BARE, OURS = "bare handler", "mediaserver"
Send = Callable[[int, bytes], Awaitable[None]]


# --- the bare handler -----------------------------------------------------------------------------


def bare_server(pipe: Connection, folder: Path) -> None:
    """A process of its own; says its port, ends when the pipe does."""

    def keep(name: str, body: bytes) -> None:
        temporary = folder / f"{name}.part"
        with temporary.open("wb") as file:
            file.write(body)
            file.flush()
            os.fsync(file.fileno())
        temporary.rename(folder / name)

    async def put(request: web.Request) -> web.Response:
        body = await request.read()
        await asyncio.to_thread(keep, request.match_info["name"], body)
        return web.Response(status=201)

    async def run() -> None:
        app = web.Application(client_max_size=1 << 30)
        app.router.add_put("/{name}", put)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        pipe.send(runner.addresses[0][1])
        ended = asyncio.Event()
        asyncio.get_running_loop().add_reader(pipe.fileno(), ended.set)
        await ended.wait()
        await runner.cleanup()

    uvloop.run(run())


# --- the load -------------------------------------------------------------------------------------


async def seconds_for(send: Send, bodies: list[bytes], count: int, at_once: int) -> float:
    numbers = iter(range(count))

    async def work() -> None:
        for number in numbers:
            await send(number, bodies[number % len(bodies)])

    began = time.perf_counter()
    await asyncio.gather(*(work() for _ in range(at_once)))
    return time.perf_counter() - began


def digest(body: bytes) -> str:
    return f"sha-256=:{base64.b64encode(hashlib.sha256(body).digest()).decode()}:"


async def compare(count: int, at_once: int, size: int, rounds: int, *, encoded: bool) -> bool:
    bodies = [os.urandom(size) for _ in range(8)]
    digests = {body: digest(body) for body in bodies}
    texts = {body: base64.b64encode(body).decode() for body in bodies} if encoded else {}
    rates: dict[str, list[float]] = {}
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        bare = folder / "bare"
        bare.mkdir()
        port = _start_bare(stack, bare)
        server = await stack.enter_async_context(MediaserverProcess(folder / "data"))
        stack.push_async_callback(server.kill9)  # noise is no media: nothing to finish
        recording_id = await _recording(stack, server)
        token = participant_token(ROOM, PARTICIPANT)
        session = await stack.enter_async_context(
            ClientSession(
                connector=TCPConnector(limit=at_once),
                timeout=ClientTimeout(total=None),
                headers={"Authorization": f"Bearer {token}"},
            )
        )
        part = 0

        async def to_bare(number: int, body: bytes) -> None:
            name = f"http://127.0.0.1:{port}/{part}-{number}"
            async with session.put(name, data=body) as answer:
                assert answer.status == 201, answer.status

        async def to_us(number: int, body: bytes, shift: int = 0, digest: str = "") -> None:
            path = f"/api/v1/recordings/{recording_id}/chunks/{PARTICIPANT}/{part + shift}/{number}"
            headers = {"Content-Digest": digest} if digest else {}
            async with session.put(server.base_url + path, data=body, headers=headers) as answer:
                assert answer.status == 201, await answer.text()

        async def with_digest(number: int, body: bytes) -> None:
            await to_us(number, body, 250, digests[body])

        async def in_json(number: int, body: bytes) -> None:
            fields = {"recordingId": recording_id, "participantId": PARTICIPANT, "part": part + 500}
            told = json.dumps({**fields, "sequence": number, "chunk": texts[body]}).encode()
            url = server.base_url + "/video-calls/chunks/upload"
            async with session.post(url, data=told) as answer:
                assert answer.status == 201, await answer.text()

        ways: dict[str, Send] = {BARE: to_bare, OURS: to_us, "with digests": with_digest}
        if encoded:
            ways["base64 in JSON"] = in_json
        for part in range(rounds + 1):
            for name, send in ways.items():
                seconds = await seconds_for(send, bodies, count if part else 2 * at_once, at_once)
                if part:  # the first round only warms up
                    rates.setdefault(name, []).append(count * size / 1e6 / seconds)
    medians = {name: statistics.median(seen) for name, seen in rates.items()}
    print(f"{count} chunks of {size >> 10} KiB, {at_once} at a time, in MB/s:")
    for name, seen in rates.items():
        each, ratio = ", ".join(f"{rate:.0f}" for rate in seen), medians[name] / medians[BARE]
        print(f"{name:<15} {medians[name]:6.0f}  ratio {ratio:.2f}  ({each})")
    ratio = medians[OURS] / medians[BARE]
    print(f"ratio {ratio:.2f} (at least {LEAST})")
    return ratio >= LEAST


def _start_bare(stack: AsyncExitStack, folder: Path) -> int:
    ours, theirs = mp.Pipe()
    process = mp.get_context("spawn").Process(target=bare_server, args=(theirs, folder))
    process.start()
    stack.callback(process.join, 10)
    stack.callback(ours.close)
    theirs.close()  # else a server that dies says nothing for ever
    port: int = ours.recv()
    return port


async def _recording(stack: AsyncExitStack, server: MediaserverProcess) -> str:
    """A recording that takes chunks and nothing else."""
    rest = await stack.enter_async_context(Rest(server.base_url, server_token()))
    await stack.enter_async_context(joined(server, ROOM, PARTICIPANT))
    started = await rest.post(f"/api/v1/rooms/{ROOM}/recording/start", {"mode": "client"})
    return str(started["recordingId"])


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--chunks", type=int, default=400, help="in each round")
    parser.add_argument("--at-once", type=int, default=8)
    parser.add_argument("--kilobytes", type=int, default=1024, help="of a chunk")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true", help="measure the base64 route too")
    given = parser.parse_args()
    enough = asyncio.run(
        compare(
            given.chunks,
            given.at_once,
            given.kilobytes << 10,
            given.rounds,
            encoded=given.json,
        )
    )
    sys.exit(0 if enough else 1)


if __name__ == "__main__":
    main()
