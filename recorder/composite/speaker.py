"""Who speaks (pure).

Levels come in windows of `WINDOW_SECONDS`. A new speaker is somebody who spoke in a good part of
the last second; a cough is not enough. Nobody is replaced before they were shown for
`HOLD_SECONDS`, nor while they go on speaking, unless somebody else is much louder; and while
everybody is silent the last speaker stays.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Final

WINDOW_SECONDS: Final = 0.1
HOLD_SECONDS: Final = 2.0
LOOK_AHEAD_SECONDS: Final = 0.6
"""So much after a word begins it is known to be speech: whoever has the sound that far ahead of the
picture turns to the speaker in time."""

_AUDIBLE: Final = 0.006  # root mean square, full scale is 1: -44 dB
_MEMORY: Final = 10  # windows
_SPOKE: Final = 4  # windows of these
_MUCH_LOUDER: Final = 4.0  # in power: 6 dB
_LONG_AGO: Final = -1_000_000  # windows: who is shown only because nobody spoke gives way at once


class SpeakerChooser:
    """Feed it each window of levels in turn; `speaker` is whom to show."""

    def __init__(self) -> None:
        self.speaker: str | None = None
        self._heard: dict[str, deque[float]] = {}
        self._window = 0
        self._shown_since = _LONG_AGO

    def hear(self, levels: Mapping[str, float]) -> str | None:
        """`levels` is the root mean square of one window for each participant who is there, 0 for
        the silent. Of those alike the first counts. Returns `speaker`."""
        for gone in self._heard.keys() - levels.keys():
            del self._heard[gone]
        for participant, level in levels.items():
            heard = self._heard.setdefault(participant, deque(maxlen=_MEMORY))
            heard.append(level * level if level >= _AUDIBLE else 0.0)
        self._window += 1
        best = max(self._heard, key=self._power, default=None)
        if best is not None and best != self.speaker and self._takes_over(best):
            self.speaker = best
            self._shown_since = self._window if self._speaks(best) else _LONG_AGO
        return self.speaker

    def _takes_over(self, candidate: str) -> bool:
        if self.speaker not in self._heard:
            return True
        if not self._speaks(candidate):
            return False
        if (self._window - self._shown_since) * WINDOW_SECONDS < HOLD_SECONDS:
            return False
        if not self._speaks(self.speaker):
            return True
        return self._power(candidate) > _MUCH_LOUDER * self._power(self.speaker)

    def _speaks(self, participant: str) -> bool:
        return sum(power > 0 for power in self._heard[participant]) >= _SPOKE

    def _power(self, participant: str) -> float:
        return sum(self._heard[participant])
