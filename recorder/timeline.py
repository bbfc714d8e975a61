"""From RTP timestamps to the server's clock.

Two steps, each with its own evidence:

1. RTP timestamp -> the sender's NTP clock. Every sender report names one instant in both
   (RFC 3550 section 6.4.1). `SenderClock` smooths all of them, so that audio and video of one
   sender lie as they were captured, whatever the network did to them.
2. Sender's clock -> server's clock. What arrived was sent before, so `arrival - sent` is the offset
   between the clocks plus a delay; its smallest values are the best evidence of the offset. One
   `Offset` is fitted over all tracks that share a sender's clock: shifting them alike keeps them
   in sync.

Where a track has no sender reports, or none any more, its RTP clock goes on as the arrivals say
(`recorder.arrivals`).

Timestamps and reports are what a sender says, arrivals are what the server saw. So arrivals have the
last word: a step of the sender's NTP clock that they did not make is taken back, reports that
explain them worse than the bare RTP clock are not used, and `ArrivalBound` holds every time near the
arrival it belongs to, whatever was fitted. All times are microseconds; server times are unix time.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import fmean, median
from typing import Generic, TypeVar

from mediaserver.rtp.sequence import timestamp_diff
from recorder.arrivals import (
    MAX_SKEW,
    STEP_US,
    ArrivalLine,
    Offset,
    Point,
    fit_offset,
    least_offset,
)

NTP_TO_UNIX_SECONDS = 2_208_988_800
BUCKET_US = 1_000_000
BEHIND_SECONDS = 5
"""A packet at most so far behind the newest was late or sent again; farther, the clock was set back."""
IMPLAUSIBLE_US = 10_000_000
"""A sender report this far from the media around it is not about them."""
LATE_US = 10_000_000
"""Media this long before its arrival was not captured then."""
EARLY_US = 100_000
"""So far a fit may be off; nothing is captured after it has arrived."""
WINDOW_US = 30_000_000
WINDOW_REPORTS = 300
"""Each way; more say nothing more."""
REPORTS_APART_US = 100_000
"""In arrival; no sender needs more."""
SLOPE_SPAN_US = 20_000_000
SAME_CLOCK_US = 500_000
"""Tracks of one participant whose offsets differ by more come from different machines."""

MAX_JUMPS = 10_000
ARRIVALS_BESIDE = 10
"""So many seconds of arrivals on each side of a step say whether they made it too."""

K = TypeVar("K")


def ntp_to_unix_us(ntp: int) -> float:
    """64-bit NTP time (RFC 5905 section 6) as unix time in microseconds."""
    return (ntp >> 32) * 1e6 - NTP_TO_UNIX_SECONDS * 1e6 + (ntp & 0xFFFF_FFFF) * 1e6 / (1 << 32)


@dataclass(slots=True)
class Observation:
    """What the first pass keeps of one epoch: a few numbers a second, however many packets."""

    clock_rate: int
    reports: list[Point] = field(default_factory=list)  # (RTP timestamp in us, NTP in us)
    fastest: list[Point] = field(default_factory=list)  # (RTP timestamp in us, arrival)
    jumps: deque[Point] = field(default_factory=lambda: deque(maxlen=MAX_JUMPS))
    """(RTP timestamp in us, by how much more than the RTP clock the arrivals moved on there)"""
    _last: tuple[int, int] | None = None  # RTP timestamp in ticks, arrival
    _early: tuple[float, int] | None = None  # a report before any packet
    _bucket: int = -1
    _reported_us: int | None = None

    def packet(self, timestamp: int, arrival_us: int) -> None:
        """`timestamp` is unwrapped."""
        last = self._last
        if last is not None and 0 <= last[0] - timestamp < BEHIND_SECONDS * self.clock_rate:
            return  # the first packet of a frame is the fastest, and none that is late is
        self._last = (timestamp, arrival_us)
        at = timestamp * 1e6 / self.clock_rate
        if last is not None:
            jump = (arrival_us - last[1]) - (at - last[0] * 1e6 / self.clock_rate)
            if abs(jump) > STEP_US:
                self.jumps.append((at, jump))
        bucket = arrival_us // BUCKET_US
        if bucket != self._bucket:
            self._bucket = bucket
            self.fastest.append((at, arrival_us))
        elif arrival_us - at < self.fastest[-1][1] - self.fastest[-1][0]:
            self.fastest[-1] = (at, arrival_us)
        if self._early is not None:
            (ntp_us, rtp), self._early = self._early, None
            self.report(ntp_us, rtp, arrival_us)

    def report(self, ntp_us: float, rtp_timestamp: int, arrival_us: int) -> None:
        """`rtp_timestamp` is as it came. Reports that can't be about this epoch are left out."""
        if self._last is None:
            self._early = (ntp_us, rtp_timestamp)
            return
        timestamp, arrived_us = self._last
        ticks = timestamp + timestamp_diff(rtp_timestamp, timestamp & 0xFFFF_FFFF)
        at = ticks * 1e6 / self.clock_rate
        expected = timestamp * 1e6 / self.clock_rate + (arrival_us - arrived_us)
        reported_us = self._reported_us
        if reported_us is not None and 0 <= arrival_us - reported_us < REPORTS_APART_US:
            return
        if abs(at - expected) <= IMPLAUSIBLE_US:
            self._reported_us = arrival_us
            self.reports.append((at, ntp_us))


