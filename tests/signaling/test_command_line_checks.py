"""`mediaserver recordings fsck`, `repair` and `render`, as processes on a real data folder."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mediaserver.journal import JOURNAL_SUFFIX
from storage.catalog import FileRow, RecordingRow, ServerLock
from storage.objects import LocalStore
from tests.recorder.known_media import audio_track, video_track
from tests.rig.media import decode_errors
from tests.rig.waiting import until
from tests.signaling.command_line import Ended, run, serving
from tests.signaling.operated import Estate, estate

CONTENT = bytes(range(256)) * 400


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[Estate]:
    async with estate(tmp_path) as opened:
        yield opened


async def fsck(folder: Path, *arguments: str, status: int) -> list[dict[str, Any]]:
    """What it found, by its JSON."""
    ended = await run(folder, "recordings", "fsck", "--json", *arguments)
    assert ended.status == status, ended
    report = json.loads(ended.out)
    assert report["problems"] == sum(each["problem"] for each in report["findings"])
    return list(report["findings"])


def codes(findings: list[dict[str, Any]]) -> list[str]:
    return [each["code"] for each in findings]


async def failed(home: Estate, *, media: bool = True) -> RecordingRow:
    row = await home.catalog.recordings.create(
        room="blue", started_by="hanna", status="failed", error="it hurt"
    )
    if media:
        audio_track(1.0).write(home.data / "journals" / row.id, end=False)
    return row


async def made_of_media(home: Estate, folder: Path) -> RecordingRow:
    """A recording that the product itself finished, from journals that had no row."""
    video_track().write(home.data / "journals" / "RC_made")
    ended = await run(folder, "recordings", "repair")
    assert ended.status == 0, ended
    return await home.row("RC_made")


def object_path(home: Estate, file: FileRow) -> Path:
    return LocalStore(home.films).path(file.key)


# --- fsck -----------------------------------------------------------------------------------------


async def test_nothing_wrong(home: Estate, tmp_path: Path) -> None:
    await home.recorded("blue", CONTENT)
    ended = await run(tmp_path, "recordings", "fsck")
    assert (ended.status, ended.out) == (0, "1 recording, 1 file: 0 problems, 0 notes\n")
    assert await fsck(tmp_path, status=0) == []


async def test_objects_that_are_gone_cut_or_changed(home: Estate, tmp_path: Path) -> None:
    rows = [await home.recorded("blue", CONTENT) for _ in range(3)]
    gone, cut, changed = (object_path(home, row.files[0]) for row in rows)
    gone.unlink()
    cut.write_bytes(CONTENT[:100])
    changed.write_bytes(bytes(len(CONTENT)))
    found = {each["recordingId"]: each["code"] for each in await fsck(tmp_path, status=1)}
    assert found == {rows[0].id: "object_missing", rows[1].id: "object_size"}
    deep = {each["recordingId"]: each["code"] for each in await fsck(tmp_path, "--deep", status=1)}
    assert deep == {**found, rows[2].id: "object_changed"}
    only = await fsck(tmp_path, "--deep", rows[2].id, status=1)
    assert codes(only) == ["object_changed"]
    assert only[0]["todo"]


async def test_deep_reads_media_to_its_end(home: Estate, tmp_path: Path) -> None:
    row = await made_of_media(home, tmp_path)
    assert await fsck(tmp_path, "--deep", status=0) == []
    file = next(file for file in row.files if file.kind == "participant")
    content = b"this is a file that somebody stored and nobody can play"
    path = object_path(home, file)
    path.write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    lie = replace(file, size=len(content), sha256=digest)
    await home.catalog.recordings.set_files(row.id, [lie])
    found = await fsck(tmp_path, "--deep", row.id, status=1)
    assert "object_unplayable" in codes(found)
    assert "object_unplayable" not in codes(await fsck(tmp_path, row.id, status=1))


async def test_journals(home: Estate, tmp_path: Path) -> None:
    row = await failed(home)
    folder = home.data / "journals" / row.id
    (whole,) = folder.iterdir()
    content = whole.read_bytes()
    torn, damaged, unreadable, cut = (
        folder / f"{name}{JOURNAL_SUFFIX}" for name in ("torn", "damaged", "unreadable", "cut")
    )
    torn.write_bytes(content[:-3])
    middle = bytearray(content)
    middle[len(content) // 2] ^= 0xFF
    damaged.write_bytes(middle)
    unreadable.write_bytes(b"this is no journal at all")
    cut.write_bytes(content[:10])
    found = await fsck(tmp_path, status=1)
    assert {each["subject"]: (each["code"], each["problem"]) for each in found} == {
        None: ("recording_failed", True),
        torn.name: ("journal_torn", False),
        damaged.name: ("journal_damaged", True),
        unreadable.name: ("journal_unreadable", True),
        cut.name: ("journal_torn", False),
    }


async def test_what_has_no_owner(home: Estate, tmp_path: Path) -> None:
    audio_track(0.2).write(home.data / "journals" / "RC_orphan")
    (home.data / "journals" / "RC_empty").mkdir()
    store = LocalStore(home.films)
    (tmp_path / "stray").write_bytes(CONTENT)
    await store.put_file("recordings/blue/RC_gone/FI_1.webm", tmp_path / "stray", "video/webm")
    await store.put_file("somebody/else.webm", tmp_path / "stray", "video/webm")
    waiting = await home.waiting(CONTENT)  # its object may be there already: a put was cut short
    (entry,) = await home.catalog.deliveries.of(waiting.id)
    await store.put_file(entry.file.key, tmp_path / "stray", "video/webm")
    found = await fsck(tmp_path, status=1)
    assert {(each["code"], each["subject"]) for each in found} == {
        ("journals_orphaned", "RC_orphan"),
        ("leftover", "RC_empty"),
        ("object_orphaned", "recordings/blue/RC_gone/FI_1.webm"),
        ("recording_unfinished", None),
    }


async def test_a_store_that_can_not_be_asked_is_a_problem(home: Estate, tmp_path: Path) -> None:
    row = await home.recorded("blue", CONTENT)
    await home.catalog.recordings.set_files(row.id, [replace(row.files[0], provider="gcs")])
    assert codes(await fsck(tmp_path, row.id, status=1)) == ["store_unavailable", "object_orphaned"]


async def test_an_unknown_id(home: Estate, tmp_path: Path) -> None:
    assert codes(await fsck(tmp_path, "RC_nothing", status=1)) == ["unknown_recording"]
    for hostile in ("../../etc", "..", ".renders"):
        assert codes(await fsck(tmp_path, hostile, status=1)) == ["unknown_recording"]


async def test_beside_a_server_that_works_nothing_is_wrong(home: Estate, tmp_path: Path) -> None:
    await home.recorded("blue", status="processing")
    server = ServerLock(home.url)
    await server.take()
    try:
        assert await fsck(tmp_path, status=0) == []
    finally:
        await server.release()
    assert codes(await fsck(tmp_path, status=0)) == ["recording_unfinished"]


# --- repair ---------------------------------------------------------------------------------------


async def test_without_a_server_it_is_mended_here(home: Estate, tmp_path: Path) -> None:
    audio_track(1.0).write(home.data / "journals" / "RC_orphan", end=False)
    (home.data / "journals" / "RC_empty").mkdir()
    broken, hopeless = await failed(home), await home.recorded("blue", CONTENT)
    object_path(home, hopeless.files[0]).unlink()

    dry = await run(tmp_path, "recordings", "repair", "--dry-run")
    assert "todo adopt RC_orphan" in dry.out
    assert f"todo finish {broken.id}" in dry.out
    assert (await home.row(broken.id)).status == "failed"
    assert (home.data / "journals" / "RC_empty").is_dir()

    ended = await run(tmp_path, "recordings", "repair")
    assert ended.status == 1, ended  # one object is beyond help
    for recording_id in ("RC_orphan", broken.id):
        row = await home.row(recording_id)
        assert (row.status, row.error) == ("recorded", None), ended
        assert decode_errors(object_path(home, row.files[0])) == 0
        assert not (home.data / "journals" / recording_id).exists()
    assert not (home.data / "journals" / "RC_empty").exists()
    assert (await home.row(hopeless.id)).status == "recorded"
    assert codes(await fsck(tmp_path, "--deep", status=1)) == ["object_missing"]


async def test_a_lost_object_is_made_again_from_kept_journals(home: Estate, tmp_path: Path) -> None:
    row = await made_of_media(home, tmp_path)
    before = {file.id: file.sha256 for file in row.files}
    video_track().write(home.data / "journals" / row.id)
    await home.catalog.recordings.update(
        row.id, integrity={**(row.integrity or {}), "failures": ["TR_x.journal: damaged"]}
    )
    for file in row.files:
        object_path(home, file).unlink()
    ended = await run(tmp_path, "recordings", "repair", row.id)
    assert ended.status == 1, ended  # the media that was damaged stays lost
    again = await home.row(row.id)
    assert again.status == "recorded"
    assert {file.id: file.sha256 for file in again.files} == before
    assert "object_missing" not in codes(await fsck(tmp_path, "--deep", row.id, status=0))


async def test_nothing_with_media_in_it_is_removed(home: Estate, tmp_path: Path) -> None:
    whole = await home.recorded("blue", CONTENT)
    folder = home.data / "journals" / whole.id
    audio_track(0.5).write(folder)
    hopeless = await failed(home, media=False)
    junk = home.data / "journals" / hopeless.id / "notes.txt"
    junk.parent.mkdir(parents=True)
    junk.write_text("somebody put this here")
    ended = await run(tmp_path, "recordings", "repair")
    assert "not empty" in ended.out
    assert list(folder.glob(f"*{JOURNAL_SUFFIX}"))
    assert junk.exists()


async def test_a_server_that_runs_mends_within_seconds(home: Estate, tmp_path: Path) -> None:
    async with serving(tmp_path) as (_process, _base, _token):
        broken = await failed(home)
        audio_track(1.0).write(home.data / "journals" / "RC_orphan", end=False)
        ended = await run(tmp_path, "recordings", "repair")
        assert (ended.status, "server that runs" in ended.out) == (0, True), ended

        async def finished() -> bool:
            rows = [await home.row(each) for each in (broken.id, "RC_orphan")]
            return {row.status for row in rows} == {"recorded"}

        await until(finished, within=30, every=0.2, what="both are recorded")
        assert await fsck(tmp_path, status=0) == []


# --- render ---------------------------------------------------------------------------------------


async def test_a_render_without_a_server_is_made_here(home: Estate, tmp_path: Path) -> None:
    row = await made_of_media(home, tmp_path)
    ended = await run(tmp_path, "recordings", "render", row.id, "--layout", "speaker")
    assert ended.status == 0, ended
    await assert_rendered(home, row.id, ended)


async def test_a_server_that_runs_renders_and_is_waited_for(home: Estate, tmp_path: Path) -> None:
    row = await made_of_media(home, tmp_path)
    async with serving(tmp_path) as (_process, _base, _token):
        ended = await run(tmp_path, "recordings", "render", row.id, "--wait")
        assert ended.status == 0, ended
        await assert_rendered(home, row.id, ended)
        told = await run(tmp_path, "recordings", "render", row.id)
        assert (told.status, "takes it up" in told.out) == (0, True)

        async def done() -> bool:
            renders = await home.catalog.renders.of(row.id)
            return [each.status for each in renders] == ["done", "done"]

        await until(done, within=30, every=0.2, what="both renders are done")


async def assert_rendered(home: Estate, recording_id: str, ended: Ended) -> None:
    row = await home.row(recording_id)
    (composite,) = [file for file in row.files if file.kind == "composite"]
    assert composite.key in ended.out
    assert await asyncio.to_thread(decode_errors, object_path(home, composite)) == 0
    assert composite.duration_seconds == pytest.approx(4.0, abs=0.3)
    assert not list((home.data / "journals" / ".renders").iterdir())


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (("render", "RC_nothing"), 1, "there is no recording RC_nothing"),
        (("render", "RC_1", "--layout", "mosaic"), 2, "mosaic"),
        (("render",), 2, "ID"),
    ],
)
async def test_what_can_not_be_rendered(
    home: Estate, tmp_path: Path, arguments: tuple[str, ...], status: int, said: str
) -> None:
    ended = await run(tmp_path, "recordings", *arguments)
    assert ended.status == status
    assert said in ended.complaint


@pytest.mark.parametrize("action", ["fsck", "repair", "render"])
async def test_help_says_what_it_does_and_when_it_fails(tmp_path: Path, action: str) -> None:
    ended = await run(tmp_path, "recordings", action, "--help")
    assert ended.status == 0
    assert "Exit status 1" in " ".join(ended.out.split())
