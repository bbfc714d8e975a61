"""How fast bytes arrive, and how long the rest takes. Pure: time is an argument."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

WINDOW: Final = 15.0  # seconds over which speed is measured
MOST_SAMPLES: Final = 64


@dataclass(frozen=True, slots=True)
class UploadProgress:
    """`percent` 0 to 100, `speed` in Mbit/s (10^6), `eta_seconds` None while there is no telling."""

    received: int
    size: int
    percent: float
    speed: float
    eta_seconds: float | None


class Meter:
    """Samples of one upload: (time in seconds, bytes that have arrived by then)."""

    def __init__(self, now: float, received: int = 0) -> None:
        self._samples: deque[tuple[float, int]] = deque([(now, received)], maxlen=MOST_SAMPLES)

    @property
    def received(self) -> int:
        return self._samples[-1][1]

    @property
    def told_at(self) -> float:
        return self._samples[-1][0]

    def tell(self, now: float, received: int) -> None:
        """Less than before means that the upload began anew."""
        last, before = self._samples[-1]
        if received < before:
            self._samples.clear()
        elif now - last < WINDOW / MOST_SAMPLES and len(self._samples) > 1:
            self._samples.pop()
        self._samples.append((max(now, last), received))

    def progress(self, now: float, size: int) -> UploadProgress:
        """`size` is the whole upload's, in bytes."""
        received = min(self.received, size)
        rate = self._rate(now)
        left = size - received
        eta = 0.0 if not left else left / rate if rate else None
        percent = 100.0 if not size else 100.0 * received / size
        return UploadProgress(received, size, percent, rate * 8 / 1e6, eta)

    def _rate(self, now: float) -> float:
        """Bytes per second over the last `WINDOW`; what stalls slows down with the time."""
        since = now - WINDOW
        while len(self._samples) > 2 and self._samples[1][0] <= since:
            self._samples.popleft()
        first, before = self._samples[0]
        return (self.received - before) / (now - first) if now > first else 0.0
