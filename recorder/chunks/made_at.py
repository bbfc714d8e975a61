"""When chunks were made, as their page says of each: lines of text beside a part's chunks.

A hint about pauses of the recorder and nothing more, so it is not flushed, and may be lost or wrong.
"""

from __future__ import annotations

from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Final

NAME: Final = "made-at"
MOST_LINES: Final = 100_000
"""That are read. Longer parts have to do without."""
FURTHEST: Final = 10**15
"""Milliseconds; no clock says more."""


def note_made_at(part: Path, sequence: int, milliseconds: float) -> None:
    """By any clock of the page's own, less than FURTHEST. Blocks; what can't be kept is left out."""
    with suppress(OSError), (part / NAME).open("ab", buffering=0) as file:
        file.write(f"{sequence} {round(milliseconds)}\n".encode())


def read_made_at(part: Path) -> dict[int, float]:
    """Seconds by sequence. Of a chunk the first word counts. Raises OSError."""
    found: dict[int, float] = {}
    try:
        lines = (part / NAME).open("rb")
    except FileNotFoundError:
        return found
    with lines:
        for line in islice(lines, MOST_LINES):
            sequence, _, milliseconds = line.partition(b" ")
            with suppress(ValueError, OverflowError):
                found.setdefault(int(sequence), int(milliseconds) / 1000)
    return found
