"""RTP timestamps -> the server's clock, by what is known so far.

The same two steps as in `recorder.timeline`, without a look ahead: sender reports say how RTP time
and the sender's NTP clock belong together (their median, so that one bad report shifts nothing), the
fastest packets say how far the sender's clock is from the server's. Until the first report of a track
its fastest packets stand in for both. What is learned later moves the clock in small steps, so
that pictures are shown a little faster or slower and never jump back. All times in microseconds.
"""

from __future__ import annotations

from collections import deque
from statistics import median

from mediaserver.rtp.sequence import timestamp_diff
from recorder.arrivals import STEP_US
from recorder.timeline import (
    BUCKET_US,
    EARLY_US,
    IMPLAUSIBLE_US,
    SAME_CLOCK_US,
    ntp_to_unix_us,
)

REPORTS_KEPT = 9
FLOOR_BUCKETS = 60
"""Seconds of fastest packets; clocks that drift by 100 ppm are 6 ms apart after it."""
SLEW = 0.05
"""Of the time that passes; so fast a correction is worked off."""
SKIP_US = 400_000
"""A correction forward by more is made at once: a short freeze rather than seconds of haste."""
LATE_US = 5_000_000
"""Media this long before its arrival was not captured then."""


class Floor:
    """The least of the values of the last minute."""

    def __init__(self) -> None:
        self._least: deque[float] = deque(maxlen=FLOOR_BUCKETS)  # one a second
        self._bucket = -1

    def add(self, value: float, now_us: int) -> None:
        bucket = now_us // BUCKET_US
        if bucket != self._bucket:
            self._bucket = bucket
            self._least.append(value)
        elif value < self._least[-1]:
            self._least[-1] = value

    @property
    def value(self) -> float | None:
        return min(self._least, default=None)


class SenderOffsets:
    """How far one participant's NTP clock is from the server's, as all their tracks see it."""

    def __init__(self) -> None:
        self._floors: list[Floor] = []

    def join(self) -> Floor:
        floor = Floor()
        self._floors.append(floor)
        return floor

    def leave(self, floor: Floor) -> None:
        if floor in self._floors:
            self._floors.remove(floor)

    def seen_by(self, own: float) -> float:
        """The least of all offsets that may be of the same machine as `own`."""
        values = [floor.value for floor in self._floors]
        return min(
            (value for value in values if value is not None and abs(value - own) <= SAME_CLOCK_US),
            default=own,
        )


class LiveClock:
    """The clock of one epoch (see `recorder.packets`)."""

    def __init__(self, clock_rate: int, offsets: SenderOffsets) -> None:
        self._rate = clock_rate
        self._offsets = offsets
        self._bare = Floor()
        self._sent: Floor | None = None
        self._reports: deque[float] = deque(maxlen=REPORTS_KEPT)  # NTP minus RTP
        self._odd: float | None = None  # a report that stands alone so far
        self._last: tuple[int, int] | None = None  # timestamp, arrival
        self._applied: float | None = None  # server minus RTP, as it is used
        self._applied_at = 0

    def close(self) -> None:
        if self._sent is not None:
            self._offsets.leave(self._sent)

    def packet(self, timestamp: int, arrival_us: int) -> None:
        """`timestamp` is unwrapped."""
        if self._last is not None and self._last[0] == timestamp:
            return  # the first packet of a frame is the fastest
        self._last = (timestamp, arrival_us)
        at = self._rtp_us(timestamp)
        self._bare.add(arrival_us - at, arrival_us)
        if self._sent is not None:
            self._sent.add(arrival_us - at - median(self._reports), arrival_us)

    def report(self, ntp: int, rtp_timestamp: int, arrival_us: int) -> None:
        """A sender report as it came (RFC 3550 section 6.4.1); what can't be about these packets,
        or comes from a sender without a clock, is left out."""
        if self._last is None or ntp == 0:
            return
        timestamp, arrived_us = self._last
        ticks = timestamp + timestamp_diff(rtp_timestamp, timestamp & 0xFFFF_FFFF)
        at = self._rtp_us(ticks)
        if abs(at - self._rtp_us(timestamp) - (arrival_us - arrived_us)) > IMPLAUSIBLE_US:
            return
        self._learn(ntp_to_unix_us(ntp) - at)
        if self._sent is None:
            self._sent = self._offsets.join()
            self._sent.add((self._bare.value or 0.0) - median(self._reports), arrival_us)

    def _learn(self, offset: float) -> None:
        if not self._reports or abs(offset - median(self._reports)) <= STEP_US:
            self._reports.append(offset)
            self._odd = None
        elif self._odd is None or abs(offset - self._odd) > STEP_US:
            self._odd = offset
        else:  # twice the same: a clock was set
            self._reports = deque([self._odd, offset], maxlen=REPORTS_KEPT)
            self._odd = None
            self.close()
            self._sent = None

    def server_us(self, timestamp: int, arrival_us: int) -> float:
        """When that was captured. `timestamp` is unwrapped; ask after `packet`, in order."""
        at = self._rtp_us(timestamp)
        wanted = self._offset()
        applied = self._applied
        if applied is None or wanted - applied > SKIP_US:
            applied = wanted
        else:
            most = SLEW * max(arrival_us - self._applied_at, 0)
            applied += min(max(wanted - applied, -most), most)
        if not -LATE_US <= at + applied - arrival_us <= EARLY_US:
            applied = arrival_us - at  # what a sender says is believed near its arrival only
        self._applied, self._applied_at = applied, arrival_us
        return at + applied

    def _offset(self) -> float:
        if self._sent is not None and (own := self._sent.value) is not None:
            return median(self._reports) + self._offsets.seen_by(own)
        return self._bare.value or 0.0

    def _rtp_us(self, timestamp: int) -> float:
        return timestamp * 1e6 / self._rate
