"""How much room is left where journals are written, and what follows when it gets low."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from pathlib import Path

from recorder.errors import DiskLow

WARN_AT = 2  # times the low mark

log = logging.getLogger(__name__)


def free_bytes(folder: Path) -> int:
    """What this user may still write there."""
    return shutil.disk_usage(folder).free


class DiskSpace:
    """Below `low` bytes no recording is started; those that run go on. Below twice that it warns."""

    def __init__(self, folder: Path, low: int, *, free: Callable[[Path], int] = free_bytes) -> None:
        self._folder = folder
        self._low = low
        self._free = free
        self._warned = False

    @property
    def free(self) -> int:
        return self._free(self._folder)

    def check(self) -> None:
        """Raises DiskLow."""
        free = self.free
        if free < self._low:
            raise DiskLow(
                f"only {free >> 20} MiB are free on the disk of {self._folder}; recordings start"
                f" again at {self._low >> 20} MiB"
            )

    async def look(self) -> None:
        """Says once in the log that it gets low, and once that it is better."""
        free = self.free
        low = free < self._low * WARN_AT
        if low and not self._warned:
            log.warning(
                "%d MiB are free on the disk of %s; below %d MiB no recording is started",
                free >> 20,
                self._folder,
                self._low >> 20,
            )
        elif self._warned and not low:
            log.info("%d MiB are free again on the disk of %s", free >> 20, self._folder)
        self._warned = low
