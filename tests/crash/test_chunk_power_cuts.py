"""The chunk store at every moment of its work, and the power goes: what is there afterwards.

Each test records what the store does to its folder, then rebuilds the folder as a power cut may have
left it after any operation (`tests.crash.disk_model`), and opens the store on that. What was
acknowledged by then has to be there with its bytes, what has a number has to be whole, what the store
says has to be true, and all has to be taken when it is sent again.
"""

from __future__ import annotations

import asyncio
import errno
from collections.abc import AsyncIterator, Iterable
from pathlib import Path

import pytest

from recorder.chunks import store as store_module
from recorder.chunks.places import INCOMING
from recorder.chunks.store import ChunkLimits, ChunkStore
from recorder.errors import ChunkConflict, DiskLow, JournalsUnwritable
from recorder.journals import DELETED_PREFIX
from tests.crash.disk_model import Contents
from tests.crash.recorded_disk import Recording, build, build_seen, failing, recorded

SET = "CS_0123456789abcdef"
LIMITS = ChunkLimits(chunk_bytes=1 << 20, set_bytes=1 << 20)
Chunk = tuple[int, int]  # part and sequence
CHUNKS: dict[Chunk, bytes] = {
    (0, 0): b"the first chunk",
    (0, 1): b"another",
    (0, 2): b"",
    (0, 3): b"a third, at the same time",
    (0, 1000): b"in a folder of its own",
    (1, 0): b"of another part",
}


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """The data folder: its journals are there before the store is."""
    (tmp_path / "data" / "journals").mkdir(parents=True)
    return tmp_path / "data"


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks are written by several calls."""
    monkeypatch.setattr(store_module, "PIECE_BYTES", 8)


def opened(base: Path) -> ChunkStore:
    return ChunkStore(base / "journals" / ".chunks", LIMITS)


async def blocks(data: bytes) -> AsyncIterator[bytes]:
    for at in range(0, len(data), 6):
        yield data[at : at + 6]


async def put(store: ChunkStore, chunk: Chunk, data: bytes | None = None) -> str:
    content = CHUNKS[chunk] if data is None else data
    return (await store.receive(SET, *chunk, blocks(content))).outcome


async def work(store: ChunkStore, told: Recording) -> None:
    """What participants do: one chunk, the same again, others under its number, two at once, more."""

    async def send(chunk: Chunk) -> None:
        await put(store, chunk)
        told.promise(chunk)

    await send((0, 0))
    await send((0, 0))
    with pytest.raises(ChunkConflict):
        await put(store, (0, 0), b"other bytes!!!!")
    await asyncio.gather(send((0, 1)), send((0, 2)), send((0, 3)))
    await asyncio.gather(send((0, 1000)), send((1, 0)))


async def received(store: ChunkStore) -> set[Chunk]:
    return {
        (part, sequence)
        for part, ranges in (await store.state(SET)).items()
        for first, last in ranges
        for sequence in range(first, last + 1)
    }


def on_disk(contents: Contents) -> dict[Chunk, bytes]:
    """What has a chunk's name. No other file may be in the folder of a set."""
    found = {}
    for path, data in contents.items():
        parts = Path(path).parts[2:]
        if data is not None and parts[0] != INCOMING:
            set_id, part, shard, sequence = parts
            assert (set_id, int(sequence) // 1000) == (SET, int(shard))
            found[int(part), int(sequence)] = data
    return found


def assert_kept(contents: Contents, promised: Iterable[Chunk], where: str) -> dict[Chunk, bytes]:
    there = on_disk(contents)
    lost = set(promised) - there.keys()
    assert not lost, f"{lost} were acknowledged and are lost after\n{where}"
    for chunk, data in there.items():
        assert data == CHUNKS[chunk], f"{chunk} is {data!r} after\n{where}"
    return there


async def assert_goes_on(base: Path, there: dict[Chunk, bytes]) -> None:
    """A server that starts on this folder says what is there, and takes the rest."""
    store = opened(base)
    try:
        assert await received(store) == there.keys()
        for chunk in CHUNKS:
            assert await put(store, chunk) == ("same" if chunk in there else "stored")
        assert await received(store) == CHUNKS.keys()
        assert await store.bytes_of(SET) == sum(map(len, CHUNKS.values()))
    finally:
        store.close()
    assert list((base / "journals" / ".chunks" / INCOMING).iterdir()) == []


async def test_after_a_power_cut_at_any_moment(base: Path, tmp_path: Path) -> None:
    with recorded(base, INCOMING) as told:
        store = opened(base)
        await work(store, told)
        store.close()
    assert [chunk for _, chunk in told.promises][:2] == [(0, 0), (0, 0)]
    checked: dict[frozenset[tuple[str, bytes | None]], Contents] = {}
    for count, disk in told.moments():
        for contents in disk.states():
            assert_kept(contents, told.promised(count), told.story(count))
            names = {path: data for path, data in contents.items() if INCOMING not in path}
            checked.setdefault(frozenset(names.items()), contents)
    assert len(checked) > 10
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("os.fsync", lambda _descriptor: None)
        for contents in checked.values():
            build(contents, tmp_path / "again")
            await assert_goes_on(tmp_path / "again", on_disk(contents))


async def test_a_kill_and_then_a_power_cut(base: Path, tmp_path: Path) -> None:
    """What the next server says that it has is durable, also what the killed one never flushed; and so
    is what it puts into folders that it finds."""
    with recorded(base, INCOMING) as told:
        store = opened(base)
        await work(store, told)
        store.close()
    again, killed = tmp_path / "again", set()
    for count, disk in told.moments():
        names = frozenset((path, data) for path, data in disk.contents().items())
        unflushed = len(disk.pending)
        if (names, unflushed) in killed:
            continue
        killed.add((names, unflushed))
        build_seen(disk, again)
        with recorded(again, start=disk) as after:
            store = opened(again)
            there = await received(store)
            for chunk in there:
                after.promise(chunk)
            for chunk in sorted(CHUNKS.keys() - there)[:1]:
                await put(store, chunk)
                after.promise(chunk)
            store.close()
        told_at = {at for at, _ in after.promises} | {len(after.steps)}
        for at, later in after.moments():
            if at in told_at:
                promised = [*told.promised(count), *after.promised(at)]
                where = f"{told.story(count)}\nkilled\n{after.story(at)}"
                for contents in later.states():
                    assert_kept(contents, promised, where)


async def test_a_set_that_is_removed_is_never_there_in_part(base: Path) -> None:
    with recorded(base, INCOMING, DELETED_PREFIX) as told:
        store = opened(base)
        few = ((0, 0), (0, 1000))
        for chunk in few:
            await put(store, chunk)
        begun = len(told.steps)
        await store.remove(SET)
        told.promise("gone")
        store.close()
    for count, disk in told.moments():
        for contents in disk.states() if count >= begun else ():
            names = {path: data for path, data in contents.items() if f"/{SET}" in path}
            there = on_disk({path: names[path] for path in names if DELETED_PREFIX not in path})
            assert there in ({}, {chunk: CHUNKS[chunk] for chunk in few}), told.story(count)
            if "gone" in told.promised(count):
                assert there == {}


# --- operations that fail ------------------------------------------------------------------------------


async def until_kept(store: ChunkStore, told: Recording) -> int:
    """A page that sends all until it is acknowledged; how often it was refused."""
    refused = 0

    async def send(chunk: Chunk) -> None:
        nonlocal refused
        for _ in range(4):
            try:
                await put(store, chunk)
            except (DiskLow, JournalsUnwritable):
                refused += 1
                continue
            return told.promise(chunk)
        raise AssertionError(f"{chunk} is refused again and again")

    await send((0, 0))
    await asyncio.gather(*(send(chunk) for chunk in CHUNKS))
    return refused


async def count_of(kind: str, base: Path) -> int:
    with recorded(base, INCOMING) as told:
        store = opened(base)
        await until_kept(store, told)
        store.close()
    return told.counts.get(kind, 0)


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("fsync", errno.EIO),
        ("write", errno.ENOSPC),
        ("create", errno.ENOSPC),
        ("create", errno.EROFS),
        ("link", errno.EDQUOT),
        ("mkdir", errno.EACCES),
    ],
)
async def test_any_operation_fails_once(tmp_path: Path, base: Path, kind: str, code: int) -> None:
    """A flush that failed takes with it what it should have kept: only what is written once more may
    be acknowledged."""
    struck = 0
    for number in range(await count_of(kind, base)):
        folder = tmp_path / str(number)
        (folder / "journals").mkdir(parents=True)
        with recorded(folder, INCOMING, faults=failing(kind, number, code)) as told:
            store = opened(folder)
            struck += await until_kept(store, told)
            assert await received(store) == CHUNKS.keys()
            store.close()
        assert list((folder / "journals" / ".chunks" / INCOMING).iterdir()) == []
        for count, disk in told.moments():
            if any(at == count for at, _ in told.promises):
                for contents in disk.states():
                    assert_kept(contents, told.promised(count), told.story(count))
    assert struck
