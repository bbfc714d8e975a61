"""The job that makes a running recording's journals into streams: `python -m recorder.live`.

    --journals DIR   where the journals grow
    --output DIR     where the streams go; made if need be
    --keep-free N    bytes of the disk that are left for others

It writes lines of JSON to its standard output, at most two a second: `{"live": {...}}` with

    elapsedSeconds   since the recording's first media, whatever of it is there to see
    streams          [{streamId, participantId, participantName, source: "camera" | "screen",
                     contentType, file (name in DIR), startSeconds (of the recording), seconds (how
                     much of it is there), ended}]

and `{"error": {"code", "message"}}` before it fails. It ends when its standard input does.
"""

from __future__ import annotations

import argparse
import secrets
import signal
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from recorder.diskspace import free_bytes
from recorder.errors import DiskLow, RecorderError
from recorder.job_process import EXIT_FAILED, end_with_parent, refusal, say
from recorder.live.follower import Follower

PACE = 0.25  # seconds between two looks at the journals
TELL_EVERY = 0.5  # seconds
LOOK_AT_DISK_EVERY = 5.0  # seconds
WRITING_US = 500_000
"""What arrived so long ago is in the journals, which are written every quarter of a second."""


class _Job:
    """One run, until it is killed or the disk gets low."""

    def __init__(self, journals: Path, output: Path, keep_free: int) -> None:
        output.mkdir(parents=True, exist_ok=True)
        self._output = output
        self._keep_free = keep_free
        self._follower = Follower(journals, output, secrets.token_hex(4))
        self._told: dict[str, Any] = {}
        self._told_at = self._looked_at = float("-inf")

    def run(self) -> None:
        """Raises DiskLow, and what the disk raises."""
        pause = threading.Event()
        while True:
            self._look_at_disk()
            done = self._follower.step(time.time_ns() // 1000 - WRITING_US)
            self._tell()
            if done:
                pause.wait(PACE)

    def _look_at_disk(self) -> None:
        if time.monotonic() - self._looked_at < LOOK_AT_DISK_EVERY:
            return
        self._looked_at = time.monotonic()
        if free_bytes(self._output) < self._keep_free:
            raise DiskLow("the disk is too full to watch recordings while they run")

    def _tell(self) -> None:
        now = time.monotonic()
        if now - self._told_at >= TELL_EVERY:
            state = self._follower.state(time.time_ns() // 1000)
            self._told_at = now
            if state != self._told:
                self._told = state
                say({"live": state})


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m recorder.live")
    parser.add_argument("--journals", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--keep-free", type=int, default=0)
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in a terminal is meant for the server
    end_with_parent()
    try:
        _Job(options.journals, options.output, options.keep_free).run()
    except (RecorderError, OSError) as error:
        failure = error if isinstance(error, RecorderError) else refusal(error)
        say({"error": {"code": failure.code, "message": str(failure)}})
    return EXIT_FAILED


if __name__ == "__main__":
    sys.exit(main())
