"""The host of jobs: killed, hanging, orphaned, and what an earlier start left in the queue."""

from __future__ import annotations

import asyncio
import os
import pickle
import signal
import sqlite3
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, closing
from pathlib import Path

import pytest
import pytest_asyncio

from recorder.errors import JobFailed, JobHostLost, JobPostponed
from signaling.jobhost.queue import QUEUE_FILE, open_queue
from signaling.jobhost.runner import QueuedJobs
from tests.rig.waiting import until
from tests.signaling.test_job_processes import Scripts, is_alive, run

ENDS_WITH_PARENT = """
import threading
def end():
    sys.stdin.read()
    os._exit(3)
threading.Thread(target=end, daemon=True).start()
"""
WAITS = "print('{\"progress\": 0.1}', flush=True)\ntime.sleep(60)"


@pytest_asyncio.fixture
async def scripts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Scripts]:
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{os.getcwd()}")
    async with AsyncExitStack() as stack:
        yield Scripts(tmp_path, "queue", stack)


def noting(folder: Path, then: str = WAITS) -> str:
    """A job that leaves its process id behind, one file for each run."""
    mark = f"open({str(folder)!r} + '/ran-' + str(os.getpid()), 'w').close()"
    return f"{ENDS_WITH_PARENT}{mark}\n{then}"


def runs(folder: Path) -> list[int]:
    return [int(path.name.partition("-")[2]) for path in folder.glob("ran-*")]


async def begun(folder: Path, count: int = 1) -> list[int]:
    pids: list[int] = await until(
        lambda: found if len(found := runs(folder)) >= count else None,
        within=10,
        what=f"{count} jobs run",
    )
    return pids


async def gone(*pids: int) -> None:
    await until(lambda: not any(map(is_alive, pids)), within=20, what=f"{pids} are gone")


async def test_a_killed_host_is_noticed_and_replaced(scripts: Scripts) -> None:
    await scripts.jobs(noting(scripts.folder))
    jobs = scripts.queued[0]
    waiting = asyncio.create_task(run(jobs))
    (job,) = await begun(scripts.folder)
    host = jobs.host_pid
    assert host is not None
    os.kill(host, signal.SIGKILL)
    with pytest.raises(JobHostLost):
        await asyncio.wait_for(waiting, 20)
    await gone(job)
    await until(lambda: jobs.host_pid not in (None, host), within=20, what="another host")
    again = asyncio.create_task(run(jobs))
    await begun(scripts.folder, 2)
    again.cancel()
    await asyncio.gather(again, return_exceptions=True)


async def test_a_killed_job_is_noticed(scripts: Scripts) -> None:
    await scripts.jobs(noting(scripts.folder))
    waiting = asyncio.create_task(run(scripts.queued[0]))
    (job,) = await begun(scripts.folder)
    os.kill(job, signal.SIGKILL)
    with pytest.raises(JobFailed, match="signal 9"):
        await asyncio.wait_for(waiting, 20)


async def test_what_no_worker_had_taken_outlives_the_host(scripts: Scripts) -> None:
    await scripts.jobs(noting(scripts.folder), at_once=1)
    jobs = scripts.queued[0]
    first, second = (asyncio.create_task(run(jobs)) for _ in range(2))
    await begun(scripts.folder)
    assert jobs.host_pid is not None
    os.kill(jobs.host_pid, signal.SIGKILL)
    with pytest.raises(JobHostLost):
        await asyncio.wait_for(first, 20)
    _, taken = sorted(await begun(scripts.folder, 2), key=is_alive)
    assert not second.done()
    second.cancel()
    await asyncio.gather(second, return_exceptions=True)
    assert not is_alive(taken)


async def test_a_host_that_hangs_is_replaced(scripts: Scripts) -> None:
    await scripts.jobs(WAITS, host_silence=4.0)
    jobs = scripts.queued[0]
    host = await until(lambda: jobs.host_pid, within=20, what="a host")
    os.kill(host, signal.SIGSTOP)
    await until(lambda: jobs.host_pid not in (None, host), within=15, what="another host")
    assert not is_alive(host)


async def test_a_job_withdrawn_in_the_queue_never_runs(scripts: Scripts) -> None:
    await scripts.jobs(noting(scripts.folder), at_once=1)
    jobs = scripts.queued[0]
    first, second = (asyncio.create_task(run(jobs)) for _ in range(2))
    (running,) = await begun(scripts.folder)
    for task in (second, first):
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert not is_alive(running)
    third = asyncio.create_task(run(jobs))
    await begun(scripts.folder, 2)  # the second would have been taken before it
    third.cancel()
    await asyncio.gather(third, return_exceptions=True)
    assert len(runs(scripts.folder)) == 2


