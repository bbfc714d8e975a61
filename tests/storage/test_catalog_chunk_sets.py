"""Chunk sets in the catalog, on both databases."""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime

import pytest

from storage.catalog import Catalog, ChunkSetRow
from storage.errors import BadValue, RowNotFound, StatusConflict

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


async def recording(catalog: Catalog, room: str = "physics") -> str:
    row = await catalog.recordings.create(room=room, started_by="host", status="recorded")
    return row.id


async def a_set(catalog: Catalog, participant: str = "paul") -> ChunkSetRow:
    return await catalog.chunk_sets.ensure(await recording(catalog), participant, "Paul")


async def test_a_new_set_is_open_and_empty(catalog: Catalog) -> None:
    recording_id = await recording(catalog)
    row = await catalog.chunk_sets.ensure(recording_id, "paul", "Paul Ä")
    assert re.fullmatch(r"CS_[A-Za-z0-9_-]{16}", row.id)
    assert (row.recording_id, row.participant_id, row.participant_name) == (
        recording_id,
        "paul",
        "Paul Ä",
    )
    assert (row.status, row.parts, row.progress) == ("open", {}, 0.0)
    assert (row.integrity, row.error, row.finished_at) == (None, None, None)
    assert row.created_at.tzinfo is not None
    assert await catalog.chunk_sets.get(row.id) == row
    assert await catalog.chunk_sets.find(recording_id, "paul") == row
    assert await catalog.chunk_sets.of(recording_id) == (row,)


async def test_each_participant_of_each_recording_has_one(
    catalog: Catalog, second_catalog: Catalog
) -> None:
    """However many chunks come at the same time, through whichever process."""
    recording_id = await recording(catalog)
    catalogs = [catalog, second_catalog] * 8
    made = await asyncio.gather(
        *(each.chunk_sets.ensure(recording_id, "paul") for each in catalogs)
    )
    assert len({row.id for row in made}) == 1
    other = await catalog.chunk_sets.ensure(recording_id, "hanna")
    assert other.id != made[0].id
    assert await catalog.chunk_sets.of(recording_id) == (made[0], other)
    elsewhere = await catalog.chunk_sets.ensure(await recording(catalog, "chemistry"), "paul")
    assert elsewhere.id not in {made[0].id, other.id}


async def test_a_set_of_no_recording(catalog: Catalog) -> None:
    with pytest.raises(BadValue):
        await catalog.chunk_sets.ensure("RC_none", "paul")
    assert await catalog.chunk_sets.find("RC_none", "paul") is None
    assert await catalog.chunk_sets.get("CS_none") is None


async def test_a_set_that_is_there_stays_what_it_is(catalog: Catalog) -> None:
    row = await a_set(catalog)
    done = await catalog.chunk_sets.update(row.id, None, status="done", finished_at=NOON)
    assert await catalog.chunk_sets.ensure(row.recording_id, "paul", "Another") == done


async def test_all_that_may_change(catalog: Catalog) -> None:
    row = await a_set(catalog)
    parts = {"0": {"mimeType": "video/webm", "lastSequence": 7, "received": [[0, 7]]}}
    changed = await catalog.chunk_sets.update(
        row.id,
        {"open"},
        participant_name="P",
        status="failed",
        parts=parts,
        progress=0.5,
        integrity={"complete": False},
        error="no media",
        finished_at=NOON,
    )
    assert changed == await catalog.chunk_sets.get(row.id)
    assert (changed.parts, changed.integrity) == (parts, {"complete": False})
    assert (changed.progress, changed.error, changed.finished_at) == (0.5, "no media", NOON)
    assert (changed.id, changed.created_at) == (row.id, row.created_at)


async def test_a_set_that_is_something_else_by_now_stays(catalog: Catalog) -> None:
    row = await a_set(catalog)
    complete = await catalog.chunk_sets.update(row.id, {"open"}, status="complete")
    with pytest.raises(StatusConflict) as caught:
        await catalog.chunk_sets.update(row.id, {"open"}, status="complete", progress=0.9)
    assert caught.value.status == "complete"
    assert await catalog.chunk_sets.get(row.id) == complete
    with pytest.raises(RowNotFound):
        await catalog.chunk_sets.update("CS_none", None, progress=0.5)
    with pytest.raises(BadValue):
        await catalog.chunk_sets.update(row.id, None, participant_id="eve")  # type: ignore[call-arg]


async def test_of_two_who_complete_a_set_one_does(
    catalog: Catalog, second_catalog: Catalog
) -> None:
    row = await a_set(catalog)
    done = await asyncio.gather(
        *(
            each.chunk_sets.update(row.id, {"open"}, status="complete")
            for each in (catalog, second_catalog) * 3
        ),
        return_exceptions=True,
    )
    assert sum(isinstance(each, ChunkSetRow) for each in done) == 1
    assert sum(isinstance(each, StatusConflict) for each in done) == 5


async def test_sets_by_their_state_oldest_first(catalog: Catalog) -> None:
    rows = [await a_set(catalog, f"p{number}") for number in range(3)]
    await catalog.chunk_sets.update(rows[1].id, None, status="assembling")
    assert [row.id for row in await catalog.chunk_sets.in_states({"open"})] == [
        rows[0].id,
        rows[2].id,
    ]
    assert len(await catalog.chunk_sets.in_states({"open", "assembling"})) == 3
    assert await catalog.chunk_sets.in_states(set()) == ()


async def test_sets_go_with_their_recording(catalog: Catalog) -> None:
    row = await a_set(catalog)
    await catalog.recordings.delete(row.recording_id)
    assert await catalog.chunk_sets.get(row.id) is None
