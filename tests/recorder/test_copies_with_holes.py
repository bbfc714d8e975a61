"""Chunks of a participant that never came, or came too late: who waits for them, and how long."""

from __future__ import annotations

import pytest

from recorder.errors import (
    ChunksMissing,
    SetComplete,
)
from storage.errors import CatalogUnavailable
from tests.recorder.copy_house import (
    SECOND,
    TIMEOUT,
    CopyHouse,
    chunk,
    chunks,
)


async def test_a_hole_at_completion_is_told_and_salvaged_after_the_timeout(
    home: CopyHouse,
) -> None:
    row = await home.start()
    await home.send(row, 0, 1, 3)
    await home.service.stop(row.id)
    with pytest.raises(ChunksMissing) as caught:
        await home.complete(row, {0: 4})
    assert caught.value.details == {
        "participantId": "alice",
        "status": "open",
        "parts": [{"part": 0, "received": [[0, 1], [3, 3]], "missing": [2, 4], "next": 4}],
    }
    await home.pass_by(TIMEOUT - SECOND)
    assert (await home.house.row(row.id)).status == "processing"
    await home.pass_by(SECOND)
    row = await home.until(row, "recorded")
    assert await home.stored(row.files[0].key) == chunk(0) + chunk(1) + chunk(3)
    assert row.integrity is not None
    assert row.integrity["complete"] is False
    state = await home.copies.chunk_state(await home.set_of(row))
    assert state["parts"][0]["missing"] == [2]


async def test_a_hole_that_is_filled_can_be_completed(home: CopyHouse) -> None:
    row = await home.start()
    await home.send(row, 0, 2)
    with pytest.raises(ChunksMissing):
        await home.complete(row, {0: 2})
    await home.send(row, 1)
    assert (await home.complete(row, {0: 2})).status == "complete"


async def test_completing_again_changes_nothing_and_another_end_is_refused(
    home: CopyHouse,
) -> None:
    row = await home.start()
    await home.send(row, 0, 1)
    first = await home.complete(row, {0: 1})
    assert await home.complete(row, {0: 1}) == first
    with pytest.raises(SetComplete):
        await home.complete(row, {0: 2})
    with pytest.raises(SetComplete):
        await home.send(row, 2)


async def test_chunks_behind_the_end_that_was_said_are_not_lost(home: CopyHouse) -> None:
    row = await home.start()
    await home.send(row, 0, 1, 2)
    await home.complete(row, {0: 0})
    await home.service.stop(row.id)
    row = await home.until(row, "recorded")
    assert await home.stored(row.files[0].key) == chunks(2)


async def test_a_chunk_that_became_durable_while_the_set_was_closed_is_not_acknowledged(
    home: CopyHouse,
) -> None:
    row = await home.start()
    await home.send(row, 0)
    admitted = await home.copies.admit(row.id, "alice")
    await home.complete(row, {0: 0})
    with pytest.raises(SetComplete):
        home.copies.arrived(admitted, 5)


async def test_a_completion_that_the_catalog_refuses_leaves_the_set_open(home: CopyHouse) -> None:
    row = await home.start()
    await home.send(row, 0)
    right = home.catalog.chunk_sets.update

    async def refuse(*_place: object, **_changes: object) -> None:
        raise CatalogUnavailable("the database is away")

    home.catalog.chunk_sets.update = refuse  # type: ignore[method-assign,assignment]
    with pytest.raises(CatalogUnavailable):
        await home.complete(row, {0: 0})
    home.catalog.chunk_sets.update = right  # type: ignore[method-assign]
    await home.send(row, 1)
    assert (await home.complete(row, {0: 1})).status == "complete"
