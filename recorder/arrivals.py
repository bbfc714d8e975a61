"""What arrivals alone say about an RTP clock: how fast it runs, and where it stood still or leapt.

Points are (RTP time, arrival), all in microseconds. Arrivals are late by the network's delay, so it
is the lowest ones that count.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from statistics import fmean

Point = tuple[float, float]

SKEW_SPAN_US = 60_000_000
"""Below this span the offset between two clocks is taken as constant."""
MAX_SKEW = 1e-3
STEP_US = 100_000
"""Less than this is delay and jitter, not a step of a clock."""
LASTS_US = 2_000_000
"""So long at least a step is kept up by what follows, or as long as it is itself: the last packet of a
track that came late is none."""
POINTS_BESIDE = 60
"""So many seconds of arrivals on each side of a jump say whether the clock stepped there."""


@dataclass(frozen=True, slots=True)
class Offset:
    """Server clock minus another clock, as a line: `base + skew * (t - origin)`."""

    origin: float
    base: float
    skew: float

    def at(self, t: float) -> float:
        return self.base + self.skew * (t - self.origin)


def fit_offset(points: Iterable[Point]) -> Offset:
    """The line under all of `points`, (time, offset plus some delay), that lies closest to them.

    It is the edge of their lower convex hull below their mean (Moon, Skelly, Towsley 1999). Over a
    short span, or when the slope is none that clocks have, it is level through the lowest point.
    """
    ordered = sorted(points)
    if ordered[-1][0] - ordered[0][0] >= SKEW_SPAN_US:
        middle = fmean(x for x, _ in ordered)
        hull = _lower_hull(ordered)
        for (x0, y0), (x1, y1) in pairwise(hull):
            skew = (y1 - y0) / (x1 - x0)
            if x0 <= middle <= x1 and abs(skew) <= MAX_SKEW:
                return Offset(x0, y0, skew)
    return Offset(0.0, min(y for _, y in ordered), 0.0)


def _lower_hull(ordered: Sequence[Point]) -> list[Point]:
    """Andrew's monotone chain, lower half."""
    hull: list[Point] = []
    for x, y in ordered:
        if hull and hull[-1][0] == x:
            continue  # sorted: the first of equal x is the lowest
        while len(hull) >= 2:
            (x0, y0), (x1, y1) = hull[-2], hull[-1]
            if (x1 - x0) * (y - y0) - (y1 - y0) * (x - x0) > 0:
                break
            hull.pop()
        hull.append((x, y))
    return hull


class ArrivalLine:
    """RTP time -> server time by arrivals alone.

    `jumps` are (RTP time, by how much more than the RTP clock the arrivals moved on there). Those
    that the arrivals after them keep up are steps of the clock: a sender that stopped it while it
    sent nothing, or whose timestamps leapt. A delay that goes away again is none.
    """

    def __init__(self, arrivals: Sequence[Point], jumps: Iterable[Point] = ()) -> None:
        steps = _steps(sorted(arrivals), jumps)
        self._at = [at for at, _ in steps]
        self._sum = list(accumulate((size for _, size in steps), initial=0.0))
        self.offset = fit_offset(self.points(arrivals))

    def points(self, arrivals: Iterable[Point]) -> list[Point]:
        """(RTP time without its steps, arrival minus that)."""
        steady = [(self._steady(at), arrival) for at, arrival in arrivals]
        return [(at, arrival - at) for at, arrival in steady]

    def server_us(self, at: float) -> float:
        steady = self._steady(at)
        return steady + self.offset.at(steady)

    def _steady(self, at: float) -> float:
        return at + self._sum[bisect_right(self._at, at)]


def _steps(arrivals: Sequence[Point], jumps: Iterable[Point]) -> list[Point]:
    """The jumps that are steps, with their sizes. `arrivals` are sorted."""
    times = [at for at, _ in arrivals]
    steps: list[Point] = []
    for at, size in sorted(jumps):
        border = bisect_left(times, at)
        first = max(border - POINTS_BESIDE, bisect_left(times, steps[-1][0]) if steps else 0)
        before, after = arrivals[first:border], arrivals[border : border + POINTS_BESIDE]
        if before and after:
            moved = least_offset(after) - least_offset(before)
            lasted_us = after[-1][1] - after[0][1]
            if (
                abs(moved) > STEP_US
                and abs(moved - size) < abs(size) / 2
                and lasted_us >= min(abs(moved), LASTS_US)
            ):
                steps.append((at, moved))
    return steps


def least_offset(arrivals: Sequence[Point]) -> float:
    """Of the fastest of these arrivals."""
    return min(arrival - at for at, arrival in arrivals)
