"""What ends a recording although nobody asked, and what its metadata says then."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from mediaserver.errors import WorkerGone
from mediaserver.messages import RecordingId
from recorder.diskspace import DiskSpace
from recorder.finishing import NO_MEDIA
from recorder.lifecycle import END_REASON, EndReason
from recorder.reaper import AUTOMATIC, Limits, Reaper, verdict
from storage.catalog import RecordingRow
from storage.errors import CatalogUnavailable
from tests.recorder.house import NOW, House
from tests.recorder.known_media import audio_track

MIB = 1 << 20
MINUTE = timedelta(minutes=1)
TEN_MINUTES = Limits(longest=120 * MINUTE, no_media=10 * MINUTE)


def row(*, automatic: bool = False, started: float | None = 0.0) -> RecordingRow:
    """Created at NOW; `started` are the minutes until its first media, None for none so far."""
    return RecordingRow(
        id="RC_1",
        room="blue",
        call_id=None,
        status="starting" if started is None else "recording",
        mode="tracks",
        started_by="host",
        options={AUTOMATIC: True} if automatic else {},
        started_at=None if started is None else NOW + started * MINUTE,
        stopped_at=None,
        duration_seconds=None,
        size=None,
        provider="local",
        error=None,
        metadata={},
        integrity=None,
        created_at=NOW,
    )


@pytest.mark.parametrize(
    ("recording", "last", "at", "reason"),
    [
        (row(), 0.0, 9.99, None),
        (row(), 0.0, 10.0, EndReason.NO_MEDIA),
        (row(), 115.0, 119.99, None),
        (row(), 119.0, 120.0, EndReason.MAX_DURATION),
        (row(started=5.0), 120.0, 120.0, None),  # it is as long as its media
        (row(started=5.0), 125.0, 125.0, EndReason.MAX_DURATION),
        (row(started=None), None, 9.99, None),
        (row(started=None), None, 10.0, EndReason.NO_MEDIA),
        (row(automatic=True), 0.0, 60.0, None),
        (row(automatic=True, started=None), None, 500.0, None),
        (row(automatic=True), 0.0, 120.0, EndReason.MAX_DURATION),
    ],
)
def test_verdicts(
    recording: RecordingRow, last: float | None, at: float, reason: EndReason | None
) -> None:
    last_media = None if last is None else NOW + last * MINUTE
    assert verdict(recording, TEN_MINUTES, last_media, NOW + at * MINUTE) == reason


def test_without_limits_nothing_ends() -> None:
    assert verdict(row(), Limits(), None, NOW + timedelta(days=400)) is None


class Watched:
    """A house whose recordings a reaper looks after."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.free = 1000 * MIB
        self.limits = TEN_MINUTES
        space = DiskSpace(
            house.folder, 100 * MIB, stop=50 * MIB, copies=2, free=lambda _folder: self.free
        )
        house.service = house.another_service(space=space)
        self.spared = 0  # bytes that others give back when asked
        self.reaper = Reaper(
            house.service, space, self._limits, clock=lambda: house.now, spare=self._spare
        )

    async def _spare(self) -> None:
        self.free += self.spared

    async def _limits(self, room: str) -> Limits:
        return self.limits

    async def start(self, room: str = "blue") -> str:
        self.house.plane.tracks = [audio_track(1.0)]
        started = await self.house.service.start(room, None, "host")
        self.house.media_arrives(started.id)
        self.media_at(started.id, self.house.now)
        await self.house.settled()
        return started.id

    def media_at(self, recording: str, at: datetime) -> None:
        self.house.plane.last_media_at[RecordingId(recording)] = at

    async def after(self, minutes: float) -> None:
        self.house.now += minutes * MINUTE
        await self.reaper.look()
        await self.house.settled()

    async def ended(self, recording: str) -> tuple[str, str | None]:
        found = await self.house.row(recording)
        return found.status, found.metadata.get(END_REASON)


@pytest.fixture
def watched(storehouse: House) -> Watched:
    return Watched(storehouse)


async def test_the_maximum_duration(watched: Watched) -> None:
    recording = await watched.start()
    watched.media_at(recording, NOW + 119 * MINUTE)
    await watched.after(119)
    assert await watched.ended(recording) == ("recording", None)
    await watched.after(1)
    assert await watched.ended(recording) == ("recorded", "max_duration")


async def test_a_limit_that_changes_meanwhile(watched: Watched) -> None:
    recording = await watched.start()
    await watched.after(3)
    watched.limits = Limits(longest=2 * MINUTE)
    await watched.after(0)
    assert await watched.ended(recording) == ("recorded", "max_duration")


async def test_no_media_any_more(watched: Watched) -> None:
    recording = await watched.start()
    watched.media_at(recording, NOW + 5 * MINUTE)
    await watched.after(14)
    assert (await watched.ended(recording))[0] == "recording"
    await watched.after(1)
    assert await watched.ended(recording) == ("recorded", "no_media")


async def test_no_media_at_all(watched: Watched) -> None:
    started = await watched.house.service.start("blue", None, "host")
    await watched.after(10)
    assert await watched.ended(started.id) == ("failed", "no_media")
    assert (await watched.house.row(started.id)).error == NO_MEDIA
    assert watched.house.plane.started == {}


async def test_a_media_plane_that_does_not_answer_ends_nothing(watched: Watched) -> None:
    recording = await watched.start()

    async def gone(_recording: RecordingId) -> int | None:
        raise WorkerGone("gone")

    watched.house.plane.last_media = gone  # type: ignore[method-assign]
    await watched.after(500)
    assert (await watched.ended(recording))[0] == "recording"


async def test_a_disk_that_gets_full_ends_all_in_time_and_lets_none_start(
    watched: Watched,
) -> None:
    recordings = [await watched.start("blue"), await watched.start("green")]
    watched.free = 51 * MIB
    await watched.after(0)
    assert [(await watched.ended(each))[0] for each in recordings] == ["recording"] * 2
    watched.free = 49 * MIB
    await watched.after(0)
    assert [await watched.ended(each) for each in recordings] == [("recorded", "low_disk")] * 2


async def test_what_finishing_needs_is_kept_free(watched: Watched) -> None:
    recording = await watched.start()
    journal = watched.house.journals(recording) / "TR_large.journal"
    journal.write_bytes(bytes(MIB))
    watched.free = 52 * MIB
    await watched.after(0)
    assert (await watched.ended(recording))[0] == "recording"
    watched.free -= 1
    await watched.after(0)
    assert (await watched.ended(recording))[1] == "low_disk"


async def test_what_could_not_be_ended_ends_when_the_catalog_is_back(watched: Watched) -> None:
    recording = await watched.start()
    watched.limits = Limits(longest=MINUTE)
    with watched.house.catalog_away(3):
        await watched.after(2)
    assert await watched.ended(recording) == ("recorded", "max_duration")


async def test_without_the_room_s_limits_nothing_ends(watched: Watched) -> None:
    recording = await watched.start()

    async def away(room: str) -> Limits:
        raise CatalogUnavailable("away")

    watched.reaper._limits_of = away
    await watched.after(500)
    assert (await watched.ended(recording))[0] == "recording"


async def test_attack_watchers_who_fill_the_disk_end_no_recording(watched: Watched) -> None:
    recording = await watched.start()
    watched.free, watched.spared = 10 * MIB, 900 * MIB
    await watched.after(0)
    assert await watched.ended(recording) == ("recording", None)
    watched.free, watched.spared = 10 * MIB, 1 * MIB
    await watched.after(0)
    assert await watched.ended(recording) == ("recorded", "low_disk")
