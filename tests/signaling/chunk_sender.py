"""A participant's page that sends what its recorder made, by either route."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

from recorder.chunks import made_at
from recorder.chunks.places import chunks_root, set_folder
from recorder.journals import journals_root
from tests.signaling.house import Answer, House

Route = Literal["raw", "json"]
START, STOP = "/api/v1/rooms/r/recording/start", "/api/v1/rooms/r/recording/stop"
UPLOAD = "/video-calls/chunks/upload"
MEDIA_CHUNKS = Path(__file__).parents[1] / "media_chunks"


async def start_recording(home: House, room: str = "r") -> str:
    """Its id. The host is in the room, and so is Paul."""
    await home.enter(room, "hanna")
    await home.enter(room, "paul")
    started = await home.post(
        f"/api/v1/rooms/{room}/recording/start", home.host(room), json={"mode": "client"}
    )
    return str(started.data["recordingId"])


def media_chunks(name: str) -> list[bytes]:
    """What a real browser's recorder gave, in its order."""
    return [path.read_bytes() for path in sorted((MEDIA_CHUNKS / name).glob("*.bin"))]


@dataclass(frozen=True, slots=True)
class Sender:
    home: House
    recording_id: str
    token: str
    participant: str = "paul"
    route: Route = "raw"

    @property
    def path(self) -> str:
        name = quote(self.participant, safe="")
        return f"/api/v1/recordings/{self.recording_id}/chunks/{name}"

    async def send(self, content: bytes, sequence: int = 0, part: int = 0) -> Answer:
        if self.route == "raw":
            return await self.home.request(
                "PUT",
                f"{self.path}/{part}/{sequence}",
                self.token,
                data=content,
                headers={"Content-Digest": digest(content)},
            )
        return await self.home.post(UPLOAD, self.token, json=self.body(content, sequence, part))

    def body(self, content: bytes, sequence: int = 0, part: int = 0) -> dict[str, Any]:
        """As embedding pages send it (api.md, section 5)."""
        return {
            "recordingId": self.recording_id,
            "participantId": self.participant,
            "chunk": base64.b64encode(content).decode(),
            "type": "video",
            "timestamp": 1_785_000_000_000 + sequence * 1000,
            "sequence": sequence,
            "part": part,
        }

    async def send_and_hang_up(self, content: bytes, sequence: int = 0, part: int = 0) -> None:
        """All of the request, but nobody reads the answer."""
        if self.route == "raw":
            line, body = f"PUT {self.path}/{part}/{sequence}", content
        else:
            line = f"POST {UPLOAD}"
            body = json.dumps(self.body(content, sequence, part)).encode()
        await hang_up_after(
            self.home,
            f"{line} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {self.token}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n".encode()
            + body,
        )

    async def state(self) -> Any:
        return (await self.home.get(self.path, self.token)).data

    async def complete(self, last: dict[int, int]) -> Answer:
        parts = [{"part": part, "lastSequence": sequence} for part, sequence in last.items()]
        return await self.home.post(f"{self.path}/complete", self.token, json={"parts": parts})

    async def folder(self) -> Path:
        """Where the chunks lie."""
        sets = self.home.services.catalog.chunk_sets
        row = await sets.find(self.recording_id, self.participant)
        assert row is not None
        return set_folder(root_of(self.home), row.id)


def sender(home: House, recording_id: str, route: Route = "raw") -> Sender:
    return Sender(home, recording_id, home.participant("r"), route=route)


def digest(content: bytes, algorithm: str = "sha-256") -> str:
    hashed = hashlib.new(algorithm.replace("-", ""), content)
    return f"{algorithm}=:{base64.b64encode(hashed.digest()).decode()}:"


def root_of(home: House) -> Path:
    return chunks_root(journals_root(home.services.settings.data_dir))


def kept(home: House) -> list[Path]:
    """Every chunk in the store, also those that only arrived."""
    files = (path for path in root_of(home).rglob("*") if path.is_file())
    return [path for path in files if path.name != made_at.NAME]


async def speak(home: House, request: bytes) -> bytes:
    """Raw bytes to the server; its answer."""
    reader, writer = await asyncio.open_connection(home.client.host, home.client.port)
    try:
        writer.write(request)
        async with asyncio.timeout(20):
            head = await reader.readuntil(b"\r\n\r\n")
            size = re.search(rb"content-length: (\d+)", head.lower())
            return head + (await reader.readexactly(int(size[1])) if size else b"")
    finally:
        writer.close()


async def hang_up_after(home: House, request: bytes) -> None:
    _, writer = await asyncio.open_connection(home.client.host, home.client.port)
    writer.write(request)
    await writer.drain()
    writer.close()
    await writer.wait_closed()
