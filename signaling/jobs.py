"""Finalize jobs as processes of their own: reading journals must not slow a call down.

A job is told that we died by the end of its standard input, which is a pipe nobody writes to.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import os
import sys
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from recorder.errors import DiskFull, JobFailed, JobPostponed
from recorder.jobs import FinalizeResult

NICENESS: Final = 5
LONGEST_LINE: Final = 16 * 1024 * 1024  # bytes; the result line carries the integrity of all tracks
STDERR_LINES: Final = 20  # how much of a job's last words is kept
TERMINATE_PATIENCE: Final = 2.0  # seconds
LONGEST_SILENCE: Final = 600.0  # seconds without progress; then a job hangs
PASSING: Final = frozenset({errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE})
INHERITED: Final = frozenset({"PATH", "LANG", "HOME", "TMPDIR", "VIRTUAL_ENV"})
INHERITED_PREFIXES: Final = ("LC_", "PYTHON")


class SubprocessJobs:
    """A `recorder.jobs.JobRunner`. `at_once` jobs run, the others wait in the order they came."""

    def __init__(
        self,
        *,
        at_once: int | None = None,
        module: str = "recorder.finalize",
        longest_silence: float = LONGEST_SILENCE,
    ) -> None:
        # One core stays with the media workers.
        self._slots = asyncio.Semaphore(at_once or max(1, (os.cpu_count() or 2) - 1))
        self._module = module
        self._longest_silence = longest_silence

    async def finalize(
        self, journals: Path, output: Path, on_progress: Callable[[float], None]
    ) -> FinalizeResult:
        """Raises JobPostponed when the machine has no room for it, and JobFailed with the end of
        what the job wrote to stderr.
        """
        async with self._slots:
            process = await self._start("--journals", str(journals), "--output", str(output))
            try:
                with contextlib.suppress(OSError):  # it may be over already
                    os.setpriority(os.PRIO_PROCESS, process.pid, NICENESS)
                return await self._attend(process, on_progress)
            finally:
                await _end(process)

    async def _start(self, *arguments: str) -> asyncio.subprocess.Process:
        try:
            return await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                self._module,
                *arguments,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                limit=LONGEST_LINE,
                env=job_environment(os.environ),
            )
        except OSError as error:
            kind = JobPostponed if error.errno in PASSING else JobFailed
            raise kind(f"the finalize job could not be started: {error.strerror}") from error

    async def _attend(
        self, process: asyncio.subprocess.Process, on_progress: Callable[[float], None]
    ) -> FinalizeResult:
        assert process.stdout is not None
        assert process.stderr is not None
        last_words = asyncio.create_task(_tail(process.stderr))
        now = asyncio.get_running_loop().time
        try:
            async with asyncio.timeout(self._longest_silence) as silence:
                verdict: dict[str, Any] = {}
                while line := await _read_line(process.stdout):
                    message = _message(line)
                    if isinstance(progress := message.get("progress"), int | float):
                        silence.reschedule(now() + self._longest_silence)
                        on_progress(min(1.0, max(0.0, float(progress))))
                    if "result" in message or "error" in message:
                        verdict = message
                status = await process.wait()
                tail = await last_words
        except TimeoutError as error:
            raise JobFailed(
                f"the finalize job made no progress for {self._longest_silence:g} seconds"
            ) from error
        finally:
            last_words.cancel()
        if status == 0 and "result" in verdict:
            return FinalizeResult.from_json(verdict["result"])
        raise _failure(status, verdict, tail)


def job_environment(ours: Mapping[str, str]) -> dict[str, str]:
    """What a job needs of our environment; API keys and database passwords are not among it."""
    return {
        name: value
        for name, value in ours.items()
        if name in INHERITED or name.startswith(INHERITED_PREFIXES)
    }


async def _read_line(stream: asyncio.StreamReader) -> bytes:
    try:
        return await stream.readline()
    except ValueError as error:
        raise JobFailed("the job wrote a line without end") from error


def _message(line: bytes) -> dict[str, Any]:
    """A line that is not ours (a library's chatter) says nothing."""
    try:
        message = json.loads(line)
    except ValueError:
        return {}
    return message if isinstance(message, dict) else {}


def _failure(status: int, verdict: dict[str, Any], tail: str) -> JobFailed:
    error = verdict.get("error")
    if isinstance(error, dict) and error.get("message"):
        kind = DiskFull if error.get("code") == DiskFull.code else JobFailed
        return kind(str(error["message"]))
    ended = f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"
    return JobFailed(f"the finalize job {ended}" + (f": {tail}" if tail else ""))


async def _tail(stream: asyncio.StreamReader) -> str:
    lines: deque[str] = deque(maxlen=STDERR_LINES)
    while chunk := await stream.read(64 * 1024):
        lines.extend(chunk.decode(errors="replace").splitlines())
    return "\n".join(lines)


async def _end(process: asyncio.subprocess.Process) -> None:
    """Leaves no process behind, however the wait for it ended."""
    if process.stdin is not None:
        process.stdin.close()
    if process.returncode is not None:
        return
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
        try:
            await asyncio.wait_for(process.wait(), TERMINATE_PATIENCE)
        except TimeoutError:
            process.kill()
            await process.wait()
