"""Where on the recording's time line each part begins.

Three clocks may tell, the better ones first:

    sound    what is heard in it is heard in the server's own file of the participant as well
    clock    the page said when its recorder started, and its clock was compared with the server's
    arrival  no chunk arrives before it was recorded

What arrivals say bounds the others: nothing begins later than that. Times are unix time in seconds
unless they say otherwise.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal

from recorder.chunks.alignment import Agreement

Method = Literal["sound", "clock", "arrival"]
Compare = Callable[[Path, Path, float, float], Agreement | None]
"""See `recorder.chunks.hearing.compare`."""

SEARCH_S: Final[Mapping[Method, float]] = {"clock": 5.0, "arrival": 60.0}
"""So wrong each of them may be."""
_SLACK_S: Final = 0.25  # a page's clock is compared over a network
_FROM_START_S: Final = 10.0
_EARLIEST_S: Final = 24 * 3600.0  # a chunk that is older is none


@dataclass(frozen=True, slots=True)
class Reference:
    """A file of the server with the participant's sound; it begins at this time."""

    path: Path
    begins: float


@dataclass(frozen=True, slots=True)
class Placed:
    """`moved` seconds is what the sound changed of what the other clocks said; `residual` is how far
    the places in the file at which it was compared disagree.
    """

    begins: float
    method: Method
    moved: float = 0.0
    residual: float | None = None

    def to_json(self) -> dict[str, Any]:
        told: dict[str, Any] = {"method": self.method, "offsetMs": round(self.moved * 1000, 1)}
        if self.residual is not None:
            told["residualMs"] = round(self.residual * 1000, 1)
        return told


def place(
    path: Path, said: float | None, bound: float, references: Sequence[Reference], compare: Compare
) -> Placed:
    """Of the file of a part that began at `said` by its page's clock, and at `bound` at the latest."""
    roughly = _roughly(said, bound)
    best: Agreement | None = None
    for reference in references:
        expected = roughly.begins - reference.begins
        found = compare(path, reference.path, expected, SEARCH_S[roughly.method])
        if found is not None and (best is None or found.windows > best.windows):
            best = found
    if best is None:
        return roughly
    return Placed(roughly.begins + best.offset, "sound", best.offset, best.residual)


def _roughly(said: float | None, bound: float) -> Placed:
    if said is not None and bound - _EARLIEST_S <= said <= bound + _SLACK_S:
        return Placed(said, "clock")
    return Placed(bound, "arrival")


def said_to_begin(facts: Mapping[str, Any], zero: float) -> float | None:
    """When the file of a part begins: `startedAt` by its page's clock, and how much the server's is
    ahead of that. `zero` is the recorder's own time at the file's beginning, in seconds.
    """
    try:
        begun = datetime.fromisoformat(facts["startedAt"])
        ahead = float(facts.get("clockOffsetMs") or 0.0)
        seconds = begun.replace(tzinfo=begun.tzinfo or UTC).timestamp() + ahead / 1000
    except (KeyError, TypeError, ValueError, OverflowError, OSError):
        return None
    if abs(zero) < _FROM_START_S:  # it counts from its start, not from something else
        seconds += zero
    return seconds if math.isfinite(seconds) else None
