"""The chunk store on a real disk: what is kept, what is refused, and what a killed process leaves."""

from __future__ import annotations

import asyncio
import hashlib
import os
import random
import threading
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from recorder.chunks import files
from recorder.chunks.files import Digest
from recorder.chunks.leftovers import forget_chunks
from recorder.chunks.places import INCOMING
from recorder.chunks.ranges import RangeSet
from recorder.chunks.store import PIECE_BYTES, ChunkLimits, ChunkStore, Kept
from recorder.chunks.syncs import MergedSyncs
from recorder.diskspace import DiskSpace
from recorder.errors import (
    BadChunkNumber,
    ChunkConflict,
    ChunksTooMany,
    ChunkTooLarge,
    DigestMismatch,
    DiskLow,
    JournalsUnwritable,
    SetComplete,
)
from recorder.journals import DELETED_PREFIX
from tests.rig.waiting import until

SET = "CS_0123456789abcdef"
LIMITS = ChunkLimits(chunk_bytes=4 << 20, set_bytes=16 << 20, chunks=1000)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "journals" / ".chunks"


@pytest.fixture
def store(root: Path) -> Iterator[ChunkStore]:
    made = ChunkStore(root, LIMITS)
    yield made
    made.close()


async def blocks(*pieces: bytes) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


async def put(
    store: ChunkStore,
    content: bytes,
    sequence: int = 0,
    part: int = 0,
    digest: Digest | None = None,
) -> Kept:
    half = len(content) // 2
    digests = [digest] if digest else []
    return await store.receive(SET, part, sequence, blocks(content[:half], content[half:]), digests)


