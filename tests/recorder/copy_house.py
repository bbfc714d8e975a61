"""A recorder's house whose participants record themselves, and a job that joins what they send.

`Joiner` stands for `python -m recorder.assemble`: each part becomes a file of its chunks' bytes.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from recorder.chunks.copies import ClientCopies
from recorder.chunks.places import chunks_root
from recorder.chunks.store import ChunkLimits, ChunkStore
from recorder.delivery import Deliverer
from recorder.jobs import FinalizedFile, FinalizeResult, JobKind
from recorder.lifecycle import FINAL
from recorder.service import RecordingService
from storage.catalog import ChunkSetRow, RecordingRow
from tests.recorder.house import House, open_house
from tests.recorder.known_media import audio_track

TIMEOUT = timedelta(hours=1)
SECOND = timedelta(seconds=1)
FIRST_MEDIA_US = 1_700_000_000_000_000
"""When the media of every set began that has no server's time line to be on."""


@dataclass
class Joiner:
    """`spoiled` parts become no file, `lent` ones are read with the header of another; `failures` are
    raised first, one a call.
    """

    spoiled: set[int] = field(default_factory=set)
    lent: dict[int, int] = field(default_factory=dict)
    failures: list[Exception] = field(default_factory=list)
    specs: list[dict[str, Any]] = field(default_factory=list)
    hold: asyncio.Event | None = None
    begun: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(
        self, kind: JobKind, arguments: Sequence[str], on_progress: Callable[[float], None]
    ) -> dict[str, Any]:
        assert kind == "assemble"
        spec = json.loads(Path(arguments[1]).read_text())
        self.specs.append(spec)
        on_progress(0.5)
        self.begun.set()
        if self.hold is not None:
            await self.hold.wait()
        if self.failures:
            raise self.failures.pop(0)
        return self._result(spec).to_json()

    def _result(self, spec: dict[str, Any]) -> FinalizeResult:
        output = Path(spec["output"])
        output.mkdir(parents=True, exist_ok=True)
        files, parts, failures = [], [], []
        for number in sorted(map(int, spec["parts"])):
            content, count = joined(Path(spec["folder"]) / str(number))
            last = spec["parts"][str(number)]["lastSequence"]
            good = bool(content) and number not in self.spoiled
            parts.append(
                {
                    "part": number,
                    "chunks": count,
                    "bytes": len(content),
                    "missing": [] if count == last + 1 else [[0, last]],
                    "container": "webm" if good else None,
                }
            )
            if number in self.lent:
                parts[-1]["headerOf"] = self.lent[number]
                failures.append(f"part {number}: chunk 0 is missing")
            if not good and content:
                failures.append(f"part {number}: nothing in it can be decoded")
            if good:
                path = output / f"{Path(spec['folder']).name}.{number:03d}-camera.webm"
                path.write_bytes(content)
                files.append(_file(path, content, spec["participantId"]))
        whole = not failures and not any(part["missing"] for part in parts)
        tracks = [_track(spec["participantId"], part["part"]) for part in parts]
        return FinalizeResult(
            tuple(files),
            {"tracks": tracks, "parts": parts, "audioVideoOffsetMs": None, "complete": whole},
            tuple(failures),
            first_media_us=FIRST_MEDIA_US if files else None,
        )


def joined(folder: Path) -> tuple[bytes, int]:
    """The bytes of a part in order, and of how many chunks."""
    names = sorted((int(path.name), path) for path in folder.glob("*/*"))
    return b"".join(path.read_bytes() for _, path in names), len(names)


def _track(participant: str, part: int) -> dict[str, Any]:
    return {
        "trackId": f"client/{part}/video",
        "participantId": participant,
        "kind": "video",
        "source": "client",
        "gaps": [{"startSeconds": 1.0, "durationSeconds": 0.5, "reason": "missing"}],
    }


def _file(path: Path, content: bytes, participant: str) -> FinalizedFile:
    return FinalizedFile(
        path=path,
        kind="client",
        participant_id=participant,
        content_type="video/webm",
        size=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        duration_seconds=4.0,
        width=640,
        height=360,
        start_seconds=0.5,
    )


