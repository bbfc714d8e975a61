"""How long a file is for sure, whatever happened since: a few bytes in a file beside it.

There are two places in that file, which are written in turn, so that a power cut in the middle of one
leaves the other. A place counts when its sum is right, and the later one of two. All functions block
on the disk.
"""

from __future__ import annotations

import os
import re
import zlib
from pathlib import Path
from typing import Final, NamedTuple

PLACES: Final = (0, 4096)  # in blocks of their own
ENTRY: Final = re.compile(rb"((\d+) (\d+) ([01]) ([\w-]+)) (\d+)\n", re.ASCII)
LONGEST: Final = 256  # bytes


class Entry(NamedTuple):
    """The first `length` bytes are on the medium. What is behind them was there for all to see while
    the machine ran (`boot` says since when), unless it is `provisional`: then it does not count.
    """

    serial: int
    length: int
    provisional: bool
    boot: str

    def encode(self) -> bytes:
        said = f"{self.serial} {self.length} {self.provisional:d} {self.boot}".encode()
        return b"%s %d\n" % (said, zlib.crc32(said))


class SureLength:
    """`entry` is the present one. Close it."""

    def __init__(self, path: Path) -> None:
        """Raises OSError, and FileNotFoundError for one that was never made or is lost."""
        self._file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        found = [_decode(os.pread(self._file, LONGEST, place)) for place in PLACES]
        self.entry = max(filter(None, found), default=Entry(0, 0, provisional=True, boot="-"))

    @classmethod
    def make(cls, path: Path, boot: str) -> None:
        """A new one, of length 0, whose name is not flushed here. Raises FileExistsError, OSError."""
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
        made = cls(path)
        try:
            made.note(0, boot)
        finally:
            made.close()

    def settle(self) -> None:
        """Whoever wrote the present entry may have died before it was flushed. Raises OSError."""
        self._write(self.entry)

    def note(self, length: int, boot: str, *, provisional: bool = False) -> None:
        """On the medium when this returns. Raises OSError, and then the last entry counts, or this."""
        entry = Entry(self.entry.serial + 1, length, provisional, boot)
        self._write(entry)
        self.entry = entry

    def close(self) -> None:
        os.close(self._file)

    def _write(self, entry: Entry) -> None:
        os.pwrite(self._file, entry.encode(), PLACES[entry.serial % len(PLACES)])
        os.fsync(self._file)


def _decode(block: bytes) -> Entry | None:
    if (found := ENTRY.match(block)) is None or zlib.crc32(found[1]) != int(found[6]):
        return None
    return Entry(int(found[2]), int(found[3]), found[4] == b"1", found[5].decode())