def chunk(root: Path, sequence: int = 0, part: int = 0) -> Path:
    return root / SET / str(part) / str(sequence // 1000) / str(sequence)


def arriving(root: Path) -> list[Path]:
    return list((root / INCOMING).iterdir())


def everything(root: Path) -> set[Path]:
    return {path for path in root.rglob("*") if path.is_file()}


# --- keeping --------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 2, PIECE_BYTES - 1, PIECE_BYTES, 3 * PIECE_BYTES + 1])
async def test_a_chunk_is_what_was_sent(store: ChunkStore, root: Path, size: int) -> None:
    content = os.urandom(size)
    assert await put(store, content) == Kept("stored", size)
    assert chunk(root).read_bytes() == content
    assert await store.state(SET) == {0: RangeSet([0])}
    assert await store.sizes(SET) == {0: size}
    assert arriving(root) == []


async def test_any_order_any_part_any_repetition(store: ChunkStore, root: Path) -> None:
    wanted = {(part, sequence): os.urandom(40) for part in (0, 7) for sequence in range(990, 1010)}
    sent = [*wanted, *random.Random(1).sample(sorted(wanted), 20)]
    random.Random(2).shuffle(sent)
    await asyncio.gather(*(put(store, wanted[key], part=key[0], sequence=key[1]) for key in sent))
    assert {key: chunk(root, key[1], key[0]).read_bytes() for key in wanted} == wanted
    assert {part: list(ranges) for part, ranges in (await store.state(SET)).items()} == {
        0: [(990, 1009)],
        7: [(990, 1009)],
    }
    assert await store.bytes_of(SET) == 40 * 40
    again = ChunkStore(root, LIMITS)
    assert await again.state(SET) == await store.state(SET)
    assert await again.sizes(SET) == {0: 800, 7: 800}
    again.close()


async def test_the_same_again_is_the_same(store: ChunkStore, root: Path) -> None:
    await put(store, b"chunk")
    before = chunk(root).stat()
    assert await put(store, b"chunk") == Kept("same", 5)
    assert await store.bytes_of(SET) == 5
    assert chunk(root).stat().st_mtime_ns == before.st_mtime_ns  # when it arrived
    assert arriving(root) == []


@pytest.mark.parametrize("other", [b"", b"chunK", b"chunks", b"chun"])
async def test_other_bytes_under_the_same_number(
    store: ChunkStore, root: Path, other: bytes
) -> None:
    await put(store, b"chunk")
    with pytest.raises(ChunkConflict):
        await put(store, other)
    assert chunk(root).read_bytes() == b"chunk"
    assert everything(root) == {chunk(root)}


async def test_of_two_at_the_same_time_one_wins(store: ChunkStore, root: Path) -> None:
    contents = [bytes([number]) * 5000 for number in range(8)]
    done = await asyncio.gather(*(put(store, each) for each in contents), return_exceptions=True)
    kept = [content for content, each in zip(contents, done, strict=True) if isinstance(each, Kept)]
    assert [chunk(root).read_bytes()] == kept
    assert sum(isinstance(each, ChunkConflict) for each in done) == 7
    assert await store.bytes_of(SET) == 5000


async def test_the_same_many_times_at_once_counts_once(store: ChunkStore) -> None:
    done = await asyncio.gather(*(put(store, b"x" * 1000) for _ in range(16)))
    assert sorted(each.outcome for each in done) == ["same"] * 15 + ["stored"]
    assert await store.bytes_of(SET) == 1000


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
async def test_a_right_digest_and_a_wrong_one(
    store: ChunkStore, root: Path, algorithm: files.Algorithm
) -> None:
    content = os.urandom(PIECE_BYTES + 5)
    right = Digest(algorithm, hashlib.new(algorithm, content).digest())
    with pytest.raises(DigestMismatch):
        await put(store, content[:-1] + bytes([content[-1] ^ 1]), digest=right)
    assert everything(root) == set()
    assert await store.state(SET) == {}
    assert (await put(store, content, digest=right)).outcome == "stored"
    with pytest.raises(DigestMismatch):  # damaged on its way: the client has to send it again
        await put(store, b"other", digest=right)
    assert chunk(root).read_bytes() == content


# --- limits ---------------------------------------------------------------------------------------


async def test_a_chunk_too_large_is_refused_at_its_first_byte_too_many(
    store: ChunkStore, root: Path
) -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield bytes(1 << 18)

    with pytest.raises(ChunkTooLarge) as caught:
        await store.receive(SET, 0, 0, endless())
    assert caught.value.details == {"limitBytes": LIMITS.chunk_bytes}
    with pytest.raises(ChunkTooLarge):
        await store.receive(SET, 0, 0, endless(), announced=LIMITS.chunk_bytes + 1)
    assert everything(root) == set()


async def test_more_than_a_participant_may_send(store: ChunkStore, root: Path) -> None:
    for sequence in range(4):
        await put(store, bytes(4 << 20), sequence)
    with pytest.raises(ChunksTooMany) as caught:
        await put(store, b"!", 4)
    assert (caught.value.code, caught.value.details) == (
        "chunks_too_many_bytes",
        {"limitBytes": LIMITS.set_bytes},
    )
    assert (await put(store, bytes(4 << 20), 3)).outcome == "same"
    assert (await put(store, b"", 4)).outcome == "stored"
    assert len(everything(root)) == 5


async def test_what_comes_at_the_same_time_can_not_pass_the_limit_together(
    store: ChunkStore,
) -> None:
    done = await asyncio.gather(
        *(put(store, bytes(3 << 20), number) for number in range(8)), return_exceptions=True
    )
    assert sum(isinstance(each, Kept) for each in done) == 5
    assert await store.bytes_of(SET) == 15 << 20


async def test_empty_chunks_without_end(root: Path) -> None:
    """They take no bytes, but a place in the file system each."""
    store = ChunkStore(root, ChunkLimits(100, 100, chunks=3))
    for sequence in range(3):
        await put(store, b"", sequence)
    with pytest.raises(ChunksTooMany) as caught:
        await put(store, b"", 3)
    assert caught.value.code == "chunks_too_many"
    store.close()


@pytest.mark.parametrize(
    ("part", "sequence", "code"),
    [
        (-1, 0, "bad_part"),
        (1000, 0, "bad_part"),
        (0, -1, "bad_sequence"),
        (0, 10_000_000, "bad_sequence"),
    ],
)
async def test_numbers_no_chunk_can_have(
    store: ChunkStore, root: Path, part: int, sequence: int, code: str
) -> None:
    with pytest.raises(BadChunkNumber) as caught:
        await put(store, b"x", sequence, part)
    assert caught.value.code == code
    assert not root.exists()


@pytest.mark.parametrize("set_id", ["..", "CS_", "CS_../x", ".incoming", "", "RC_1", "CS_a/b"])
async def test_what_is_no_id_of_a_set_becomes_no_path(store: ChunkStore, set_id: str) -> None:
    with pytest.raises(ValueError, match="no id of a chunk set"):
        await store.receive(set_id, 0, 0, blocks(b"x"))


async def test_a_disk_that_gets_full(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recorder.chunks.store.DISK_LOOKS_APART", 0.0)
    free = [8 << 20]
    space = DiskSpace(root.parents[1], 5 << 20, free=lambda _: free[0])
    store = ChunkStore(root, LIMITS, space)
    await put(store, b"x")
    with pytest.raises(DiskLow):
        await store.receive(SET, 0, 1, blocks(b"x"), announced=4 << 20)
    free[0] = 4 << 20
    with pytest.raises(DiskLow):
        await put(store, b"x", 1)
    assert everything(root) == {chunk(root)}
    store.close()


async def test_a_folder_that_can_not_be_written(root: Path) -> None:
    root.parent.mkdir()
    root.write_bytes(b"in the way")
    store = ChunkStore(root, LIMITS)
    with pytest.raises(JournalsUnwritable):
        await put(store, b"x")
    root.unlink()
    assert (await put(store, b"x")).outcome == "stored"
    store.close()


async def test_a_body_that_breaks_off_leaves_nothing(store: ChunkStore, root: Path) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield bytes(PIECE_BYTES)
        yield b"more"
        assert len(arriving(root)) == 1
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await store.receive(SET, 0, 0, broken())
    assert everything(root) == set()
    assert await store.state(SET) == {}


async def test_memory_of_a_chunk_is_one_piece(store: ChunkStore, root: Path) -> None:
    """What came is on the disk before the rest is there."""
    seen: list[int] = []

    async def slow() -> AsyncIterator[bytes]:
        for _ in range(12):
            yield bytes(PIECE_BYTES // 4)
            seen.append(sum(path.stat().st_size for path in arriving(root)))

    await store.receive(SET, 0, 0, slow())
    received = [(number + 1) * PIECE_BYTES // 4 for number in range(12)]
    held = [came - written for came, written in zip(received, seen, strict=True)]
    assert max(held) <= PIECE_BYTES


# --- crashes --------------------------------------------------------------------------------------


async def test_what_a_killed_process_left_is_found_and_its_halves_are_swept(root: Path) -> None:
    first = ChunkStore(root, LIMITS)
    for sequence in (0, 1, 999, 1000, 5):
        await put(first, b"x" * sequence, sequence)
    first.close()
    (root / INCOMING / "half").write_bytes(b"half a chunk")
    (root / SET / "0" / "0" / "007").write_bytes(b"no name of ours")
    (root / SET / "0" / "0" / "1001").write_bytes(b"in the wrong folder")
    (root / SET / "12345678901234567890").mkdir()
    second = ChunkStore(root, LIMITS)
    assert list((await second.state(SET))[0]) == [(0, 1), (5, 5), (999, 1000)]
    assert await second.bytes_of(SET) == 2005
    await put(second, b"x", 2)
    assert arriving(root) == []
    second.close()


async def test_a_chunk_that_has_its_name_but_was_never_acknowledged(
    store: ChunkStore, root: Path
) -> None:
    """The flush of the folder failed or never came: the next request for it makes it durable."""
    await put(store, b"one", 0)
    chunk(root, 1).write_bytes(b"two")
    assert list((await store.state(SET))[0]) == [(0, 0)]
    assert (await put(store, b"two", 1)).outcome == "stored"
    assert list((await store.state(SET))[0]) == [(0, 1)]
    assert await store.bytes_of(SET) == 6


async def test_an_answer_waits_for_the_flush_of_the_folder(
    store: ChunkStore, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await put(store, b"first")
    flushed: list[Path] = []
    fail = [True]

    def sync(_: Path, folder: Path) -> None:
        assert chunk(root, 1).exists()
        flushed.append(folder)
        if fail.pop() if fail else False:
            raise JournalsUnwritable("the disk says no")

    monkeypatch.setattr(files, "sync", sync)
    with pytest.raises(JournalsUnwritable):
        await put(store, b"second", 1)
    assert list((await store.state(SET))[0]) == [(0, 0)]
    never_flushed = chunk(root, 1).stat().st_ino
    assert (await put(store, b"second", 1)).outcome == "stored"
    assert chunk(root, 1).stat().st_ino != never_flushed
    assert flushed == [chunk(root).parent] * 2


async def test_a_flush_that_fails_takes_along_who_waits_for_the_next(
    store: ChunkStore, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second name was in the folder when the first one's flush failed: it may be lost with it,
    though the next flush says that all is well."""
    await put(store, b"zero")
    begun, named = threading.Event(), threading.Event()

    def sync(_: Path, folder: Path) -> None:
        if not begun.is_set():
            begun.set()
            assert named.wait(10)
            raise JournalsUnwritable("the disk says no")

    monkeypatch.setattr(files, "sync", sync)
    first = asyncio.create_task(put(store, b"one", 1))
    await asyncio.to_thread(begun.wait, 10)
    second = asyncio.create_task(put(store, b"two", 2))
    await until(chunk(root, 2).exists, within=10, what="the second has its name")
    named.set()
    done = await asyncio.gather(first, second, return_exceptions=True)
    assert [type(each) for each in done] == [JournalsUnwritable] * 2
    assert list((await store.state(SET))[0]) == [(0, 0)]
    assert [(await put(store, b, n)).outcome for n, b in ((1, b"one"), (2, b"two"))] == (
        ["stored"] * 2
    )


async def test_a_set_that_nobody_sent_to(store: ChunkStore, root: Path) -> None:
    assert await store.state(SET) == {}
    assert await store.last_arrival(SET) is None
    await store.remove(SET)
    assert not root.exists()


async def test_when_the_last_chunk_came(store: ChunkStore, root: Path) -> None:
    before = datetime.now(UTC)
    await put(store, b"x")
    last = await store.last_arrival(SET)
    assert last is not None
    assert before - timedelta(seconds=1) < last <= datetime.now(UTC)
    os.utime(chunk(root), (1000, 1000))
    again = ChunkStore(root, LIMITS)
    assert await again.last_arrival(SET) == datetime.fromtimestamp(1000, UTC)
    again.close()


# --- many sets -------------------------------------------------------------------------------------


async def test_a_removed_set_is_gone_and_can_come_again(store: ChunkStore, root: Path) -> None:
    await put(store, b"x")
    await store.remove(SET)
    assert everything(root) == set()
    assert not (root / SET).exists()
    assert await store.state(SET) == {}
    assert (await put(store, b"y")).outcome == "stored"
    assert chunk(root).read_bytes() == b"y"


async def test_a_server_that_stops_leaves_the_rest_of_a_removal_to_the_next(
    store: ChunkStore, root: Path
) -> None:
    for sequence in (0, 1000, 2000):
        await put(store, b"x", sequence)
    asked: list[bool] = []

    def stops() -> bool:
        asked.append(len(asked) == 1)
        return asked[-1]

    await asyncio.to_thread(files.remove, root, SET, stops)
    assert len(asked) == 2
    assert not (root / SET).exists()
    (grave,) = root.glob(f"{DELETED_PREFIX}*")
    assert len([path for path in grave.rglob("*") if path.is_file()]) == 2


@pytest.mark.parametrize("by", ["the store", "another process"])
async def test_what_is_received_while_its_set_is_removed(
    store: ChunkStore, root: Path, by: str
) -> None:
    await put(store, b"x")

    async def late() -> AsyncIterator[bytes]:
        yield b"half"
        if by == "the store":
            await store.remove(SET)
        else:
            forget_chunks(root.parent, SET)
        yield b"the rest"

    with pytest.raises(SetComplete):
        await store.receive(SET, 0, 1, late())
    assert everything(root) == set()
    assert not (root / SET).exists()


async def test_many_sets_take_turns_in_memory(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recorder.chunks.store.MOST_OPEN", 2)
    store = ChunkStore(root, LIMITS)
    ids = [f"CS_{number:016}" for number in range(5)]

    async def slow() -> AsyncIterator[bytes]:
        yield b"begun"
        for set_id in ids[1:]:  # meanwhile all others are looked at
            await store.receive(set_id, 0, 0, blocks(b"x"))
        yield b"ended"

    await store.receive(ids[0], 0, 0, slow())
    for set_id in ids:
        assert list((await store.state(set_id))[0]) == [(0, 0)]
    store.close()


# --- flushes --------------------------------------------------------------------------------------


async def test_flushes_that_are_asked_for_together_are_one() -> None:
    begun: asyncio.Queue[Path] = asyncio.Queue()
    end, count = asyncio.Event(), 0

    async def run(asked: Path) -> None:
        nonlocal count
        count += 1
        begun.put_nowait(asked)
        await end.wait()

    syncs, folder = MergedSyncs(run), Path("folder")
    first = [asyncio.create_task(syncs.sync(folder)) for _ in range(3)]
    assert await begun.get() == folder
    late = [asyncio.create_task(syncs.sync(folder)) for _ in range(3)]  # names it can't have seen
    other = asyncio.create_task(syncs.sync(Path("other")))
    assert await begun.get() == Path("other")
    assert not any(task.done() for task in (*first, *late, other))
    end.set()
    await asyncio.gather(*first, *late, other)
    assert count == 3


async def test_a_flush_that_failed_fails_for_all_who_waited_and_for_nobody_else() -> None:
    results = [OSError("no"), None]

    async def run(_: Path) -> None:
        if (result := results.pop(0)) is not None:
            raise result

    syncs, folder = MergedSyncs(run), Path("folder")
    done = await asyncio.gather(*(syncs.sync(folder) for _ in range(2)), return_exceptions=True)
    assert [type(each) for each in done] == [OSError, OSError]
    await syncs.sync(folder)
