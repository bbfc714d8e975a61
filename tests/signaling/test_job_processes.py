"""Jobs as processes: progress, results, deaths, and that none outlives its wait.

Every runner is held to the same: processes of our own, and a queue with a host.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from recorder.errors import DiskFull, JobFailed, JobPostponed
from recorder.jobs import FinalizeResult, JobRunner
from signaling.jobhost.runner import QueuedJobs
from signaling.jobs import Kind, Program, SubprocessJobs

RESULT = FinalizeResult(files=(), integrity={"tracks": []}).to_json()
COMPOSITE = {
    "path": "out.mp4",
    "kind": "composite",
    "participantId": "",
    "contentType": "video/mp4",
    "size": 9,
    "sha256": "00",
    "durationSeconds": 1.0,
    "width": 1280,
    "height": 720,
    "startSeconds": 0.0,
    "participantName": "",
    "source": "",
    "role": "",
    "derivedFrom": None,
}


@dataclass
class Scripts:
    """Python scripts that stand in for jobs, and runners that run them."""

    folder: Path
    runner: str
    stack: AsyncExitStack
    queued: list[QueuedJobs] = field(default_factory=list)

    async def jobs(self, code: str, kind: Kind = "finalize", **options: Any) -> JobRunner:
        (self.folder / f"stand_in_{kind}.py").write_text(
            f"import json, os, signal, sys, time\nRESULT = {json.dumps(RESULT)!r}\n"
            f"COMPOSITE = {json.dumps(COMPOSITE)!r}\n{code}\n"
        )
        programs: dict[Kind, Program] = {
            "finalize": Program("stand_in_finalize", 5),
            "render": Program("stand_in_render", 10),
        }
        if self.runner == "processes":
            return SubprocessJobs(programs=programs, **options)
        jobs = QueuedJobs(self.folder, programs=programs, **options)
        await jobs.start()
        self.stack.push_async_callback(jobs.stop)
        self.queued.append(jobs)
        return jobs


@pytest_asyncio.fixture(params=["processes", "queue"])
async def scripts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> AsyncIterator[Scripts]:
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{os.getcwd()}")
    async with AsyncExitStack() as stack:
        yield Scripts(tmp_path, request.param, stack)


async def run(jobs: JobRunner, progress: list[float] | None = None) -> FinalizeResult:
    heard = progress if progress is not None else []
    return await jobs.finalize(Path("/journals"), Path("/output"), heard.append, {})


def is_alive(pid: int) -> bool:
    """A zombie is not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


async def test_progress_and_result(scripts: Scripts) -> None:
    go_on = scripts.folder / "heard"
    jobs = await scripts.jobs(
        "assert sys.argv[1:] == ['--journals', '/journals', '--output', '/output']\n"
        "print('{\"progress\": 0.5}', flush=True)\nprint('some library chatter')\n"
        f"while not os.path.exists({str(go_on)!r}): time.sleep(0.01)\n"
        "print('{\"progress\": 7}', flush=True)\nprint('{\"result\": ' + RESULT + '}')"
    )
    heard: list[float] = []

    def hear(progress: float) -> None:
        heard.append(progress)
        if progress >= 0.5:
            go_on.touch()

    result = await jobs.finalize(Path("/journals"), Path("/output"), hear, {})
    assert result.to_json() == RESULT
    assert 0.5 in heard
    assert heard == sorted(heard)
    assert max(heard) <= 1.0


async def test_options_of_the_recording_reach_the_job(scripts: Scripts) -> None:
    code = "print(json.dumps({'error': {'message': sys.argv[-2] + ' ' + sys.argv[-1]}}))"
    jobs = await scripts.jobs(code)
    with pytest.raises(JobFailed) as failed:
        await jobs.finalize(Path("j"), Path("o"), lambda _: None, {"audioOnly": True})
    name, _, value = str(failed.value).partition(" ")
    assert (name, json.loads(value)) == ("--options", {"audioOnly": True})


async def test_a_render_gives_its_composite(scripts: Scripts) -> None:
    jobs = await scripts.jobs(
        "assert sys.argv[1:] == ['--spec', '/spec.json']\n"
        "print('{\"result\": {\"files\": [' + COMPOSITE + ']}}')",
        "render",
    )
    (file,) = await jobs.render(Path("/spec.json"), lambda _: None)
    assert (file.kind, file.path, file.width) == ("composite", Path("out.mp4"), 1280)