async def test_what_an_earlier_start_left_is_never_run(scripts: Scripts) -> None:
    left = open_queue(scripts.folder / QUEUE_FILE, "earlier", "finalize", lambda *_: None)
    left.enqueue("stale", ["--journals", "/stale"])
    left.close()
    await scripts.jobs(noting(scripts.folder, "print('{\"result\": ' + RESULT + '}')"))
    await run(scripts.queued[0])
    assert len(runs(scripts.folder)) == 1
    names = {path.name for path in scripts.folder.glob(f"{QUEUE_FILE}*")}
    assert names <= {QUEUE_FILE, f"{QUEUE_FILE}-wal", f"{QUEUE_FILE}-shm"}
    with closing(sqlite3.connect(scripts.folder / QUEUE_FILE)) as storage:
        assert storage.execute("select count(*) from task").fetchone() == (0,)
        assert storage.execute("select count(*) from kv").fetchone() == (0,)


async def test_a_queue_that_is_no_database_is_made_anew(scripts: Scripts) -> None:
    (scripts.folder / QUEUE_FILE).write_bytes(b"torn" * 1000)
    await scripts.jobs("print('{\"result\": ' + RESULT + '}')")
    await run(scripts.queued[0])


async def test_a_pickle_smuggled_into_the_queue_runs_nothing(scripts: Scripts) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.mkdir, (str(scripts.folder / "harm"),)

    await scripts.jobs("print('{\"result\": ' + RESULT + '}')")
    jobs = scripts.queued[0]
    with closing(sqlite3.connect(scripts.folder / QUEUE_FILE)) as storage:
        storage.execute(
            "insert into task (queue, data, priority) values (?, ?, 100)",
            (f"{jobs.start_name}-finalize", pickle.dumps(Evil())),
        )
        storage.commit()
    await run(jobs)  # it was taken before this one
    assert not (scripts.folder / "harm").exists()


async def test_a_storage_that_is_locked_does_not_stop_the_loop(scripts: Scripts) -> None:
    await scripts.jobs("print('{\"result\": ' + RESULT + '}')")
    jobs = scripts.queued[0]
    with closing(sqlite3.connect(scripts.folder / QUEUE_FILE, isolation_level=None)) as storage:
        storage.execute("begin exclusive")
        waiting = asyncio.create_task(run(jobs))
        turns = 0
        deadline = asyncio.get_running_loop().time() + 0.5
        while asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(0)
            turns += 1
        assert turns > 100
        assert not waiting.done()
        storage.execute("rollback")
    await waiting


async def test_a_storage_that_refuses_postpones_the_job(scripts: Scripts) -> None:
    await scripts.jobs("print('{\"result\": ' + RESULT + '}')")
    with closing(sqlite3.connect(scripts.folder / QUEUE_FILE)) as storage:
        storage.execute("drop table task")
    with pytest.raises(JobPostponed, match="queue"):
        await run(scripts.queued[0])


async def test_a_killed_server_takes_host_and_job_with_it(scripts: Scripts) -> None:
    server = f"""
import asyncio
from pathlib import Path
from signaling.jobhost.runner import QueuedJobs
from signaling.jobs import Program

async def main():
    jobs = QueuedJobs(Path({str(scripts.folder)!r}),
                      programs={{"finalize": Program("stand_in_finalize", 5)}})
    await jobs.start()
    waiting = asyncio.create_task(jobs.finalize(Path("j"), Path("o"), lambda _: None, {{}}))
    while jobs.host_pid is None:
        await asyncio.sleep(0.01)
    print(jobs.host_pid, flush=True)
    await waiting

asyncio.run(main())
"""
    (scripts.folder / "stand_in_finalize.py").write_text(
        f"import os, sys, time\n{noting(scripts.folder)}"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", server, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    host = int(await process.stdout.readline())
    (job,) = await begun(scripts.folder)
    process.kill()
    await process.wait()
    await gone(host, job)


async def test_stopping_ends_host_and_jobs(scripts: Scripts) -> None:
    await scripts.jobs(noting(scripts.folder))
    jobs: QueuedJobs = scripts.queued[0]
    waiting = asyncio.create_task(run(jobs))
    (job,) = await begun(scripts.folder)
    host = jobs.host_pid
    assert host is not None
    await jobs.stop()
    with pytest.raises(JobHostLost):
        await waiting
    await gone(host, job)
    scripts.queued.clear()
