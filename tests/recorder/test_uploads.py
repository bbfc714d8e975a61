"""The life of an upload session: killed at every step, expired, refused by stores that are away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest

from recorder.depots import Depots
from recorder.diskspace import DiskSpace
from recorder.errors import (
    DiskLow,
    FileRefused,
    JobPostponed,
    TooManyUploads,
    UploadDiffers,
    UploadIncomplete,
    UploadOver,
)
from recorder.uploads import arrivals
from recorder.uploads.limits import UploadLimits
from recorder.uploads.service import Uploads
from storage.catalog import Catalog, MediaRow, UploadRow
from storage.errors import StoreUnavailable
from storage.objects import LocalStore, ObjectInfo, Part
from storage.objects.local_signing import LocalSigner
from tests.rig.waiting import until
from tests.signaling.uploading import PART, REFUSED, Shelf
from tests.storage.catalogs import migrated
from tests.storage.contents import counting
from tests.storage.streams import blocks_of

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
SMALL = counting(100_000)
LARGE = counting(PART + 4096)
LIMITS = UploadLimits(largest_form=1 << 20, at_once=3)


class Killed(BaseException):
    """What the process was doing ends here, without a word."""


@dataclass(slots=True)
class Moment:
    """When the process is killed: just after this step was done, once."""

    step: str = ""

    def reached(self, step: str) -> None:
        if step == self.step:
            self.step = ""
            raise Killed


class MortalSigner(LocalSigner):
    moment = Moment()

    async def complete(self, key: str, upload_id: str, parts: Sequence[Part]) -> ObjectInfo:
        info = await super().complete(key, upload_id, parts)
        self.moment.reached("completed at the store")
        return info


class FailingStore(LocalStore):
    """Local, and refuses to delete while it is `down`."""

    down = False

    async def delete_many(self, keys: Collection[str]) -> None:
        if self.down:
            raise StoreUnavailable("the store is down")
        await super().delete_many(keys)


@dataclass(slots=True)
class Bench:
    catalog: Catalog
    store: FailingStore
    signer: MortalSigner
    shelf: Shelf
    moment: Moment
    now: datetime = NOW
    over: list[UploadRow] = field(default_factory=list)

    def process(self, **options: Any) -> Uploads:
        """The service, as another process has it."""
        uploads = Uploads(
            self.catalog,
            Depots({"local": self.store}, "local"),
            self,
            LIMITS,
            clock=lambda: self.now,
            local=self.signer,
            **options,
        )
        uploads.subscribe(self._note)
        return uploads

    async def admit(self, upload: UploadRow) -> MediaRow:
        self.moment.reached("asked the library")
        media = await self.shelf.admit(upload)
        self.moment.reached("in the library")
        return media

    async def form(self, uploads: Uploads, content: bytes = SMALL) -> UploadRow:
        """A session whose object is there."""
        row = await uploads.initiate("paul", "talk.mp4", len(content), "video/mp4")
        assert row.method == "form"
        await self.store.put_stream(row.storage_key, blocks_of(content), row.content_type)
        return row

    async def in_parts(self, uploads: Uploads) -> UploadRow:
        row = await uploads.initiate("paul", "talk.mp4", len(LARGE), "video/mp4")
        assert row.method == "multipart"
        for part in await uploads.sign_parts(row, [1, 2]):
            query = part.request.url.partition("?")[2]
            grant = self.signer.verify("PUT", row.storage_key, _pairs(query))
            first = (part.number - 1) * PART
            await self.signer.receive_part(grant, blocks_of(LARGE[first : first + PART]))
        return row

    async def keys(self) -> list[str]:
        return [entry.key async for entry in self.store.list()]

    async def parts_left(self) -> int:
        return len([each async for each in self.signer.unfinished()])

    async def status(self, row: UploadRow) -> str:
        found = await self.catalog.uploads.get(row.id)
        assert found is not None
        return found.status

    async def _note(self, row: UploadRow) -> None:
        self.over.append(row)


def _pairs(query: str) -> list[tuple[str, str]]:

    return parse_qsl(query, keep_blank_values=True)


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    url = f"sqlite:///{tmp_path}/catalog.db"
    await migrated(url)
    catalog = await Catalog.open(url)
    store = FailingStore(tmp_path / "objects")
    signer = MortalSigner(store, "", b"the secret of the house, 32 and more", clock=NOW.timestamp)
    signer.moment = Moment()
    shelf = Shelf(catalog, lambda provider: store)
    yield Bench(catalog, store, signer, shelf, signer.moment)
    await store.close()
    await catalog.close()


# --- killed ---------------------------------------------------------------------------------------

STEPS = ("asked the library", "in the library", "completed at the store")


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("by_client", [True, False], ids=["asked again", "not asked again"])
async def test_killed_while_it_is_finished_it_is_finished_once(
    bench: Bench, step: str, by_client: bool
) -> None:
    first, second = bench.process(), bench.process()
    row = await bench.in_parts(first)
    bench.moment.step = step
    with pytest.raises(Killed):
        await first.complete(row, row.storage_key)
    assert await bench.status(row) == "finishing"

    if not by_client:
        await second.look()
    media = await second.complete(row, row.storage_key)

    assert media == await bench.catalog.media.get(row.metadata["mediaId"])
    assert (await bench.catalog.media.find(user_id="paul")).total == 1
    assert await second.complete(row, row.storage_key) == media
    assert await bench.keys() == [media.storage_key]
    assert await bench.parts_left() == 0


async def test_closing_leaves_what_is_being_finished_to_the_next_process(bench: Bench) -> None:

    uploads = bench.process()
    row = await bench.form(uploads)
    bench.shelf.open_door = asyncio.Event()
    asking = asyncio.create_task(uploads.complete(row, row.storage_key))
    await until(lambda: bench.shelf.asked, within=10, what="the library is asked")
    await uploads.close()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert await bench.status(row) == "finishing"
    bench.shelf.open_door = None
    await bench.process().look()
    assert await bench.status(row) == "done"


async def test_what_can_not_be_finished_for_a_day_is_given_up(bench: Bench) -> None:
    uploads = bench.process()
    row = await bench.form(uploads)
    bench.shelf.down = JobPostponed("no memory")
    with pytest.raises(JobPostponed):
        await uploads.complete(row, row.storage_key)
    await uploads.look()
    assert await bench.status(row) == "finishing"
    bench.now += timedelta(days=1) + 2 * HOUR
    await uploads.look()
    assert await bench.status(row) == "failed"
    assert await bench.keys() == []
    with pytest.raises(UploadDiffers, match="no memory"):
        await uploads.complete(row, row.storage_key)


# --- a store that is away -------------------------------------------------------------------------


async def test_what_a_store_does_not_remove_at_once_is_removed_later(bench: Bench) -> None:
    uploads = bench.process()
    row = await bench.form(uploads, REFUSED + SMALL)
    bench.store.down = True
    with pytest.raises(FileRefused):
        await uploads.complete(row, row.storage_key)
    assert await bench.status(row) == "failed"
    bench.now += 3 * HOUR
    await uploads.sweep()
    assert len(await bench.keys()) == 2
    bench.store.down = False
    await uploads.sweep()
    assert await bench.keys() == []
    bench.now += timedelta(days=15)
    await uploads.sweep()
    assert await bench.catalog.uploads.get(row.id) is None


async def test_a_store_that_begins_nothing_leaves_no_session_under_way(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*_: object) -> str:
        raise StoreUnavailable("the store is down")

    uploads = bench.process()
    monkeypatch.setattr(bench.signer, "begin", refuse)
    for _ in range(LIMITS.at_once + 1):
        with pytest.raises(StoreUnavailable):
            await uploads.initiate("paul", "talk.mp4", len(LARGE), "video/mp4")


async def test_nothing_expires_while_nobody_knows_what_has_come(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*_: object) -> tuple[Part, ...]:
        raise StoreUnavailable("the store is down")

    uploads = bench.process()
    row, form = await bench.in_parts(uploads), await bench.form(uploads)
    bench.now += 2 * HOUR
    with monkeypatch.context() as patched:
        patched.setattr(bench.signer, "parts", refuse)
        assert (await uploads.progress(row)).received == 0  # and it is no error to ask
        assert await uploads.look() == 1
    assert await bench.status(form) == "expired"
    assert await uploads.look() == 0  # parts had come: it lives on
    assert (await uploads.progress(row)).received == len(LARGE)
    media = await uploads.complete(row, row.storage_key)
    assert media.size == len(LARGE)


# --- sessions -------------------------------------------------------------------------------------


async def test_a_form_that_takes_long_lives_as_long_as_bytes_come(bench: Bench) -> None:
    uploads = bench.process()
    row = await uploads.initiate("paul", "talk.mp4", len(SMALL), "video/mp4")
    for received in (1, 50_000):
        uploads.form_arrived(row.storage_key, received)
        bench.now += 2 * HOUR
        assert await uploads.look() == 0
    bench.now += 2 * HOUR
    assert await uploads.look() == 1


async def test_whoever_listens_hears_of_every_end(bench: Bench) -> None:
    uploads = bench.process()
    done, refused = await bench.form(uploads), await bench.form(uploads, REFUSED)
    await uploads.complete(done, done.storage_key)
    with pytest.raises(FileRefused):
        await uploads.complete(refused, refused.storage_key)
    aborted, expired = await bench.form(uploads), await bench.in_parts(uploads)
    await uploads.abort(aborted)
    bench.now += HOUR
    await uploads.look()  # parts have come: a sign of life
    bench.now += HOUR
    await uploads.look()
    assert [row.status for row in bench.over] == ["done", "failed", "aborted", "expired"]
    assert bench.over[-1].id == expired.id
    assert await bench.parts_left() == 0


async def test_between_two_looks_into_the_store_an_upload_keeps_its_speed(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr(arrivals, "_seconds", lambda: now)
    uploads = bench.process()
    row = await bench.in_parts(uploads)
    speeds = []
    for moment in (101.0, 102.5, 104.0):  # it is looked at the first and the last time
        now = moment
        progress = await uploads.progress(row)
        assert progress.received == len(LARGE)
        speeds.append(progress.speed)
    assert speeds[0] == speeds[1] == pytest.approx(len(LARGE) * 8 / 1e6)
    assert speeds[2] == pytest.approx(speeds[0] / 4)


async def test_signs_of_life_are_written_down_seldom(bench: Bench) -> None:
    uploads = bench.process()
    row = await uploads.initiate("paul", "talk.mp4", 1000, "video/mp4", method="tus")
    assert await uploads.touch(row, 10) == row
    bench.now += timedelta(minutes=10)
    later = await uploads.touch(row, 20)
    assert (later.received, later.expires_at) == (20, bench.now + LIMITS.timeout)
    assert await uploads.touch(later, 1000) != later  # the last byte is
    await uploads.abort(row)
    bench.now += timedelta(minutes=10)
    with pytest.raises(UploadOver):
        await uploads.touch(row, 30)


async def test_a_file_of_this_machine_is_put_and_taken(bench: Bench, tmp_path: Path) -> None:
    uploads = bench.process()
    path = tmp_path / "spooled"
    path.write_bytes(SMALL)
    row = await uploads.initiate(
        "paul", "talk.mp4", len(SMALL), "video/mp4", method="tus", metadata={"tus": "told"}
    )
    assert row.metadata["tus"] == "told"
    with pytest.raises(UploadIncomplete):
        await uploads.finish(row)
    media = await uploads.take_file(row, path)
    assert await bench.keys() == [media.storage_key]
    assert await uploads.take_file(row, path) == media


@pytest.mark.parametrize("content", [REFUSED + SMALL, SMALL[:-1]], ids=["refused", "too short"])
async def test_a_file_of_this_machine_that_is_refused_is_not_kept(
    bench: Bench, tmp_path: Path, content: bytes
) -> None:
    uploads = bench.process()
    path = tmp_path / "spooled"
    path.write_bytes(content)
    size = len(SMALL) if len(content) < len(SMALL) else len(content)
    row = await uploads.initiate("paul", "talk.mp4", size, "video/mp4", method="tus")
    with pytest.raises((FileRefused, UploadDiffers)):
        await uploads.take_file(row, path)
    assert await bench.keys() == []
    assert await bench.status(row) == "failed"


async def test_a_file_that_has_come_does_not_expire_while_it_is_put_or_its_store_is_away(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of its bytes were told to be here."""
    uploads, path = bench.process(), tmp_path / "spooled"
    path.write_bytes(SMALL)
    row = await uploads.initiate("paul", "talk.mp4", len(SMALL), "video/mp4", method="tus")
    putting, goes_on = asyncio.Event(), asyncio.Event()

    async def put_file(*words: Any, **more: Any) -> None:
        putting.set()
        await goes_on.wait()
        raise StoreUnavailable("down")

    with monkeypatch.context() as patch:
        patch.setattr(bench.store, "put_file", put_file)
        taking = asyncio.create_task(uploads.take_file(row, path))
        await putting.wait()
        bench.now += 2 * HOUR
        assert await uploads.look() == 0
        goes_on.set()
        with pytest.raises(StoreUnavailable):
            await taking
    bench.now += 20 * HOUR
    assert await uploads.look() == 0
    assert (await uploads.take_file(row, path)).size == len(SMALL)