class SenderClock:
    """RTP timestamps of one epoch -> the sender's NTP clock, from sender reports (at least one).

    Within a line of reports that agree, the clock is the local least-squares line through all
    reports 30 s around; beside it the nominal rate holds. Where reports step (a sender that stopped
    its RTP clock), a new line begins where the arrivals of `jumps` stepped too. Where `arrivals`
    (RTP timestamp in us, arrival) did not step with them, the sender's NTP clock was set, or lies:
    then it goes on as before.
    """

    def __init__(
        self,
        reports: Sequence[Point],
        jumps: Iterable[Point] = (),
        arrivals: Sequence[Point] = (),
    ) -> None:
        lines = _lines(reports)
        if arrivals and len(lines) > 1:
            lines = _without_ntp_steps(lines, sorted(arrivals))
        self._borders = [_border(a[-1], b[0], jumps) for a, b in pairwise(lines)]
        self._at: list[float] = []
        self._ntp: list[float] = []
        self._line: list[int] = []
        residuals: list[float] = []
        for number, line in enumerate(lines):
            for (at, ntp), smooth in zip(line, _smoothed(line), strict=True):
                self._at.append(at)
                self._ntp.append(smooth)
                self._line.append(number)
                residuals.append(abs(ntp - smooth))
        self.first, self.last = self._at[0], self._at[-1]
        self.residual_us = sorted(residuals)[int(0.95 * (len(residuals) - 1))]

    def ntp_us(self, at: float) -> float:
        """The sender's clock at RTP timestamp `at`, both in us. Reports are from `first` to `last`."""
        after = bisect_right(self._at, at)
        before = max(after - 1, 0)
        after = min(after, len(self._at) - 1)
        if before == after:
            return self._ntp[after] + at - self._at[after]
        left, right = self._at[before], self._at[after]
        if self._line[before] != self._line[after]:
            nearest = before if at < self._borders[self._line[before]] else after
            return self._ntp[nearest] + at - self._at[nearest]
        share = (at - left) / (right - left)
        return self._ntp[before] + share * (self._ntp[after] - self._ntp[before])


def _lines(reports: Sequence[Point]) -> list[list[Point]]:
    """Reports in stretches that agree; a single stray one among those that agree is left out."""
    lines: list[list[Point]] = [[reports[0]]]
    for index, report in enumerate(reports[1:], start=1):
        last = lines[-1][-1]
        if report[0] <= last[0]:
            continue  # the RTP clock stood still: nothing new is said
        if _agree(last, report):
            lines[-1].append(report)
        elif index + 1 >= len(reports) or not _agree(last, reports[index + 1]):
            lines.append([report])
    return lines


def _border(last: Point, first: Point, jumps: Iterable[Point]) -> float:
    """Where between two reports the RTP clock stepped: where arrivals stepped alike, if they did."""
    step = _step(last, first)
    between = [jump for jump in jumps if last[0] < jump[0] <= first[0]]
    if not between:
        return (last[0] + first[0]) / 2
    return min(between, key=lambda jump: abs(jump[1] - step))[0]


def _step(last: Point, first: Point) -> float:
    return (first[1] - last[1]) - (first[0] - last[0])


def _without_ntp_steps(
    lines: Sequence[list[Point]], arrivals: Sequence[Point]
) -> list[list[Point]]:
    """The lines on the NTP clock of the first. `arrivals` are sorted."""
    times = [at for at, _ in arrivals]
    shift = 0.0
    out = [lines[0]]
    for before, line in pairwise(lines):
        early = bisect_right(times, before[-1][0])
        late = bisect_left(times, line[0][0])
        step = _step(before[-1], line[0])
        arrived = least_offset(
            arrivals[late : late + ARRIVALS_BESIDE] or arrivals[-1:]
        ) - least_offset(arrivals[max(early - ARRIVALS_BESIDE, 0) : early] or arrivals[:1])
        if abs(step - arrived) > abs(step) / 2:
            shift += step
        out.append([(at, ntp - shift) for at, ntp in line])
    return out


def _agree(a: Point, b: Point) -> bool:
    elapsed = b[1] - a[1]
    return abs(elapsed - (b[0] - a[0])) <= STEP_US + MAX_SKEW * abs(elapsed)


def _smoothed(line: Sequence[Point]) -> list[float]:
    """The NTP time of each report as the reports around it have it."""
    out = []
    first = last = 0
    for index, (at, _) in enumerate(line):
        while line[first][0] < at - WINDOW_US:
            first += 1
        while last < len(line) and line[last][0] <= at + WINDOW_US:
            last += 1
        near = line[max(first, index - WINDOW_REPORTS) : min(last, index + WINDOW_REPORTS)]
        out.append(_local_fit(near, at))
    return out


