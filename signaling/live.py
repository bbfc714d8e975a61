"""Followers of running recordings, each a process of its own: who watches, starts one.

A follower (`python -m recorder.live`) runs from the first request about a recording until half a
minute after the last one, or until the recording is over. What it wrote goes with it: the finished
files have it all. How many run at once is bounded, because each reads along with its recording.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import shutil
import sys
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from recorder.diskspace import DiskSpace
from recorder.errors import DiskFull, DiskLow
from recorder.journals import journals_root
from recorder.lifecycle import ACTIVE
from signaling.errors import Unavailable
from signaling.jobs import end_process, job_environment
from storage.catalog import RecordingRow

AT_ONCE: Final = 4
REST: Final = 60.0  # seconds that nobody watches after recordings needed the disk
LINGER: Final = 30.0  # seconds after the last request
NICENESS: Final = 5
LONGEST_LINE: Final = 4 * 1024 * 1024  # bytes; a line names all streams
LAST_WORDS: Final = 20  # lines
NOTHING_YET: Final[Mapping[str, Any]] = {"elapsedSeconds": 0.0, "streams": []}
DISK_CODES: Final = frozenset({DiskFull.code, DiskLow.code})

log: Final = logging.getLogger(__name__)


@dataclass(slots=True)
class _Follower:
    """`state` is what the job said last, `failure` why it ended by itself."""

    folder: Path
    wanted_until: float  # on the loop's clock
    state: Mapping[str, Any] = field(default_factory=lambda: NOTHING_YET)
    failure: Exception | None = None
    task: asyncio.Task[None] | None = None
    last_words: deque[str] = field(default_factory=lambda: deque(maxlen=LAST_WORDS))


class LiveStreams:
    """The streams of all recordings that somebody watches. `keep_free` bytes of disk are spared."""

    def __init__(
        self,
        data_dir: Path,
        space: DiskSpace,
        *,
        keep_free: int,
        at_once: int = AT_ONCE,
        linger: float = LINGER,
        module: str = "recorder.live",
    ) -> None:
        self._journals = journals_root(data_dir)
        self._root = data_dir / "live"
        self._space = space
        self._keep_free = keep_free
        self._at_once = at_once
        self._linger = linger
        self._module = module
        self._followers: dict[str, _Follower] = {}
        self._resting_until = 0.0  # on the loop's clock
        self._ending: set[asyncio.Task[None]] = set()
        self._runs = 0

    async def prepare(self) -> None:
        """Removes what an earlier server left behind."""
        await asyncio.to_thread(shutil.rmtree, self._root, ignore_errors=True)

    def state(self, recording_id: str) -> Mapping[str, Any]:
        """What there is to watch of a running recording; see `recorder.live.__main__`.

        The first call starts a follower, and there is nothing yet. Raises DiskLow, and Unavailable
        when too many are followed or the follower failed; the next call tries anew.
        """
        follower = self._followers.get(recording_id)
        if follower is None:
            follower = self._start(recording_id)
        if follower.failure is not None:
            del self._followers[recording_id]
            raise follower.failure
        self._touch(follower)
        return follower.state

    def file(self, recording_id: str, stream_id: str) -> Path | None:
        """Where a stream is, if there is one of that id. The id may be anything."""
        follower = self._followers.get(recording_id)
        if follower is None:
            return None
        for stream in follower.state["streams"]:
            if stream["streamId"] == stream_id:
                self._touch(follower)
                return follower.folder / str(stream["file"])
        return None

    def recording_changed(self, row: RecordingRow) -> None:
        """Ends the follower of a recording that is over. Returns at once."""
        if row.status not in ACTIVE:
            self._end(row.id)

    async def spare(self) -> None:
        """Gives back the disk: recordings need it more. Nobody watches for a while."""
        self._resting_until = self._now() + REST
        await self.close()

    async def close(self) -> None:
        for recording_id in list(self._followers):
            self._end(recording_id)
        await asyncio.gather(*self._ending, return_exceptions=True)

    def _start(self, recording_id: str) -> _Follower:
        running = [each for each in self._followers.values() if each.failure is None]
        if len(running) >= self._at_once:
            raise Unavailable(
                f"{self._at_once} running recordings are being watched already",
                code="too_many_followed",
            )
        if self._now() < self._resting_until:
            raise DiskLow("the disk is too full to watch recordings while they run")
        self._space.check()
        self._runs += 1
        folder = self._root / recording_id / str(self._runs)
        follower = _Follower(folder, self._now() + self._linger)
        follower.task = asyncio.create_task(self._follow(recording_id, follower))
        self._followers[recording_id] = follower
        return follower

    def _end(self, recording_id: str) -> None:
        follower = self._followers.pop(recording_id, None)
        if follower is not None and follower.task is not None and not follower.task.done():
            self._ending.add(follower.task)
            follower.task.add_done_callback(self._ending.discard)
            follower.task.cancel()

    def _touch(self, follower: _Follower) -> None:
        follower.wanted_until = self._now() + self._linger

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    async def _follow(self, recording_id: str, follower: _Follower) -> None:
        """Supervises one process to its end, and removes what it wrote."""
        try:
            process = await self._spawn(recording_id, follower.folder)
            try:
                await self._listen(process, follower)
            finally:
                await end_process(process)
        except Exception as error:  # the supervisor of this follower
            log.exception("the follower of recording %s", recording_id)
            follower.failure = Unavailable(f"the recording can't be watched now: {error}")
        finally:
            if follower.failure is None and self._followers.get(recording_id) is follower:
                del self._followers[recording_id]
            await asyncio.to_thread(shutil.rmtree, follower.folder, ignore_errors=True)
            with contextlib.suppress(OSError):
                follower.folder.parent.rmdir()

    async def _spawn(self, recording_id: str, folder: Path) -> asyncio.subprocess.Process:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", self._module),
            *("--journals", str(self._journals / recording_id)),
            *("--output", str(folder)),
            *("--keep-free", str(self._keep_free)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=LONGEST_LINE,
            env=job_environment(os.environ),
        )
        with contextlib.suppress(OSError):  # it may be over already
            os.setpriority(os.PRIO_PROCESS, process.pid, NICENESS)
        return process

    async def _listen(self, process: asyncio.subprocess.Process, follower: _Follower) -> None:
        """Back when nobody watches any more, or the process ended."""
        assert process.stdout is not None
        assert process.stderr is not None
        words = asyncio.create_task(_collect(process.stderr, follower.last_words))
        try:
            while (left := follower.wanted_until - self._now()) > 0:
                try:
                    line = await asyncio.wait_for(process.stdout.readline(), left)
                except TimeoutError:
                    continue  # somebody may have asked meanwhile
                if not line:
                    await words
                    follower.failure = follower.failure or self._died(follower)
                    return
                self._hear(follower, line)
        finally:
            words.cancel()

    def _hear(self, follower: _Follower, line: bytes) -> None:
        try:
            message = json.loads(line)
        except ValueError:
            return
        if not isinstance(message, dict):
            return
        if isinstance(state := message.get("live"), dict):
            follower.state = state
        elif isinstance(error := message.get("error"), dict):
            said = str(error.get("message"))
            disk = error.get("code") in DISK_CODES
            follower.failure = DiskLow(said) if disk else Unavailable(said)

    def _died(self, follower: _Follower) -> Unavailable:
        if follower.last_words:
            log.warning("a follower died: %s", "\n".join(follower.last_words))
        return Unavailable("the recording can't be watched now", code="follower_died")


async def _collect(stream: asyncio.StreamReader, lines: deque[str]) -> None:
    while chunk := await stream.read(64 * 1024):
        lines.extend(chunk.decode(errors="replace").splitlines())
