"""A database whose journals are not there: the start is refused, and no recording becomes a failure."""

from __future__ import annotations

import shutil
from pathlib import Path

from storage.catalog import Catalog
from tests.crash.outages import all_recorded, leave_unfinished
from tests.rig.rest import Rest
from tests.rig.server import MediaserverProcess, refused_start
from tests.rig.tokens import server_token

IDENTITY = ".identity"


async def killed_with_unfinished(data_dir: Path, count: int) -> str:
    """A folder that a server worked on, and recordings that it left; the folder's identity."""
    await leave_unfinished(data_dir, count)
    unstarted = data_dir.with_name("journals aside")
    (data_dir / "journals").rename(unstarted)
    async with MediaserverProcess(data_dir) as server:  # the first start gives an identity
        await server.kill9()
    catalog = await Catalog.open(f"sqlite:///{data_dir / 'mediaserver.db'}")
    for row in (await catalog.recordings.find()).items:
        await catalog.recordings.update(row.id, status="processing", error=None)
    await catalog.close()
    for folder in unstarted.iterdir():
        folder.rename(data_dir / "journals" / folder.name)
    return (data_dir / "journals" / IDENTITY).read_text().strip()


async def statuses(data_dir: Path) -> set[str]:
    catalog = await Catalog.open(f"sqlite:///{data_dir / 'mediaserver.db'}")
    try:
        return {row.status for row in (await catalog.recordings.find()).items}
    finally:
        await catalog.close()


async def test_a_volume_that_is_not_mounted(data_dir: Path) -> None:
    identity = await killed_with_unfinished(data_dir, 2)
    journals, away = data_dir / "journals", data_dir.with_name("unmounted")
    journals.rename(away)
    for empty in (False, True):  # the mount point is there, or not even that
        if empty:
            journals.mkdir()
        status, out, err = await refused_start(data_dir, {})
        assert status == 1, out
        assert "is ready on" not in out
        (line,) = err.splitlines()
        assert "MEDIASERVER_DATA_DIR" in line
        assert str(journals / IDENTITY) in line
        assert identity in line
        assert await statuses(data_dir) == {"processing"}
    shutil.rmtree(journals)
    away.rename(journals)
    async with (
        MediaserverProcess(data_dir) as server,
        Rest(server.base_url, server_token()) as rest,
    ):
        await all_recorded(rest, 2, within=60)


async def test_another_server_s_folder(data_dir: Path) -> None:
    await killed_with_unfinished(data_dir, 1)
    (data_dir / "journals" / IDENTITY).write_text("somebody else's\n")
    status, out, err = await refused_start(data_dir, {})
    assert status == 1, out
    assert "belongs to another database" in err
    assert await statuses(data_dir) == {"processing"}


async def test_one_lost_for_good_is_given_up_by_what_the_message_says(data_dir: Path) -> None:
    identity = await killed_with_unfinished(data_dir, 1)
    shutil.rmtree(data_dir / "journals")
    status, _, _ = await refused_start(data_dir, {})
    assert status == 1
    (data_dir / "journals").mkdir()
    (data_dir / "journals" / IDENTITY).write_text(identity)
    async with (
        MediaserverProcess(data_dir) as server,
        Rest(server.base_url, server_token()) as rest,
    ):
        (row,) = (await rest.get("/api/v1/recordings"))["items"]
        row = await rest.recording_in(row["id"], {"failed"}, within=30)
        assert row["error"] == "no media was received"
