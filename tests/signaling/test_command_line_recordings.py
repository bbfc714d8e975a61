"""`mediaserver recordings reupload` and `prune`, as processes on a real data folder."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from storage.catalog import ServerLock
from tests.recorder.known_media import audio_track
from tests.signaling.command_line import run
from tests.signaling.operated import Estate, estate

CONTENT = bytes(range(256)) * 400


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[Estate]:
    async with estate(tmp_path) as opened:
        yield opened


# --- reupload -------------------------------------------------------------------------------------


async def test_without_a_server_what_waits_is_stored_here(home: Estate, tmp_path: Path) -> None:
    rows = [await home.waiting(CONTENT, CONTENT[:9]), await home.waiting(CONTENT)]
    ended = await run(tmp_path, "recordings", "reupload", "--all")
    assert (ended.status, ended.out) == (
        0,
        "".join(f"ok   {row.id}: recorded\n" for row in rows),
    )
    found = await home.row(rows[0].id)
    assert (found.status, len(found.files)) == ("recorded", 2)
    assert (home.films / found.files[0].key).read_bytes() == CONTENT
    assert not (home.data / "journals" / found.id).exists()
    assert (await run(tmp_path, "recordings", "reupload", "--all")).out == (
        "nothing waits for storage\n"
    )
    nothing = await run(tmp_path, "recordings", "reupload", found.id)
    assert (nothing.status, nothing.out) == (
        0,
        f"nothing of recording {found.id} waits for storage\n",
    )


async def test_one_of_them(home: Estate, tmp_path: Path) -> None:
    wanted, other = await home.waiting(CONTENT), await home.waiting(CONTENT)
    ended = await run(tmp_path, "recordings", "reupload", wanted.id)
    assert ended.out == f"ok   {wanted.id}: recorded\n"
    assert (await home.row(other.id)).status == "uploading"


async def test_what_waits_still_is_told_and_the_rest_not_tried(
    home: Estate, tmp_path: Path
) -> None:
    rows = [await home.waiting(CONTENT) for _ in range(5)]
    (tmp_path / "films").write_text("in the way")
    ended = await run(
        tmp_path, "recordings", "reupload", "--all", RECORDING_OUTPUT_DIR=str(tmp_path / "films")
    )
    assert ended.status == 1
    *refused, last = ended.out.splitlines()
    assert [line.partition(":")[0] for line in refused] == [f"FAIL {row.id}" for row in rows[:3]]
    assert all("uploading, waiting for storage" in line and "films" in line for line in refused)
    assert last.startswith("2 recordings not tried")
    assert "Traceback" not in ended.err


async def test_a_server_that_runs_is_told_to(home: Estate, tmp_path: Path) -> None:
    row, other = await home.waiting(CONTENT), await home.waiting(CONTENT)
    later = datetime.now(UTC) + timedelta(hours=1)
    for waiting in (row, other):
        (entry,) = await home.catalog.deliveries.of(waiting.id)
        await home.catalog.deliveries.update(entry.id, "waiting", attempts=7, due_at=later)
    server = ServerLock(home.url)
    await server.take()
    ended = await run(tmp_path, "recordings", "reupload", row.id)
    await server.release()
    assert (ended.status, ended.out) == (
        0,
        "1 file due now: the server that runs does it within seconds\n",
    )
    (entry,) = await home.catalog.deliveries.of(row.id)
    assert (entry.state, entry.attempts) == ("waiting", 0)
    assert entry.due_at <= datetime.now(UTC)
    (entry,) = await home.catalog.deliveries.of(other.id)
    assert (entry.attempts, entry.due_at) == (7, later)


async def test_a_recording_that_is_not_there(home: Estate, tmp_path: Path) -> None:
    ended = await run(tmp_path, "recordings", "reupload", "RC_nothing")
    assert ended.status == 1
    assert "there is no recording RC_nothing" in ended.complaint


async def test_a_failed_recording_needs_retry(home: Estate, tmp_path: Path) -> None:
    row = await home.recorded("blue", status="failed")
    audio_track(0.2).write(home.data / "journals" / row.id)
    ended = await run(tmp_path, "recordings", "reupload", row.id)
    assert ended.status == 1
    assert f"mediaserver recordings retry {row.id}" in ended.complaint


async def test_a_recording_that_is_being_finished(home: Estate, tmp_path: Path) -> None:
    row = await home.recorded("blue", status="processing")
    ended = await run(tmp_path, "recordings", "reupload", row.id)
    assert (ended.status, "is processing" in ended.out) == (0, True)


@pytest.mark.parametrize("arguments", [(), ("RC_1", "--all")])
async def test_one_or_all(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    ended = await run(tmp_path, "recordings", "reupload", *arguments)
    assert (ended.status, "--all" in ended.complaint) == (2, True)


# --- prune ----------------------------------------------------------------------------------------


async def test_what_is_too_old_goes_and_why(home: Estate, tmp_path: Path) -> None:
    old = await home.recorded("blue", CONTENT, days_old=10)
    new = await home.recorded("blue", CONTENT, days_old=3)
    late = await home.recorded("red", CONTENT, days_old=3)
    rules = {
        "RECORDING_RETENTION_DAYS": "7",
        "RECORDING_RETENTION_ROOMS": '{"red": {"days": 2}}',
    }
    wanted = (rf"{old.id} .* 102.4 kB  blue: older than 7 days", rf"{late.id} .* red: older than 2")

    dry = await run(tmp_path, "recordings", "prune", "--dry-run", **rules)
    lines = dry.out.splitlines()
    assert all(re.match(*pair) for pair in zip(wanted, lines[:2], strict=True)), lines
    assert lines[2:] == ["2 recordings, 204.8 kB would be removed"]
    assert len(home.local_objects()) == 3

    ended = await run(tmp_path, "recordings", "prune", **rules)
    assert ended.status == 0
    assert ended.out.splitlines() == [*lines[:2], "2 recordings, 204.8 kB removed"]
    assert [path.stem for path in home.local_objects()] == [new.files[0].id]
    assert await home.catalog.recordings.get(old.id) is None
    assert (await run(tmp_path, "recordings", "prune", **rules)).out == (
        "0 recordings, 0 B removed\n"
    )


async def test_what_can_not_be_removed_is_told(home: Estate, tmp_path: Path) -> None:
    row = await home.recorded("blue", CONTENT, days_old=10)
    # where settings no longer lead
    await home.catalog.recordings.set_files(row.id, [replace(row.files[0], provider="gcs")])
    ended = await run(tmp_path, "recordings", "prune", RECORDING_RETENTION_DAYS="7")
    assert ended.status == 1
    assert ended.out.splitlines()[0].startswith(f"FAIL {row.id}")
    assert ended.out.splitlines()[1] == "0 recordings, 0 B removed"
    assert "its settings are missing" in ended.err


async def test_without_a_rule_nothing_is_too_old(tmp_path: Path) -> None:
    ended = await run(tmp_path, "recordings", "prune")
    assert (ended.status, "RECORDING_RETENTION_DAYS" in ended.complaint) == (2, True)
