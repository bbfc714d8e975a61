"""What a process costs, measured from outside."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_PROGRAM = """
import json, os, resource, subprocess, sys, time
core = min(os.sched_getaffinity(0))
os.sched_setaffinity(0, {core})
began = time.perf_counter()
with open(sys.argv[1], "wb") as words:
    process = subprocess.Popen(sys.argv[2:], stdin=subprocess.PIPE, stdout=words)
    status = process.wait()
seconds = time.perf_counter() - began
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(json.dumps([status, seconds, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024]))
"""
"""Small, and between us and the process: Linux counts what a process was forked from as its own."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds of wall clock and of CPU, and the largest resident set in bytes, of a process or one
    of its own.
    """

    seconds: float
    cpu: float
    memory: int


def cost_of(command: Sequence[str], words: Path) -> Cost:
    """Runs a command to its end, on one core, its standard output in the file `words`.

    Raises AssertionError with its last words when it fails.
    """
    asked = [sys.executable, "-c", _PROGRAM, str(words), *command]
    said = subprocess.run(asked, check=True, capture_output=True, text=True)
    status, seconds, cpu, memory = json.loads(said.stdout)
    assert status == 0, (words.read_text(errors="replace")[-2000:], said.stderr)
    return Cost(seconds, cpu, memory)
