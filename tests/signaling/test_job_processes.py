"""Finalize jobs as processes: progress, results, deaths, and that none outlives its wait."""

from __future__ import annotations

import asyncio
import json
import os
import resource
from pathlib import Path
from typing import Any

import pytest

from recorder.errors import DiskFull, JobFailed, JobPostponed
from recorder.jobs import FinalizeResult
from signaling.jobs import SubprocessJobs

RESULT = FinalizeResult(files=(), integrity={"tracks": []}).to_json()


class Scripts:
    """Python scripts that stand in for the finalize job."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def jobs(self, code: str, **options: Any) -> SubprocessJobs:
        (self.folder / "stand_in_job.py").write_text(
            f"import json, os, signal, sys, time\nRESULT = {json.dumps(RESULT)!r}\n{code}\n"
        )
        return SubprocessJobs(module="stand_in_job", **options)


@pytest.fixture
def scripts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scripts:
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return Scripts(tmp_path)


async def run(jobs: SubprocessJobs, progress: list[float] | None = None) -> FinalizeResult:
    heard = progress if progress is not None else []
    return await jobs.finalize(Path("journals"), Path("output"), heard.append)


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def test_progress_and_result(scripts: Scripts) -> None:
    jobs = scripts.jobs(
        "assert sys.argv[1:] == ['--journals', 'journals', '--output', 'output']\n"
        "print('{\"progress\": 0.5}')\nprint('some library chatter')\nprint('{\"progress\": 7}')\n"
        "print('{\"result\": ' + RESULT + '}')"
    )
    heard: list[float] = []
    assert (await run(jobs, heard)).to_json() == RESULT
    assert heard == [0.5, 1.0]


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("sys.exit('no such codec')", "status 1: no such codec"),
        ('print(\'{"error": {"code": "x", "message": "torn"}}\'); sys.exit(3)', "torn"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "signal 9"),
        ("pass", "status 0"),
        ("print('{\"result\": {}}')", "not understood"),
        ("sys.stdout.write('x' * 17_000_000)", "without end"),
    ],
)
async def test_failures_say_why(scripts: Scripts, code: str, reason: str) -> None:
    with pytest.raises(JobFailed, match=reason):
        await run(scripts.jobs(code))


async def test_much_on_stderr_does_not_stall_the_job(scripts: Scripts) -> None:
    jobs = scripts.jobs("print('noise\\n' * 200_000, file=sys.stderr)\nsys.exit('the reason')")
    with pytest.raises(JobFailed, match="the reason"):
        await run(jobs)


async def test_a_cancelled_wait_leaves_no_process(scripts: Scripts) -> None:
    pid_file = scripts.folder / "pid"
    jobs = scripts.jobs(
        f"open({str(pid_file)!r}, 'w').write(str(os.getpid()))\n"
        "print('{\"progress\": 0.1}', flush=True)\ntime.sleep(60)"
    )
    started = asyncio.Event()
    waiting = asyncio.create_task(
        jobs.finalize(Path("j"), Path("o"), lambda _progress: started.set())
    )
    await started.wait()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert not is_alive(int(pid_file.read_text()))


async def test_standard_input_stays_open_until_we_are_gone(scripts: Scripts) -> None:
    jobs = scripts.jobs(
        "import select\nready, _, _ = select.select([sys.stdin], [], [], 0.2)\n"
        "assert not ready\nprint('{\"result\": ' + RESULT + '}')"
    )
    await run(jobs)


async def test_no_more_jobs_at_once_than_slots(scripts: Scripts) -> None:
    mark = scripts.folder / "running"
    jobs = scripts.jobs(
        f"os.mkdir({str(mark)!r})\nprint('{{\"progress\": 0.1}}', flush=True)\n"
        f"os.rmdir({str(mark)!r})\nprint('{{\"result\": ' + RESULT + '}}')",
        at_once=1,
    )
    await asyncio.gather(*(run(jobs) for _ in range(4)))


async def test_a_full_disk_is_told_from_other_failures(scripts: Scripts) -> None:
    said = '{"error": {"code": "disk_full", "message": "no room"}}'
    with pytest.raises(DiskFull, match="no room"):
        await run(scripts.jobs(f"print({said!r})\nsys.exit(1)"))


async def test_without_descriptors_it_is_put_off(scripts: Scripts) -> None:
    jobs = scripts.jobs("print('{\"result\": ' + RESULT + '}')")
    await run(jobs)  # what the event loop opens for its first child is open now
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, limits[1]))
    try:
        with pytest.raises(JobPostponed, match="could not be started"):
            await run(jobs)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    await run(jobs)


async def test_a_job_without_progress_is_ended(scripts: Scripts) -> None:
    pid_file = scripts.folder / "pid"
    jobs = scripts.jobs(
        f"open({str(pid_file)!r}, 'w').write(str(os.getpid()))\n"
        "print('{\"progress\": 0.1}', flush=True)\nsignal.pause()",
        longest_silence=1.0,
    )
    with pytest.raises(JobFailed, match="no progress"):
        await run(jobs)
    assert not is_alive(int(pid_file.read_text()))


async def test_a_job_inherits_no_secret(scripts: Scripts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDIASERVER_KEYS", "key: secret")
    monkeypatch.setenv("DATABASE_URL", "postgresql://user:secret@host/db")
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    code = "print(json.dumps({'error': {'message': ' '.join(sorted(os.environ))}}))"
    with pytest.raises(JobFailed) as failed:
        await run(scripts.jobs(code))
    names = str(failed.value).split()
    assert {"PATH", "PYTHONPATH", "LC_ALL"} <= set(names)
    assert not {"MEDIASERVER_KEYS", "DATABASE_URL"} & set(names)
