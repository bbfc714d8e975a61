"""The job that makes one film of a recording's files: `python -m recorder.render --spec FILE`.

FILE is JSON in the form of `recorder.composite.RenderSpec`. What the job prints is described in
`recorder.jobs`; its result has the composite first and, after it, what was made of it. It leaves the
file whole or not at all, gives way to everything else on the machine, and ends when its standard
input does.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from recorder.composite.compose import Composite, Progress, RenderCancelled, compose
from recorder.composite.spec import RenderSpec
from recorder.derived.thumbnails import derive
from recorder.diskspace import free_bytes
from recorder.errors import BadRenderOptions, DiskFull, JobFailed, NothingToRender, RecorderError
from recorder.job_process import EXIT_FAILED, EXIT_ORPHANED, refusal, say, say_last, watch_parent
from recorder.jobs import FinalizedFile, FinalizeResult
from recorder.local_files import partial_of, sha256_of

NICENESS = 10
PATIENCE = 5.0  # seconds for a render to clean up when its parent is gone
SWITCH_SECONDS = 0.0005
"""Threads here hold the interpreter for a moment between long calls that leave it."""
_NO_ROOM = 1 << 20  # bytes: the disk is full when so little is left


def render(spec: RenderSpec, on_progress: Progress, cancelled: threading.Event) -> FinalizeResult:
    """Makes the composite and what belongs to it.

    Raises JobFailed and its kinds, NothingToRender, BadRenderOptions, RenderCancelled.
    """
    spec.output.parent.mkdir(parents=True, exist_ok=True)
    partial_of(spec.output).unlink(missing_ok=True)
    try:
        composite = compose(spec, on_progress, cancelled.is_set)
        if cancelled.is_set():
            spec.output.unlink()
            raise RenderCancelled
        file = _finalized(spec, composite)
        failures = list(composite.failures)
        files = [file]
        if not spec.options.audio_only:
            try:
                files += derive(file)
            except (RecorderError, ValueError) as error:  # a convenience; the film is complete
                failures.append(f"{spec.output.name}: {error}")
    except (NothingToRender, BadRenderOptions, JobFailed, RenderCancelled):
        raise
    except Exception as error:
        if free_bytes(spec.output.parent) < _NO_ROOM:
            raise DiskFull(f"the disk is full: {error}") from error
        raise refusal(error, f"{spec.output.name}: ") from error
    on_progress(1.0)
    return FinalizeResult(files=tuple(files), integrity={}, failures=tuple(failures))


def _finalized(spec: RenderSpec, composite: Composite) -> FinalizedFile:
    pictures = not spec.options.audio_only
    return FinalizedFile(
        path=spec.output,
        kind="composite",
        participant_id="",
        content_type="video/mp4" if pictures else "audio/mp4",
        size=spec.output.stat().st_size,
        sha256=sha256_of(spec.output),
        duration_seconds=round(composite.seconds, 3),
        width=spec.width if pictures else None,
        height=spec.options.height if pictures else None,
        start_seconds=round(composite.start_seconds, 3),
    )


def read_spec(path: Path) -> RenderSpec:
    """Raises BadRenderOptions, or OSError."""
    try:
        value = json.loads(path.read_bytes())
    except ValueError as error:
        raise BadRenderOptions("spec", f"is not JSON: {error}") from error
    return RenderSpec.from_json(value)


def give_way() -> None:
    """To calls, which are more urgent."""
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, max(NICENESS, os.getpriority(os.PRIO_PROCESS, 0)))
    if hasattr(os, "SCHED_BATCH"):
        with contextlib.suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m recorder.render")
    parser.add_argument("--spec", type=Path, required=True)
    given = parser.parse_args(arguments)
    cancelled, alone, over = threading.Event(), threading.Event(), threading.Event()

    def orphaned() -> None:
        alone.set()
        cancelled.set()
        if not over.wait(PATIENCE):
            os._exit(EXIT_ORPHANED)

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in a terminal is meant for the server
    signal.signal(signal.SIGTERM, lambda *_: cancelled.set())
    sys.setswitchinterval(SWITCH_SECONDS)
    give_way()
    watch_parent(orphaned)

    def work() -> dict[str, Any]:
        spec = read_spec(given.spec)
        return render(spec, lambda value: say({"progress": value}), cancelled).to_json()

    try:
        return say_last(work)
    except RenderCancelled:
        over.set()
        if alone.is_set():
            return EXIT_ORPHANED
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTERM)
        return EXIT_FAILED  # not reached unless the signal is blocked


if __name__ == "__main__":
    sys.exit(main())
