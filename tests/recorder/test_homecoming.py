"""What went to the fallback comes home, and nothing is lost on the way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from itertools import count
from typing import Any

import pytest
import pytest_asyncio

from recorder.depots import Depots
from recorder.homecoming import Homecoming
from recorder.progress import Progress
from storage.catalog import RecordingRow
from storage.errors import CatalogUnavailable
from tests.recorder.house import NOW, FlakyStore, House
from tests.recorder.made_files import (
    Doom,
    away,
    blocks,
    contents_of,
    digests_in,
    ledger,
    made,
    promised,
    states,
)

SECOND = timedelta(seconds=1)
HOUR = timedelta(hours=1)
WEBM = "video/webm"


@pytest_asyncio.fixture
async def away_house(storehouse: House) -> House:
    """A house with a fallback store."""
    storehouse.open_fallback()
    return storehouse


def fallback_of(house: House) -> FlakyStore:
    assert house.fallback is not None
    return house.fallback


def homecoming(house: House, **options: Any) -> Homecoming:
    return Homecoming(house.catalog, house.depots, clock=lambda: house.now, **options)


async def providers(house: House, row: RecordingRow) -> set[str]:
    return {file.provider for file in (await house.row(row.id)).files}


async def is_home(house: House, row: RecordingRow) -> bool:
    """The catalog says so, the object is there and nothing is left of it elsewhere."""
    row = await house.row(row.id)
    return (
        {file.provider for file in row.files} == {"memory"}
        and promised(row).items() <= (await digests_in(house.store)).items()
        and not promised(row).keys() & (await digests_in(fallback_of(house))).keys()
        and await ledger(house, row.id) == ()
    )


async def is_away(house: House, row: RecordingRow) -> bool:
    row = await house.row(row.id)
    return (
        {file.provider for file in row.files} == {"fallback"}
        and promised(row).items() <= (await digests_in(fallback_of(house))).items()
        and await states(house, row.id) == ["away"] * len(row.files)
    )


# --- the way home -----------------------------------------------------------------------------------


async def test_files_come_home(away_house: House) -> None:
    row = await away(away_house, b"one", b"two")
    assert await is_away(away_house, row)
    await homecoming(away_house).look()
    assert await is_home(away_house, row)
    assert await contents_of(fallback_of(away_house)) == {}
    info = await away_house.store.head(row.files[0].key)
    assert info.content_type == WEBM


async def test_what_is_at_home_is_let_be(away_house: House) -> None:
    row = await made(away_house)
    await away_house.deliverer.deliver(row.id, Progress())
    before = await contents_of(away_house.store)
    await homecoming(away_house).look()
    assert await contents_of(away_house.store) == before
    assert await states(away_house, row.id) == ["stored"]


async def test_the_other_copy_stays_while_links_to_it_may_be_in_use(away_house: House) -> None:
    row = await away(away_house, b"one")
    looks = homecoming(away_house, links_last=HOUR)
    await looks.look()
    assert await providers(away_house, row) == {"memory"}
    (left,) = await ledger(away_house, row.id)
    assert (left.state, left.file.provider, left.due_at) == ("left", "fallback", NOW + HOUR)
    for passed in (HOUR - SECOND, timedelta(0)):
        away_house.now = NOW + passed
        await looks.look()
        assert len(await contents_of(fallback_of(away_house))) == 1
    away_house.now = NOW + HOUR
    await looks.look()
    assert await is_home(away_house, row)


async def test_a_copy_that_can_not_be_removed_is_removed_later(away_house: House) -> None:
    row = await away(away_house, b"one")
    await homecoming(away_house, links_last=SECOND).look()
    away_house.now += SECOND
    fallback_of(away_house).down = True
    await homecoming(away_house).look()
    (left,) = await ledger(away_house, row.id)
    assert (left.state, left.attempts, left.error) == ("left", 1, "the store is down")
    fallback_of(away_house).down = False
    away_house.now += SECOND
    await homecoming(away_house).look()
    assert await is_home(away_house, row)


async def test_a_recording_that_is_not_whole_yet_stays_away(away_house: House) -> None:
    row = await made(away_house)
    away_house.store.down = True
    await away_house.deliverer.deliver(row.id, Progress())
    await homecoming(away_house).look()
    (delivery,) = await ledger(away_house, row.id)
    assert (delivery.state, delivery.attempts) == ("away", 0)  # nobody was asked


async def test_a_fallback_that_the_settings_made_the_main_store_is_a_home(
    away_house: House,
) -> None:
    row = await away(away_house, b"one")
    other_way = Depots(away_house.depots.stores, "fallback", "memory")
    await Homecoming(away_house.catalog, other_way, clock=lambda: away_house.now).look()
    assert await ledger(away_house, row.id) == ()
    assert promised(row) == await digests_in(fallback_of(away_house))
    assert await contents_of(away_house.store) == {}


async def test_an_object_that_is_another_recordings_file_too_is_not_removed(
    away_house: House,
) -> None:
    row = await away(away_house, b"one")
    other = await away_house.catalog.recordings.create(
        room="green", started_by="host", status="recorded"
    )
    shared = row.files[0]
    await away_house.catalog.recordings.set_files(other.id, [replace(shared, id="FI_other")])
    await homecoming(away_house).look()
    assert await providers(away_house, row) == {"memory"}
    assert promised(row) == await digests_in(fallback_of(away_house))
    assert await ledger(away_house, row.id) == ()


# --- stores that are down ---------------------------------------------------------------------------


async def test_while_the_main_store_is_down_it_is_tried_later_and_later(
    away_house: House,
) -> None:
    row = await away(away_house, b"one")
    away_house.store.down = True
    for attempts, pause in enumerate((1, 2, 4), start=1):
        await homecoming(away_house).look()
        (delivery,) = await ledger(away_house, row.id)
        assert (delivery.attempts, delivery.error) == (attempts, "the store is down")
        assert delivery.due_at == away_house.now + timedelta(seconds=pause)
        assert await is_away(away_house, row)
        away_house.now += timedelta(seconds=pause)
    away_house.store.down = False
    away_house.now -= SECOND
    await homecoming(away_house).look()
    assert await is_away(away_house, row)  # not due yet
    away_house.now += SECOND
    await homecoming(away_house).look()
    assert await is_home(away_house, row)


async def test_hurry_makes_it_due_at_once(away_house: House) -> None:
    row = await away(away_house, b"one")
    away_house.store.down = True
    await homecoming(away_house).look()
    away_house.store.down = False
    await away_house.catalog.deliveries.hurry()
    await homecoming(away_house).look()
    assert await is_home(away_house, row)


async def test_a_main_store_that_is_down_is_asked_once_a_round(away_house: House) -> None:
    for number in range(3):
        await away(away_house, bytes([number]))
    asked = []
    right = away_house.store.put_stream

    async def put_stream(key: str, *place: Any, **options: Any) -> Any:
        asked.append(key)
        return await right(key, *place, **options)

    away_house.store.put_stream = put_stream  # type: ignore[method-assign]
    away_house.store.down = True
    await homecoming(away_house).look()
    assert len(asked) == 1


@pytest.mark.parametrize("stuck", ["down", "without settings"])
async def test_a_store_that_fails_does_not_hold_up_what_is_at_others(
    away_house: House, stuck: str
) -> None:
    """Three files wait at a former fallback, and one at the present one."""
    former, others = fallback_of(away_house), []
    for number in range(3):
        others.append(await away(away_house, bytes([number])))
    for other in others:
        (delivery,) = await ledger(away_house, other.id)
        file = replace(delivery.file, provider="former")
        await away_house.catalog.deliveries.update(delivery.id, "away", file=file)
    away_house.fallback = None
    away_house.now += SECOND
    present = away_house.open_fallback()
    row = await away(away_house, b"one")
    stores = {"memory": away_house.store, "fallback": present}
    if stuck == "down":
        former.down = True
        stores["former"] = former
    depots = Depots(stores, "memory", "fallback")
    await Homecoming(away_house.catalog, depots, clock=lambda: away_house.now).look()
    assert await is_home(away_house, row)
    attempts = [(await ledger(away_house, other.id))[0].attempts for other in others]
    assert sum(attempts) == 1


async def test_a_catalog_that_is_away_ends_the_round(away_house: House) -> None:
    row = await away(away_house, b"one")

    async def refuse(*_place: Any) -> Any:
        raise CatalogUnavailable("the database is away")

    away_house.catalog.deliveries.moved = refuse  # type: ignore[method-assign]
    with pytest.raises(CatalogUnavailable):
        await homecoming(away_house).look()
    del away_house.catalog.deliveries.moved
    assert await is_away(away_house, row)
    await homecoming(away_house).look()
    assert await is_home(away_house, row)


# --- what is believed -------------------------------------------------------------------------------


async def test_an_object_that_does_not_read_back_at_home_stays_away(away_house: House) -> None:
    row = await away(away_house, b"one")
    right, wrong = away_house.store.digest, ["not it"]

    async def digest(key: str) -> str:
        return wrong.pop() if wrong else await right(key)

    away_house.store.digest = digest  # type: ignore[method-assign]
    await homecoming(away_house).look()
    assert await is_away(away_house, row)
    assert "not what was stored" in ((await ledger(away_house, row.id))[0].error or "")
    away_house.now += SECOND
    await homecoming(away_house).look()
    assert await is_home(away_house, row)


@pytest.mark.parametrize("spoilt", [b"oNe", b"on", b"one more", b""])
async def test_wrong_bytes_at_the_fallback_never_replace_anything(
    away_house: House, spoilt: bytes
) -> None:
    """The main store may have kept the file although its answer was lost."""
    row = await away(away_house, b"one")
    key = row.files[0].key
    await away_house.store.put_stream(key, blocks(b"one"), WEBM)
    await fallback_of(away_house).put_stream(key, blocks(spoilt), WEBM)
    await homecoming(away_house).look()
    assert await contents_of(away_house.store) == {key: b"one"}
    assert await contents_of(fallback_of(away_house)) == {key: spoilt}
    assert await providers(away_house, row) == {"fallback"}
    (delivery,) = await ledger(away_house, row.id)
    assert (delivery.state, delivery.attempts) == ("away", 1)
    assert key in (delivery.error or "")


async def test_wrong_bytes_at_the_fallback_do_not_come_home(away_house: House) -> None:
    row = await away(away_house, b"one")
    await fallback_of(away_house).put_stream(row.files[0].key, blocks(b"two"), WEBM)
    sound = await away(away_house, b"sound")
    await homecoming(away_house).look()
    assert await contents_of(away_house.store) == {sound.files[0].key: b"sound"}


async def test_an_object_that_is_gone_from_the_fallback_holds_up_no_other(
    away_house: House,
) -> None:
    gone, sound = await away(away_house, b"gone"), await away(away_house, b"sound")
    await fallback_of(away_house).delete(gone.files[0].key)
    await homecoming(away_house).look()
    assert await is_home(away_house, sound)
    assert (await ledger(away_house, gone.id))[0].attempts == 1
    assert await contents_of(away_house.store) == {sound.files[0].key: b"sound"}


@pytest.mark.parametrize("harm", ["gone", "shorter"])
async def test_the_other_copy_stays_when_the_one_at_home_is_not_whole(
    away_house: House, harm: str
) -> None:
    row = await away(away_house, b"one")
    key = row.files[0].key
    looks = homecoming(away_house, links_last=HOUR)
    await looks.look()
    if harm == "gone":
        await away_house.store.delete(key)
    else:
        await away_house.store.put_stream(key, blocks(b"on"), WEBM)
    away_house.now += HOUR
    await looks.look()
    assert await contents_of(fallback_of(away_house)) == {key: b"one"}
    (left,) = await ledger(away_house, row.id)
    assert (left.state, left.attempts) == ("left", 1)
    assert key in (left.error or "")
    await away_house.store.put_stream(key, blocks(b"one"), WEBM)
    away_house.now += SECOND
    await looks.look()
    assert await is_home(away_house, row)


@pytest.mark.parametrize("state", ["away", "left"])
async def test_two_names_of_one_place_lose_nothing(away_house: House, state: str) -> None:
    """What is removed at one of them is removed at the other."""
    row = await away(away_house, b"one")
    (delivery,) = await ledger(away_house, row.id)
    if state == "left":
        await away_house.catalog.deliveries.moved(
            delivery.id, "away", "left", "memory", away_house.now
        )
    place = fallback_of(away_house)
    depots = Depots({"memory": place, "fallback": place}, "memory", "fallback")
    await Homecoming(away_house.catalog, depots, clock=lambda: away_house.now).look()
    assert await contents_of(place) == {row.files[0].key: b"one"}
    (delivery,) = await ledger(away_house, row.id)
    assert (delivery.state, delivery.attempts) == (state, 1)
    assert "same place" in (delivery.error or "")


async def test_places_are_told_apart_once(away_house: House) -> None:
    rows = [await away(away_house, bytes([number])) for number in range(3)]
    keys = []
    right = away_house.store.put_stream

    async def put_stream(key: str, *place: Any, **options: Any) -> Any:
        keys.append(key)
        return await right(key, *place, **options)

    away_house.store.put_stream = put_stream  # type: ignore[method-assign]
    looks = homecoming(away_house)
    await looks.look()
    await looks.look()
    assert [key for key in keys if key not in {row.files[0].key for row in rows}] == keys[:1]
    assert len(await contents_of(away_house.store)) == 3


# --- meanwhile --------------------------------------------------------------------------------------


async def test_what_was_deleted_before_does_not_come_home(away_house: House) -> None:
    row = await away(away_house, b"one")
    await away_house.service.delete(row.id)
    await homecoming(away_house).look()
    assert await contents_of(away_house.store) == {}
    assert await contents_of(fallback_of(away_house)) == {}


def before_the_put(house: House, meanwhile: Any) -> None:
    """All of the object has been read when `meanwhile` happens; then it arrives."""
    right = house.store.put_stream

    async def put_stream(
        key: str, content: AsyncIterator[bytes], content_type: str, **options: Any
    ) -> Any:
        read = [block async for block in content]
        await meanwhile()
        return await right(key, blocks(*read), content_type, **options)

    house.store.put_stream = put_stream  # type: ignore[method-assign]


async def test_what_is_deleted_meanwhile_leaves_nothing_at_home(away_house: House) -> None:
    row = await away(away_house, b"one")
    before_the_put(away_house, lambda: away_house.service.delete(row.id))
    await homecoming(away_house).look()
    assert await away_house.catalog.recordings.get(row.id) is None
    assert await contents_of(away_house.store) == {}
    assert await contents_of(fallback_of(away_house)) == {}


async def test_what_somebody_else_brought_home_meanwhile_stays_there(away_house: House) -> None:
    row = await away(away_house, b"one")
    other = homecoming(away_house, links_last=HOUR)
    waiting = [True]

    async def somebody_else() -> None:
        if waiting:
            waiting.clear()
            await other.look()

    before_the_put(away_house, somebody_else)
    await homecoming(away_house).look()
    assert await providers(away_house, row) == {"memory"}
    assert promised(row) == await digests_in(away_house.store)


@pytest.mark.parametrize("after", [False, True], ids=["before a change", "after a change"])
async def test_a_server_that_is_killed_on_the_way_home_loses_nothing(
    away_house: House, after: bool
) -> None:
    for fatal in count(1):
        row = await away(away_house, b"one", b"two", room=f"room {fatal}")
        doom = Doom(fatal, after=after)
        with doom.over(away_house):
            looking = asyncio.create_task(homecoming(away_house).look())
            came = asyncio.create_task(doom.came.wait())
            await asyncio.wait({looking, came}, return_when=asyncio.FIRST_COMPLETED)
            doom.past = doom.came.is_set()
            for task in (looking, came):
                task.cancel()
            await asyncio.gather(looking, came, return_exceptions=True)
        if not doom.came.is_set():
            break
        row = await away_house.row(row.id)
        for file in row.files:
            store = away_house.depots.store(file.provider)
            assert await store.digest(file.key) == file.sha256
        await homecoming(away_house).look()
        assert await is_home(away_house, row)
    assert await is_home(away_house, row)
    assert await contents_of(fallback_of(away_house)) == {}
    assert fatal > 8  # for each of two: put, moved, deleted, struck