class CopyHouse:
    """Its clock stands still until a test moves it with `pass_by`."""

    def __init__(self, house: House) -> None:
        self.house = house
        house.now = datetime.now(UTC)  # the disk's clock has the times of chunks
        self.catalog = house.catalog
        self.root = house.folder / "journals"
        self.joiner = Joiner()
        self.start_again()

    def start_again(self) -> None:
        """As after a restart: the same disk and catalog, no memory."""
        clock = lambda: self.house.now  # noqa: E731
        limits = ChunkLimits(1 << 20, 1 << 30)
        self.chunks = ChunkStore(chunks_root(self.root), limits)
        self.copies = ClientCopies(
            self.catalog,
            self.chunks,
            Deliverer(self.catalog, self.house.depots, self.root, clock=clock, sleep=self._pause),
            self.joiner,
            self.root,
            clock=clock,
            timeout=TIMEOUT,
            sleep=self._pause,
        )
        self.service: RecordingService = self.house.another_service(copies=self.copies)
        self.house.service = self.service

    async def recover(self) -> None:
        await self.copies.recover()
        await self.service.recover()

    async def end(self) -> None:
        """As a kill does: nothing is brought to its end."""
        await self.service.close(drained=True)
        await self.copies.close()
        self.chunks.close()

    async def _pause(self, _seconds: float) -> None:
        await asyncio.sleep(0)

    # --- what participants do -------------------------------------------------------------------

    async def start(self, mode: str = "tracks", *, server_media: bool = False) -> RecordingRow:
        """With `server_media` somebody's sound is in the journals when it stops."""
        if server_media:
            self.house.plane.tracks = [audio_track(1.0)]
        row = await self.service.start("blue", None, "host", mode)
        if server_media:
            self.house.media_arrives(row.id)
            await self.house.settled()
        return row

    async def send(
        self,
        recording: RecordingRow,
        *sequences: int,
        who: str = "alice",
        part: int = 0,
        content: bytes | None = None,
    ) -> None:
        for sequence in sequences:
            row = await self.copies.admit(recording.id, who, who.title())
            data = chunk(sequence) if content is None else content
            await self.chunks.receive(row.id, part, sequence, _blocks(data))
            self.copies.arrived(row, len(data))

    async def announce(self, recording: RecordingRow, who: str = "alice") -> ChunkSetRow:
        row = await self.copies.admit(recording.id, who, who.title())
        return await self.copies.announce(row, 0, {"mimeType": "video/webm"})

    async def complete(
        self, recording: RecordingRow, last: dict[int, int], who: str = "alice"
    ) -> ChunkSetRow:
        row = await self.set_of(recording, who)
        return await self.copies.complete(row, last)

    # --- what there is --------------------------------------------------------------------------

    async def pass_by(self, time: timedelta) -> None:
        """A while later, when everybody has looked and done what there was to do."""
        self.house.now += time
        for _ in range(2):  # what is closed by one look is taken up by the next
            await self.copies.look()
            await self.copies.idle()

    async def until(self, recording: RecordingRow, *statuses: str) -> RecordingRow:
        async with asyncio.timeout(10):
            while (row := await self.house.row(recording.id)).status not in statuses:
                await self.copies.look()
                await asyncio.sleep(0.005)
            if row.status in FINAL:  # what is cleared away afterwards is, too
                await self.copies.idle()
                await self.house.settled()
        return row

    async def until_set(self, recording: RecordingRow, status: str) -> None:
        async with asyncio.timeout(10):
            while (await self.set_of(recording)).status != status:  # noqa: ASYNC110  a row's state
                await asyncio.sleep(0.005)

    async def set_of(self, recording: RecordingRow, who: str = "alice") -> ChunkSetRow:
        row = await self.catalog.chunk_sets.find(recording.id, who)
        assert row is not None
        return row

    def kept(self, row: ChunkSetRow) -> Path:
        return chunks_root(self.root) / row.id

    async def stored(self, key: str) -> bytes:
        return b"".join([block async for block in self.house.store.open(key)])


def chunk(sequence: int) -> bytes:
    return f"chunk {sequence};".encode()


def chunks(last: int) -> bytes:
    """Those up to `last`, one after the other."""
    return b"".join(map(chunk, range(last + 1)))


async def _blocks(content: bytes) -> AsyncIterator[bytes]:
    yield content


@asynccontextmanager
async def open_copy_house(folder: Path) -> AsyncIterator[CopyHouse]:
    opened = CopyHouse(await open_house(folder, one_clock=True))
    try:
        yield opened
    finally:
        await opened.end()
        await opened.catalog.close()
