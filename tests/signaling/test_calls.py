"""The log of calls while the catalog comes and goes: every call and recording ends, each once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from signaling.calls import CallLog
from storage.catalog import CallRow, Catalog
from storage.errors import CatalogUnavailable
from tests.recorder.house import House, open_house
from tests.recorder.known_media import audio_track


class Outage:
    """While it lasts, no call can be read or changed. It ends after so many pauses."""

    def __init__(self, catalog: Catalog) -> None:
        self.lasts = 0
        self.pauses: list[float] = []
        for name in ("open", "current", "end", "add_participant"):
            setattr(catalog.calls, name, self._guarded(getattr(catalog.calls, name)))

    def _guarded(self, right: Any) -> Any:
        async def guarded(*given: Any) -> Any:
            if self.lasts:
                raise CatalogUnavailable("the database is away")
            return await right(*given)

        return guarded

    async def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        await asyncio.sleep(0)
        self.lasts = max(0, self.lasts - 1)


class Script:
    def __init__(self, house: House) -> None:
        self.house = house
        self.outage = Outage(house.catalog)
        self.log = CallLog(house.catalog, house.service, self.outage.pause)

    async def enter(self, identity: str) -> CallRow | None:
        if "blue" not in self.log.live:
            await self.log.room_started("blue")
        await self.log.participant_joined("blue", identity)
        return self.log.live["blue"]

    async def call(self, call: CallRow | None) -> CallRow:
        assert call is not None
        found = await self.house.catalog.calls.get(call.id)
        assert found is not None
        return found


@pytest.fixture
async def script(tmp_path: Path) -> AsyncIterator[Script]:
    house = await open_house(tmp_path / "house")
    script = Script(house)
    yield script
    await script.log.close()
    await house.service.close()
    await house.catalog.close()


async def test_a_call_ends_although_its_recording_could_not(script: Script) -> None:
    house = script.house
    house.plane.tracks = [audio_track(1.0)]
    call = await script.enter("ann")
    row = await house.service.start("blue", None, "host")
    house.media_arrives(row.id)
    await house.settled()
    with house.catalog_away(3):
        await script.log.room_emptied("blue")
        assert (await script.call(call)).ended_at is not None
        await script.log.idle()
    # how many there are depends on who is faster: the recorder writes its stop down by itself, too
    assert script.outage.pauses[:2] == [1.0, 2.0]
    await house.settled()
    assert (await house.row(row.id)).status == "recorded"
    assert house.plane.started == {}


async def test_a_call_that_could_not_end_is_ended_later(script: Script) -> None:
    call = await script.enter("ann")
    script.outage.lasts = 7
    await script.log.room_emptied("blue")
    assert (await script.call(call)).ended_at is None
    await script.log.idle()
    assert script.outage.pauses == [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]
    assert (await script.call(call)).ended_at is not None


async def test_the_next_meeting_never_gets_the_call_of_the_one_before(script: Script) -> None:
    earlier = await script.enter("ann")
    script.outage.lasts = 1
    await script.log.room_emptied("blue")
    assert await script.enter("bob") is None  # the catalog is still away
    script.outage.lasts = 0
    later = await script.enter("bob")
    assert (await script.call(later)).participants == ("bob",)
    assert (await script.call(later)).ended_at is None
    assert (await script.call(earlier)).participants == ("ann",)
    assert (await script.call(earlier)).ended_at is not None
    await script.log.idle()
    assert (await script.call(later)).ended_at is None


async def test_two_who_come_share_a_call(script: Script) -> None:
    first = await script.enter("ann")
    assert await script.enter("bob") == first
    assert (await script.call(first)).participants == ("ann", "bob")


async def test_who_asks_for_the_call_of_an_empty_room_opens_none(script: Script) -> None:
    await script.enter("ann")
    emptied = asyncio.create_task(script.log.room_emptied("blue"))
    asked = asyncio.create_task(script.log.running("blue"))
    await asyncio.gather(emptied, asked)
    assert asked.result() is None
    assert await script.house.catalog.calls.current("blue") is None


async def test_who_asks_for_a_call_without_a_row_opens_it(script: Script) -> None:
    script.outage.lasts = 1
    assert await script.enter("ann") is None
    with pytest.raises(CatalogUnavailable):
        await script.log.running("blue")
    script.outage.lasts = 0
    call = await script.log.running("blue")
    assert call is not None
    assert script.log.live["blue"] == call


async def test_a_lost_worker_ends_the_recording_however_long_it_takes(script: Script) -> None:
    house = script.house
    house.plane.tracks = [audio_track(1.0)]
    await script.enter("ann")
    row = await house.service.start("blue", None, "host")
    with house.catalog_away(2):
        script.log.media_lost()
        await script.log.idle()
    await house.settled()
    assert (await house.row(row.id)).status == "recorded"


async def test_close_leaves_to_the_next_start_what_can_not_end(script: Script) -> None:
    call = await script.enter("ann")
    script.outage.lasts = 1_000_000
    await script.log.room_emptied("blue")
    await asyncio.wait_for(script.log.close(), 10)
    assert (await script.call(call)).ended_at is None
    await script.log.idle()
