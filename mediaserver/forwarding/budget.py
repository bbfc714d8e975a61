"""Limits in packets per second that cost nothing while they are kept. Pure; times are seconds."""

from __future__ import annotations


class Budget:
    """A token bucket: `rate` a second, `burst` at once."""

    __slots__ = ("_burst", "_left", "_rate", "_since")

    def __init__(self, rate: float, burst: float) -> None:
        self._rate = rate
        self._burst = burst
        self._left = burst
        self._since = 0.0

    def take(self, now: float) -> bool:
        """Spend one; False when there is none left."""
        self._left = min(self._burst, self._left + (now - self._since) * self._rate)
        self._since = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


REMEMBERED = 512
RESEND_INTERVAL = 0.02
"""Seconds before the same packet is sent again: the first copy may still be on its way."""


class Retransmissions:
    """Which retransmissions a subscriber gets (RFC 4585 leaves that to the sender).

    Without it one small NACK packet, repeated, makes the server send a thousand large ones.
    """

    __slots__ = ("_budget", "_last")

    def __init__(self, rate: float = 500, burst: float = 500) -> None:
        self._budget = Budget(rate, burst)
        self._last: dict[int, float] = {}

    def allows(self, sequence: int, now: float) -> bool:
        if now - self._last.get(sequence, float("-inf")) < RESEND_INTERVAL:
            return False
        if not self._budget.take(now):
            return False
        self._last.pop(sequence, None)
        self._last[sequence] = now
        if len(self._last) > REMEMBERED:
            del self._last[next(iter(self._last))]
        return True
