"""The ledger of deliveries, on both databases."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio

from storage.catalog import Catalog, DeliveryRow, FileRow, RecordingRow
from storage.errors import BadValue, RowNotFound, StatusConflict

NOON = datetime(2026, 11, 24, 12, 0, 0, 123456, tzinfo=UTC)
HOUR = timedelta(hours=1)
STATES = ("waiting", "stored", "away", "left")


def file_row(number: int = 1, **changes: Any) -> FileRow:
    file = FileRow(
        id=f"FI_{number}",
        kind="participant",
        participant_id=f"alice-{number}",
        content_type="video/webm",
        size=5_000_000_000,
        duration_seconds=20.125,
        width=1280,
        height=None,
        sha256="ab" * 32,
        key=f"recordings/room/RC/{number}.webm",
        start_seconds=0.1,
        participant_name="Ada Ωmega",
        source="camera",
        provider="",
    )
    return replace(file, **changes)


@dataclass
class Desk:
    """A catalog whose clock stands still until a test moves it."""

    catalog: Catalog
    now: datetime = NOON

    async def recording(self, room: str = "a") -> RecordingRow:
        return await self.catalog.recordings.create(
            room=room, started_by="host", status="recorded", created_at=NOON
        )

    async def entered(self, *numbers: int) -> tuple[DeliveryRow, ...]:
        """A recording with files of these numbers in the ledger."""
        row = await self.recording()
        files = [(file_row(number), f"{row.id}/output/{number}.webm") for number in numbers]
        return await self.catalog.deliveries.enter(row.id, files)

    async def in_state(self, state: str, number: int = 1) -> DeliveryRow:
        """One file, in the ledger in this state and, away from home, in the recording too."""
        (row,) = await self.entered(number)
        file = replace(row.file, provider="local")
        await self.catalog.recordings.set_files(row.recording_id, [file])
        return await self.catalog.deliveries.update(row.id, "waiting", state=state, file=file)

    async def provider_of(self, row: DeliveryRow) -> str:
        recording = await self.catalog.recordings.get(row.recording_id)
        assert recording is not None
        return recording.files[0].provider


@pytest_asyncio.fixture
async def desk(url: str) -> AsyncIterator[Desk]:
    catalog = await Catalog.open(url, clock=lambda: opened.now)
    opened = Desk(catalog)
    yield opened
    await catalog.close()


def ids(rows: Iterable[DeliveryRow]) -> list[str]:
    return [row.id for row in rows]


# --- entering -------------------------------------------------------------------------------------


async def test_a_file_is_entered_as_waiting_and_due_at_once(desk: Desk) -> None:
    recording = await desk.recording()
    entered = await desk.catalog.deliveries.enter(recording.id, [(file_row(), "RC/out/1.webm")])
    assert entered == (
        DeliveryRow(
            id="FI_1",
            recording_id=recording.id,
            state="waiting",
            path="RC/out/1.webm",
            file=file_row(),
            attempts=0,
            due_at=NOON,
            error=None,
            created_at=NOON,
        ),
    )
    assert await desk.catalog.deliveries.of(recording.id) == entered
    assert await desk.catalog.deliveries.get("FI_1") == entered[0]


async def test_entering_again_replaces_what_the_recording_had(desk: Desk) -> None:
    old = await desk.entered(1, 2)
    other = await desk.entered(3)
    desk.now += HOUR
    new = await desk.catalog.deliveries.enter(old[0].recording_id, [(file_row(2), "again")])
    assert [(row.id, row.path, row.due_at) for row in new] == [("FI_2", "again", NOON + HOUR)]
    assert await desk.catalog.deliveries.of(old[0].recording_id) == new
    await desk.catalog.deliveries.enter(old[0].recording_id, ())
    assert await desk.catalog.deliveries.of(old[0].recording_id) == ()
    assert await desk.catalog.deliveries.of(other[0].recording_id) == other


async def test_without_its_recording_nothing_is_entered(desk: Desk) -> None:
    with pytest.raises(BadValue):
        await desk.catalog.deliveries.enter("RC_unknown", [(file_row(), "1.webm")])
    assert await desk.catalog.deliveries.in_states(STATES) == ()


async def test_entering_is_all_or_nothing(desk: Desk) -> None:
    old = await desk.entered(1)
    with pytest.raises(BadValue):
        await desk.catalog.deliveries.enter(
            old[0].recording_id, [(file_row(2), "2.webm"), (file_row(2), "again")]
        )
    assert await desk.catalog.deliveries.of(old[0].recording_id) == old


async def test_rows_come_oldest_first_and_then_by_path(desk: Desk) -> None:
    desk.now += HOUR
    later = await desk.entered(3)
    desk.now -= HOUR
    earlier = await desk.entered(2, 1)
    assert ids(await desk.catalog.deliveries.of(earlier[0].recording_id)) == ["FI_1", "FI_2"]
    assert ids(await desk.catalog.deliveries.in_states({"waiting"})) == ["FI_1", "FI_2", "FI_3"]
    assert ids(later) == ["FI_3"]


async def test_what_is_not_there(desk: Desk) -> None:
    assert await desk.catalog.deliveries.get("FI_1") is None
    assert await desk.catalog.deliveries.of("RC_1") == ()
    assert await desk.catalog.deliveries.in_states(()) == ()
    assert await desk.catalog.deliveries.counts() == {}
    with pytest.raises(RowNotFound):
        await desk.catalog.deliveries.update("FI_1", "waiting", attempts=1)


# --- changing -------------------------------------------------------------------------------------


async def test_an_attempt_is_remembered(desk: Desk) -> None:
    (row,) = await desk.entered(1)
    changed = await desk.catalog.deliveries.update(
        row.id, "waiting", attempts=3, due_at=NOON + HOUR, error="the störe is down"
    )
    assert changed == replace(row, attempts=3, due_at=NOON + HOUR, error="the störe is down")
    assert await desk.catalog.deliveries.get(row.id) == changed
    cleared = await desk.catalog.deliveries.update(row.id, "waiting", attempts=0, error=None)
    assert (cleared.attempts, cleared.error) == (0, None)


async def test_the_file_says_where_it_is_kept(desk: Desk) -> None:
    (row,) = await desk.entered(1)
    kept = replace(row.file, provider="s3")
    changed = await desk.catalog.deliveries.update(row.id, "waiting", state="stored", file=kept)
    assert (changed.state, changed.file) == ("stored", kept)
    assert await desk.catalog.deliveries.in_states({"stored"}) == (changed,)
    assert await desk.catalog.deliveries.in_states({"waiting", "away", "left"}) == ()


async def test_another_state_changes_nothing(desk: Desk) -> None:
    row = await desk.in_state("away")
    with pytest.raises(StatusConflict) as caught:
        await desk.catalog.deliveries.update(row.id, "waiting", attempts=9)
    assert caught.value.status == "away"
    assert await desk.catalog.deliveries.get(row.id) == row


@pytest.mark.parametrize(
    "changes",
    [
        {"state": "lost"},
        {"error": "a\0b"},
        {"error": "a\udce9"},
        {"due_at": datetime(2026, 1, 1)},
        {"path": "somewhere else"},
        {"recording_id": "RC_other"},
    ],
    ids=lambda changes: next(iter(changes)),
)
async def test_a_value_that_no_column_can_hold_is_refused(
    desk: Desk, changes: dict[str, Any]
) -> None:
    (row,) = await desk.entered(1)
    with pytest.raises(BadValue):
        await desk.catalog.deliveries.update(row.id, "waiting", **changes)
    assert await desk.catalog.deliveries.get(row.id) == row


async def test_of_many_compare_and_sets_one_wins(desk: Desk, second_catalog: Catalog) -> None:
    (row,) = await desk.entered(1)
    both = (desk.catalog, second_catalog)
    results = await asyncio.gather(
        *(
            both[number % 2].deliveries.update(row.id, "waiting", state="stored", error=str(number))
            for number in range(20)
        ),
        return_exceptions=True,
    )
    (winner,) = [result for result in results if isinstance(result, DeliveryRow)]
    assert sum(isinstance(result, StatusConflict) for result in results) == 19
    assert await desk.catalog.deliveries.get(row.id) == winner


# --- coming home ----------------------------------------------------------------------------------


async def test_a_move_switches_the_recording_and_remembers_where_it_was(desk: Desk) -> None:
    row = await desk.in_state("away")
    await desk.catalog.deliveries.update(row.id, "away", attempts=4, error="down")
    moved = await desk.catalog.deliveries.moved(row.id, "away", "left", "s3", NOON + HOUR)
    assert (moved.state, moved.file.provider) == ("left", "local")
    assert (moved.attempts, moved.error, moved.due_at) == (0, None, NOON + HOUR)
    assert await desk.provider_of(row) == "s3"


async def test_a_move_out_of_another_state_changes_nothing(desk: Desk) -> None:
    row = await desk.in_state("left")
    with pytest.raises(StatusConflict):
        await desk.catalog.deliveries.moved(row.id, "away", "left", "s3", NOON + HOUR)
    assert await desk.catalog.deliveries.get(row.id) == row
    assert await desk.provider_of(row) == "local"


async def test_a_move_of_a_file_that_the_recording_has_not_changes_nothing(desk: Desk) -> None:
    row = await desk.in_state("away")
    await desk.catalog.recordings.set_files(row.recording_id, [])
    with pytest.raises(RowNotFound):
        await desk.catalog.deliveries.moved(row.id, "away", "left", "s3", NOON + HOUR)
    assert await desk.catalog.deliveries.get(row.id) == row


async def test_a_move_of_what_was_deleted(desk: Desk) -> None:
    row = await desk.in_state("away")
    await desk.catalog.recordings.delete(row.recording_id)
    with pytest.raises(RowNotFound):
        await desk.catalog.deliveries.moved(row.id, "away", "left", "s3", NOON + HOUR)


# --- hurrying, striking, counting -----------------------------------------------------------------


async def postponed(desk: Desk, state: str, number: int) -> DeliveryRow:
    row = await desk.in_state(state, number)
    return await desk.catalog.deliveries.update(row.id, state, attempts=5, due_at=NOON + HOUR)


async def test_hurry_makes_what_waits_due_now(desk: Desk) -> None:
    rows = [await postponed(desk, state, number) for number, state in enumerate(STATES)]
    desk.now += timedelta(minutes=1)
    assert await desk.catalog.deliveries.hurry() == 2
    for row in rows:
        found = await desk.catalog.deliveries.get(row.id)
        assert found is not None
        hurried = (0, desk.now) if row.state in {"waiting", "away"} else (5, NOON + HOUR)
        assert (found.attempts, found.due_at) == hurried, row.state


async def test_hurry_of_one_recording_leaves_the_others(desk: Desk) -> None:
    one, other = [await postponed(desk, "waiting", number) for number in (1, 2)]
    assert await desk.catalog.deliveries.hurry(one.recording_id) == 1
    assert await desk.catalog.deliveries.get(other.id) == other
    assert await desk.catalog.deliveries.hurry("RC_unknown") == 0


async def test_striking(desk: Desk) -> None:
    await desk.entered(1, 2, 3)
    await desk.catalog.deliveries.strike(["FI_1", "FI_3", "FI_unknown"])
    await desk.catalog.deliveries.strike([])
    assert ids(await desk.catalog.deliveries.in_states(STATES)) == ["FI_2"]


async def test_counts(desk: Desk) -> None:
    await desk.entered(1, 2)
    await desk.in_state("away", 3)
    assert await desk.catalog.deliveries.counts() == {"waiting": 2, "away": 1}


async def test_rows_go_with_their_recording(desk: Desk) -> None:
    (row,) = await desk.entered(1)
    await desk.catalog.recordings.delete(row.recording_id)
    assert await desk.catalog.deliveries.in_states(STATES) == ()
