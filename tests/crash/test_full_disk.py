"""A disk that gets full (requirement R7): running recordings end valid, calls go on, starts get 507.

The disk is a small tmpfs, so these tests need the right to mount one; without it they fail.
"""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from livekit import rtc

from tests.e2e.recordings import fetch
from tests.rig.media import decode_errors, ffprobe
from tests.rig.rest import FINAL, Refused, Rest
from tests.rig.sdk import hears, joined, tone
from tests.rig.server import MediaserverProcess
from tests.rig.tokens import server_token
from tests.rig.waiting import until

MIB = 1 << 20
SIZE, LOW, STOP = 32, 12, 6  # MiB


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}m,mode=700", "tmpfs", str(folder)]
    done = subprocess.run(mount, check=False, capture_output=True, text=True)
    assert done.returncode == 0, f"this test has to mount a tmpfs, as root: {done.stderr}"
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def fill(disk: Path, leave: int = 0) -> Path:
    """A file that leaves so many bytes, or none at all."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file:
        while (room := os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize - leave) > 0:
            try:
                file.write(bytes(min(room, MIB)))
            except OSError as error:
                if error.errno == errno.ENOSPC:
                    break
                raise
    return filler


@dataclass
class Call:
    rest: Rest
    disk: Path
    heard: rtc.Track
    server: MediaserverProcess

    async def goes_on(self) -> None:
        """Bob still hears Ann."""
        await hears(self.heard, 440)

    async def refuses_starts(self) -> None:
        with pytest.raises(Refused) as refused:
            await self.rest.post("/api/v1/rooms/s/recording/start")
        assert (refused.value.status, refused.value.code) == (507, "disk_low")

    async def final(self, recording: str) -> dict[str, Any]:
        return await self.rest.recording_in(recording, FINAL, within=60)


@asynccontextmanager
async def call_on(disk: Path, **settings: str) -> AsyncIterator[Call]:
    marks = {"MEDIASERVER_DISK_LOW_MB": str(LOW), "MEDIASERVER_DISK_STOP_MB": str(STOP)}
    async with (
        MediaserverProcess(disk / "data", {**marks, **settings}) as server,
        Rest(server.base_url, server_token()) as rest,
        joined(server, "r", "ann") as ann,
        joined(server, "r", "bob") as bob,
        joined(server, "s", "cid"),
        tone(ann, 440),
    ):
        heard = await bob.subscribed("ann", rtc.TrackKind.KIND_AUDIO)
        await hears(heard, 440)
        yield Call(rest, disk, heard, server)


async def assert_valid(call: Call, row: dict[str, Any], folder: Path, *, least: float) -> None:
    """At least so many seconds of sound, decodable to the end."""
    assert row["status"] == "recorded", row
    path = await fetch(call.rest, row["files"][0], folder)
    assert decode_errors(path) == 0
    assert float((await ffprobe(path))["format"]["duration"]) >= least


async def test_a_disk_that_gets_full_ends_recordings_in_time(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        async with call_on(disk) as call:
            recording = await call.rest.start_recording("r")
            await call.goes_on()
            filler = fill(disk, leave=(STOP - 1) * MIB)
            row = await call.final(recording)
            assert row["metadata"]["endReason"] == "low_disk"
            await assert_valid(call, row, tmp_path, least=0.4)
            await call.goes_on()
            await call.refuses_starts()
            filler.unlink()
            await call.rest.start_recording("r")
            await call.rest.stop_recording("r")


async def test_a_disk_that_is_full_at_once_costs_no_more_than_what_did_not_fit(
    tmp_path: Path,
) -> None:
    """Nothing can be written any more, not even in the database, until there is room again."""
    with small_disk(tmp_path / "disk") as disk:
        async with call_on(disk) as call:
            recording = await call.rest.start_recording("r")
            await call.goes_on()
            filler = fill(disk)
            await call.refuses_starts()
            await call.goes_on()
            status = await call.rest.get(f"/api/v1/recordings/{recording}/status")
            assert status["status"] not in FINAL, "its end can't be written down yet"
            await until(lambda: call.rest.bytes("/readyz"), within=20, what="the server answers")
            await until(
                lambda: f"{recording} ends: low_disk" in call.server.text(),
                within=10,
                what="the server finds the disk full",
            )
            filler.unlink()
            row = await call.final(recording)
            assert row["metadata"]["endReason"] == "low_disk"
            await assert_valid(call, row, tmp_path, least=0.4)
            await call.rest.start_recording("r")
            await call.rest.stop_recording("r")
