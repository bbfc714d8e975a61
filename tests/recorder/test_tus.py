"""tus uploads without HTTP: pieces, turns, what is kept when a request breaks off, and attacks."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from recorder.depots import Depots
from recorder.diskspace import DiskSpace
from recorder.errors import (
    BadUpload,
    DiskLow,
    FileRefused,
    FileTooLarge,
    JournalsUnwritable,
    OffsetConflict,
    TooManyUploads,
    UploadBusy,
    UploadOver,
    WrongChecksum,
)
from recorder.uploads.limits import UploadLimits
from recorder.uploads.service import Uploads
from recorder.uploads.spool import Spool
from recorder.uploads.tus import Piece, Read, TusUploads
from storage.catalog import Catalog, UploadRow
from storage.errors import StoreUnavailable
from storage.objects import MemoryStore
from tests.signaling.uploading import Shelf
from tests.storage.catalogs import migrated

DATA = bytes(range(256)) * 40  # 10,240 bytes


class Store(MemoryStore):
    down = False

    async def put_file(self, *arguments: Any, **options: Any) -> Any:
        if self.down:
            raise StoreUnavailable("the store is down")
        return await super().put_file(*arguments, **options)


@dataclass
class House:
    """Everything of one server; `again` is the same after a restart."""

    folder: Path
    catalog: Catalog
    store: Store
    library: Shelf
    now: datetime = datetime(2026, 11, 1, tzinfo=UTC)
    free: int = 1 << 40
    at_once: int = 5
    quiet: float = 0.01
    wait: float = 0.05

    def __post_init__(self) -> None:
        self.again()

    def again(self) -> None:
        space = DiskSpace(self.folder, 1 << 20, free=lambda _: self.free)
        self.uploads = Uploads(
            self.catalog,
            Depots({"memory": self.store}, "memory"),
            self.library,
            UploadLimits(at_once=self.at_once, largest=1 << 20),
            clock=lambda: self.now,
            space=space,
        )
        self.spool = Spool(self.folder / "spool")
        self.tus = TusUploads(
            self.uploads,
            self.catalog.uploads,
            self.spool,
            space,
            quiet=self.quiet,
            wait=self.wait,
        )

    async def begin(self, user: str = "ada", size: int = len(DATA)) -> UploadRow:
        return await self.tus.create(user, "talk.mp4", size, "video/mp4", None, "told")

    async def row(self, row: UploadRow) -> UploadRow:
        return await self.uploads.own(row.id, None)

    async def send(self, row: UploadRow, data: bytes, offset: int = 0, **fields: Any) -> int:
        piece = Piece(offset, blocks(data), size=len(data), **fields)
        return (await self.tus.append(await self.row(row), piece)).received

    async def offset(self, row: UploadRow) -> int:
        return (await self.tus.look_up(await self.row(row))).received

    async def stored(self, row: UploadRow) -> bytes:
        key = (await self.row(row)).storage_key
        return b"".join([block async for block in self.store.open(key)])


@pytest_asyncio.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    url = f"sqlite:///{tmp_path / 'catalog.db'}"
    await migrated(url)
    catalog = await Catalog.open(url)
    store = Store()
    house = House(tmp_path, catalog, store, Shelf(catalog, lambda _: store))
    yield house
    await house.uploads.close()
    await catalog.close()


def blocks(data: bytes, size: int = 1000, end: Exception | None = None) -> Read:
    """A body that comes in blocks, and then ends, or breaks off with `end`."""
    rest: Iterable[bytes] = (data[at : at + size] for at in range(0, len(data), size))
    left = iter(rest)

    async def read() -> bytes:
        await asyncio.sleep(0)
        if (block := next(left, None)) is not None:
            return block
        if end is not None:
            raise end
        return b""

    return read


class Silent:
    """A body that brings `data` and then nothing more; `waiting` is set when it is silent."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.waiting = asyncio.Event()

    async def __call__(self) -> bytes:
        data, self._data = self._data, b""
        if not data:
            self.waiting.set()
            await asyncio.Event().wait()
        return data


