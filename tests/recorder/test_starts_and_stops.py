"""Starts and stops in a hurry, cut in the middle, and when the process ends: never an orphan (R6)."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest

from mediaserver.errors import WorkerGone
from mediaserver.messages import RecordingId
from recorder import capture, draining
from recorder.diskspace import DiskSpace
from recorder.errors import AlreadyRecording, MediaRefused
from recorder.finishing import NO_MEDIA
from recorder.lifecycle import END_REASON, FINAL, EndReason
from storage.catalog import RecordingRow
from tests.recorder.house import House
from tests.recorder.known_media import audio_track

ROUNDS = 100


async def no_trace(house: House, starts: int) -> list[RecordingRow]:
    """As many final rows as starts, nothing running, no folder; the rows."""
    await house.settled()
    rows = (await house.catalog.recordings.find(limit=1000)).items
    assert len(rows) == starts
    assert {row.status for row in rows} <= FINAL
    assert house.service.running() == []
    assert house.service.unfinished() == []
    assert house.plane.started == {}
    root = house.folder / "journals"
    assert not root.exists() or list(root.iterdir()) == []
    return list(rows)


async def test_start_and_stop_a_hundred_times(house: House) -> None:
    for number in range(ROUNDS):
        house.plane.tracks = [audio_track(0.1)] if number % 25 == 0 else []
        row = await house.service.start("blue", None, "host")
        stopped = await house.service.stop_room("blue")
        assert stopped is not None
        assert stopped.id == row.id
    rows = await no_trace(house, ROUNDS)
    assert [row.status for row in rows].count("recorded") == ROUNDS // 25
    assert {row.metadata[END_REASON] for row in rows} == {"host"}


async def test_they_happen_in_the_order_they_are_asked_for(house: House) -> None:
    """Nobody waits for an answer: start, stop, start, stop, all at once."""
    asked = [
        asyncio.ensure_future(
            house.service.stop_room("blue")
            if number % 2
            else house.service.start("blue", None, "host")
        )
        for number in range(2 * ROUNDS)
    ]
    done = await asyncio.gather(*asked)
    for started, stopped in zip(done[::2], done[1::2], strict=True):
        assert started is not None
        assert stopped is not None
        assert started.id == stopped.id
    await no_trace(house, ROUNDS)


async def test_many_stop_at_once_with_different_reasons(house: House) -> None:
    row = await house.service.start("blue", None, "host")
    reasons = [EndReason.MAX_DURATION, EndReason.HOST, EndReason.ROOM_EMPTY]
    await asyncio.gather(*(house.service.stop(row.id, reason) for reason in reasons))
    (row,) = await no_trace(house, 1)
    assert row.metadata == {END_REASON: "max_duration"}, "the first counts"


async def test_what_is_in_the_metadata_stays_there(house: House) -> None:
    row = await house.service.start("blue", None, "host")
    await house.service.stop(row.id)
    again = await house.catalog.recordings.update(row.id, metadata={"title": "x"})
    assert (await house.service.stop(row.id)).metadata == again.metadata


async def test_whoever_asked_goes_away_in_the_middle_of_a_start(house: House) -> None:
    house.plane.starting = asyncio.Event()
    start = asyncio.ensure_future(house.service.start("blue", None, "host"))
    await house.plane.asked_to_start.wait()
    start.cancel()
    await asyncio.gather(start, return_exceptions=True)
    house.plane.starting.set()
    stopped = await house.service.stop_room("blue")
    assert stopped is not None
    assert (stopped.status, stopped.error) == ("failed", NO_MEDIA)
    await no_trace(house, 1)


async def test_a_media_plane_that_is_late_does_not_record_after_all(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(capture, "START_PATIENCE", 0.01)
    late = asyncio.Event()
    right = house.plane.start_recording

    async def start_recording(*place: object) -> None:
        try:
            await late.wait()
        finally:  # the worker does it although nobody waits for its answer
            await right(*place)  # type: ignore[arg-type]

    house.plane.start_recording = start_recording  # type: ignore[method-assign,assignment]
    with pytest.raises(MediaRefused, match="does not answer"):
        await house.service.start("blue", None, "host")
    await house.service.close()
    (row,) = await no_trace(house, 1)
    assert row.metadata[END_REASON] == "refused"


async def test_a_start_that_was_refused_may_have_been_done(house: House) -> None:
    right = house.plane.start_recording

    async def start_recording(*place: object) -> None:
        await right(*place)  # type: ignore[arg-type]
        raise WorkerGone("its answer was lost")

    house.plane.start_recording = start_recording  # type: ignore[method-assign,assignment]
    with pytest.raises(MediaRefused):
        await house.service.start("blue", None, "host")
    await house.plane.asked_to_stop.wait()
    await no_trace(house, 1)


async def test_the_second_of_two_starts_leaves_the_first_alone(house: House) -> None:
    house.plane.tracks = [audio_track(0.2)]
    first = await house.service.start("blue", None, "host")
    for _ in range(10):
        with pytest.raises(AlreadyRecording) as refused:
            await house.service.start("blue", None, "host")
        assert refused.value.recording_id == first.id
    await house.service.stop(first.id)
    (row,) = await no_trace(house, 1)
    assert row.status == "recorded"


@pytest.mark.parametrize(
    ("options", "kinds"),
    [
        ({}, {"audio", "video"}),
        ({"audioOnly": False}, {"audio", "video"}),
        ({"audioOnly": True, "layout": "grid"}, {"audio"}),
    ],
)
async def test_options_are_kept_and_say_what_is_recorded(
    house: House, options: dict[str, object], kinds: set[str]
) -> None:
    row = await house.service.start("blue", None, "host", "composite", options)
    assert ((await house.row(row.id)).mode, row.options) == ("composite", options)
    assert house.plane.kinds[RecordingId(row.id)] == kinds
    await house.service.stop(row.id)


@pytest.mark.parametrize(
    ("free", "reason"), [(0, EndReason.LOW_DISK), (1 << 30, EndReason.WRITE_FAILED)]
)
async def test_journals_that_can_not_be_written(
    storehouse: House, free: int, reason: EndReason
) -> None:
    left = 1 << 30
    space = DiskSpace(Path("/data"), 1 << 20, free=lambda _folder: left)
    storehouse.service = storehouse.another_service(space=space)
    storehouse.plane.tracks = [audio_track(0.2)]
    row = await storehouse.service.start("blue", None, "host")
    left = free
    storehouse.stall(row.id, "no room left on device")
    await storehouse.settled()
    ended = await storehouse.row(row.id)
    assert (ended.status, ended.metadata[END_REASON]) == ("recorded", str(reason))


# --- the end of the process -----------------------------------------------------------------------


async def test_a_drain_ends_and_finishes_everything(house: House) -> None:
    house.plane.tracks = [audio_track(0.2)]
    for room in ("blue", "green", "red"):
        await house.service.start(room, None, "host")
    assert await house.service.drain(60.0)
    rows = await no_trace(house, 3)
    assert {(row.status, row.metadata[END_REASON]) for row in rows} == {("recorded", "shutdown")}


async def test_a_drain_says_what_it_waits_for_and_ends_in_time(
    house: House, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(draining, "SAY_EVERY", 0.01)
    house.plane.tracks = [audio_track(0.2)]
    house.jobs.hold = asyncio.Event()
    row = await house.service.start("blue", None, "host")
    with caplog.at_level(logging.INFO, "recorder.draining"):
        assert not await house.service.drain(0.2)
    assert f"left: {row.id} (50%)" in caplog.text
    assert f"the next start goes on: {row.id} (50%)" in caplog.text
    house.jobs.hold.set()
    await house.settled()


async def test_a_drain_tries_a_stop_again_that_could_not_be_written_down(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(draining, "pause", lambda _attempt: 0.0)
    house.plane.tracks = [audio_track(0.2)]
    await house.service.start("blue", None, "host")
    with house.catalog_away(2):
        assert await house.service.drain(60.0)
    (row,) = await no_trace(house, 1)
    assert row.status == "recorded"


async def test_a_drain_ends_what_is_just_being_started(house: House) -> None:
    house.plane.starting = asyncio.Event()
    start = asyncio.ensure_future(house.service.start("blue", None, "host"))
    await house.plane.asked_to_start.wait()
    drain = asyncio.ensure_future(house.service.drain(60.0))
    await asyncio.sleep(0)
    house.plane.starting.set()
    assert await drain
    await start
    await no_trace(house, 1)