async def test_a_render_without_composite_is_not_understood(scripts: Scripts) -> None:
    jobs = await scripts.jobs('print(\'{"result": {"files": []}}\')', "render")
    with pytest.raises(JobFailed, match="not understood"):
        await jobs.render(Path("/spec.json"), lambda _: None)


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
        await run(await scripts.jobs(code))


async def test_much_on_stderr_does_not_stall_the_job(scripts: Scripts) -> None:
    jobs = await scripts.jobs(
        "print('noise\\n' * 200_000, file=sys.stderr)\nsys.exit('the reason')"
    )
    with pytest.raises(JobFailed, match="the reason"):
        await run(jobs)


async def test_a_cancelled_wait_leaves_no_process(scripts: Scripts) -> None:
    pid_file = scripts.folder / "pid"
    jobs = await scripts.jobs(
        f"open({str(pid_file)!r}, 'w').write(str(os.getpid()))\n"
        "print('{\"progress\": 0.1}', flush=True)\ntime.sleep(60)"
    )
    started = asyncio.Event()

    def hear(progress: float) -> None:
        if progress:
            started.set()

    waiting = asyncio.create_task(jobs.finalize(Path("j"), Path("o"), hear, {}))
    await started.wait()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert not is_alive(int(pid_file.read_text()))


async def test_standard_input_stays_open_until_we_are_gone(scripts: Scripts) -> None:
    jobs = await scripts.jobs(
        "import select\nready, _, _ = select.select([sys.stdin], [], [], 0.2)\n"
        "assert not ready\nprint('{\"result\": ' + RESULT + '}')"
    )
    await run(jobs)


async def test_no_more_jobs_at_once_than_slots(scripts: Scripts) -> None:
    mark = scripts.folder / "running"
    jobs = await scripts.jobs(
        f"os.mkdir({str(mark)!r})\nprint('{{\"progress\": 0.1}}', flush=True)\n"
        f"os.rmdir({str(mark)!r})\nprint('{{\"result\": ' + RESULT + '}}')",
        at_once=1,
    )
    await asyncio.gather(*(run(jobs) for _ in range(4)))


async def test_a_render_does_not_hold_up_what_finishes_a_recording(scripts: Scripts) -> None:
    await scripts.jobs("print('{\"result\": ' + RESULT + '}')")
    jobs = await scripts.jobs(
        "print('{\"progress\": 0.1}', flush=True)\ntime.sleep(60)", "render", at_once=1
    )
    began = asyncio.Event()

    def hear(progress: float) -> None:
        if progress:
            began.set()

    rendering = asyncio.create_task(jobs.render(Path("/spec.json"), hear))
    await began.wait()
    assert (await run(jobs)).to_json() == RESULT
    assert not rendering.done()
    rendering.cancel()
    await asyncio.gather(rendering, return_exceptions=True)


async def test_a_full_disk_is_told_from_other_failures(scripts: Scripts) -> None:
    said = '{"error": {"code": "disk_full", "message": "no room"}}'
    with pytest.raises(DiskFull, match="no room"):
        await run(await scripts.jobs(f"print({said!r})\nsys.exit(1)"))


async def test_a_job_without_progress_is_ended(scripts: Scripts) -> None:
    pid_file = scripts.folder / "pid"
    jobs = await scripts.jobs(
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
    jobs = await scripts.jobs(code)
    with pytest.raises(JobFailed) as failed:
        await run(jobs)
    names = str(failed.value).split()
    assert {"PATH", "PYTHONPATH", "LC_ALL"} <= set(names)
    assert not {"MEDIASERVER_KEYS", "DATABASE_URL"} & set(names)
    for queued in scripts.queued:
        environment = Path(f"/proc/{queued.host_pid}/environ").read_bytes()
        assert b"PATH=" in environment
        assert b"user:secret" not in environment


async def test_without_descriptors_it_is_put_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    async with AsyncExitStack() as stack:
        scripts = Scripts(tmp_path, "processes", stack)
        jobs = await scripts.jobs("print('{\"result\": ' + RESULT + '}')")
        await run(jobs)  # what the event loop opens for its first child is open now
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, limits[1]))
        try:
            with pytest.raises(JobPostponed, match="could not be started"):
                await run(jobs)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        await run(jobs)
