"""Calls whose pictures carry their number, and what of them a recording kept.

Publishers are LiveKit's SDK, several in this process: browsers would not leave a small machine enough
to tell a loss of ours from one of theirs.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import shutil
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import aiohttp
from livekit import rtc

from tests.media_truth import Truth, draw_picture, measure
from tests.rig.rest import Refused, Rest
from tests.rig.sdk import Participant, running
from tests.rig.server import MediaserverProcess
from tests.rig.tokens import participant_token

RATE = 15  # pictures a second
SIZE = (320, 180)
LOSS = 1.0  # seconds that a kill may cost (R1)


@dataclass
class Sent:
    """When each picture was handed to the encoder, on this machine's monotonic clock."""

    at: list[float] = field(default_factory=list)

    def between(self, begin: float, end: float) -> range:
        """The numbers of the pictures of a span of time."""
        numbers = [number for number, at in enumerate(self.at) if begin <= at <= end]
        return range(numbers[0], numbers[-1] + 1) if numbers else range(0)


@dataclass
class Take:
    """A recording, and the span of which all has to be in it (None: to the kill)."""

    recording_id: str
    sent: Sent
    began: float
    stopped: float | None = None


async def _film(source: rtc.VideoSource, sent: Sent) -> None:
    loop = asyncio.get_running_loop()
    due = loop.time()
    while True:
        number = len(sent.at)
        frame = draw_picture(number, *SIZE)
        planes = frame.to_ndarray().tobytes()
        sent.at.append(time.monotonic())
        source.capture_frame(rtc.VideoFrame(*SIZE, rtc.VideoBufferType.I420, planes))
        due = max(due + 1 / RATE, loop.time())
        await asyncio.sleep(due - loop.time())


@contextlib.asynccontextmanager
async def filming(server: MediaserverProcess, room: str) -> AsyncIterator[Sent]:
    """Somebody in the room who sends counted pictures; the server may die meanwhile."""
    who, sent = Participant("alice"), Sent()
    async with asyncio.timeout(20):
        await who.room.connect(server.ws_url, participant_token(room, "alice"))
    try:
        source = rtc.VideoSource(*SIZE)
        track = rtc.LocalVideoTrack.create_video_track("pictures", source)
        options = rtc.TrackPublishOptions(
            source=rtc.TrackSource.SOURCE_CAMERA,
            simulcast=False,
            video_encoding=rtc.VideoEncoding(max_framerate=RATE, max_bitrate=400_000),
        )
        await who.local.publish_track(track, options)
        async with running(_film(source, sent)):
            yield sent
    finally:
        with contextlib.suppress(Exception):
            async with asyncio.timeout(10):
                await who.room.disconnect()


async def taking(
    rest: Rest, room: str, sent: Sent, seconds: list[float], takes: list[Take]
) -> None:
    """One recording after the other, each of so many seconds, the last one until the kill.

    What the dead server does not answer ends it.
    """
    with contextlib.suppress(aiohttp.ClientError, Refused, TimeoutError):
        for number, length in enumerate(seconds):
            recording = await rest.start_recording(room)
            take = Take(recording, sent, time.monotonic())
            takes.append(take)
            await asyncio.sleep(length)
            if number < len(seconds) - 1:
                stopped = time.monotonic()
                await rest.post(f"/api/v1/rooms/{room}/recording/stop")
                take.stopped = stopped


def kept(truth: Truth, take: Take, killed: float, said: str) -> float:
    """Asserts that a file has what was sent until the kill but its last second; returns, in seconds,
    what of the end is missing.

    A picture that the sender's encoder skipped is no loss of ours, and can't be told from one; so
    holes are held to be shorter than what a kill may cost.
    """
    end = killed if take.stopped is None else min(killed, take.stopped)
    due = take.sent.between(take.began + LOSS, end)
    assert truth.backwards == 0, said
    if not due:  # it had hardly begun
        return 0.0
    assert truth.counters, f"{said}: no picture of {due}"
    missing = (due[-1] - truth.counters[-1]) / RATE
    assert missing <= LOSS, f"{said}: {missing:.2f} s of the end are missing"
    assert truth.counters[0] <= due[0], f"{said}: begins with {truth.counters[0]}, not {due[0]}"
    hole = max((after - before for before, after in pairwise(truth.counters)), default=1) / RATE
    assert hole <= LOSS + 1 / RATE, f"{said}: a hole of {hole:.2f} s"
    return max(0.0, missing)


async def complaints(path: Path) -> str:
    """What `ffmpeg -v error` says about decoding a file to its end."""
    program = shutil.which("ffmpeg")
    assert program, "ffmpeg is missing: run `make test`, which installs it"
    process = await asyncio.create_subprocess_exec(
        program,
        *("-v", "error", "-xerror", "-i", str(path)),
        # as pictures come: at a fixed rate ffmpeg complains of two that fall on one tick of its own
        *("-fps_mode", "vfr", "-f", "null", "-"),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    _, err = await process.communicate()
    return err.decode() or ("" if process.returncode == 0 else f"exit {process.returncode}")


async def check(
    rest: Rest, take: Take, row: dict[str, Any], killed: float, folder: Path, said: str
) -> float:
    """Every media file of a recording, decoded; see `kept`."""
    worst = 0.0
    for file in row["files"]:
        if file["role"]:
            continue
        async with Rest(rest.base_url) as anybody:
            status, _, body = await anybody.bytes(file["url"])
        assert status == 200, f"{said}: {body[:300]!r}"
        path = folder / f"{file['id']}.media"
        path.write_bytes(body)
        complaint = await complaints(path)
        assert not complaint, f"{said}: {file['kind']}: {complaint}"
        if file["kind"] == "participant":
            truth = await asyncio.to_thread(measure, path)
            worst = max(worst, kept(truth, take, killed, said))
        path.unlink()
    return worst


def lengths(dice: random.Random, total: float, count: int) -> list[float]:
    """`count` takes that together last longer than `total` seconds: the last one is cut."""
    cuts = sorted(dice.uniform(0.15, 0.85) * total for _ in range(count - 1))
    bounds = [0.0, *cuts, total + 600]
    return [after - before for before, after in pairwise(bounds)]
