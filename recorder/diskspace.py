"""How much room is left where journals are written, and what follows when it gets low.

Three marks. Below twice the low mark the log warns, below the low mark no recording is started, and
below the stop mark, with what finishing needs on top, those that run are ended while their files can
still be made.
"""

from __future__ import annotations

import errno
import logging
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from recorder.errors import DiskLow

WARN_AT = 2  # times the low mark
FULL = frozenset({errno.ENOSPC, errno.EDQUOT})  # what a call says that found no room
FILES_KEPT = 0.05  # of all files: clients who send very many very small ones leave these

log = logging.getLogger(__name__)


def free_bytes(folder: Path) -> int:
    """What this user may still write there."""
    return shutil.disk_usage(folder).free


def files_left(folder: Path) -> float:
    """Which part of all files that the disk can have may still be made; 1.0 where it has no such end."""
    status = os.statvfs(folder)
    return status.f_favail / status.f_files if status.f_files else 1.0


class DiskSpace:
    """`low` and `stop` are marks in bytes; 0 takes a mark away.

    `copies` is how many bytes on this disk it takes to finish a byte of journals: 1 for the files that
    are made beside them, and 1 more when finished files are kept on the same disk.
    """

    def __init__(
        self,
        folder: Path,
        low: int,
        *,
        stop: int = 0,
        copies: int = 1,
        free: Callable[[Path], int] = free_bytes,
        files: Callable[[Path], float] = files_left,
    ) -> None:
        self._files = files
        self._folder = folder
        self._low = low
        self._stop = stop
        self._copies = copies
        self._free = free
        self._warned = False

    @property
    def free(self) -> int:
        return self._free(self._folder)

    def check(self, journal_bytes: int = 0) -> None:
        """`journal_bytes` are those of the recordings that run. Raises DiskLow."""
        free, needed = self.free, max(self._low, self._needed(journal_bytes))
        if free < needed:
            raise DiskLow(
                f"only {free >> 20} MiB are free on the server's disk; recordings start"
                f" again at {-(-needed >> 20)} MiB"
            )

    def check_arrival(self, size: int = 0) -> None:
        """`size` more bytes want to come in from a client. Raises DiskLow."""
        free, needed = self.free, max(self._low, self._stop) + size
        if free < needed:
            raise DiskLow(
                f"only {free >> 20} MiB are free on the server's disk; what clients send is"
                f" taken again at {-(-needed >> 20)} MiB"
            )
        if self._low and (left := self._files(self._folder)) < FILES_KEPT:
            raise DiskLow(
                f"only {left:.1%} of the files that the server's disk can have are left; what"
                f" clients send is taken again at {FILES_KEPT:.0%}"
            )

    def exhausted(self, journal_bytes: int) -> bool:
        """Whether recordings with so many bytes of journals have to end now to be finished at all."""
        return self.free < self._needed(journal_bytes)

    def is_low(self) -> bool:
        return self.free < max(self._low, self._stop)

    def _needed(self, journal_bytes: int) -> int:
        return self._stop + self._copies * journal_bytes if self._stop else 0

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
