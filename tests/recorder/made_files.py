"""Recordings whose files are made: on the disk, in the ledger, in a store, as a test wants them."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from recorder.finishing import OUTPUT_NAME
from recorder.jobs import FinalizedFile
from recorder.ledger import DeliveryState
from recorder.lifecycle import Status
from recorder.progress import Progress
from storage.catalog import DeliveryRow, RecordingRow
from storage.objects import ObjectStore, OnProgress, StoredObject
from tests.recorder.house import FlakyStore, House


async def made(house: House, *contents: bytes, room: str = "blue") -> RecordingRow:
    """A recording in `uploading` with a file of each of these contents, and no journals."""
    row = await house.catalog.recordings.create(
        room=room, started_by="host", status=Status.UPLOADING
    )
    output = house.journals(row.id) / OUTPUT_NAME
    output.mkdir(parents=True)
    files = []
    for number, content in enumerate(contents or (b"media",)):
        path = output / f"guest-{number}.webm"
        path.write_bytes(content)
        files.append(_finalized(path, content, number))
    await house.deliverer.enter(room, row.id, files)
    return row


def _finalized(path: Path, content: bytes, number: int) -> FinalizedFile:
    return FinalizedFile(
        path=path,
        kind="participant",
        participant_id=f"guest-{number}",
        content_type="video/webm",
        size=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        duration_seconds=1.0,
        width=None,
        height=None,
        start_seconds=0.0,
    )


async def away(house: House, *contents: bytes, room: str = "blue") -> RecordingRow:
    """A recording that was stored at the fallback, since the main store was down; it is back."""
    row = await made(house, *contents, room=room)
    house.store.down = True
    files = await house.deliverer.deliver(row.id, Progress())
    house.store.down = False
    assert {file.provider for file in files} == {"fallback"}
    await house.catalog.recordings.set_files(row.id, files)
    size = sum(file.size for file in files)
    return await house.catalog.recordings.update(row.id, status=Status.RECORDED, size=size)


def local_copies(house: House, recording_id: str) -> list[Path]:
    return sorted((house.journals(recording_id) / OUTPUT_NAME).glob("*"))


async def ledger(house: House, recording_id: str) -> tuple[DeliveryRow, ...]:
    return await house.catalog.deliveries.of(recording_id)


async def states(house: House, recording_id: str) -> list[DeliveryState]:
    return [DeliveryState(row.state) for row in await ledger(house, recording_id)]


async def contents_of(store: ObjectStore) -> dict[str, bytes]:
    return {
        entry.key: b"".join([block async for block in store.open(entry.key)])
        async for entry in store.list()
    }


async def digests_in(store: ObjectStore) -> dict[str, str]:
    """SHA-256 of every object, by key."""
    found = await contents_of(store)
    return {key: hashlib.sha256(content).hexdigest() for key, content in found.items()}


def promised(row: RecordingRow) -> Mapping[str, str]:
    """What the recording says of its objects."""
    return {file.key: file.sha256 for file in row.files}


# --- stores that do what they do step by step ------------------------------------------------------


class SlowStore(FlakyStore):
    """Tells of its puts in quarters, and holds each before its end until it is let go.

    `full` is set when as many puts are under way as `room_for`.
    """

    def __init__(self, room_for: int = 1, *, held: bool = True) -> None:
        super().__init__()
        self.room_for = room_for
        self.running = 0
        self.most_at_once = 0
        self.full = asyncio.Event()
        self.let_go = asyncio.Event()
        if not held:
            self.let_go.set()

    async def put_file(
        self,
        key: str,
        path: Path,
        content_type: str,
        *,
        on_progress: OnProgress | None = None,
        **options: Any,
    ) -> StoredObject:
        self.running += 1
        self.most_at_once = max(self.most_at_once, self.running)
        try:
            if path.exists():
                await self._go_slowly(path.stat().st_size, on_progress)
            return await super().put_file(
                key, path, content_type, on_progress=on_progress, **options
            )
        finally:
            self.running -= 1

    async def _go_slowly(self, size: int, on_progress: OnProgress | None) -> None:
        for quarter in range(4):
            if on_progress:
                on_progress(size * quarter // 4)
        if self.running == self.room_for:
            self.full.set()
        await self.let_go.wait()


@dataclass(slots=True)
class Told(Progress):
    """Remembers all that it was told."""

    fractions: list[float] = field(default_factory=list)

    def tell(self, fraction: float) -> None:
        self.fraction = fraction
        self.fractions.append(fraction)


# --- the end of the world ---------------------------------------------------------------------------

CHANGES = {
    "recordings": ("update", "set_files"),
    "deliveries": ("enter", "update", "strike", "moved"),
    "store": ("put_file", "put_stream", "delete", "delete_many"),
}


class Doom:
    """Stops the world at the `fatal`-th change of the catalog or a store, counted from 1.

    Whoever makes that change, or a later one, never comes back: before the change is made or,
    `after` it, without an answer. `came` is set then. Once it is `past`, nobody who is ended can
    clean up either, as nobody can who is killed.
    """

    def __init__(self, fatal: int, *, after: bool) -> None:
        self._fatal = fatal
        self._after = after
        self._made = 0
        self.came = asyncio.Event()
        self.past = False

    @contextmanager
    def over(self, house: House) -> Iterator[None]:
        guarded: list[tuple[Any, tuple[str, ...]]] = [
            (house.catalog.recordings, CHANGES["recordings"]),
            (house.catalog.deliveries, CHANGES["deliveries"]),
            (house.store, CHANGES["store"]),
        ]
        if house.fallback is not None:
            guarded.append((house.fallback, CHANGES["store"]))
        with ExitStack() as stack:
            for owner, names in guarded:
                for name in names:
                    setattr(owner, name, self._guarded(getattr(owner, name)))
                    stack.callback(delattr, owner, name)
            yield

    def _guarded(self, change: Callable[..., Any]) -> Callable[..., Any]:
        async def guarded(*place: Any, **named: Any) -> Any:
            if self.past:
                raise asyncio.CancelledError
            self._made += 1
            number = self._made
            if number > self._fatal or (number == self._fatal and not self._after):
                await self._end()
            result = await change(*place, **named)
            if number == self._fatal:
                await self._end()
            return result

        return guarded

    async def _end(self) -> None:
        self.came.set()
        await asyncio.Event().wait()


async def blocks(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part
