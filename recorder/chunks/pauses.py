"""Where a recorder was paused, by when its chunks were made or arrived. Pure.

A paused MediaRecorder writes nothing, and what follows has times as if nothing had been left out. But
clocks go on: from a pause on, every chunk is later, in relation to its media, by as much as the pause
took. A network that was down also makes chunks late, but not for good: the backlog arrives at once, and
then the chunks are as early as before. So a pause is a step from one level to a higher one, each held
for a while, and never fallen below again. What clocks suggest, sound has to confirm: a network may also
get slower and stay so, and a page may say when it sent a chunk instead of when it made it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise
from math import isnan
from statistics import median
from typing import Any, Final, Literal

Clock = Literal["timestamp", "arrival", "sound"]

SHORTEST_S: Final = 1.0
"""Shorter ones are not told from a network that was busy."""
LONGEST_US: Final = 24 * 3_600_000_000
"""All pauses of a part, as its page says. Nobody waits for chunks any longer."""
_SAME_S: Final = 0.3
_LEAST_CHUNKS: Final = 3
_LEAST_S: Final = 1.5
"""Of media, for a level to be one."""
_SHORT_CHUNK: Final = 0.75
_LOOKED_AT: Final = 1000
MOST_PAUSES: Final = 100


@dataclass(frozen=True, slots=True)
class Pause:
    """Of `length_us`, at `at_us` of the part's media: from its first packet on, without any pause."""

    at_us: int
    length_us: int


@dataclass(frozen=True, slots=True)
class Pauses:
    """In order. `clock` says by what they were found; sound may have corrected it."""

    found: tuple[Pause, ...] = ()
    clock: Clock = "arrival"

    def before(self, at_us: int) -> int:
        """Microseconds of all pauses up to a time of the media."""
        return sum(pause.length_us for pause in self.found if pause.at_us <= at_us)

    def spans(self) -> list[tuple[int, int]]:
        """Begin and end of each, in a file that has them."""
        begins = [pause.at_us + self.before(pause.at_us - 1) for pause in self.found]
        return [(at, at + pause.length_us) for at, pause in zip(begins, self.found, strict=True)]

    def to_json(self) -> dict[str, Any]:
        return {
            "method": self.clock,
            "seconds": [round(pause.length_us / 1e6, 3) for pause in self.found],
        }


NO_PAUSES: Final = Pauses()


@dataclass(slots=True)
class _Level:
    """Chunks `first` to `last` that are equally late; `late` is the earliest of them."""

    first: int
    last: int
    late: float

    @property
    def chunks(self) -> int:
        return self.last - self.first + 1


def find_pauses(ends: Sequence[float], arrived: Sequence[float], made: Sequence[float]) -> Pauses:
    """Of each chunk: up to which second of the media it goes, when it arrived, and when it was made by
    its page's own clock (nan: it did not say). All in seconds.
    """
    by_page = _held_levels(ends, made) if _is_clock(made) else []
    if 2 * sum(level.chunks for level in by_page) >= len(ends) > 0:
        found = _steps(ends, by_page)
        if sum(pause.length_us for pause in found) <= LONGEST_US:
            return Pauses(found, "timestamp")
    return Pauses(_steps(ends, _held_levels(ends, arrived)), "arrival")


def corrected(pauses: Pauses, offsets: Sequence[float | None]) -> Pauses:
    """`offsets` are how much later the sound of each stretch lies than it should: of the one before the
    first pause, and those after each. Clocks alone are no reason to change a file: a pause that is not
    heard stays only where sound has shown, across another, that the page's clock is right.
    """
    known = [offset for offset in offsets if offset is not None]
    trusted = pauses.clock == "timestamp" and any(
        abs(behind - before) <= _SAME_S for before, behind in pairwise(known)
    )
    found = []
    for pause, (before, behind) in zip(pauses.found, pairwise(offsets), strict=True):
        length_us = pause.length_us
        if before is not None and behind is not None:
            length_us += round((behind - before) * 1e6)
        elif not trusted:
            continue
        if length_us >= _SAME_S * 1e6:
            found.append(Pause(pause.at_us, length_us))
    return Pauses(tuple(found), "sound")


def _is_clock(made: Sequence[float]) -> bool:
    """All said, and it neither counts chunks nor runs backwards."""
    if len(made) < _LEAST_CHUNKS or any(map(isnan, made)):
        return False
    step = made[1] - made[0]
    steady = all(later - earlier == step for earlier, later in pairwise(made))
    return not steady and all(earlier <= later for earlier, later in pairwise(made))


def _steps(ends: Sequence[float], levels: Sequence[_Level]) -> tuple[Pause, ...]:
    for earlier, later in reversed(list(pairwise(levels))):
        earlier.late = min(earlier.late, later.late)
    lengths = [later - earlier for earlier, later in pairwise(ends[:_LOOKED_AT])]
    steps = (
        Pause(round(_place(ends, behind.first, median(lengths)) * 1e6), round(longer * 1e6))
        for before, behind in pairwise(levels)
        if (longer := behind.late - before.late) >= SHORTEST_S
    )
    return tuple(islice(steps, MOST_PAUSES))


def _held_levels(ends: Sequence[float], clock: Sequence[float]) -> list[_Level]:
    return [
        level
        for level in _levels(ends, clock)
        if level.chunks >= _LEAST_CHUNKS and ends[level.last] - ends[level.first] >= _LEAST_S
    ]


def _levels(ends: Sequence[float], clock: Sequence[float]) -> Iterator[_Level]:
    level: _Level | None = None
    for number, (at, end) in enumerate(zip(clock, ends, strict=True)):
        late = at - end
        if level is not None and abs(late - level.late) <= _SAME_S:
            level.last, level.late = number, min(level.late, late)
            continue
        if level is not None:
            yield level
        level = _Level(number, number, late)
    if level is not None:
        yield level


def _place(ends: Sequence[float], first: int, usual: float) -> float:
    """Where in the media the pause is that was over when chunk `first` ended. Some recorders end a chunk
    when they go on, and it is a short one; others in its own time, and then it is anywhere in it.
    """
    begin, end = ends[first - 1], ends[first]
    return end if end - begin < _SHORT_CHUNK * usual else (begin + end) / 2
