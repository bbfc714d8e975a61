"""The sound of two files laid over each other: `python -m recorder.chunks.hearing JSON`

JSON is `{"own", "reference", "expected"}`: two files, and an `Expected`. Says `{"offset", "residual",
"windows"}` in seconds, or an empty result. Decodes a few stretches of each to mono at 8 kHz, with
bounded memory and in a process of its own: see `recorder.chunks.comparing`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, Final

import av
import numpy as np
from av.container import InputContainer

from recorder.chunks.alignment import RATE, Loudness, agree, fit, windows_of
from recorder.chunks.child import limit_memory
from recorder.chunks.placing import Agreement, Expected
from recorder.job_process import end_with_parent, say

_HZ: Final = 8000
_STEP: Final = _HZ // RATE
_LEAD_S: Final = 1.0  # decoded before a stretch begins: a seek may land late
_MOST_FRAMES: Final = 200_000


def _compare(own: Path, reference: Path, expected: Expected) -> Agreement | None:
    begin = max(expected.first, -expected.begins)
    end = min(_seconds(own), _seconds(reference) - expected.begins)
    if expected.last is not None:
        end = min(end, expected.last)
    fits = []
    for at, length in windows_of(begin, end):
        mine = loudness(own, at, length)
        early = expected.begins + at - expected.search
        theirs = loudness(reference, early, length + 2 * expected.search)
        if (found := fit(mine, theirs, expected.search, expected.unsure)) is not None:
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
    expected = Expected(**wish["expected"])
    found = _compare(Path(wish["own"]), Path(wish["reference"]), expected)
    said = (
        {}
        if found is None
        else {"offset": found.offset, "residual": found.residual, "windows": found.windows}
    )
    say({"result": said})
    return 0


if __name__ == "__main__":
    sys.exit(main())
