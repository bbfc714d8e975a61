"""When to ask a publisher for a keyframe: at once, but never a storm (RFC 4585, 6.3.1.1)."""

from __future__ import annotations

MIN_INTERVAL = 0.5
"""Seconds between two requests for one stream, however many subscribers ask."""


class KeyframeRequests:
    """Merges the keyframe requests of all consumers of one stream.

    A request inside the quiet time is kept and becomes due at its end, unless a keyframe came.
    `periodic` > 0 additionally asks every so many seconds without keyframe (a recorder wants that).
    """

    __slots__ = ("_last_keyframe", "_last_request", "_wanted", "periodic")

    def __init__(self) -> None:
        self._wanted = False
        self._last_request = float("-inf")
        self._last_keyframe = float("-inf")
        self.periodic = 0.0

    def request(self, now: float) -> bool:
        """Somebody needs a keyframe; True: send a PLI now, False: it will become `due`."""
        self._wanted = True
        return self.due(now)

    def due(self, now: float) -> bool:
        """Whether to send a PLI now; the caller then does."""
        if self.periodic and now - self._last_keyframe >= self.periodic:
            self._wanted = True
        if not self._wanted or now - self._last_request < MIN_INTERVAL:
            return False
        self._wanted = False
        self._last_request = now
        return True

    def keyframe(self, now: float) -> None:
        """A keyframe arrived: whoever asked has been served."""
        self._wanted = False
        self._last_keyframe = now
