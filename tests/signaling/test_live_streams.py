"""Followers as processes: started by who watches, ended by nobody's interest, and never left over."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from recorder.diskspace import DiskSpace
from recorder.errors import DiskLow
from signaling.errors import Unavailable
from signaling.live import LiveStreams
from tests.rig.waiting import until

TALKS = """
import json, os, pathlib, sys, threading
output = pathlib.Path(sys.argv[sys.argv.index("--output") + 1])
output.mkdir(parents=True)
(output / "1.webm").write_bytes(b"media")
stream = {"streamId": "1", "file": "1.webm"}
state = {"elapsedSeconds": 1, "streams": [stream], "pid": os.getpid()}
print("some library chatter")
print(json.dumps({"live": state}), flush=True)
sys.stdin.read()
"""
DIES = "import sys; sys.exit('it is broken')"
FULL = (
    "import json; print(json.dumps("
    "{'error': {'code': 'disk_low', 'message': 'the disk is too full'}}))"
)

Make = Callable[..., LiveStreams]


@pytest.fixture
async def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Make]:
    """Live streams in a folder of their own whose job is a script."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    made: list[LiveStreams] = []

    def live_streams(code: str, low: int = 0, **options: Any) -> LiveStreams:
        (tmp_path / "stand_in_live.py").write_text(code)
        space = DiskSpace(tmp_path, low)
        live = LiveStreams(tmp_path, space, keep_free=0, module="stand_in_live", **options)
        made.append(live)
        return live

    yield live_streams
    for live in made:
        await live.close()


async def talking(live: LiveStreams, recording: str = "RC_1") -> int:
    """Back when the follower said something; its process id."""

    async def probe() -> int:
        return int(live.state(recording).get("pid", 0))

    pid: int = await until(probe, within=20, every=0.02, what="the follower speaks")
    return pid


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def test_the_first_request_starts_it_and_all_share_it(make: Make, tmp_path: Path) -> None:
    live = make(TALKS)
    assert live.state("RC_1")["streams"] == []
    pid = await talking(live)
    assert await talking(live) == pid
    file = live.file("RC_1", "1")
    assert file is not None
    assert file.read_bytes() == b"media"
    assert file.is_relative_to(tmp_path / "live" / "RC_1")
    assert live.file("RC_1", "2") is None
    assert live.file("RC_2", "1") is None


async def test_it_ends_when_nobody_watches_any_more(make: Make, tmp_path: Path) -> None:
    live = make(TALKS, linger=0.5)
    pid = await talking(live)
    await until(
        lambda: not is_alive(pid) and not list((tmp_path / "live").iterdir()),
        within=20,
        what="process and files are gone",
    )
    assert live.file("RC_1", "1") is None
    assert await talking(live) != pid


async def test_close_ends_all_and_removes_what_they_wrote(make: Make, tmp_path: Path) -> None:
    live = make(TALKS)
    pids = [await talking(live, "RC_1"), await talking(live, "RC_2")]
    await live.close()
    assert not any(is_alive(pid) for pid in pids)
    assert list((tmp_path / "live").iterdir()) == []


async def test_the_next_start_removes_what_a_killed_server_left(make: Make, tmp_path: Path) -> None:
    left = tmp_path / "live" / "RC_old" / "1"
    left.mkdir(parents=True)
    (left / "1.webm").write_bytes(b"media")
    await make(TALKS).prepare()
    assert not (tmp_path / "live").exists()


async def test_only_so_many_at_once(make: Make) -> None:
    live = make(TALKS, at_once=1)
    await talking(live)
    with pytest.raises(Unavailable) as refused:
        live.state("RC_2")
    assert refused.value.code == "too_many_followed"


async def fails(live: LiveStreams, kind: type[Exception]) -> str:
    async def probe() -> str:
        try:
            live.state("RC_1")
        except kind as error:
            return str(error)
        return ""

    said: str = await until(probe, within=20, every=0.02, what="it says that it failed")
    return said


async def test_one_that_died_says_so_once_and_is_started_anew(make: Make, tmp_path: Path) -> None:
    live = make(DIES)
    assert "can't be watched now" in await fails(live, Unavailable)
    (tmp_path / "stand_in_live.py").write_text(TALKS)
    assert await talking(live)


async def test_a_disk_that_gets_low_ends_it(make: Make) -> None:
    assert await fails(make(FULL), DiskLow) == "the disk is too full"


async def test_a_low_disk_starts_none(make: Make, tmp_path: Path) -> None:
    live = make(TALKS, low=1 << 60)
    with pytest.raises(DiskLow):
        live.state("RC_1")
    await asyncio.sleep(0)
    assert not (tmp_path / "live").exists()
