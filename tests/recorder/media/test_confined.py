"""What a process that meets strangers' files may take of the machine, held by the kernel."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import Any

import pytest

SCRIPT = """
import json, os, sys, time
from recorder.media.confined import Ended, Limits, run_confined

def spin():
    while True:
        pass

def sleep():
    time.sleep(60)

def hoard():
    try:
        return {"got": len(bytearray(1 << 30))}
    except MemoryError:
        return {"refused": "memory"}

def crash():
    os.kill(os.getpid(), 11)

def killed():
    os.kill(os.getpid(), 9)

def mistake():
    raise ZeroDivisionError

limits = Limits(cpu=1, wall=float(sys.argv[2]), memory=512 << 20)
try:
    print(json.dumps(run_confined(globals()[sys.argv[1]], limits)))
except Ended as error:
    print(json.dumps({"signal": error.signal, "byTheMachine": error.by_the_machine}))
"""


@pytest.mark.parametrize(
    ("work", "wall", "expected"),
    [
        ("spin", 30, {"signal": signal.SIGXCPU, "byTheMachine": False}),
        ("sleep", 0.2, {"signal": signal.SIGALRM, "byTheMachine": False}),
        ("hoard", 30, {"refused": "memory"}),
        ("crash", 30, {"signal": signal.SIGSEGV, "byTheMachine": False}),
        ("killed", 30, {"signal": signal.SIGKILL, "byTheMachine": True}),
        ("mistake", 30, {"signal": None, "byTheMachine": False}),
    ],
)
def test_a_decoder_that_wants_too_much(work: str, wall: float, expected: dict[str, Any]) -> None:
    lifeline, held = os.pipe()
    try:
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT, work, str(wall)],
            stdin=lifeline,
            capture_output=True,
            check=True,
            timeout=60,
        )
    finally:
        os.close(lifeline)
        os.close(held)
    assert json.loads(done.stdout) == expected
