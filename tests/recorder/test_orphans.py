"""Uploads in parts that nobody will complete are aborted, and nobody else's."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import timedelta

import pytest

from recorder.object_keys import KEY_ROOT
from recorder.orphans import ORPHAN_AGE, Orphans, abort_strays
from recorder.progress import Progress
from storage.errors import StoreUnavailable
from storage.objects import Multipart, ObjectInfo, Part, SignedRequest, UnfinishedUpload
from storage.objects.parts import STREAM_PART
from tests.recorder.house import FlakyStore, House
from tests.recorder.made_files import contents_of, made

HOUR = timedelta(hours=1)


class PartsStore(FlakyStore):
    """A store with uploads in parts, of which only that they were begun is known."""

    def __init__(self, house: House) -> None:
        super().__init__()
        self.uploads: list[UnfinishedUpload] = []
        self.refuses_aborts = False
        self._house = house

    async def begin(
        self, key: str, content_type: str, metadata: Mapping[str, str] | None = None
    ) -> str:
        upload_id = f"upload-{len(self.uploads)}"
        self.uploads.append(UnfinishedUpload(key, upload_id, self._house.now))
        return upload_id

    async def sign_part(
        self, key: str, upload_id: str, number: int, life: timedelta, size: int | None = None
    ) -> SignedRequest:
        raise StoreUnavailable("nothing is signed here")

    async def complete(self, key: str, upload_id: str, parts: Sequence[Part]) -> ObjectInfo:
        raise StoreUnavailable("nothing is completed here")

    async def abort(self, key: str, upload_id: str) -> None:
        self._answer()
        if self.refuses_aborts:
            raise StoreUnavailable("no right to abort")
        self.uploads = [each for each in self.uploads if each.upload_id != upload_id]

    async def unfinished(self, prefix: str = "") -> AsyncIterator[UnfinishedUpload]:
        self._answer()
        for upload in list(self.uploads):
            if upload.key.startswith(prefix):
                yield upload

    @property
    def keys(self) -> list[str]:
        return [upload.key for upload in self.uploads]


@pytest.fixture
def parts(storehouse: House) -> PartsStore:
    """The main store of the house, one that takes parts."""
    storehouse.store = PartsStore(storehouse)
    storehouse.service = storehouse.another_service()
    assert isinstance(storehouse.store, Multipart)
    return storehouse.store


def orphans(house: House) -> Orphans:
    return Orphans(house.depots, clock=lambda: house.now)


# --- while a file is delivered ----------------------------------------------------------------------


async def test_a_large_file_that_is_kept_leaves_no_upload_of_its_key(
    storehouse: House, parts: PartsStore
) -> None:
    row = await made(storehouse, bytes(STREAM_PART + 1))
    (delivery,) = await storehouse.catalog.deliveries.of(row.id)
    for key in (delivery.file.key, delivery.file.key + "x", "elsewhere"):
        await parts.begin(key, "video/webm")
    await storehouse.deliverer.deliver(row.id, Progress())
    assert parts.keys == [delivery.file.key + "x", "elsewhere"]


async def test_small_files_never_go_in_parts_so_nobody_is_asked(
    storehouse: House, parts: PartsStore
) -> None:
    row = await made(storehouse, bytes(STREAM_PART))
    (delivery,) = await storehouse.catalog.deliveries.of(row.id)
    await parts.begin(delivery.file.key, "video/webm")
    await storehouse.deliverer.deliver(row.id, Progress())
    assert parts.keys == [delivery.file.key]


async def test_a_store_that_refuses_to_abort_has_kept_the_file_all_the_same(
    storehouse: House, parts: PartsStore
) -> None:
    row = await made(storehouse, bytes(STREAM_PART + 1))
    (delivery,) = await storehouse.catalog.deliveries.of(row.id)
    await parts.begin(delivery.file.key, "video/webm")
    parts.refuses_aborts = True
    (file,) = await storehouse.deliverer.deliver(row.id, Progress())
    assert list(await contents_of(parts)) == [file.key]
    assert parts.keys == [file.key]


async def test_a_store_without_parts_has_no_strays() -> None:
    await abort_strays(FlakyStore(), "key")


# --- the others -------------------------------------------------------------------------------------


async def test_what_is_old_is_aborted(storehouse: House, parts: PartsStore) -> None:
    for room in ("old", "too"):
        await parts.begin(f"{KEY_ROOT}{room}/RC/FI.webm", "video/webm")
    storehouse.now += HOUR
    await parts.begin(f"{KEY_ROOT}new/RC/FI.webm", "video/webm")
    storehouse.now += ORPHAN_AGE - HOUR - timedelta(seconds=1)
    assert await orphans(storehouse).look() == 0
    storehouse.now += timedelta(seconds=1)
    assert await orphans(storehouse).look() == 2
    assert parts.keys == [f"{KEY_ROOT}new/RC/FI.webm"]


async def test_users_files_are_old_when_their_sessions_are_over(
    storehouse: House, parts: PartsStore
) -> None:
    going_on = await parts.begin("media/MF_1/original.mp4", "video/mp4")
    await parts.begin("media/MF_2/original.mp4", "video/mp4")
    storehouse.now += ORPHAN_AGE * 3

    async def alive() -> frozenset[str]:
        return frozenset({going_on})

    chore = Orphans(storehouse.depots, clock=lambda: storehouse.now, alive=alive)
    assert await chore.look() == 1
    assert parts.keys == ["media/MF_1/original.mp4"]


async def test_what_is_not_a_recordings_is_let_be(storehouse: House, parts: PartsStore) -> None:
    await parts.begin("uploads/somebody/else.mp4", "video/mp4")
    storehouse.now += ORPHAN_AGE * 10
    assert await orphans(storehouse).look() == 0
    assert parts.keys == ["uploads/somebody/else.mp4"]


async def test_a_store_that_refuses_does_not_hold_up_the_other(
    storehouse: House, parts: PartsStore, caplog: pytest.LogCaptureFixture
) -> None:
    fallback = storehouse.fallback = PartsStore(storehouse)
    for store in (parts, fallback):
        await store.begin(f"{KEY_ROOT}old/RC/FI.webm", "video/webm")
    storehouse.now += ORPHAN_AGE
    parts.refuses_aborts = True
    assert await orphans(storehouse).look() == 1
    assert "memory: no right to abort" in caplog.text
    assert (len(parts.keys), fallback.keys) == (1, [])
    parts.refuses_aborts = False
    assert await orphans(storehouse).look() == 1


async def test_uploads_by_links_of_this_server_are_all_its_own(storehouse: House) -> None:
    links = PartsStore(storehouse)
    await links.begin("uploads/somebody/film.mp4", "video/mp4")
    storehouse.now += ORPHAN_AGE
    await links.begin("uploads/somebody/new.mp4", "video/mp4")
    assert await Orphans(storehouse.depots, links, clock=lambda: storehouse.now).look() == 1
    assert links.keys == ["uploads/somebody/new.mp4"]


async def test_stores_without_parts_have_no_orphans(storehouse: House) -> None:
    assert await orphans(storehouse).look() == 0


async def test_several_uploads_of_one_key(storehouse: House, parts: PartsStore) -> None:
    key = f"{KEY_ROOT}old/RC/FI.webm"
    for _ in range(3):
        await parts.begin(key, "video/webm")
    await abort_strays(parts, key)
    assert parts.uploads == []
