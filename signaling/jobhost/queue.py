"""The queue of one kind of job: a Huey, what is kept under which key, and JSON instead of pickles.

Huey takes a task off the queue when a worker gets it, so a task runs once at most; whoever waits for
it learns from the end of the host that it will not come. Everything here blocks on the storage.

For jobs on other machines `open_queue` is the one place that changes: `RedisHuey` has the same
interface.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any, Final

from huey import SqliteHuey
from huey.registry import Message
from huey.serializer import Serializer
from huey.signals import SIGNAL_REVOKED

from signaling.jobs import Kind

QUEUE_FILE: Final = "jobs.db"
TROUBLE: Final = (sqlite3.Error, OSError)
"""What storage may raise that is not our own fault."""

Job = Callable[[str, list[str]], None]
"""Runs a job: its id and arguments."""


class JsonSerializer(Serializer):  # type: ignore[misc]
    """Who can write into the storage must not be able to run code here, which a pickle lets them."""

    def _serialize(self, data: Any) -> bytes:
        return json.dumps(
            ["task", *data] if isinstance(data, Message) else ["value", data]
        ).encode()

    def _deserialize(self, data: bytes) -> Any:
        what, *content = json.loads(data)
        return Message(*content) if what == "task" else content[0]


class JobQueue:
    """`job` is what the host does for each task; the server's side never calls it."""

    def __init__(self, huey: SqliteHuey, job: Job) -> None:
        self.huey = huey

        def run(job_id: str, arguments: list[str]) -> None:
            job(job_id, arguments)

        self._task = huey.task(name="job")(run)
        huey.signal(SIGNAL_REVOKED)(self._on_revoked)

    # --- the server's side ------------------------------------------------------------------------

    def enqueue(self, job_id: str, arguments: Sequence[str]) -> None:
        self._task(job_id, list(arguments), id=job_id)

    def revoke(self, job_id: str) -> bool:
        """Says that the job is not wanted. True when a worker may have it: then a verdict follows."""
        self.huey.revoke_by_id(job_id, revoke_once=True)
        return bool(self.huey.storage.has_data_for_key(_progress_key(job_id)))

    def pending(self) -> set[str]:
        """Ids of jobs that no worker has taken."""
        return {task.id for task in self.huey.pending()}

    def news(self, job_ids: Collection[str]) -> tuple[dict[str, float], dict[str, Any]]:
        """Progress (0..1) and verdicts of these jobs, as far as there are any."""
        if not job_ids:
            return {}, {}
        keys = [key(job_id) for job_id in job_ids for key in (_progress_key, _verdict_key)]
        found = self.huey.storage.peek_many(keys)
        values = {key: self.huey.serializer.deserialize(data) for key, data in found.items()}
        return (
            {each: values[key] for each in job_ids if (key := _progress_key(each)) in values},
            {each: values[key] for each in job_ids if (key := _verdict_key(each)) in values},
        )

    def forget(self, job_id: str) -> None:
        for key in (_progress_key(job_id), _verdict_key(job_id)):
            self.huey.delete(key)

    # --- the host's side --------------------------------------------------------------------------

    def exchange(self, job_id: str, progress: float) -> bool:
        """Keeps how far a job is; True when it is not wanted any more."""
        self.huey.put(_progress_key(job_id), progress)
        return bool(self.huey.is_revoked(job_id))

    def put_verdict(self, job_id: str, verdict: dict[str, Any]) -> None:
        """`{"result": ...}` or `{"error": {"code", "message"}}`, as jobs themselves say it."""
        self.huey.put(_verdict_key(job_id), verdict)

    def close(self) -> None:
        self.huey.storage.close()

    def _on_revoked(self, _signal: str, task: Any) -> None:
        self.put_verdict(task.id, withdrawn())


def withdrawn() -> dict[str, Any]:
    """The verdict on a job that was not wanted any more."""
    return {"error": {"code": "job_withdrawn", "message": "the job was not wanted any more"}}


def fresh_storage(data_dir: Path) -> Path:
    """The storage's file, without what an earlier server left. Raises OSError.

    An earlier host may have it open for another moment: it goes on with what nobody else sees.
    """
    path = data_dir / QUEUE_FILE
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    return path


def open_queue(storage: Path, start: str, kind: Kind, job: Job) -> JobQueue:
    """`start` is the name of the server's start. Raises what is in TROUBLE."""
    huey = SqliteHuey(
        f"{start}-{kind}",
        filename=str(storage),
        results=False,
        serializer=JsonSerializer(),
        fsync=False,  # a power cut ends the server, and with it the queue
        cache_mb=1,
    )
    return JobQueue(huey, job)


def _progress_key(job_id: str) -> str:
    return f"progress:{job_id}"


def _verdict_key(job_id: str) -> str:
    return f"verdict:{job_id}"
