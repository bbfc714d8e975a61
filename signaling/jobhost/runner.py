"""The server's side of the queue: enqueues jobs and waits for what becomes of them."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

from recorder.errors import JobHostLost, JobPostponed
from recorder.jobs import FinalizedFile, FinalizeResult, rendered_files
from recorder.progress import Sleep
from signaling.jobhost import supervisor
from signaling.jobhost.queue import TROUBLE, JobQueue, fresh_storage, open_queue
from signaling.jobhost.supervisor import HostProcess
from signaling.jobs import (
    LONGEST_SILENCE,
    PROGRAMS,
    Kind,
    Program,
    Tell,
    default_at_once,
    failure_of,
    finalize_arguments,
    render_arguments,
)

PACE: Final = 0.1  # seconds between two looks for news while a job is awaited
PROBES_AT_ONCE: Final = 2
WITHDRAW_PATIENCE: Final = 8.0  # seconds for a job that is not wanted any more to end

log: Final = logging.getLogger(__name__)

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class _Awaited:
    kind: Kind
    tell: Tell
    verdict: asyncio.Future[dict[str, Any]]


class QueuedJobs:
    """A `recorder.jobs.JobRunner`. `at_once` finalize jobs run, and half as many renders, at least
    one; the others wait in the order they came. Works from `start` to `stop`.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        at_once: int | None = None,
        log_level: str = "info",
        programs: Mapping[Kind, Program] = PROGRAMS,
        longest_silence: float = LONGEST_SILENCE,
        host_silence: float = supervisor.LONGEST_SILENCE,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._data_dir = data_dir
        self.start_name = secrets.token_hex(8)
        at_once = at_once or default_at_once()
        self._workers: dict[Kind, int] = {
            "finalize": at_once,
            "assemble": at_once,
            "render": max(1, at_once // 2),
            "probe": PROBES_AT_ONCE,
            "transcode": 1,
        }
        self._host_options = [f"--log-level={log_level}", f"--longest-silence={longest_silence}"]
        self._host_options += [
            f"--module={kind}={program.module}"
            for kind, program in programs.items()
            if program != PROGRAMS[kind]
        ]
        self._host_silence = host_silence
        self._sleep = sleep
        self._queues: dict[Kind, JobQueue] = {}
        self._awaited: dict[str, _Awaited] = {}
        # one thread, so that what is asked of the storage happens in the order it was asked
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="jobs")
        self._host: HostProcess | None = None
        self._watching: asyncio.Task[None] | None = None

    @property
    def host_pid(self) -> int | None:
        return self._host.pid if self._host is not None else None

    @property
    def renders_at_once(self) -> int:
        return self._workers["render"]

    async def start(self) -> None:
        """Raises JobPostponed when the queue can't be made; the host is started in the background."""
        storage = await self._ask(partial(fresh_storage, self._data_dir.absolute()))
        for kind in self._workers:
            self._queues[kind] = await self._ask(
                partial(open_queue, storage, self.start_name, kind, _not_here)
            )
        self._host = HostProcess(
            [
                f"--storage={storage}",
                f"--start={self.start_name}",
                *(f"--workers={kind}={count}" for kind, count in self._workers.items()),
                *self._host_options,
            ],
            self._host_ended,
            longest_silence=self._host_silence,
            sleep=self._sleep,
        )
        self._host.start()

    async def stop(self) -> None:
        """Ends the host and its jobs; who still waits for one gets JobHostLost."""
        if self._host is None:
            return
        await self._host.stop()
        self._host = None
        for job in self._awaited.values():
            if not job.verdict.done():
                job.verdict.set_result(_lost("the server is stopping"))
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)
        for queue in self._queues.values():
            await self._ask(queue.close)
        self._thread.shutdown()

    async def finalize(
        self, journals: Path, output: Path, on_progress: Tell, options: Mapping[str, Any]
    ) -> FinalizeResult:
        arguments = finalize_arguments(journals, output, options)
        return FinalizeResult.from_json(await self.run("finalize", arguments, on_progress))

    async def render(self, spec: Path, on_progress: Tell) -> tuple[FinalizedFile, ...]:
        arguments = render_arguments(spec)
        return rendered_files(await self.run("render", arguments, on_progress))

    async def run(self, kind: Kind, arguments: Sequence[str], on_progress: Tell) -> dict[str, Any]:
        job_id = secrets.token_hex(8)
        verdict: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        # handed to the thread before anybody may miss it in the queue
        enqueued = self._submit(partial(self._queues[kind].enqueue, job_id, arguments))
        self._awaited[job_id] = _Awaited(kind, on_progress, verdict)
        try:
            await asyncio.shield(_done(enqueued))
            self._watch()
            said = await asyncio.shield(verdict)
        except asyncio.CancelledError:
            await asyncio.shield(self._withdraw(kind, job_id, verdict))
            raise
        finally:
            self._awaited.pop(job_id, None)
        result = said.get("result")
        if isinstance(result, dict):
            return result
        error = said.get("error") or {}
        raise failure_of(str(error.get("code")), str(error.get("message")))

    async def _withdraw(
        self, kind: Kind, job_id: str, verdict: asyncio.Future[dict[str, Any]]
    ) -> None:
        """Back when no process of the job is left, or none will be."""
        try:
            if not await self._ask(partial(self._queues[kind].revoke, job_id)):
                return  # nobody has it, and who takes it leaves it
            self._watch()
            await asyncio.wait({verdict}, timeout=WITHDRAW_PATIENCE)
        except JobPostponed as error:
            log.warning("a job can't be withdrawn: %s", error)

    # --- what becomes of jobs ---------------------------------------------------------------------

    def _watch(self) -> None:
        if self._watching is None or self._watching.done():
            self._watching = asyncio.create_task(self._look_for_news(), name="job news")

    async def _look_for_news(self) -> None:
        while self._awaited:
            try:
                await self._hand_out_news()
            except JobPostponed as error:
                log.warning("%s", error)
            await self._sleep(PACE)

    async def _hand_out_news(self) -> None:
        for kind, queue in self._queues.items():
            ids = [job_id for job_id, job in self._awaited.items() if job.kind == kind]
            progress, verdicts = await self._ask(partial(queue.news, ids))
            for job_id, fraction in progress.items():
                if (job := self._awaited.get(job_id)) is not None and not job.verdict.done():
                    job.tell(fraction)
            for job_id, verdict in verdicts.items():
                await self._ask(partial(queue.forget, job_id))
                if (job := self._awaited.get(job_id)) is not None and not job.verdict.done():
                    job.verdict.set_result(verdict)

    async def _host_ended(self) -> None:
        """Whoever waits for a job that was taken and has no verdict waits in vain.

        There is no host now, so nothing is taken meanwhile.
        """
        awaited = list(self._awaited)  # those enqueued later are in the queue, or will be
        try:
            await self._hand_out_news()
            waiting = set[str]()
            for queue in self._queues.values():
                waiting |= await self._ask(queue.pending)
        except JobPostponed as error:
            log.error("%s", error)
            waiting = set()
        for job_id in awaited:
            job = self._awaited.get(job_id)
            if job is not None and job_id not in waiting and not job.verdict.done():
                job.verdict.set_result(_lost("the process that ran the job died"))

    async def _ask(self, call: Callable[[], Value]) -> Value:
        """Does something with the storage in its thread. Raises JobPostponed."""
        return await _done(self._submit(call))

    def _submit(self, call: Callable[[], Value]) -> asyncio.Future[Value]:
        return asyncio.get_running_loop().run_in_executor(self._thread, call)


async def _done(asked: asyncio.Future[Value]) -> Value:
    """Raises JobPostponed when the storage refuses."""
    try:
        return await asked
    except TROUBLE as error:
        raise JobPostponed(f"the queue of jobs can't be used: {error}") from error


def _lost(reason: str) -> dict[str, Any]:
    return {"error": {"code": JobHostLost.code, "message": reason}}


def _not_here(_job_id: str, _arguments: list[str]) -> None:
    raise AssertionError("jobs run in the host")
