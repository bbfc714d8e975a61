"""Processes that decode what strangers sent, apart from the job that needs to know what they found.

Such a module says lines of JSON as `recorder.job_process` describes, the last of them a result. It may
take so much memory and no more, and it ends when its standard input does.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Any, Final

from recorder.job_process import message_in

MEMORY: Final = 2 << 30
"""Bytes of address space; a decoder needs a dozen pictures of the largest size."""
TRIES: Final = 2
LONGEST_SILENCE: Final = 120.0
"""Seconds in which a decoder has to get somewhere."""


def limit_memory() -> None:
    """For the process itself, before it opens anything."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def run_decoder(
    module: str,
    arguments: Sequence[str],
    on_progress: Callable[[float], None],
    *,
    silence: float = LONGEST_SILENCE,
) -> dict[str, Any] | None:
    """The result of `python -m module arguments`; None when it died, hung, or said none, twice: once
    may be the machine's fault, as when memory is short.

    `on_progress` hears what it says. Raises OSError when it can't be started.
    """
    command = [sys.executable, "-m", module, *arguments]
    for _ in range(TRIES):
        if (result := _run(command, on_progress, silence)) is not None:
            return result
    return None


def _run(
    command: Sequence[str], on_progress: Callable[[float], None], silence: float
) -> dict[str, Any] | None:
    lifeline, held = os.pipe()  # it ends when this process does, and with it the other end
    try:
        process = subprocess.Popen(  # noqa: S603
            command,
            stdin=lifeline,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        try:
            return _listen(process, on_progress, silence)
        finally:
            process.kill()
            process.wait()
            if process.stdout is not None:
                process.stdout.close()
    finally:
        os.close(lifeline)
        os.close(held)


def _listen(
    process: subprocess.Popen[bytes], on_progress: Callable[[float], None], silence: float
) -> dict[str, Any] | None:
    assert process.stdout is not None
    result: dict[str, Any] | None = None
    watch = _watch(process, silence)
    for line in process.stdout:
        watch.cancel()
        watch = _watch(process, silence)
        message = message_in(line)
        if isinstance(progress := message.get("progress"), int | float):
            on_progress(float(progress))
        if isinstance(found := message.get("result"), dict):
            result = found
    watch.cancel()
    return result if process.wait() == 0 else None


def _watch(process: subprocess.Popen[bytes], silence: float) -> threading.Timer:
    timer = threading.Timer(silence, process.kill)
    timer.daemon = True
    timer.start()
    return timer
