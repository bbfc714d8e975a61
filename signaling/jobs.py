"""Jobs as processes of their own: reading journals and making pictures must not slow a call down.

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
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from recorder.errors import DiskFull, JobFailed, JobHostLost, JobPostponed
from recorder.job_process import message_in
from recorder.jobs import FinalizedFile, FinalizeResult, JobKind, rendered_files

LONGEST_LINE: Final = 16 * 1024 * 1024  # bytes; the result line carries the integrity of all tracks
STDERR_LINES: Final = 20  # how much of a job's last words is kept
TERMINATE_PATIENCE: Final = 2.0  # seconds
LONGEST_SILENCE: Final = 600.0  # seconds without progress; then a job hangs
PASSING: Final = frozenset({errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE})
INHERITED: Final = frozenset({"PATH", "LANG", "HOME", "TMPDIR", "VIRTUAL_ENV"})
INHERITED_PREFIXES: Final = ("LC_", "PYTHON")

Kind = JobKind
Tell = Callable[[float], None]


@dataclass(frozen=True, slots=True)
class Program:
    """What a kind of job runs: `python -m module`, `niceness` below everything that is live."""

    module: str
    niceness: int


PROGRAMS: Final[Mapping[Kind, Program]] = {
    "finalize": Program("recorder.finalize", 5),
    "assemble": Program("recorder.assemble", 5),
    "probe": Program("recorder.media.probe", 0),  # somebody waits for the answer
    # nobody waits for these, so calls and files come first
    "render": Program("recorder.render", 10),
    "transcode": Program("recorder.media.transcode", 15),
}


class JobProcesses:
    """Runs one process for each call of `run`, and leaves none behind."""

    def __init__(
        self,
        programs: Mapping[Kind, Program] = PROGRAMS,
        *,
        longest_silence: float = LONGEST_SILENCE,
    ) -> None:
        self._programs = programs
        self._longest_silence = longest_silence

    async def run(self, kind: Kind, arguments: Sequence[str], on_progress: Tell) -> dict[str, Any]:
        """The job's result as it said it.

        Raises JobPostponed when the machine has no room for it, and JobFailed with the end of
        what the job wrote to stderr.
        """
        program = self._programs[kind]
        process = await _start(kind, program.module, arguments)
        try:
            with contextlib.suppress(OSError):  # it may be over already
                os.setpriority(os.PRIO_PROCESS, process.pid, program.niceness)
            return await self._attend(kind, process, on_progress)
        finally:
            await end_process(process)

    async def _attend(
        self, kind: Kind, process: asyncio.subprocess.Process, on_progress: Tell
    ) -> dict[str, Any]:
        assert process.stdout is not None
        assert process.stderr is not None
        last_words = asyncio.create_task(_tail(process.stderr))
        now = asyncio.get_running_loop().time
        try:
            async with asyncio.timeout(self._longest_silence) as silence:
                verdict: dict[str, Any] = {}
                while line := await _read_line(process.stdout):
                    message = message_in(line)
                    if isinstance(progress := message.get("progress"), int | float):
                        silence.reschedule(now() + self._longest_silence)
                        on_progress(min(1.0, max(0.0, float(progress))))
                    if "result" in message or "error" in message:
                        verdict = message
                status = await process.wait()
                tail = await last_words
        except TimeoutError as error:
            raise JobFailed(
                f"the {kind} job made no progress for {self._longest_silence:g} seconds"
            ) from error
        finally:
            last_words.cancel()
        result = verdict.get("result")
        if status == 0 and isinstance(result, dict):
            return result
        raise _failure(kind, status, verdict, tail)


class SubprocessJobs:
    """A `recorder.jobs.JobRunner` for who has no server: `at_once` jobs of each kind run, the others
    wait in the order they came.
    """

    def __init__(
        self,
        *,
        at_once: int | None = None,
        programs: Mapping[Kind, Program] = PROGRAMS,
        longest_silence: float = LONGEST_SILENCE,
    ) -> None:
        self._processes = JobProcesses(programs, longest_silence=longest_silence)
        self._slots = {kind: asyncio.Semaphore(at_once or default_at_once()) for kind in PROGRAMS}

    async def finalize(
        self, journals: Path, output: Path, on_progress: Tell, options: Mapping[str, Any]
    ) -> FinalizeResult:
        arguments = finalize_arguments(journals, output, options)
        return FinalizeResult.from_json(await self.run("finalize", arguments, on_progress))

    async def render(self, spec: Path, on_progress: Tell) -> tuple[FinalizedFile, ...]:
        return rendered_files(await self.run("render", render_arguments(spec), on_progress))

    async def run(self, kind: Kind, arguments: Sequence[str], on_progress: Tell) -> dict[str, Any]:
        async with self._slots[kind]:
            return await self._processes.run(kind, arguments, on_progress)


def default_at_once() -> int:
    """One core stays with the media workers."""
    return max(1, (os.cpu_count() or 2) - 1)


def finalize_arguments(journals: Path, output: Path, options: Mapping[str, Any]) -> list[str]:
    given = ["--options", json.dumps(dict(options))] if options else []
    return ["--journals", str(journals), "--output", str(output), *given]


def render_arguments(spec: Path) -> list[str]:
    return ["--spec", str(spec)]


def failure_of(code: str, message: str) -> JobFailed:
    """The error that a job, or whoever ran it, said in words."""
    kinds = (DiskFull, JobHostLost, JobPostponed)
    return next((kind for kind in kinds if kind.code == code), JobFailed)(message)


def job_environment(ours: Mapping[str, str]) -> dict[str, str]:
    """What a job needs of our environment; API keys and database passwords are not among it."""
    return {
        name: value
        for name, value in ours.items()
        if name in INHERITED or name.startswith(INHERITED_PREFIXES)
    }


async def _start(kind: Kind, module: str, arguments: Sequence[str]) -> asyncio.subprocess.Process:
    try:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            module,
            *arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=LONGEST_LINE,
            env=job_environment(os.environ),
        )
    except OSError as error:
        failure = JobPostponed if error.errno in PASSING else JobFailed
        raise failure(f"the {kind} job could not be started: {error.strerror}") from error


async def _read_line(stream: asyncio.StreamReader) -> bytes:
    try:
        return await stream.readline()
    except ValueError as error:
        raise JobFailed("the job wrote a line without end") from error


def _failure(kind: Kind, status: int, verdict: dict[str, Any], tail: str) -> JobFailed:
    error = verdict.get("error")
    if isinstance(error, dict) and error.get("message"):
        failure = DiskFull if error.get("code") == DiskFull.code else JobFailed
        return failure(str(error["message"]))
    ended = f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"
    return JobFailed(f"the {kind} job {ended}" + (f": {tail}" if tail else ""))


async def _tail(stream: asyncio.StreamReader) -> str:
    lines: deque[str] = deque(maxlen=STDERR_LINES)
    while chunk := await stream.read(64 * 1024):
        lines.extend(chunk.decode(errors="replace").splitlines())
    return "\n".join(lines)


async def end_process(process: asyncio.subprocess.Process) -> None:
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
