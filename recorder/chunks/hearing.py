"""The sound of two files laid over each other: `python -m recorder.chunks.hearing JSON`

JSON is `{"own", "reference", "expected", "search"}`: two files, the time in `reference` at which `own`
is expected to begin, and by how many seconds that may be wrong. Says `{"offset", "residual", "windows"}`
in seconds, or an empty result. Decodes a few stretches of each to mono at 8 kHz, with bounded memory and
in a process of its own: see `recorder.chunks.child`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, Final

import av
import numpy as np
from av.container import InputContainer

from recorder.chunks.alignment import RATE, Agreement, Loudness, agree, fit, windows_of
from recorder.chunks.child import limit_memory, run_decoder
from recorder.job_process import end_with_parent, say

_HZ: Final = 8000
_STEP: Final = _HZ // RATE
_LEAD_S: Final = 1.0  # decoded before a stretch begins: a seek may land late
_MOST_FRAMES: Final = 200_000


def compare(own: Path, reference: Path, expected: float, search: float) -> Agreement | None:
    """In a process of its own; None when the two have no sound in common."""
    wish = {
        "own": str(own),
        "reference": str(reference),
        "expected": expected,
        "search": search,
    }
    found = run_decoder("recorder.chunks.hearing", [json.dumps(wish)], lambda _: None)
    if not found:
        return None
    return Agreement(found["offset"], found["residual"], found["windows"])


def _compare(own: Path, reference: Path, expected: float, search: float) -> Agreement | None:
    begin = max(0.0, -expected)
    end = min(_seconds(own), _seconds(reference) - expected)
    fits = []
    for at, length in windows_of(begin, end):
        mine = loudness(own, at, length)
        theirs = loudness(reference, expected + at - search, length + 2 * search)
        if (found := fit(mine, theirs, search)) is not None:
            fits.append(found)
        say({"progress": 0.5})
    return agree(fits)


def _seconds(path: Path) -> float:
    with av.open(str(path)) as container:
        return (container.duration or 0) / av.time_base


def loudness(path: Path, begin: float, length: float) -> Loudness:
    """From `begin` on, `length` seconds; silence where the file has no sound, or is none."""
    samples = np.zeros(round(length * _HZ), np.float32)
    with av.open(str(path)) as container:
        if container.streams.audio:
            _decode(container, samples, begin)
    power = (samples[: len(samples) // _STEP * _STEP].reshape(-1, _STEP) ** 2).mean(axis=1)
    return np.asarray(np.sqrt(np.sqrt(power)), np.float32)


def _decode(container: InputContainer, samples: Any, begin: float) -> None:
    stream = container.streams.audio[0]
    if begin > _LEAD_S:
        container.seek(round((begin - _LEAD_S) * av.time_base))
    resampler = av.AudioResampler("flt", "mono", _HZ)
    end = begin + len(samples) / _HZ
    for number, frame in enumerate(container.decode(stream)):
        if frame.time is None:
            continue
        if frame.time >= end or number > _MOST_FRAMES:
            return
        at = round((frame.time - begin) * _HZ)
        for piece in resampler.resample(frame):
            data = piece.to_ndarray().reshape(-1)
            first, skip = max(at, 0), max(-at, 0)
            fitting = data[skip : skip + max(len(samples) - first, 0)]
            samples[first : first + len(fitting)] = fitting
            at += len(data)


def main() -> int:
    limit_memory()
    end_with_parent()
    wish = json.loads(sys.argv[1])
    found = _compare(Path(wish["own"]), Path(wish["reference"]), wish["expected"], wish["search"])
    said = (
        {}
        if found is None
        else {"offset": found.offset, "residual": found.residual, "windows": found.windows}
    )
    say({"result": said})
    return 0


if __name__ == "__main__":
    sys.exit(main())
