"""The chunk files of one part, read in the order of their numbers.

A part is one session of a browser's recorder; its chunks make sense one after the other only. They
lie in folders of a thousand, each named by its sequence number. A chunk's modification time is when
it arrived. Nothing is held of half a million chunks but the runs they form.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

BLOCK = 1 << 18
NOTHING_SAID: Final[Mapping[int, float]] = {}


@dataclass(frozen=True, slots=True)
class Run:
    """Chunks `first` to `last`, of which none is missing; `size` is the sum of their bytes."""

    first: int
    last: int
    size: int


class ChunkTimes(NamedTuple):
    """When a chunk arrived (unix time, seconds), and when its page says it was made (seconds by any
    clock of its own; None: it did not say).
    """

    arrived: float
    made: float | None


class Block(NamedTuple):
    """Bytes of a chunk; with the chunk's last ones come its times."""

    data: bytes
    times: ChunkTimes | None


@dataclass(frozen=True, slots=True)
class PartChunks:
    """What is there of a part. `last_arrival` is unix time in seconds, None without any chunk."""

    folder: Path
    runs: tuple[Run, ...]
    chunks: int
    size: int
    last_arrival: float | None

    def missing(self, last_sequence: int | None) -> list[list[int]]:
        """Ranges of numbers that are not there, up to `last_sequence` (None: to the highest)."""
        found: list[list[int]] = []
        due = 0
        for run in self.runs:
            if run.first > due:
                found.append([due, run.first - 1])
            due = run.last + 1
        if last_sequence is not None and last_sequence >= due:
            found.append([due, last_sequence])
        return found

    def blocks(self, run: Run, made: Mapping[int, float] = NOTHING_SAID) -> Iterator[Block]:
        """The bytes of a run, its empty chunks too; `made` as `recorder.chunks.made_at` gives it.

        Raises OSError, as when a chunk is gone.
        """
        for sequence in range(run.first, run.last + 1):
            with (self.folder / str(sequence // 1000) / str(sequence)).open("rb") as file:
                arrived = os.fstat(file.fileno()).st_mtime
                data = file.read(BLOCK)
                while following := file.read(BLOCK):
                    yield Block(data, None)
                    data = following
                yield Block(data, ChunkTimes(arrived, made.get(sequence)))


def open_part(folder: Path) -> PartChunks:
    """Looks at every chunk of a part once. Raises OSError."""
    runs: list[Run] = []
    count = total = 0
    last_arrival: float | None = None
    first: int | None = None
    last = size = 0
    for sequence, status in _chunks(folder):
        if first is not None and sequence != last + 1:
            runs.append(Run(first, last, size))
            first = None
        if first is None:
            first, size = sequence, 0
        last = sequence
        size += status.st_size
        count += 1
        total += status.st_size
        last_arrival = max(last_arrival or 0.0, status.st_mtime)
    if first is not None:
        runs.append(Run(first, last, size))
    return PartChunks(folder, tuple(runs), count, total, last_arrival)


def numbers_in(folder: Path) -> list[int]:
    """The numbers that are names in a folder, rising; other names are none of ours."""
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries]
    return sorted(int(name) for name in names if name.isdecimal() and str(int(name)) == name)


def _chunks(folder: Path) -> Iterator[tuple[int, os.stat_result]]:
    for thousand in numbers_in(folder):
        place = folder / str(thousand)
        for sequence in numbers_in(place):
            if sequence // 1000 == thousand:
                yield sequence, (place / str(sequence)).stat()