async def test_a_file_whose_session_was_aborted_is_not_kept(bench: Bench, tmp_path: Path) -> None:
    uploads = bench.process()
    path = tmp_path / "spooled"
    path.write_bytes(SMALL)
    row = await uploads.initiate("paul", "talk.mp4", len(SMALL), "video/mp4", method="tus")
    await uploads.abort(row)
    with pytest.raises(UploadOver):
        await uploads.take_file(row, path)
    assert await bench.keys() == []


async def test_a_disk_that_is_nearly_full_takes_no_files(bench: Bench, tmp_path: Path) -> None:
    space = DiskSpace(tmp_path, 1000, stop=500, free=lambda folder: 5000)
    uploads = bench.process(space=space)
    await uploads.initiate("paul", "talk.mp4", 4000, "video/mp4")
    with pytest.raises(DiskLow, match="6000 bytes"):
        await uploads.initiate("paul", "talk.mp4", 6000, "video/mp4")


async def test_whoever_has_too_many_under_way_is_told_when_to_come_again(bench: Bench) -> None:
    uploads = bench.process()
    for _ in range(LIMITS.at_once):
        await uploads.initiate("paul", "talk.mp4", 4000, "video/mp4")
    for left, wait in ((HOUR, 60.0), (timedelta(seconds=20), 20.0), (timedelta(0), 5.0)):
        bench.now = NOW + LIMITS.timeout - left
        with pytest.raises(TooManyUploads) as refused:
            await uploads.initiate("paul", "talk.mp4", 4000, "video/mp4")
        assert refused.value.retry_after == wait
