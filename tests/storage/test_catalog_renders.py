"""Renders, settings of rooms, and the outbox of webhooks in the catalog, on both databases."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from storage.catalog import Catalog, FileRow, RecordingRow
from storage.errors import BadValue, RowNotFound, StatusConflict

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


async def recording(catalog: Catalog) -> RecordingRow:
    return await catalog.recordings.create(
        room="physics", started_by="host", options={"layout": "grid"}, status="recorded"
    )


def file_row(file_id: str, size: int) -> FileRow:
    return FileRow(
        id=file_id,
        kind="composite",
        participant_id="",
        content_type="video/mp4",
        size=size,
        duration_seconds=1.5,
        width=1280,
        height=720,
        sha256="00",
        key=f"recordings/physics/{file_id}.mp4",
        start_seconds=0.0,
        role="poster",
        derived_from="FI_other",
    )


async def test_a_recording_keeps_how_it_was_asked_for(catalog: Catalog) -> None:
    row = await recording(catalog)
    assert row.options == {"layout": "grid"}
    plain = await catalog.recordings.create(room="chemistry", started_by="host")
    assert plain.options == {}


async def test_a_file_more_is_the_last_one_and_counts(catalog: Catalog) -> None:
    row = await recording(catalog)
    await catalog.recordings.add_file(row.id, file_row("FI_1", 10))
    row = await catalog.recordings.add_file(row.id, file_row("FI_2", 5))
    assert [file.id for file in row.files] == ["FI_1", "FI_2"]
    assert row.size == 15
    assert row.files[1] == file_row("FI_2", 5)


async def test_the_same_file_again_takes_its_place(catalog: Catalog) -> None:
    row = await recording(catalog)
    await catalog.recordings.add_file(row.id, file_row("FI_1", 10))
    row = await catalog.recordings.add_file(row.id, file_row("FI_1", 7))
    assert (row.files, row.size) == ((file_row("FI_1", 7),), 7)


async def test_a_file_of_no_recording_is_refused(catalog: Catalog) -> None:
    with pytest.raises(RowNotFound):
        await catalog.recordings.add_file("RC_none", file_row("FI_1", 10))


async def test_one_delivery_more_leaves_the_others_alone(catalog: Catalog) -> None:
    row = await recording(catalog)
    await catalog.deliveries.enter(row.id, [(file_row("FI_1", 10), "a")])
    await catalog.deliveries.add(row.id, file_row("FI_2", 5), "b")
    await catalog.deliveries.add(row.id, file_row("FI_2", 6), "c")
    ledger = await catalog.deliveries.of(row.id)
    assert {(each.file.size, each.path, each.state) for each in ledger} == {
        (10, "a", "waiting"),
        (6, "c", "waiting"),
    }
    with pytest.raises(BadValue):
        await catalog.deliveries.add("RC_none", file_row("FI_3", 1), "d")


async def test_a_render_from_queue_to_file(catalog: Catalog) -> None:
    row = await recording(catalog)
    made = await catalog.renders.create(row.id, {"layout": "speaker"}, "host")
    assert (made.status, made.progress, made.file_id) == ("queued", 0.0, None)
    assert await catalog.renders.get(made.id) == made
    assert await catalog.renders.in_states({"queued"}) == (made,)
    done = await catalog.renders.update(
        made.id, {"queued"}, status="done", progress=1.0, file_id="FI_1", finished_at=NOON
    )
    assert await catalog.renders.of(row.id) == (done,)
    assert (done.status, done.file_id, done.finished_at) == ("done", "FI_1", NOON)


async def test_a_render_that_is_something_else_by_now_stays(catalog: Catalog) -> None:
    made = await catalog.renders.create((await recording(catalog)).id, {}, "host")
    await catalog.renders.update(made.id, {"queued"}, status="cancelled")
    with pytest.raises(StatusConflict) as caught:
        await catalog.renders.update(made.id, {"queued", "rendering"}, status="rendering")
    assert caught.value.status == "cancelled"
    with pytest.raises(RowNotFound):
        await catalog.renders.update("RN_none", {"queued"}, progress=0.5)
    with pytest.raises(BadValue):
        await catalog.renders.update(made.id, {"cancelled"}, options={})  # type: ignore[call-arg]


async def test_renders_go_with_their_recording(catalog: Catalog) -> None:
    row = await recording(catalog)
    made = await catalog.renders.create(row.id, {}, "host")
    await catalog.recordings.delete(row.id)
    assert await catalog.renders.get(made.id) is None
    with pytest.raises(BadValue):
        await catalog.renders.create(row.id, {}, "host")


async def test_settings_of_a_room_are_what_was_set_last(catalog: Catalog) -> None:
    assert await catalog.rooms.settings("physics") == {}
    await catalog.rooms.set("physics", {"automaticRecording": True})
    await catalog.rooms.set("chemistry", {})
    await catalog.rooms.set("physics", {"automaticRecording": False, "layout": "grid"})
    assert await catalog.rooms.settings("physics") == {
        "automaticRecording": False,
        "layout": "grid",
    }


async def test_two_hosts_who_set_a_room_at_once_both_succeed(catalog: Catalog) -> None:
    await asyncio.gather(*(catalog.rooms.set("physics", {"n": n}) for n in range(8)))
    assert (await catalog.rooms.settings("physics"))["n"] in range(8)


async def test_each_address_has_its_own_line_of_webhooks(catalog: Catalog) -> None:
    await catalog.webhooks.add(["http://a", "http://b"], "first")
    await catalog.webhooks.add(["http://a"], "second")
    await catalog.webhooks.add([], "nobody hears this")
    first, second = await catalog.webhooks.waiting("http://a", 10)
    assert (first.body, second.body) == ("first", "second")
    assert len(await catalog.webhooks.waiting("http://a", 1)) == 1
    await catalog.webhooks.failed(first.id, NOON + timedelta(seconds=2), "refused")
    again = (await catalog.webhooks.waiting("http://a", 1))[0]
    assert (again.attempts, again.error) == (1, "refused")
    assert again.due_at == NOON + timedelta(seconds=2)
    await catalog.webhooks.strike(first.id)
    assert await catalog.webhooks.waiting("http://a", 10) == (second,)
    assert await catalog.webhooks.count() == 2


async def test_old_webhooks_can_be_given_up(catalog: Catalog) -> None:
    await catalog.webhooks.add(["http://a"], "old")
    (row,) = await catalog.webhooks.waiting("http://a", 1)
    assert await catalog.webhooks.strike_before(row.created_at) == 0
    assert await catalog.webhooks.strike_before(row.created_at + timedelta(seconds=1)) == 1
    assert await catalog.webhooks.count() == 0
