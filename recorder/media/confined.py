"""A process of its own for decoding strangers' files, and what it may take of the machine.

The kernel holds it to that: a decoder that asks for more memory gets none, one that takes more time
is ended. Whoever waits is another process, which never sees the file: so a file that ends its decoder is
told from a machine that ended the whole job.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from recorder.job_process import end_with_parent

MEMORY: Final = 2 << 30
"""Bytes of address space; a decoder needs a dozen pictures of the largest size."""
_BLOCK: Final = 64 * 1024
_BUG: Final = 70


@dataclass(frozen=True, slots=True)
class Limits:
    """`cpu` and `wall` in seconds, `memory` and `file_size` (of what is written) in bytes."""

    cpu: int
    wall: float
    memory: int = MEMORY
    file_size: int | None = None


class Ended(Exception):
    """The process ended without a word. `signal` is what ended it, None when it was a mistake."""

    def __init__(self, signal: int | None) -> None:
        super().__init__(f"ended by signal {signal}" if signal else "ended by a mistake")
        self.signal = signal

    @property
    def by_the_machine(self) -> bool:
        """Whether somebody else ended it: an operator, or a kernel short of memory."""
        return self.signal in (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def confine(limits: Limits) -> None:
    """Holds this process to its limits, for good."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (limits.memory, limits.memory))
    # first SIGXCPU, then SIGKILL: both end it
    resource.setrlimit(resource.RLIMIT_CPU, (limits.cpu, limits.cpu + 5))
    if limits.file_size is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limits.file_size, limits.file_size))
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, limits.wall)


def run_confined(work: Callable[[], dict[str, Any]], limits: Limits) -> dict[str, Any]:
    """What `work` returns, in a process of its own that ends when standard input does.

    Called before there are threads. Raises Ended.
    """
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        os.close(reader)
        _work(work, limits, writer)
    os.close(writer)
    said = b""
    while block := os.read(reader, _BLOCK):
        said += block
    os.close(reader)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        raise Ended(os.WTERMSIG(status))
    if status or not said:
        raise Ended(None)
    value: dict[str, Any] = json.loads(said)
    return value


def _work(work: Callable[[], dict[str, Any]], limits: Limits, writer: int) -> None:
    """Never returns."""
    status = _BUG
    try:
        confine(limits)
        end_with_parent()
        with os.fdopen(writer, "w") as answer:
            json.dump(work(), answer)
        status = 0
    except BaseException:  # noqa: BLE001 - supervises: whatever it is, this process ends here
        traceback.print_exc()
    finally:
        os._exit(status)