def broken_off() -> BadUpload:
    return BadUpload("the body broke off", code="bad_body")


# --- pieces ---------------------------------------------------------------------------------------


async def test_a_file_in_three_pieces_is_in_the_library(house: House) -> None:
    row = await house.begin()
    assert await house.send(row, DATA[:5000]) == 5000
    assert await house.send(row, DATA[5000:9000], 5000) == 9000
    assert await house.offset(row) == 9000
    assert await house.send(row, DATA[9000:], 9000) == len(DATA)
    done = await house.row(row)
    assert (done.status, done.received) == ("done", len(DATA))
    assert done.media_id is not None
    assert await house.stored(row) == DATA
    assert house.spool.sizes() == {}


async def test_a_lost_answer_to_the_last_piece_is_found_again(house: House) -> None:
    row = await house.begin()
    await house.send(row, DATA)
    assert await house.offset(row) == len(DATA)
    assert await house.send(row, b"", len(DATA)) == len(DATA)
    assert len(house.library.asked) == 1


async def test_a_restart_goes_on_where_the_disk_is(house: House) -> None:
    row = await house.begin()
    await house.send(row, DATA[:7000])
    house.again()
    assert await house.offset(row) == 7000
    assert await house.send(row, DATA[7000:], 7000) == len(DATA)
    assert await house.stored(row) == DATA


async def test_what_came_of_a_broken_request_is_kept(house: House) -> None:
    row = await house.begin()
    with pytest.raises(BadUpload, match="broke off"):
        await house.tus.append(row, Piece(0, blocks(DATA[:3500], end=broken_off())))
    assert await house.offset(row) == 3500
    assert await house.send(row, DATA[3500:], 3500) == len(DATA)
    assert await house.stored(row) == DATA


async def test_a_cancelled_request_harms_nothing(house: House) -> None:
    row, body = await house.begin(), Silent(DATA[:2000])
    request = asyncio.create_task(house.tus.append(row, Piece(0, body)))
    await body.waiting.wait()
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request
    assert await house.offset(row) == 2000
    assert await house.send(row, DATA[2000:], 2000) == len(DATA)


async def test_the_first_piece_may_come_with_the_creation(house: House) -> None:
    row = await house.begin()
    row = await house.tus.append_first(row, Piece(0, blocks(DATA), size=len(DATA)))
    assert row.status == "done"
    assert await house.stored(row) == DATA


async def test_a_creation_that_breaks_off_takes_no_place(house: House) -> None:
    row = await house.begin()
    with pytest.raises(BadUpload):
        await house.tus.append_first(row, Piece(0, blocks(DATA[:99], end=broken_off())))
    assert (await house.row(row)).status == "aborted"
    assert house.spool.sizes() == {}


# --- checksums ------------------------------------------------------------------------------------


async def test_a_piece_with_a_wrong_checksum_is_as_if_it_never_came(house: House) -> None:
    row = await house.begin()
    await house.send(row, DATA[:1000])
    with pytest.raises(WrongChecksum):
        await house.send(row, DATA[1000:], 1000, algorithm="sha1", checksum=bytes(20))
    assert await house.offset(row) == 1000
    right = hashlib.sha1(DATA[1000:]).digest()
    assert await house.send(row, DATA[1000:], 1000, algorithm="sha1", checksum=right) == len(DATA)
    assert await house.stored(row) == DATA


async def test_a_broken_piece_with_a_checksum_is_dropped(house: House) -> None:
    row = await house.begin()
    body = blocks(DATA[:3500], end=broken_off())
    with pytest.raises(BadUpload):
        await house.tus.append(row, Piece(0, body, algorithm="sha1", checksum=bytes(20)))
    assert await house.offset(row) == 0


# --- turns ----------------------------------------------------------------------------------------


