"""When room gets low: no new recordings, a word in the log, and nothing stops that runs."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

import pytest

from recorder.diskspace import DiskSpace, files_left, free_bytes
from recorder.errors import DiskLow
from tests.recorder.house import House
from tests.recorder.known_media import audio_track

MIB = 1 << 20


class Disk:
    """A disk with as much room as a test says."""

    def __init__(self, free: int) -> None:
        self.free = free

    def space(self, low: int = 100 * MIB) -> DiskSpace:
        return DiskSpace(Path("/data"), low, free=lambda _folder: self.free)


@pytest.mark.parametrize(("free", "refused"), [(0, True), (99, True), (100, False), (1000, False)])
def test_below_the_mark_it_is_refused(free: int, refused: bool) -> None:
    space = Disk(free * MIB).space()
    assert space.free == free * MIB
    if not refused:
        space.check()
        return
    with pytest.raises(DiskLow, match=f"only {free} MiB are free .* at 100 MiB"):
        space.check()


@pytest.mark.parametrize(("left", "refused"), [(1.0, False), (0.05, False), (0.049, True)])
def test_very_many_very_small_files_leave_some_to_recordings(left: float, refused: bool) -> None:
    """A million chunks of a byte take no room, and a file each."""
    space = DiskSpace(Path("/data"), MIB, free=lambda _: MIB, files=lambda _: left)
    space.check()
    if not refused:
        space.check_arrival()
        return
    with pytest.raises(DiskLow, match=r"4\.9% of the files"):
        space.check_arrival()


def test_the_files_of_a_real_disk(tmp_path: Path) -> None:
    assert 0.0 < files_left(tmp_path) <= 1.0


def test_a_mark_of_0_never_refuses() -> None:
    Disk(0).space(0).check()


async def test_it_is_said_once_that_it_gets_low_and_once_that_it_is_better(
    caplog: pytest.LogCaptureFixture,
) -> None:
    disk = Disk(250 * MIB)
    space = disk.space()
    said = []
    for free in (250, 200, 199, 150, 99, 199, 200, 300, 120):
        disk.free = free * MIB
        caplog.clear()
        with caplog.at_level(logging.INFO):
            await space.look()
        said.append([record.levelname for record in caplog.records])
    assert said == [[], [], ["WARNING"], [], [], [], ["INFO"], [], ["WARNING"]]


async def test_what_is_said_has_the_numbers(caplog: pytest.LogCaptureFixture) -> None:
    await Disk(150 * MIB).space().look()
    assert caplog.messages == [
        "150 MiB are free on the disk of /data; below 100 MiB no recording is started"
    ]


def test_the_room_of_a_real_disk(tmp_path: Path) -> None:
    total, _, free = shutil.disk_usage(tmp_path)
    assert 0 < free_bytes(tmp_path) <= total
    assert abs(free_bytes(tmp_path) - free) < total / 10


async def test_no_start_and_no_trace_of_one_while_the_running_one_goes_on(house: House) -> None:
    disk = Disk(1000 * MIB)
    service = house.another_service(space=disk.space())
    house.plane.tracks = [audio_track(0.2)]
    running = await service.start("blue", None, "host")
    disk.free = 0
    with pytest.raises(DiskLow):
        await service.start("green", None, "host")
    assert (await house.catalog.recordings.find()).total == 1
    assert list(house.plane.started) == [running.id]
    await service.stop(running.id)
    await house.settled(service)
    assert (await house.row(running.id)).status == "recorded"
    disk.free = 1000 * MIB
    assert (await service.start("green", None, "host")).status == "starting"
    await service.close()
