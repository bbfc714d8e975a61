"""`kill -9` of one process, or of all, at random moments of recordings.

One kill strikes every room, and rooms begin their recordings at random times, so it strikes each
recording at a moment of its own: another age, another phase of its flushes, another stage of being
finished. The long test makes `LONG_KILLS` such kills over `LONG_ROOMS` rooms with recordings of up to a
minute: at least 50 moments of running recordings, and as many of those being finished. What it can't
show is what only happens when a single room has the whole machine.

The seed is printed and said in every failure; `KILL_SEED=n` repeats it.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.crash.counted_calls import Sent, Take, check, filming, lengths, taking
from tests.rig.rest import FINAL, Rest
from tests.rig.server import MediaserverProcess, members
from tests.rig.tokens import server_token
from tests.rig.waiting import until

VICTIMS = ("server", "worker", "host", "job", "all")
MODULES = {"worker": b"mediaserver.worker", "host": b"signaling.jobhost", "job": b"recorder."}
SETTLED = 60.0  # seconds after a kill within which every row has to be final (R4)

LONG_ROOMS = 6
LONG_SECONDS = 60.0
LONG_KILLS = ("server", "worker", "all") * 3 + ("host", "job") * 2


@dataclass(frozen=True, slots=True)
class Round:
    """`seconds` until the kill, in each of `rooms` rooms with `takes` recordings."""

    number: int
    victim: str
    seconds: float
    rooms: int
    takes: int
    seed: int

    def __str__(self) -> str:
        return f"round {self.number}: {self.victim} after {self.seconds:.2f} s, seed {self.seed}"


def seed() -> int:
    chosen = int(os.environ.get("KILL_SEED") or random.randrange(1 << 30))
    print(f"KILL_SEED={chosen}")
    return chosen


def processes(server: MediaserverProcess, victim: str) -> list[int]:
    """The processes of a kind, by what they were started with."""
    found = []
    for pid in members(server.pid):
        try:
            arguments = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if any(each.startswith(MODULES[victim]) for each in arguments[1:4]):
            found.append(pid)
    return found


async def strike(server: MediaserverProcess, victim: str, dice: random.Random) -> float:
    """Kills, brings the server back if it died, and returns when (monotonic)."""
    if victim in {"worker", "host", "job"}:
        pids = await until(
            lambda: processes(server, victim), within=20, every=0.01, what=f"a {victim} runs"
        )
        await asyncio.sleep(dice.uniform(0, 0.3) if victim == "job" else 0)
        killed = time.monotonic()
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:  # a job that was quicker
                continue
        return killed
    killed = time.monotonic()
    if victim == "all":
        await server.kill9()
    else:
        os.kill(server.pid, signal.SIGKILL)
        await until(
            lambda: not members(server.pid), within=10, what="the others end with the server"
        )
        await server.kill9()  # which only forgets it now
    return killed


async def make_a_round(
    server: MediaserverProcess, rest: Rest, this: Round, folder: Path
) -> tuple[int, float]:
    """How many recordings were struck while they ran, and what the worst one lost, in seconds."""
    dice = random.Random(this.seed * 1000 + this.number)
    rooms = [f"round {this.number}, room {number}" for number in range(this.rooms)]
    takes: list[Take] = []
    async with AsyncExitStack() as stack:
        sent = [await stack.enter_async_context(filming(server, room)) for room in rooms]
        work = [
            asyncio.create_task(_late(rest, room, sent[number], this, dice, takes))
            for number, room in enumerate(rooms)
        ]
        try:
            await asyncio.sleep(this.seconds)
            if this.victim in {"host", "job"}:  # whose moment is when something is finished
                await _stop(rest, rooms[: max(1, len(rooms) // 2)], takes)
            killed = await strike(server, this.victim, dice)
        finally:
            for task in work:
                task.cancel()
            await asyncio.gather(*work, return_exceptions=True)
        if not server.alive:
            await server.restart()
        elif this.victim in {"host", "job"}:
            await _stop(rest, rooms, takes)
    back = time.monotonic()
    worst = 0.0
    for take in takes:
        said = f"{this}, {take.recording_id}"
        left = max(1.0, SETTLED - (time.monotonic() - back))
        row = await rest.recording_in(take.recording_id, FINAL, within=left)
        assert row["status"] == "recorded", f"{said}: {row}"
        worst = max(worst, await check(rest, take, row, killed, folder, said))
    await _all_final(rest, this, back)
    return sum(take.stopped is None for take in takes), worst


async def _late(
    rest: Rest, room: str, sent: Sent, this: Round, dice: random.Random, takes: list[Take]
) -> None:
    """The rooms begin one after the other, all of them some time before the kill."""
    late = dice.uniform(0, this.seconds / 2)
    plan = lengths(dice, this.seconds - late, this.takes)
    await asyncio.sleep(late)
    await taking(rest, room, sent, plan, takes)


async def _stop(rest: Rest, rooms: Sequence[str], takes: list[Take]) -> None:
    """What runs in rooms whose server lives ends in order: nothing of it may be missing."""
    for room in rooms:
        at = time.monotonic()
        ended = (await rest.post(f"/api/v1/rooms/{room}/recording/stop"))["recordingId"]
        for take in takes:
            if take.recording_id == ended and take.stopped is None:
                take.stopped = at


async def _all_final(rest: Rest, this: Round, back: float) -> None:
    """Also what a start left that nobody here got an answer to."""

    async def unfinished() -> list[str]:
        items = (await rest.get("/api/v1/recordings", limit="200"))["items"]
        return [f"{row['id']} {row['status']}" for row in items if row["status"] not in FINAL]

    left = max(1.0, SETTLED - (time.monotonic() - back))
    await until(
        lambda: _none(unfinished), within=left, every=0.3, what=f"{this}: every row is final"
    )


async def _none(look: object) -> bool:
    return not await look()  # type: ignore[operator]


@pytest.mark.timeout(240)
@pytest.mark.parametrize(
    "victim",
    ["all", *(pytest.param(each, marks=pytest.mark.long) for each in VICTIMS if each != "all")],
)
async def test_one_kill(data_dir: Path, tmp_path: Path, victim: str) -> None:
    chosen = seed()
    dice = random.Random(chosen)
    this = Round(0, victim, dice.uniform(4, 8), rooms=2, takes=2, seed=chosen)
    async with (
        MediaserverProcess(data_dir) as server,
        Rest(server.base_url, server_token()) as rest,
    ):
        struck, worst = await make_a_round(server, rest, this, tmp_path)
    print(f"{this}: {struck} recordings were running; the worst lost {worst:.2f} s")


@pytest.mark.long
@pytest.mark.timeout(3600)
async def test_fifty_moments(data_dir: Path, tmp_path: Path) -> None:
    chosen = seed()
    dice = random.Random(chosen)
    moments, worst = 0, 0.0
    async with (
        MediaserverProcess(data_dir) as server,
        Rest(server.base_url, server_token()) as rest,
    ):
        for number, victim in enumerate(LONG_KILLS):
            short = victim in {"host", "job"}
            seconds = dice.uniform(6, 12) if short else LONG_SECONDS
            this = Round(number, victim, seconds, LONG_ROOMS, takes=2, seed=chosen)
            struck, lost = await make_a_round(server, rest, this, tmp_path)
            moments += LONG_ROOMS if short else struck
            worst = max(worst, lost)
            print(f"{this}: {struck} recordings were running, the worst lost {lost:.2f} s")
    print(f"{moments} moments of recordings, the worst lost {worst:.2f} s")
    assert moments >= 50
