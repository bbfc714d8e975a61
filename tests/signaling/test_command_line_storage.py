"""`mediaserver storage migrate` and `usage`, as processes on a real data folder and a real bucket."""

from __future__ import annotations

import asyncio
import io
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import pytest
from yarl import URL

from recorder.migrate import Move, Moved, Plan
from signaling.commands.storage import progress_line, usage_lines
from signaling.commands.terminal import StatusLine, size, table
from signaling.costs import usage_of
from signaling.storage_settings import PRICES
from storage.catalog import FileRow, ServerLock, TrafficRow, UsageRow
from tests.rig.ceph import Radosgw, radosgw
from tests.rig.waiting import until
from tests.signaling.command_line import run, serving, started
from tests.signaling.operated import Estate, estate

CONTENT = bytes(range(256)) * 400


@pytest.fixture(scope="module")
def s3() -> Iterator[Radosgw]:
    with radosgw() as running:
        yield running


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[Estate]:
    async with estate(tmp_path) as opened:
        yield opened


def new_bucket(s3: Radosgw) -> dict[str, str]:
    """The settings of a new bucket, while new recordings go to the local folder."""
    return {
        "RECORDING_S3_BUCKET": s3.new_bucket(),
        "RECORDING_S3_ENDPOINT": s3.endpoint,
        "RECORDING_S3_ACCESS_KEY_ID": s3.access_key_id,
        "RECORDING_S3_SECRET_ACCESS_KEY": s3.secret_access_key,
    }


def objects_in(s3: Radosgw, bucket: dict[str, str]) -> list[str]:
    listed = s3.client.list_objects_v2(Bucket=bucket["RECORDING_S3_BUCKET"])
    return [found["Key"] for found in listed.get("Contents", ())]


# --- migrate --------------------------------------------------------------------------------------


async def test_there_and_back(s3: Radosgw, home: Estate, tmp_path: Path) -> None:
    row, bucket = await home.recorded("blue", CONTENT, CONTENT[:1000]), new_bucket(s3)
    planned = await run(tmp_path, "storage", "migrate", "local", "s3", "--dry-run", **bucket)
    assert row.files[0].key in planned.out
    assert planned.out.endswith("2 files, 103.4 kB would go from local to s3\n")
    assert await home.providers() == {"local"}

    there = await run(tmp_path, "storage", "migrate", "local", "s3", **bucket)
    assert (there.status, there.out) == (0, "2 files, 103.4 kB moved from local to s3\n")
    assert await home.providers() == {"s3"}
    assert home.local_objects() == []
    assert sorted(objects_in(s3, bucket)) == sorted(file.key for file in row.files)

    back = await run(tmp_path, "storage", "migrate", "s3", "local", "--keep", **bucket)
    assert (back.status, back.out) == (0, "2 files, 103.4 kB moved from s3 to local\n")
    assert (home.films / row.files[0].key).read_bytes() == CONTENT
    assert len(objects_in(s3, bucket)) == 2
    assert await home.providers() == {"local"}


async def test_a_killed_run_is_gone_on_with(s3: Radosgw, home: Estate, tmp_path: Path) -> None:
    rows = [await home.recorded("blue", CONTENT) for _ in range(40)]
    bucket = new_bucket(s3)
    process = await started(tmp_path, "storage", "migrate", "local", "s3", **bucket)
    await until(lambda: len(objects_in(s3, bucket)) > 3, within=60, what="some are copied")
    process.kill()
    await process.communicate()
    assert await home.providers() == {"local", "s3"}

    ended = await run(tmp_path, "storage", "migrate", "local", "s3", **bucket)
    assert ended.status == 0, ended
    assert (await home.providers(), home.local_objects()) == ({"s3"}, [])
    assert sorted(objects_in(s3, bucket)) == sorted(row.files[0].key for row in rows)
    assert await home.catalog.deliveries.counts() == {}
    again = await run(tmp_path, "storage", "migrate", "local", "s3", **bucket)
    assert (again.status, again.out) == (0, "0 files, 0 B moved from local to s3\n")


async def test_while_the_server_runs(s3: Radosgw, home: Estate, tmp_path: Path) -> None:
    row, bucket = await home.recorded("blue", CONTENT), new_bucket(s3)
    path = f"/api/v1/recordings/{row.id}/files/{row.files[0].id}"
    async with (
        serving(tmp_path, **bucket) as (_, url, token),
        aiohttp.ClientSession(headers={"Authorization": f"Bearer {token}"}) as http,
    ):
        ended = await run(tmp_path, "storage", "migrate", "local", "s3", **bucket)
        assert ended.status == 0, ended
        async with http.get(url + path) as answer:
            assert answer.status == 200
            assert answer.url.port != URL(url).port  # it came from the bucket
            assert await answer.read() == CONTENT


async def test_failures_are_told_one_by_one(s3: Radosgw, home: Estate, tmp_path: Path) -> None:
    lost, _ = await home.recorded("blue", CONTENT), await home.recorded("blue", CONTENT)
    (home.films / lost.files[0].key).unlink()
    ended = await run(tmp_path, "storage", "migrate", "local", "s3", **new_bucket(s3))
    assert ended.status == 1
    first, last = ended.out.splitlines()
    assert re.match(f"FAIL {re.escape(lost.files[0].key)}: there is no object", first)
    assert last == "1 file, 102.4 kB moved from local to s3"


async def test_a_bucket_that_is_not_there(s3: Radosgw, home: Estate, tmp_path: Path) -> None:
    await home.recorded("blue", CONTENT)
    bucket = {**new_bucket(s3), "RECORDING_S3_BUCKET": "no-such-bucket"}
    ended = await run(tmp_path, "storage", "migrate", "local", "s3", **bucket)
    assert ended.status == 1
    assert "no-such-bucket" in ended.complaint
    assert "DATABASE_URL" not in ended.complaint


