"""`kill -9` of the server at random moments while a participant's page sends its chunks.

A kill strikes after a random number of chunks were begun, and a random moment later, whatever of them
is on its way then: at its first byte, being flushed, being answered.

The page does what a page does: it sends several chunks at a time, in any order, counts as kept what was
acknowledged, asks the server that came back what it has, and sends the rest. The seed is printed;
`KILL_SEED=n` repeats it.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import random
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from recorder.chunks.parts import open_part
from tests.rig.rest import FINAL, Rest
from tests.rig.sdk import joined
from tests.rig.server import MediaserverProcess
from tests.rig.tokens import participant_token, server_token
from tests.signaling.chunk_sender import digest, media_chunks

ROOM, PAUL = "kills", "paul"
AT_ONCE = 6
LATEST = 0.02  # seconds from the chunk that was chosen to the kill
PIECES = 300  # of each part
LAST_TO_STRIKE = 200  # of a part's: what is left then is not sent by LATEST
MEDIA = ("webm_vp8", "mp4", "audio_webm", "webm_h264")
Chunk = tuple[int, int]  # part and sequence


def seed() -> int:
    chosen = int(os.environ.get("KILL_SEED") or random.randrange(1 << 30))
    print(f"KILL_SEED={chosen}")
    return chosen


def pieces(content: bytes, dice: random.Random) -> list[bytes]:
    """The same bytes, cut anywhere, some of them into nothing."""
    cuts = sorted(dice.choices(range(len(content) + 1), k=PIECES - 1))
    return [content[a:b] for a, b in zip([0, *cuts], [*cuts, len(content)], strict=True)]


@dataclass(slots=True)
class Page:
    """What one tab holds until the server says that it has it."""

    path: str
    http: aiohttp.ClientSession
    dice: random.Random
    chunks: dict[Chunk, bytes] = field(default_factory=dict)
    acknowledged: set[Chunk] = field(default_factory=set)
    sent_again: int = 0
    under_way: int = 0
    left_to_begin: int = 0
    begun: asyncio.Event = field(default_factory=asyncio.Event)

    async def begin(self, part: int, media: str) -> None:
        """A recorder's session: all that it will give is known beforehand here."""
        content = b"".join(media_chunks(media))
        for sequence, piece in enumerate(pieces(content, self.dice)):
            self.chunks[part, sequence] = piece
        async with self.http.post(self.path, json={"part": part}) as answer:
            assert answer.status == 200, await answer.text()

    async def send(self, left: Iterable[Chunk]) -> None:
        """Until all is sent, or the server is gone."""
        order = list(left)
        self.dice.shuffle(order)

        async def work() -> None:
            while order:
                await self._send(order.pop())

        done = await asyncio.gather(*(work() for _ in range(AT_ONCE)), return_exceptions=True)
        for each in done:
            if isinstance(each, BaseException) and not isinstance(each, aiohttp.ClientError):
                raise each

    def count_down(self, chunks: int) -> asyncio.Event:
        """Set when so many more were begun."""
        self.left_to_begin, self.begun = chunks, asyncio.Event()
        return self.begun

    async def _send(self, chunk: Chunk) -> None:
        self.left_to_begin -= 1
        if not self.left_to_begin:
            self.begun.set()
        self.under_way += 1
        try:
            await self._put(chunk)
        finally:
            self.under_way -= 1

    async def _put(self, chunk: Chunk) -> None:
        part, sequence = chunk
        content = self.chunks[chunk]
        url, headers = f"{self.path}/{part}/{sequence}", {"Content-Digest": digest(content)}
        async with self.http.put(url, data=content, headers=headers) as answer:
            assert answer.status in (200, 201), await answer.text()
            await answer.read()
        assert chunk not in self.acknowledged, "what was acknowledged was sent again"
        self.acknowledged.add(chunk)
        self.sent_again += answer.status == 200

    async def left(self) -> list[Chunk]:
        """What the server does not have. Nothing that it acknowledged may be among it."""
        async with self.http.get(self.path) as answer:
            state: dict[str, Any] = (await answer.json())["data"]
        received = {
            (part["part"], sequence)
            for part in state["parts"]
            for first, last in part["received"]
            for sequence in range(first, last + 1)
        }
        lost = self.acknowledged - received
        assert not lost, f"{len(lost)} acknowledged chunks are missing: {sorted(lost)[:5]}"
        assert received <= self.chunks.keys()
        self.acknowledged |= received
        return sorted(self.chunks.keys() - received)


