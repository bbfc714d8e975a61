"""Calls in the catalog, on both databases."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

from storage.catalog import CallRow, Catalog
from storage.errors import BadValue, RowNotFound


async def test_a_call_runs_until_it_is_ended(catalog: Catalog) -> None:
    before = datetime.now(UTC)
    call = await catalog.calls.open("physics")
    assert call == CallRow(call.id, "physics", call.started_at, None, ())
    assert call.id.startswith("CA_")
    assert before <= call.started_at <= datetime.now(UTC)
    assert await catalog.calls.current("physics") == call

    ended = await catalog.calls.end(call.id)
    assert ended.ended_at is not None
    assert ended.ended_at >= call.started_at
    assert await catalog.calls.current("physics") is None
    assert await catalog.calls.get(call.id) == ended


async def test_opening_again_gives_the_running_call(catalog: Catalog) -> None:
    first = await catalog.calls.open("a")
    assert await catalog.calls.open("a") == first
    assert (await catalog.calls.open("b")).id != first.id
    await catalog.calls.end(first.id)
    assert (await catalog.calls.open("a")).id != first.id


async def test_of_many_opens_at_once_all_get_the_same_call(
    catalog: Catalog, second_catalog: Catalog
) -> None:
    both = (catalog, second_catalog)
    opened = await asyncio.gather(*(both[number % 2].calls.open("a") for number in range(20)))
    assert len({call.id for call in opened}) == 1


async def test_the_first_end_counts(catalog: Catalog) -> None:
    call = await catalog.calls.open("a")
    assert await catalog.calls.end(call.id) == await catalog.calls.end(call.id)


async def test_what_is_not_there(catalog: Catalog) -> None:
    assert await catalog.calls.get("CA_none") is None
    assert await catalog.calls.current("none") is None
    with pytest.raises(RowNotFound):
        await catalog.calls.end("CA_none")
    with pytest.raises(RowNotFound):
        await catalog.calls.add_participant("CA_none", "alice")


async def test_a_room_with_nul_is_refused(catalog: Catalog) -> None:
    with pytest.raises(BadValue):
        await catalog.calls.open("a\0b")


async def test_participants_are_kept_once_in_the_order_they_joined(catalog: Catalog) -> None:
    call = await catalog.calls.open("a")
    for identity in ("zoe", "alice", "zoe", "боб"):
        row = await catalog.calls.add_participant(call.id, identity)
    assert row.participants == ("zoe", "alice", "боб")
    assert (await catalog.calls.end(call.id)).participants == ("zoe", "alice", "боб")
    assert (await catalog.calls.open("a")).participants == ()


async def test_many_join_at_once(catalog: Catalog, second_catalog: Catalog) -> None:
    call = await catalog.calls.open("a")
    both = (catalog, second_catalog)
    await asyncio.gather(
        *(both[n % 2].calls.add_participant(call.id, f"guest-{n % 5}") for n in range(20))
    )
    found = await catalog.calls.get(call.id)
    assert found is not None
    assert sorted(found.participants) == [f"guest-{n}" for n in range(5)]


async def test_a_start_ends_what_a_dead_process_left_running(catalog: Catalog) -> None:
    running = [await catalog.calls.open(room) for room in ("a", "b")]
    over = await catalog.calls.end((await catalog.calls.open("c")).id)
    assert set(await catalog.calls.end_all_running()) == {call.id for call in running}
    assert await catalog.calls.current("a") is None
    assert await catalog.calls.get(over.id) == over
    assert await catalog.calls.end_all_running() == ()
