"""Reports that players send, and send again when no answer came. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

MOST_REMEMBERED: Final = 10_000


class Reports:
    """Which were heard lately; the oldest are forgotten."""

    def __init__(self, most: int = MOST_REMEMBERED) -> None:
        self._most = most
        self._heard: dict[tuple[str, str], None] = {}

    @contextmanager
    def once(self, media_id: str, report: str | None) -> Iterator[bool]:
        """Whether it is new; one whose block raises was not heard. None is always new."""
        if report is None:
            yield True
            return
        key = (media_id, report)
        if key in self._heard:
            yield False
            return
        self._heard[key] = None
        if len(self._heard) > self._most:
            del self._heard[next(iter(self._heard))]
        try:
            yield True
        except BaseException:
            self._heard.pop(key, None)
            raise