def _local_fit(points: Sequence[Point], at: float) -> float:
    xs = [x - at for x, _ in points]
    offsets = [y - x for x, y in points]
    base = offsets[0]  # keeps the sums small
    if xs[-1] - xs[0] < SLOPE_SPAN_US:
        return at + median(offsets)  # one bad report among few must not pull the others along
    mean_x, mean_y = fmean(xs), fmean(y - base for y in offsets)
    spread = sum((x - mean_x) ** 2 for x in xs)
    slope = sum((x - mean_x) * (y - base) for x, y in zip(xs, offsets, strict=True)) / spread
    slope = min(max(slope, -MAX_SKEW), MAX_SKEW)
    return at + base + mean_y - slope * mean_x


@dataclass(frozen=True, slots=True)
class EpochClock:
    """RTP timestamps of one epoch -> server time.

    `offset` is that of the sender's clock. Before the first and after the last sender report, and
    without any, `arrivals` says how time goes on.
    """

    clock_rate: int
    arrivals: ArrivalLine
    sender: SenderClock | None = None
    offset: Offset | None = None

    def server_us(self, timestamp: int) -> float:
        """`timestamp` is unwrapped, in ticks."""
        at = timestamp * 1e6 / self.clock_rate
        if self.sender is None or self.offset is None:
            return self.arrivals.server_us(at)
        known = min(max(at, self.sender.first), self.sender.last)
        sent = self.sender.ntp_us(known)
        server_us = sent + self.offset.at(sent)
        if known == at:
            return server_us
        return server_us + self.arrivals.server_us(at) - self.arrivals.server_us(known)


class ArrivalBound:
    """The clock of one epoch as far as it can be believed: near the arrivals.

    Media whose time is more than LATE_US before its arrival or EARLY_US after it is put at its
    arrival, and what follows goes on from there by the clock: a sender whose timestamps jumped, or
    were never true, shifts nothing but itself, and by so much at most.
    """

    def __init__(self, clock: EpochClock) -> None:
        self._clock = clock
        self._shift_us = 0.0

    def server_us(self, timestamp: int, arrival_us: int) -> float:
        """`timestamp` is unwrapped, in ticks."""
        fitted = self._clock.server_us(timestamp)
        for shift in (self._shift_us, 0.0):
            if -LATE_US <= fitted + shift - arrival_us <= EARLY_US:
                self._shift_us = shift
                return fitted + shift
        self._shift_us = arrival_us - fitted
        return float(arrival_us)


@dataclass(frozen=True, slots=True)
class _Reported(Generic[K]):
    """An epoch with sender reports; its points are (sender's time, arrival minus that)."""

    key: K
    arrivals: ArrivalLine
    sender: SenderClock
    points: list[Point]


def fit_clocks(observations: Mapping[K, Observation]) -> dict[K, EpochClock]:
    """The clocks of all epochs of one participant. Epochs without packets get none."""
    clocks: dict[K, EpochClock] = {}
    reported: list[_Reported[K]] = []
    for key, seen in observations.items():
        if not seen.fastest:
            continue
        arrivals = ArrivalLine(seen.fastest, seen.jumps)
        entry = _reported(key, seen, arrivals)
        if entry is None:
            clocks[key] = EpochClock(seen.clock_rate, arrivals)
        else:
            reported.append(entry)
    while reported:
        seed = fit_offset(max(reported, key=lambda entry: len(entry.points)).points)
        same = [entry for entry in reported if _distance(entry, seed) <= SAME_CLOCK_US]
        offset = fit_offset(point for entry in same for point in entry.points)
        for entry in same:
            rate = observations[entry.key].clock_rate
            clocks[entry.key] = EpochClock(rate, entry.arrivals, entry.sender, offset)
        reported = [entry for entry in reported if entry.key not in clocks]
    return clocks


def _reported(key: K, seen: Observation, arrivals: ArrivalLine) -> _Reported[K] | None:
    """None without sender reports, or when arrivals alone explain more than with them."""
    if not seen.reports:
        return None
    sender = SenderClock(seen.reports, seen.jumps, seen.fastest)
    first, last = sender.first - WINDOW_US, sender.last + WINDOW_US
    near = [point for point in seen.fastest if first <= point[0] <= last]
    sent = [(sender.ntp_us(at), arrival) for at, arrival in near]
    points = [(ntp, arrival - ntp) for ntp, arrival in sent]
    if not points or _implausible(points) > _implausible(arrivals.points(near)):
        return None
    return _Reported(key, arrivals, sender, points)


def _implausible(points: Sequence[Point]) -> int:
    """How many of the points no line under all of them explains."""
    offset = fit_offset(points)
    return sum(y - offset.at(x) > LATE_US for x, y in points)


def _distance(entry: _Reported[K], offset: Offset) -> float:
    return abs(min(y - offset.at(x) for x, y in entry.points))
