"""Renders: from a wish to a file of the recording, whatever fails or is cut short on the way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from recorder.errors import (
    BadRenderOptions,
    JobFailed,
    JobHostLost,
    NothingToRender,
    TooManyRenders,
    UnknownRecording,
    UnknownRender,
)
from recorder.rendering import JOB_RETRIES, MOST_WAITING, SCRATCH, UNDER_WAY, Renderer
from storage.catalog import RecordingRow, RenderRow
from storage.objects import LocalStore
from tests.recorder.house import House
from tests.recorder.known_media import audio_track


@pytest_asyncio.fixture
async def renderer(house: House) -> AsyncIterator[Renderer]:
    opened = house.another_renderer()
    yield opened
    await opened.close()


async def render_of(house: House, render: RenderRow) -> RenderRow:
    row = await house.catalog.renders.get(render.id)
    assert row is not None
    return row


async def stored_keys(house: House) -> set[str]:
    return {entry.key async for entry in house.store.list()}


def scratch(house: House) -> list[str]:
    folder = house.folder / "journals" / SCRATCH
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


async def rendered(house: House, renderer: Renderer, **options: Any) -> tuple[str, RenderRow]:
    recording = await house.recorded()
    render = await renderer.request(recording.id, options, "host")
    await renderer.idle()
    return recording.id, await render_of(house, render)


# --- what becomes of one --------------------------------------------------------------------------


async def test_a_composite_becomes_a_file_of_the_recording(
    house: House, renderer: Renderer
) -> None:
    before = await house.recorded()
    render = await renderer.request(before.id, {"layout": "speaker", "quality": "1080p"}, "host")
    assert (render.status, render.requested_by) == ("queued", "host")
    await renderer.idle()
    row, render = await house.row(before.id), await render_of(house, render)
    assert (render.status, render.progress, render.error) == ("done", 1.0, None)
    assert render.finished_at is not None
    original, composite, poster = row.files
    assert original == before.files[0]
    assert (composite.id, composite.kind, composite.provider) == (
        render.file_id,
        "composite",
        "memory",
    )
    assert (poster.role, poster.derived_from) == ("poster", composite.id)
    assert row.size == sum(file.size for file in row.files)
    assert await house.store.digest(composite.key) == composite.sha256 == original.sha256
    (order,) = house.jobs.renders.specs
    assert (order["layout"], order["height"]) == ("speaker", 1080)
    assert [source["participantId"] for source in order["sources"]] == [original.participant_id]
    assert await house.catalog.deliveries.of(row.id) == ()
    assert scratch(house) == []


async def test_two_renders_are_two_files(house: House, renderer: Renderer) -> None:
    recording_id, first = await rendered(house, renderer)
    second = await renderer.request(recording_id, {"layout": "speaker"}, "host")
    await renderer.idle()
    ids = {first.file_id, (await render_of(house, second)).file_id}
    files = (await house.row(recording_id)).files
    assert ids == {file.id for file in files if file.kind == "composite"}
    assert len(ids) == 2
    # a composite is not made of composites
    assert [len(order["sources"]) for order in house.jobs.renders.specs] == [1, 1]


async def test_a_file_on_this_disk_is_read_where_it_is(house: House) -> None:
    store = LocalStore(house.folder / "films")
    await store.prepare()
    house.store = store  # type: ignore[assignment]
    house.service = house.another_service()
    renderer = house.another_renderer()
    recording_id, render = await rendered(house, renderer)
    assert render.status == "done"
    (original, *_) = (await house.row(recording_id)).files
    assert house.jobs.renders.specs[0]["sources"][0]["path"] == str(store.path(original.key))
    await renderer.close()


async def test_one_at_a_time(house: House, renderer: Renderer) -> None:
    house.jobs.renders.hold = asyncio.Event()
    recording = await house.recorded()
    for _ in range(3):
        await renderer.request(recording.id, {}, "host")
    await house.jobs.renders.begun.wait()
    statuses = [row.status for row in await house.catalog.renders.of(recording.id)]
    assert sorted(statuses) == ["queued", "queued", "rendering"]
    house.jobs.renders.hold.set()
    await renderer.idle()
    assert house.jobs.renders.most_at_once == 1
    assert {row.status for row in await house.catalog.renders.of(recording.id)} == {"done"}


async def test_a_composite_recording_is_rendered_by_itself_once(house: House) -> None:
    house.plane.tracks = [audio_track(1.0)]
    row = await house.service.start("blue", None, "host", "composite", {"layout": "speaker"})
    house.media_arrives(row.id)
    await house.settled()
    await house.service.stop(row.id)
    await house.settled()
    renderer = house.another_renderer()
    await renderer.look()
    await renderer.idle()
    await renderer.look()
    await renderer.idle()
    (render,) = await house.catalog.renders.of(row.id)
    assert (render.status, render.requested_by) == ("done", "host")
    assert [order["layout"] for order in house.jobs.renders.specs] == ["speaker"]
    assert house.jobs.options == [{"layout": "speaker"}]


# --- what can't be rendered -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"layout": "mosaic"}, "layout"),
        ({"quality": "4k"}, "quality"),
        ({"layout": "single", "focus": "nobody"}, "focus"),
    ],
)
async def test_wrong_options_name_their_field(
    house: House, renderer: Renderer, options: dict[str, Any], field: str
) -> None:
    recording = await house.recorded()
    with pytest.raises(BadRenderOptions) as refused:
        await renderer.request(recording.id, options, "host")
    assert refused.value.field == field
    assert await house.catalog.renders.of(recording.id) == ()


async def test_what_has_nothing_to_render(house: House, renderer: Renderer) -> None:
    create = house.catalog.recordings.create
    empty = await create(room="a", started_by="host", status="recorded")
    running = await create(room="b", started_by="host", status="processing")
    for row in (empty, running):
        with pytest.raises(NothingToRender):
            await renderer.request(row.id, {}, "host")
    with pytest.raises(UnknownRecording):
        await renderer.request("RC_unknown", {}, "host")


async def test_renders_of_one_recording_that_wait_are_bounded(
    house: House, renderer: Renderer
) -> None:
    house.jobs.renders.hold = asyncio.Event()
    recording, other = await house.recorded(), await house.recorded("red")
    for _ in range(MOST_WAITING):
        await renderer.request(recording.id, {}, "host")
    with pytest.raises(TooManyRenders):
        await renderer.request(recording.id, {}, "host")
    await renderer.request(other.id, {}, "host")


# --- what goes wrong ------------------------------------------------------------------------------


async def test_a_job_that_fails_is_tried_again_and_then_it_has_failed(
    house: House, renderer: Renderer
) -> None:
    house.jobs.renders.failures = [JobFailed("no such codec")] * (JOB_RETRIES + 1)
    recording_id, render = await rendered(house, renderer)
    assert (render.status, render.error) == ("failed", "no such codec")
    assert len(house.jobs.renders.specs) == JOB_RETRIES + 1
    assert len((await house.row(recording_id)).files) == 1
    assert scratch(house) == []


async def test_a_lost_host_is_not_the_job_s_fault(house: House, renderer: Renderer) -> None:
    house.jobs.renders.failures = [JobHostLost("killed")] * (JOB_RETRIES + 5)
    _, render = await rendered(house, renderer)
    assert render.status == "done"


async def test_a_store_that_is_down_is_waited_for(house: House) -> None:
    recording = await house.recorded()
    waited = asyncio.Event()

    async def sleep(_seconds: float) -> None:
        waited.set()
        house.store.down = False

    renderer = house.another_renderer(sleep=sleep)
    house.store.down = True
    render = await renderer.request(recording.id, {}, "host")
    await waited.wait()
    await renderer.idle()
    assert (await render_of(house, render)).status == "done"
    await renderer.close()


async def test_a_full_disk_is_waited_for_and_said(house: House) -> None:
    recording = await house.recorded()
    free, said = 1000, []

    async def sleep(_seconds: float) -> None:
        nonlocal free
        said.extend(await house.catalog.renders.of(recording.id))
        free = 1 << 40

    renderer = house.another_renderer(sleep=sleep, free=lambda _: free, spare=1 << 20)
    render = await renderer.request(recording.id, {}, "host")
    await renderer.idle()
    assert said[0].status == "queued"
    assert said[0].error is not None
    assert said[0].error.startswith("waiting: rendering needs")
    assert (await render_of(house, render)).status == "done"


async def test_a_source_that_is_gone_fails_it(house: House, renderer: Renderer) -> None:
    recording = await house.recorded()
    await house.store.delete(recording.files[0].key)
    render = await renderer.request(recording.id, {}, "host")
    await renderer.idle()
    row = await render_of(house, render)
    assert row.status == "failed"
    assert recording.files[0].key in (row.error or "")


async def test_a_source_that_was_changed_is_never_rendered(house: House) -> None:
    recording = await house.recorded()
    tampered, original = asyncio.Event(), house.store.open

    async def sleep(_seconds: float) -> None:
        tampered.set()
        house.store.open = original  # type: ignore[method-assign]

    async def other(key: str, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        yield b"not what was stored"

    house.store.open = other  # type: ignore[method-assign, assignment]
    renderer = house.another_renderer(sleep=sleep)
    render = await renderer.request(recording.id, {}, "host")
    await renderer.idle()
    assert tampered.is_set()
    assert (await render_of(house, render)).status == "done"
    (order,) = house.jobs.renders.specs  # only the second, good one
    assert order["sources"]


# --- cancelled, deleted ---------------------------------------------------------------------------


async def test_cancelled_while_it_renders(house: House, renderer: Renderer) -> None:
    house.jobs.renders.hold = asyncio.Event()
    recording = await house.recorded()
    render = await renderer.request(recording.id, {}, "host")
    await house.jobs.renders.begun.wait()
    row = await renderer.cancel(recording.id, render.id)
    assert (row.status, house.jobs.renders.running) == ("cancelled", 0)
    assert row.finished_at is not None
    assert scratch(house) == []
    assert await renderer.cancel(recording.id, render.id) == row
    await renderer.idle()
    assert len((await house.row(recording.id)).files) == 1


async def test_cancelled_while_it_is_stored_leaves_no_object(house: House) -> None:
    recording = await house.recorded()
    keys = await stored_keys(house)
    began, never = asyncio.Event(), asyncio.Event()
    put = house.store.put_file

    async def put_file(*place: Any, **options: Any) -> Any:
        await put(*place, **options)
        began.set()
        await never.wait()

    house.store.put_file = put_file  # type: ignore[method-assign]
    renderer = house.another_renderer()
    render = await renderer.request(recording.id, {}, "host")
    await began.wait()
    assert (await render_of(house, render)).status == "uploading"
    assert (await renderer.cancel(recording.id, render.id)).status == "cancelled"
    assert await stored_keys(house) == keys
    assert await house.catalog.deliveries.of(recording.id) == ()


async def test_one_that_is_done_stays_done(house: House, renderer: Renderer) -> None:
    recording_id, render = await rendered(house, renderer)
    assert await renderer.cancel(recording_id, render.id) == render
    with pytest.raises(UnknownRender):
        await renderer.cancel("RC_other", render.id)
    with pytest.raises(UnknownRender):
        await renderer.cancel(recording_id, "RN_unknown")


async def test_a_deletion_ends_the_renders_and_nothing_stays(
    house: House, renderer: Renderer
) -> None:
    house.jobs.renders.hold = asyncio.Event()
    recording = await house.recorded()
    for _ in range(2):
        await renderer.request(recording.id, {}, "host")
    await house.jobs.renders.begun.wait()
    await renderer.forget(recording.id)
    await house.service.delete(recording.id)
    assert house.jobs.renders.running == 0
    assert await house.catalog.renders.in_states(UNDER_WAY) == ()
    assert await stored_keys(house) == set()
    assert scratch(house) == []


async def test_deleted_under_its_hands_it_stores_nothing(house: House) -> None:
    """As by `mediaserver recordings prune`, another process."""
    recording = await house.recorded()
    add = house.catalog.recordings.add_file

    async def add_file(*place: Any) -> RecordingRow:
        await house.service.delete(recording.id)
        return await add(*place)

    house.catalog.recordings.add_file = add_file  # type: ignore[method-assign]
    renderer = house.another_renderer()
    await renderer.request(recording.id, {}, "host")
    await renderer.idle()
    assert await stored_keys(house) == set()
    assert scratch(house) == []


# --- after a crash --------------------------------------------------------------------------------


async def test_a_render_cut_short_is_made_by_the_next_start(house: House) -> None:
    house.jobs.renders.hold = asyncio.Event()
    recording = await house.recorded()
    first = house.another_renderer()
    render = await first.request(recording.id, {}, "host")
    await house.jobs.renders.begun.wait()
    await first.close()
    assert (await render_of(house, render)).status == "rendering"
    stray = house.folder / "journals" / SCRATCH / "RN_stray"
    stray.mkdir()
    house.jobs.renders.hold.set()
    second = house.another_renderer()
    await second.recover()
    assert not stray.exists()
    await second.idle()
    assert (await render_of(house, render)).status == "done"
    assert len((await house.row(recording.id)).files) == 3
    await second.close()


@pytest.mark.parametrize("stored", [False, True])
async def test_an_upload_cut_short_goes_on_without_another_job(house: House, stored: bool) -> None:
    recording = await house.recorded()
    began, never = asyncio.Event(), asyncio.Event()
    add, put = house.catalog.recordings.add_file, house.store.put_file

    async def hang(*_place: Any, **_options: Any) -> Any:
        began.set()
        await never.wait()

    if stored:
        house.catalog.recordings.add_file = hang  # type: ignore[method-assign]
    else:
        house.store.put_file = hang  # type: ignore[method-assign]
    first = house.another_renderer()
    render = await first.request(recording.id, {}, "host")
    await began.wait()
    await first.close()
    house.catalog.recordings.add_file = add  # type: ignore[method-assign]
    house.store.put_file = put  # type: ignore[method-assign]

    service = house.another_service()  # its recovery must not lose what is a render's
    await service.recover()
    await service.idle()
    second = house.another_renderer()
    await second.recover()
    await second.idle()
    assert (await render_of(house, render)).status == "done"
    assert len(house.jobs.renders.specs) == 1
    assert len((await house.row(recording.id)).files) == 3
    assert await house.catalog.deliveries.of(recording.id) == ()
    await second.close()
    await service.close()


async def test_files_that_are_gone_are_rendered_again(house: House) -> None:
    recording = await house.recorded()
    began, never = asyncio.Event(), asyncio.Event()
    put = house.store.put_file

    async def hang(*_place: Any, **_options: Any) -> Any:
        began.set()
        await never.wait()

    house.store.put_file = hang  # type: ignore[method-assign]
    first = house.another_renderer()
    render = await first.request(recording.id, {}, "host")
    await began.wait()
    await first.close()
    house.store.put_file = put  # type: ignore[method-assign]
    for path in (house.folder / "journals" / SCRATCH / render.id).glob("*.mp4"):
        path.unlink()
    second = house.another_renderer()
    await second.recover()
    await second.idle()
    assert (await render_of(house, render)).status == "done"
    assert len(house.jobs.renders.specs) == 2
    await second.close()


async def test_a_row_that_another_process_wrote_is_taken_up(
    house: House, renderer: Renderer
) -> None:
    recording = await house.recorded()
    render = await house.catalog.renders.create(recording.id, {}, "operator")
    await renderer.look()
    await renderer.idle()
    assert (await render_of(house, render)).status == "done"


async def test_a_recording_that_is_not_ready_is_left_alone(
    house: House, renderer: Renderer
) -> None:
    row = await house.catalog.recordings.create(room="a", started_by="h", status="uploading")
    render = await house.catalog.renders.create(row.id, {}, "h")
    await renderer.look()
    await renderer.idle()
    assert (await render_of(house, render)).status == "queued"
    await house.catalog.recordings.update(row.id, status="failed")
    await renderer.look()
    await renderer.idle()
    assert (await render_of(house, render)).status == "failed"


async def test_with_a_fallback_it_goes_there_and_comes_home_later(house: House) -> None:
    recording = await house.recorded()
    fallback = house.open_fallback()
    renderer = house.another_renderer()
    house.jobs.renders.hold = asyncio.Event()
    render = await renderer.request(recording.id, {}, "host")
    await house.jobs.renders.begun.wait()
    house.store.down = True
    house.jobs.renders.hold.set()
    await renderer.idle()
    row = await render_of(house, render)
    assert row.status == "done"
    files = (await house.row(recording.id)).files
    assert [file.provider for file in files] == ["memory", "fallback", "fallback"]
    assert {entry.state for entry in await house.catalog.deliveries.of(recording.id)} == {"away"}
    assert len([entry async for entry in fallback.list()]) == 2
    await renderer.close()


async def test_a_recording_made_once_more_keeps_its_composites(
    house: House, renderer: Renderer
) -> None:
    """As `mediaserver recordings repair` has it done when an object was lost."""
    recording_id, render = await rendered(house, renderer)
    before = (await house.row(recording_id)).files
    audio_track(1.0).write(house.journals(recording_id))
    await house.catalog.recordings.update(recording_id, status="processing")
    await house.service.look()
    await house.settled()
    row = await house.row(recording_id)
    assert row.status == "recorded"
    assert {file.id for file in row.files} == {file.id for file in before}
    assert render.file_id in {file.id for file in row.files}
    assert row.size == sum(file.size for file in row.files)
