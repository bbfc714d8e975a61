"""The process that runs jobs: `python -m signaling.jobhost`, started by the server.

Each worker thread of a queue takes a task and waits for its job, which runs as a child of this
process. A line goes to standard output every two seconds, so that a host that hangs is found out.
At the end of standard input the server is gone: jobs are ended, then this process.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError
from functools import partial
from pathlib import Path
from typing import Any, Final

from recorder.errors import JobFailed
from signaling.jobhost.queue import TROUBLE, JobQueue, open_queue, withdrawn
from signaling.jobs import PROGRAMS, JobProcesses, Kind, Program
from signaling.logs import configure_logging

PACE: Final = 0.2  # seconds between two looks at a queue, or at whether a job is still wanted
HEARTBEAT: Final = 2.0  # seconds
HEALTH_EVERY: Final = 5  # heartbeats
PUT_AGAIN: Final = 1.0  # seconds between two attempts to say what became of a job
END_PATIENCE: Final = 4.0  # seconds for ending jobs when the server is gone

log: Final = logging.getLogger("signaling.jobhost")


class JobHost:
    """Workers for each kind of job, from `start` to the end of the process."""

    def __init__(
        self, storage: Path, start: str, workers: dict[Kind, int], processes: JobProcesses
    ):
        self._loop = asyncio.get_running_loop()
        self._processes = processes
        self._jobs: set[asyncio.Task[Any]] = set()
        self._queues: dict[Kind, JobQueue] = {}
        self._consumers = []
        for kind, count in workers.items():
            queue = open_queue(storage, start, kind, partial(self._work, kind))
            self._queues[kind] = queue
            self._consumers.append(
                queue.huey.create_consumer(
                    workers=count,
                    periodic=False,
                    initial_delay=PACE / 4,
                    max_delay=PACE,
                    scheduler_interval=60,
                )
            )

    def start(self) -> None:
        for consumer in self._consumers:
            consumer.start()

    def check(self) -> None:
        """Replaces workers that died."""
        for consumer in self._consumers:
            consumer.check_worker_health()

    async def end(self) -> None:
        """Ends all jobs; their workers are not waited for."""
        for consumer in self._consumers:
            consumer.stop_flag.set()
        for job in self._jobs:
            job.cancel()
        await asyncio.gather(*self._jobs, return_exceptions=True)

    def _work(self, kind: Kind, job_id: str, arguments: list[str]) -> None:
        """In a worker thread: back when the job's verdict is in the storage."""
        running = self._run(kind, job_id, arguments)
        with contextlib.suppress(CancelledError):  # the host is ending
            asyncio.run_coroutine_threadsafe(running, self._loop).result()

    async def _run(self, kind: Kind, job_id: str, arguments: list[str]) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._jobs.add(task)
        try:
            verdict = await self._verdict(kind, job_id, arguments)
            await _until_done(partial(self._queues[kind].put_verdict, job_id, verdict))
        finally:
            self._jobs.discard(task)

    async def _verdict(self, kind: Kind, job_id: str, arguments: list[str]) -> dict[str, Any]:
        exchange, progress = self._queues[kind].exchange, 0.0

        def tell(fraction: float) -> None:
            nonlocal progress
            progress = fraction

        # said before the job begins: from now on whoever withdraws it waits for the verdict
        if await _until_done(partial(exchange, job_id, 0.0)):
            return withdrawn()
        job = asyncio.create_task(self._processes.run(kind, arguments, tell))
        try:
            while not (await asyncio.wait({job}, timeout=PACE))[0]:
                try:
                    unwanted = await asyncio.to_thread(exchange, job_id, progress)
                except TROUBLE as error:
                    log.warning("the queue: %s", error)
                    continue
                if unwanted:
                    return withdrawn()
            return {"result": job.result()}
        except JobFailed as error:
            return {"error": {"code": error.code, "message": str(error)}}
        except Exception as error:  # supervises: the worker goes on with the next job
            log.exception("job %s", job_id)
            return {
                "error": {"code": JobFailed.code, "message": f"a mistake of the host: {error!r}"}
            }
        finally:
            job.cancel()
            await asyncio.gather(job, return_exceptions=True)


async def _until_done(call: Callable[[], Any]) -> Any:
    """What `call` gives, tried until the storage takes it: a full disk gets room again."""
    while True:
        try:
            return await asyncio.to_thread(call)
        except TROUBLE as error:
            log.warning("the queue: %s", error)
            await asyncio.sleep(PUT_AGAIN)


def _end_with_parent(end: Callable[[], object]) -> None:
    """The parent holds the other end of standard input."""
    while os.read(sys.stdin.fileno(), 4096):
        pass
    threading.Timer(END_PATIENCE, lambda: os._exit(1)).start()
    end()


async def _serve(given: argparse.Namespace) -> None:
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    programs = {**PROGRAMS}
    for kind, module in given.module:
        programs[kind] = Program(module, PROGRAMS[kind].niceness)
    host = JobHost(
        given.storage,
        given.start,
        {kind: int(count) for kind, count in given.workers},
        JobProcesses(programs, longest_silence=given.longest_silence),
    )
    host.start()
    # Ctrl-C in a terminal is meant for the server; what Huey does with signals is not wanted here
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    threading.Thread(
        target=_end_with_parent,
        args=(partial(loop.call_soon_threadsafe, ended.set),),
        daemon=True,
    ).start()
    beats = 0
    while not ended.is_set():
        with contextlib.suppress(OSError):  # the parent is gone: `ended` is on its way
            sys.stdout.write(".\n")
            sys.stdout.flush()
        beats += 1
        if beats % HEALTH_EVERY == 0:
            host.check()
        try:
            await asyncio.wait_for(ended.wait(), HEARTBEAT)
        except TimeoutError:
            continue
    await host.end()


def _pair(text: str) -> tuple[str, str]:
    kind, _, value = text.partition("=")
    return kind, value


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m signaling.jobhost")
    parser.add_argument("--storage", type=Path, required=True, help="the queues' file")
    parser.add_argument("--start", required=True, help="name of the server's start")
    parser.add_argument(
        "--workers", type=_pair, action="append", required=True, help="KIND=N: so many at once"
    )
    parser.add_argument("--longest-silence", type=float, required=True, help="seconds, of a job")
    parser.add_argument("--log-level", default="info")
    parser.add_argument(
        "--module", type=_pair, action="append", default=[], help="KIND=MODULE instead of ours"
    )
    given = parser.parse_args(arguments)
    configure_logging(given.log_level)
    logging.getLogger("huey").setLevel(logging.ERROR)
    asyncio.run(_serve(given))
    os._exit(0)  # workers may wait for jobs that were ended


if __name__ == "__main__":
    main()