async def send_through(kills: int, data_dir: Path) -> None:
    chosen = seed()
    dice = random.Random(chosen)
    async with (
        MediaserverProcess(data_dir) as server,
        Rest(server.base_url, server_token()) as rest,
    ):
        async with joined(server, ROOM, PAUL):
            started = await rest.post(f"/api/v1/rooms/{ROOM}/recording/start", {"mode": "client"})
            recording_id = started["recordingId"]
        path = f"{server.base_url}/api/v1/recordings/{recording_id}/chunks/{PAUL}"
        token = {"Authorization": f"Bearer {participant_token(ROOM, PAUL)}"}
        async with aiohttp.ClientSession(headers=token) as http:
            page, interrupted = Page(path, http, dice), 0
            for part in range(kills):
                await page.begin(part, MEDIA[part % len(MEDIA)])
                left = await page.left()
                begun = page.count_down(dice.randint(1, LAST_TO_STRIKE))
                sending = asyncio.create_task(page.send(left))
                async with asyncio.timeout(60):
                    await begun.wait()
                await asyncio.sleep(dice.uniform(0, LATEST))
                interrupted += page.under_way > 0
                await server.kill9()
                await sending
                await server.restart()
                await page.left()
            await page.send(await page.left())
            assert await page.left() == []
            _check_bytes(data_dir, page, kills)
            last = [{"part": part, "lastSequence": PIECES - 1} for part in range(kills)]
            async with http.post(f"{path}/complete", json={"parts": last}) as answer:
                assert answer.status == 202, await answer.text()
        row = await rest.recording_in(recording_id, FINAL, within=60 + 10 * kills)
        print(f"{interrupted} of {kills} kills struck while chunks were under way, seed {chosen}")
        assert row["status"] == "recorded", f"seed {chosen}: {row}"
        _check_files(row, page, kills)
        print("every byte is in the recording's files")
        assert interrupted == kills, f"seed {chosen}: {interrupted} struck while chunks were sent"


def _whole(page: Page, part: int) -> bytes:
    return b"".join(page.chunks[part, sequence] for sequence in range(PIECES))


def _check_files(row: dict[str, Any], page: Page, parts: int) -> None:
    """A file of each part, made of just these bytes."""
    copies = [file for file in row["files"] if file["kind"] == "client"]
    assert len(copies) == parts, row["files"]
    (client,) = row["integrity"]["clients"]
    assert client["complete"], client
    made_of = {each["part"]: each["sha256"] for each in client["parts"]}
    wanted = {part: hashlib.sha256(_whole(page, part)).hexdigest() for part in range(parts)}
    assert made_of == wanted


def _check_bytes(data_dir: Path, page: Page, parts: int) -> None:
    """The ordered concatenation is what the recorder gave."""
    (folder,) = (data_dir / "journals/.chunks").glob("CS_*")
    for part in range(parts):
        kept = open_part(folder / str(part))
        (run,) = kept.runs
        assert b"".join(block.data for block in kept.blocks(run)) == _whole(page, part)


@pytest.mark.timeout(240)
async def test_three_kills(data_dir: Path) -> None:
    await send_through(3, data_dir)


@pytest.mark.long
@pytest.mark.timeout(1800)
async def test_thirty_kills(data_dir: Path) -> None:
    await send_through(30, data_dir)
