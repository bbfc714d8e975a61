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
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Any, Final, Literal

Method = Literal["sound", "clock", "arrival"]


@dataclass(frozen=True, slots=True)
class Expected:
    """Where in the reference a sound is expected to begin: `begins` seconds from its beginning,
    `search` seconds off at most, and `unsure` usually. Of the sound itself `first` to `last`
    (seconds) are compared; None: to its end.
    """

    begins: float
    search: float
    unsure: float
    first: float = 0.0
    last: float | None = None


@dataclass(frozen=True, slots=True)
class Agreement:
    """Of several windows: `residual` is how far they are from the median, at most (seconds)."""

    offset: float
    residual: float
    windows: int


Compare = Callable[[Path, Path, Expected], Agreement | None]
"""See `recorder.chunks.comparing.compare`."""

SEARCH_S: Final[Mapping[Method, float]] = {"clock": 5.0, "arrival": 60.0}
"""So wrong each of them may be."""
USUALLY_S: Final[Mapping[Method, float]] = {"clock": 0.5, "arrival": 2.0}
"""So wrong they are as a rule: sound that repeats itself is believed no further."""
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


Stretch = tuple[float, float | None]
"""Begin and end in a file, seconds; None: its end."""
WHOLE: Final[Stretch] = (0.0, None)


def place(
    path: Path,
    said: float | None,
    bound: float,
    references: Sequence[Reference],
    compare: Compare,
    stretch: Stretch = WHOLE,
) -> Placed:
    """Of the file of a part that began at `said` by its page's clock, and at `bound` at the latest. What
    is compared is a stretch of its sound.
    """
    roughly = _roughly(said, bound)
    first, last = stretch
    best: Agreement | None = None
    for reference in references:
        wish = replace(_expected(roughly, reference), first=first, last=last)
        found = compare(path, reference.path, wish)
        if found is not None and (best is None or found.windows > best.windows):
            best = found
    if best is None:
        return roughly
    return Placed(roughly.begins + best.offset, "sound", best.offset, best.residual)


def stretches_between(pauses: Sequence[tuple[float, float]]) -> list[Stretch]:
    """Of a file with pauses (begin and end, seconds): what is before, between and behind them."""
    edges = [0.0, *chain.from_iterable(pauses)]
    return list(zip(edges[::2], [*edges[1::2], None], strict=True))


def hear_stretches(
    path: Path,
    roughly: Placed,
    stretches: Sequence[Stretch],
    references: Sequence[Reference],
    compare: Compare,
) -> list[float | None]:
    """How much later each stretch of a file's sound is heard in a reference than it should be; None:
    not known.
    """
    ends = [last for _, last in stretches[:-1] if last is not None]
    begins = [first for first, _ in stretches[1:]]
    longest = max((begin - end for end, begin in zip(ends, begins, strict=True)), default=0.0)
    heard: list[float | None] = []
    for first, last in stretches:
        offset: float | None = None
        for reference in references:
            usual = _expected(roughly, reference)
            search = min(usual.search + longest, SEARCH_S["arrival"])
            wish = replace(usual, search=search, first=first, last=last)
            if offset is None and (found := compare(path, reference.path, wish)) is not None:
                offset = found.offset
        heard.append(offset)
    return heard


def _expected(roughly: Placed, reference: Reference) -> Expected:
    method = roughly.method
    return Expected(roughly.begins - reference.begins, SEARCH_S[method], USUALLY_S[method])


def _roughly(said: float | None, bound: float) -> Placed:
    if said is not None and bound - _EARLIEST_S <= said <= bound + _SLACK_S:
        return Placed(said, "clock")
    return Placed(bound, "arrival")


def said_to_begin(
    facts: Mapping[str, Any], zero: float, latest: float = _FROM_START_S
) -> float | None:
    """When the file of a part begins: `startedAt` by its page's clock, and how much the server's is
    ahead of that. `zero` is the recorder's own time at the file's beginning, in seconds: if that is
    more than `latest` it does not count from its start.
    """
    try:
        begun = datetime.fromisoformat(facts["startedAt"])
        ahead = float(facts.get("clockOffsetMs") or 0.0)
        seconds = begun.replace(tzinfo=begun.tzinfo or UTC).timestamp() + ahead / 1000
    except (KeyError, TypeError, ValueError, OverflowError, OSError):
        return None
    if abs(zero) < latest:
        seconds += zero
    return seconds if math.isfinite(seconds) else None
