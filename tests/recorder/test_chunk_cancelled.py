"""A request for a chunk that ends at any of its waits: its client went away, or the server stops.

Nothing of it is half there, nothing stays open, what the store says is on the disk, and the same chunk
is taken when it comes again.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Coroutine, Generator
from contextlib import suppress
from pathlib import Path
from types import coroutine
from typing import Any

import pytest

from recorder.chunks import store as store_module
from recorder.chunks.places import INCOMING
from recorder.chunks.store import ChunkLimits, ChunkStore

SET = "CS_0123456789abcdef"
CONTENT = b"a chunk that is written by several calls"


@coroutine
def cancelled_at(work: Coroutine[Any, Any, object], wait: int) -> Generator[Any, Any, bool]:
    """Runs it, and cancels this task when it waits for the time number `wait`; False when it ended
    before that.
    """
    task, loop = asyncio.current_task(), asyncio.get_running_loop()
    assert task is not None
    step, given = work.send, None
    count = 0
    while True:
        try:
            waiting = step(given)
        except StopIteration:
            return False
        if count == wait:
            loop.call_soon(task.cancel)
        count += 1
        try:
            given = yield waiting
            step = work.send
        except asyncio.CancelledError as error:
            given, step = error, work.throw  # type: ignore[assignment]


async def blocks() -> AsyncIterator[bytes]:
    for at in range(0, len(CONTENT), 7):
        await asyncio.sleep(0)
        yield CONTENT[at : at + 7]


def files_open(folder: Path) -> list[str]:
    """Of this process."""
    found = []
    for each in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # closed meanwhile
            found.append(os.readlink(each))
    return [path for path in found if path.startswith(str(folder))]


async def test_cancelled_at_each_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "PIECE_BYTES", 10)
    root = tmp_path / "journals" / ".chunks"
    root.parent.mkdir()
    store = ChunkStore(root, ChunkLimits(1000, 1_000_000))
    await store.receive(SET, 1, 0, blocks())
    number = 0
    while await _cancelled(store, number):
        placed = root / SET / "0" / "0" / str(number)
        assert list((root / INCOMING).iterdir()) == []
        assert files_open(root / INCOMING) == []
        assert not placed.exists() or placed.read_bytes() == CONTENT
        state = await store.state(SET)
        assert 0 not in state or not state[0].has(number) or placed.exists()
        assert (await store.receive(SET, 0, number, blocks())).size == len(CONTENT)
        assert placed.read_bytes() == CONTENT
        number += 1
    assert number > 8, "it was not cancelled at all of its waits"
    assert await store.bytes_of(SET) == (number + 2) * len(CONTENT)
    store.close()


async def _cancelled(store: ChunkStore, wait: int) -> bool:
    async def run() -> None:
        await cancelled_at(store.receive(SET, 0, wait, blocks()), wait)

    task = asyncio.create_task(run())
    await asyncio.wait([task])
    return task.cancelled()
