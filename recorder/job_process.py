"""What every job process says to who started it, and how it ends with it.

The words are those of `recorder.jobs`.
"""

from __future__ import annotations

import errno
import gc
import json
import os
import sys
import threading
from collections.abc import Callable
from typing import Any, Final

from recorder.errors import DiskFull, JobFailed, RecorderError

EXIT_FAILED: Final = 1
EXIT_ORPHANED: Final = 3

DISK_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
DISK_TROUBLE: Final = frozenset({*DISK_FULL, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EIO})
"""What a job fails with as a whole: no other file of it would fare better."""


def say(value: dict[str, Any]) -> None:
    """One line of JSON on standard output."""
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


def message_in(line: bytes) -> dict[str, Any]:
    """What a job said; a line that is not ours (a library's chatter) says nothing."""
    try:
        message = json.loads(line)
    except ValueError:
        return {}
    return message if isinstance(message, dict) else {}


def say_last(work: Callable[[], dict[str, Any]]) -> int:
    """Says what `work` returns, or with which RecorderError or OSError it failed; the exit status."""
    try:
        result = work()
    except (RecorderError, OSError) as error:
        failure = error if isinstance(error, RecorderError) else refusal(error)
        say({"error": {"code": failure.code, "message": str(failure)}})
        return EXIT_FAILED
    say({"result": result})
    return 0


def refusal(error: Exception, what: str = "") -> JobFailed:
    """What a job fails with when the disk or a library raised `error`: DiskFull if it is that."""
    if getattr(error, "errno", None) in DISK_FULL:
        return DiskFull(f"the disk is full: {what}{error}")
    return JobFailed(f"{what}{error}")


def end_with_parent() -> None:
    """Ends this process at once when standard input does."""
    watch_parent(lambda: os._exit(EXIT_ORPHANED))


def watch_parent(orphaned: Callable[[], None]) -> None:
    """Calls `orphaned`, in a thread of its own, when standard input reaches its end: the parent holds
    the other end and never writes.

    The first thing a job does: what was imported until now is not looked through for garbage again.
    """
    gc.freeze()

    def wait() -> None:
        while os.read(sys.stdin.fileno(), 4096):
            pass
        orphaned()

    threading.Thread(target=wait, name="parent", daemon=True).start()