async def test_a_silent_request_loses_its_turn_and_what_it_had_is_kept(house: House) -> None:
    row, body = await house.begin(), Silent(DATA[:4000])
    first = asyncio.create_task(house.tus.append(row, Piece(0, body)))
    await body.waiting.wait()
    with pytest.raises(OffsetConflict) as told:
        await house.send(row, DATA)
    assert told.value.details == {"offset": 4000}
    with pytest.raises(UploadBusy, match="took over"):
        await first
    assert await house.send(row, DATA[4000:], 4000) == len(DATA)
    assert await house.stored(row) == DATA


async def test_who_asks_hears_of_what_a_silent_request_brought(house: House) -> None:
    row, body = await house.begin(), Silent(DATA[:4000])
    first = asyncio.create_task(house.tus.append(row, Piece(0, body)))
    await body.waiting.wait()
    assert await house.offset(row) == 4000
    with pytest.raises(UploadBusy, match="took over"):
        await first


async def test_concurrent_patches_never_mix(house: House) -> None:
    """Twenty at once, all from offset 0: one of them writes, and the file is one of theirs."""
    house.quiet = house.wait = 30
    house.again()
    row = await house.begin()
    bodies = [bytes([number]) * len(DATA) for number in range(20)]
    answers = await asyncio.gather(
        *(house.send(row, each) for each in bodies), return_exceptions=True
    )
    assert answers.count(len(DATA)) >= 1
    refusals = [each for each in answers if each != len(DATA)]
    assert all(isinstance(each, UploadBusy | OffsetConflict) for each in refusals), refusals
    assert await house.stored(row) in bodies
    assert len(house.library.asked) == 1


async def test_a_busy_request_keeps_its_turn(house: House) -> None:
    house.quiet = 0.5  # no event loop lags so much
    house.again()
    row = await house.begin(size=1 << 20)
    stop = asyncio.Event()

    async def steady() -> bytes:
        await asyncio.sleep(0)
        return b"" if stop.is_set() else b"x"

    first = asyncio.create_task(house.tus.append(row, Piece(0, steady)))
    await asyncio.sleep(0)
    with pytest.raises(UploadBusy, match="another request is sending"):
        await house.send(row, DATA)
    assert await house.offset(row) < 1 << 20  # told while it goes on
    stop.set()
    assert 0 < (await first).received < 1 << 20


# --- the end --------------------------------------------------------------------------------------


async def test_a_store_that_is_down_gets_the_file_later(house: House) -> None:
    row = await house.begin()
    house.store.down = True
    with pytest.raises(StoreUnavailable):
        await house.send(row, DATA)
    with pytest.raises(StoreUnavailable):  # and nobody is told that all is well
        await house.offset(row)
    house.store.down = False
    house.again()
    await house.tus.look()
    assert (await house.row(row)).status == "done"
    assert await house.stored(row) == DATA


async def test_a_refusal_by_the_library_ends_the_upload(house: House) -> None:
    row = await house.begin()
    house.library.down = FileRefused("this is a text", code="unsupported_format")
    with pytest.raises(FileRefused, match="a text"):
        await house.send(row, DATA)
    assert house.spool.sizes() == {}
    with pytest.raises(FileRefused, match="a text"):  # also who lost the answer hears of it
        await house.offset(row)


async def test_terminating_stops_who_still_sends(house: House) -> None:
    row, body = await house.begin(), Silent(DATA[:10])
    first = asyncio.create_task(house.tus.append(row, Piece(0, body)))
    await body.waiting.wait()
    await house.tus.terminate(row)
    with pytest.raises(UploadOver):
        await first
    assert house.spool.sizes() == {}
    with pytest.raises(UploadOver):
        await house.offset(row)


async def test_an_expired_upload_leaves_no_file(house: House) -> None:
    row = await house.begin()
    await house.send(row, DATA[:10])
    house.now += timedelta(hours=2)
    assert await house.uploads.look() == 1
    assert house.spool.sizes() == {}
    with pytest.raises(UploadOver):
        await house.send(row, DATA[10:], 10)