async def test_attack_two_settings_for_one_bucket(
    s3: Radosgw, home: Estate, tmp_path: Path
) -> None:
    row, bucket = await home.recorded("blue", CONTENT), new_bucket(s3)
    await run(tmp_path, "storage", "migrate", "local", "s3", **bucket)
    same = {
        "BACKBLAZE_B2_BUCKET_NAME": bucket["RECORDING_S3_BUCKET"],
        "BACKBLAZE_B2_ENDPOINT": s3.endpoint,
        "BACKBLAZE_B2_ACCESS_KEY_ID": s3.access_key_id,
        "BACKBLAZE_B2_SECRET_ACCESS_KEY": s3.secret_access_key,
    }
    ended = await run(tmp_path, "storage", "migrate", "s3", "b2", **bucket, **same)
    assert ended.status == 1
    assert "same place" in ended.complaint
    assert objects_in(s3, bucket) == [row.files[0].key]


async def test_one_run_at_a_time(s3: Radosgw, home: Estate, tmp_path: Path) -> None:
    lock = ServerLock(f"sqlite:///{home.data / 'mediaserver.db'}", "mover")
    await lock.take(patience=0)
    try:
        ended = await run(tmp_path, "storage", "migrate", "local", "s3", **new_bucket(s3))
    finally:
        await lock.release()
    assert ended.status == 1
    assert "another" in ended.complaint


@pytest.mark.parametrize(
    ("places", "named"),
    [
        (("local", "local"), "two providers"),
        (("local", "gcs"), "RECORDING_GCS_BUCKET"),
        (("local", "dropbox"), "dropbox"),
    ],
)
async def test_wrong_places(tmp_path: Path, places: tuple[str, str], named: str) -> None:
    ended = await run(tmp_path, "storage", "migrate", *places)
    assert ended.status == 2
    assert named in ended.complaint


# --- progress -------------------------------------------------------------------------------------


def plan_of(*sizes: int) -> Plan:
    def move(number: int, count: int) -> Move:
        file = FileRow(
            f"FI_{number}", "participant", "ada", "video/webm", count, 1.0, None, None, "", "k", 0.0
        )
        return Move((("RC_1", file),))

    return Plan(tuple(move(number, count) for number, count in enumerate(sizes)), 0)


def test_how_far_it_is() -> None:
    plan = plan_of(400_000_000, 600_000_000)
    assert progress_line(plan, Moved(), 0.0) == (
        "0 of 2 files, 0 B of 1.0 GB, 0.0 MB/s, no pace yet"
    )
    moved = Moved(files=1, bytes=500_000_000)
    assert progress_line(plan, moved, 100.0) == (
        "1 of 2 files, 500.0 MB of 1.0 GB, 5.0 MB/s, 0:01:40 to go"
    )


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


async def test_a_terminal_has_one_line_and_it_goes() -> None:
    terminal, texts = Terminal(), iter(["first", "second"])
    shown = asyncio.Event()

    def text() -> str:
        found = next(texts, None)
        if found is None:
            shown.set()
        return found or "third"

    async with StatusLine(text, terminal).running():
        await shown.wait()
    assert terminal.getvalue().startswith("\r\x1b[Kfirst\r\x1b[Ksecond\r\x1b[K")
    assert terminal.getvalue().endswith("\r\x1b[K")
    assert "\n" not in terminal.getvalue()


async def test_nothing_is_shown_of_what_is_over_at_once() -> None:
    stream = io.StringIO()
    async with StatusLine(lambda: "progress", stream).running():
        pass
    assert stream.getvalue() == ""


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (999_949, "999.9 kB"),
        (999_950, "1.0 MB"),
        (1_234_567_890, "1.2 GB"),
        (5 * 10**15, "5000.0 TB"),
    ],
)
def test_sizes_for_people(count: int, text: str) -> None:
    assert size(count) == text


def test_columns_stand_below_each_other() -> None:
    assert table([("room", "files"), ("a long name", "7")], left=1) == [
        "room         files",
        "a long name      7",
    ]


# --- usage ----------------------------------------------------------------------------------------


async def test_usage(home: Estate, tmp_path: Path) -> None:
    await home.recorded("blue", CONTENT)
    await home.catalog.usage.add_traffic("2026-11", {("local", "blue"): 2_000_000})
    lines = (await run(tmp_path, "storage", "usage", "--month", "2026-11")).out.splitlines()
    assert [" ".join(line.split()) for line in lines] == [
        "provider storage files minutes sent in 2026-11 USD a month",
        "local 102.4 kB 1 1.5 2.0 MB 0.00",
        "all 102.4 kB 1 1.5 2.0 MB 0.00",
        "",
        "room provider storage files minutes sent in 2026-11 USD a month",
        "blue local 102.4 kB 1 1.5 2.0 MB 0.00",
    ]


def test_costs_are_in_the_table() -> None:
    stored = [UsageRow("s3", "blue", 10**12, 3, 3600.0)]
    lines = usage_lines(usage_of("2026-11", stored, [], PRICES))
    assert lines[1].split() == ["s3", "1.0", "TB", "3", "60.0", "0", "B", "23.00"]


def test_attack_a_room_that_speaks_to_the_terminal() -> None:
    sent = [TrafficRow("2026-11", "s3", "\x1b[2Jgone", 1)]
    assert "\x1b" not in "\n".join(usage_lines(usage_of("2026-11", [], sent, PRICES)))


async def test_a_wrong_month(tmp_path: Path) -> None:
    ended = await run(tmp_path, "storage", "usage", "--month", "2026-13")
    assert (ended.status, "2026-11" in ended.complaint) == (2, True)
