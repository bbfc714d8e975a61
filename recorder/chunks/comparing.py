"""Asks a process of its own whether two files have the same sound, and where.

The listening is `recorder.chunks.hearing`; whoever asks needs neither numpy nor a decoder.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from recorder.chunks.child import run_decoder
from recorder.chunks.placing import Agreement, Expected


def compare(own: Path, reference: Path, expected: Expected) -> Agreement | None:
    """In a process of its own; None when the two have no sound in common."""
    wish = {"own": str(own), "reference": str(reference), "expected": asdict(expected)}
    found = run_decoder("recorder.chunks.hearing", [json.dumps(wish)], lambda _: None)
    if not found:
        return None
    return Agreement(found["offset"], found["residual"], found["windows"])