async def test_files_that_a_killed_process_left_are_removed(house: House) -> None:
    kept = await house.begin()
    house.spool.create("UP_nobody's")
    gone = await house.begin()
    await house.catalog.uploads.update(gone.id, None, status="aborted")
    await house.tus.look()
    assert house.spool.sizes() == {kept.id: 0}


# --- attacks --------------------------------------------------------------------------------------


async def test_upload_length_lies_patch_beyond_length(house: House) -> None:
    row = await house.begin(size=5000)
    with pytest.raises(FileTooLarge) as told:
        await house.send(row, DATA)
    assert told.value.code == "beyond_upload_length"
    with pytest.raises(FileTooLarge):  # the same without saying so
        await house.tus.append(row, Piece(0, blocks(DATA)))
    assert house.spool.sizes() == {row.id: 0}
    assert await house.send(row, DATA[:5000]) == 5000


async def test_upload_length_lies_larger_than_allowed(house: House) -> None:
    with pytest.raises(FileTooLarge):
        await house.begin(size=(1 << 20) + 1)
    with pytest.raises(BadUpload):
        await house.begin(size=0)
    assert house.spool.sizes() == {}


async def test_offsets_that_are_not_the_end(house: House) -> None:
    row = await house.begin()
    await house.send(row, DATA[:1000])
    for offset in (0, 999, 1001, len(DATA), 10**15):
        with pytest.raises(OffsetConflict):
            await house.send(row, b"x", offset)
    assert await house.offset(row) == 1000


async def test_ten_thousand_abandoned_creations(house: House) -> None:
    """Bounded by MAX_CONCURRENT_UPLOADS; expiry gives the places back."""
    for _ in range(house.at_once):
        await house.begin()
    for _ in range(10_000 // 100):  # each of them costs one transaction; a hundred show it
        with pytest.raises(TooManyUploads):
            await house.begin()
    assert len(house.spool.sizes()) == house.at_once
    house.now += timedelta(hours=2)
    await house.uploads.look()
    assert house.spool.sizes() == {}
    await house.begin()


async def test_a_full_disk_keeps_what_came(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recorder.uploads.tus.FLUSH_BYTES", 2000)
    row = await house.begin()
    house.free = 0
    with pytest.raises(DiskLow):
        await house.send(row, DATA)
    house.free = 1 << 40
    kept = await house.offset(row)
    assert 0 < kept < len(DATA)
    assert await house.send(row, DATA[kept:], kept) == len(DATA)
    assert await house.stored(row) == DATA


async def test_an_unwritable_spool_makes_no_upload(house: House) -> None:
    house.spool.root.write_text("a file where the folder should be")
    with pytest.raises(JournalsUnwritable):
        await house.begin()
    rows = await house.catalog.uploads.in_states({"open"})
    assert rows == ()


async def test_a_piece_that_could_not_be_flushed_has_to_come_again(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The system may say of the next flush that all is well, though those bytes are on no disk."""
    row = await house.begin()
    assert await house.send(row, DATA[:1000]) == 1000
    flush, left = os.fsync, [OSError(errno.EIO, "Input/output error")]

    def failing(descriptor: int) -> None:
        if os.readlink(f"/proc/self/fd/{descriptor}").endswith(row.id) and (
            os.fstat(descriptor).st_size > 1000 and left
        ):
            raise left.pop()
        flush(descriptor)

    monkeypatch.setattr(os, "fsync", failing)
    with pytest.raises(JournalsUnwritable):
        await house.send(row, DATA[1000:2000], 1000)
    assert await house.offset(row) == 1000
    assert await house.send(row, DATA[1000:], 1000) == len(DATA)
    assert await house.stored(row) == DATA


async def test_a_row_of_long_ago_is_no_way_in(house: House) -> None:
    row = await house.begin()
    await house.tus.terminate(row)
    with pytest.raises(UploadOver):
        await house.tus.append(replace(row, status="open"), Piece(0, blocks(DATA)))
    assert house.spool.sizes() == {}
