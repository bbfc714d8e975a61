"""Rooms that are recorded without anybody's asking."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from recorder.lifecycle import EndReason
from storage.catalog import RecordingRow
from storage.errors import CatalogUnavailable
from tests.signaling.house import House

SETTINGS = "/api/v1/rooms/r/settings"
STOP = "/api/v1/rooms/r/recording/stop"


@pytest.fixture
async def automatic(home: House) -> House:
    await home.request("PUT", SETTINGS, home.host("r"), json={"automaticRecording": True})
    await home.enter("r", "hanna")
    return home


async def publish(home: House) -> RecordingRow | None:
    """Somebody does; what is recorded then."""
    await home.services.automatic.media_published("r")
    while starting := vars(home.services.automatic)["_starting"]:
        await asyncio.wait(set(starting.values()))
    return home.services.recordings.active("r")


async def test_it_starts_with_the_first_media_and_not_before(automatic: House) -> None:
    assert automatic.services.recordings.active("r") is None
    row = await publish(automatic)
    assert row is not None
    assert (row.started_by, row.mode, row.options["layout"]) == ("automatic", "tracks", "grid")
    call = automatic.services.calls.live["r"]
    assert call is not None
    assert row.call_id == call.id
    assert await publish(automatic) == automatic.services.recordings.active("r")
    assert (await automatic.services.catalog.recordings.find()).total == 1


async def test_with_the_room_s_own_options(automatic: House) -> None:
    wanted = {"recordingMode": "composite", "audioOnly": True}
    await automatic.request("PUT", SETTINGS, automatic.host("r"), json=wanted)
    row = await publish(automatic)
    assert row is not None
    assert (row.mode, row.options["audioOnly"]) == ("composite", True)


@pytest.mark.parametrize("settings", [{"automaticRecording": False}, {"recordingEnabled": False}])
async def test_it_does_not_start_in_other_rooms(automatic: House, settings: Any) -> None:
    await automatic.request("PUT", SETTINGS, automatic.host("r"), json=settings)
    assert await publish(automatic) is None


async def test_what_a_host_stopped_stays_stopped_until_the_next_call(automatic: House) -> None:
    assert await publish(automatic)
    await automatic.post(STOP, automatic.host("r"))
    assert await publish(automatic) is None
    await automatic.request("PUT", SETTINGS, automatic.host("r"), json={"waitingRoom": True})
    assert await publish(automatic) is None
    await automatic.services.automatic.room_emptied("r")
    del automatic.doors.rooms["r"]
    await automatic.enter("r", "hanna")
    assert await publish(automatic)


@pytest.mark.parametrize(
    ("reason", "again"),
    [
        (EndReason.MAX_DURATION, False),
        (EndReason.MEDIA_LOST, True),
        (EndReason.LOW_DISK, True),
        (EndReason.WRITE_FAILED, True),
    ],
)
async def test_after_which_end_it_starts_again(
    automatic: House, reason: EndReason, again: bool
) -> None:
    first = await publish(automatic)
    assert first is not None
    await automatic.services.recordings.stop(first.id, reason)
    second = await publish(automatic)
    assert (second is not None) == again


async def test_it_starts_when_it_is_set_in_a_running_call(home: House) -> None:
    await home.enter("r", "hanna")
    assert await publish(home) is None
    await home.request("PUT", SETTINGS, home.host("r"), json={"automaticRecording": True})
    assert await publish(home) is not None


async def test_not_while_the_server_stops(automatic: House) -> None:
    automatic.services.lifecycle.draining = True
    assert await publish(automatic) is None


async def test_a_host_s_own_recording_is_not_doubled(automatic: House) -> None:
    await automatic.post("/api/v1/rooms/r/recording/start", automatic.host("r"))
    row = await publish(automatic)
    assert row is not None
    assert row.started_by == "hanna"


async def test_it_is_tried_until_it_runs(automatic: House) -> None:
    create = automatic.services.catalog.recordings.create
    pauses: list[float] = []

    async def away(**row: Any) -> RecordingRow:
        raise CatalogUnavailable("the database is away")

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            automatic.services.catalog.recordings.create = create  # type: ignore[method-assign]

    automatic.services.catalog.recordings.create = away  # type: ignore[method-assign]
    vars(automatic.services.automatic)["_sleep"] = sleep
    assert await publish(automatic) is not None
    assert pauses == [1.0, 2.0, 4.0]


async def test_nobody_is_left_to_record(automatic: House) -> None:
    async def everybody_leaves(_seconds: float) -> None:
        await automatic.services.automatic.room_emptied("r")

    async def away(**row: Any) -> RecordingRow:
        raise CatalogUnavailable("the database is away")

    automatic.services.catalog.recordings.create = away  # type: ignore[method-assign]
    vars(automatic.services.automatic)["_sleep"] = everybody_leaves
    assert await publish(automatic) is None
