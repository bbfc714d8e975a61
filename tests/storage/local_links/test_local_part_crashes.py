"""Uploads in parts into the local store, killed with kill -9."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from storage.errors import (
    ObjectNotFound,
)
from storage.objects import LocalStore, Part
from storage.objects.local_signing import LocalSigner
from tests.rig.waiting import until
from tests.storage.local_links.holding import SMALLEST, WEBM, Send, incoming, part, read, unfinished

# Receives one part of "a.webm" from standard input and prints its ETag when it is kept.
PART_PROGRAM = """
import asyncio, sys
from pathlib import Path
from storage.objects import LocalStore
from storage.objects.local_grants import Grant
from storage.objects.local_signing import LocalSigner

async def standard_input():
    while block := await asyncio.to_thread(sys.stdin.buffer.read1, 65536):
        yield block

async def main(root, upload_id, number):
    signer = LocalSigner(LocalStore(Path(root)), "", b"x" * 16)
    grant = Grant("PUT", "a.webm", 0, upload_id=upload_id, part=int(number))
    print(await signer.receive_part(grant, standard_input()), flush=True)

asyncio.run(main(*sys.argv[1:]))
"""
COMPLETE_PROGRAM = """
import asyncio, sys
from pathlib import Path
from storage.objects import LocalStore, Part
from storage.objects.local_signing import LocalSigner

root, upload_id, *etags = sys.argv[1:]
signer = LocalSigner(LocalStore(Path(root)), "", b"x" * 16)
parts = [Part(number, etag) for number, etag in enumerate(etags, start=1)]
asyncio.run(signer.complete("a.webm", upload_id, parts))
"""


@asynccontextmanager
async def receiving_process(
    root: Path, upload_id: str, number: int
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Another process that receives a part; dead (kill -9) at the end."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", PART_PROGRAM, str(root), upload_id, str(number)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def test_kill_9_during_a_part_loses_nothing_that_was_acknowledged(
    signer: LocalSigner, local: LocalStore, root: Path, send: Send
) -> None:
    upload_id = await signer.begin("a.webm", WEBM)
    async with receiving_process(root, upload_id, 1) as process:
        etag, _ = await process.communicate(part(b"1"))
    acknowledged = Part(1, etag.decode().strip())
    async with receiving_process(root, upload_id, 2) as process:
        assert process.stdin is not None
        process.stdin.write(part(b"2", SMALLEST - 1))
        await process.stdin.drain()

        def arrived() -> bool:
            return any(path.is_file() for path in (root / ".incoming").iterdir())

        await until(arrived, within=10, every=0.01, what="the part began to arrive")
        process.kill()
        await process.wait()

    assert await LocalStore(root).prepare() == 1
    assert incoming(root) == [upload_id]
    assert await unfinished(signer) == ["a.webm"]
    second = await send(upload_id, 2, part(b"2"))
    await signer.complete("a.webm", upload_id, [acknowledged, second])
    assert await read(local, "a.webm") == part(b"1") + part(b"2")


async def test_kill_9_while_completing_leaves_all_or_nothing_and_completing_again_helps(
    signer: LocalSigner, local: LocalStore, root: Path, send: Send
) -> None:
    upload_id = await signer.begin("a.webm", WEBM)
    parts = [await send(upload_id, number, part(b"%d" % number)) for number in range(1, 8)]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", COMPLETE_PROGRAM, str(root), upload_id),
        *(sent.etag for sent in parts),
    )
    try:
        await until(
            lambda: incoming(root) != [upload_id] or (root / "a.webm").exists(),
            within=10,
            every=0.001,
            what="completing began",
        )
    finally:
        process.kill()
        await process.wait()
    await LocalStore(root).prepare()
    try:
        assert (await local.head("a.webm")).size == 7 * SMALLEST
    except ObjectNotFound:
        assert await unfinished(signer) == ["a.webm"]
    await signer.complete("a.webm", upload_id, parts)
    whole = b"".join(part(b"%d" % number) for number in range(1, 8))
    assert await read(local, "a.webm") == whole
