"""Files that arrive piece by piece, each in a file of its own: what is acknowledged is on the disk.

Beside each file lies how long it is for sure (`sure_length`), noted when so many bytes were flushed.
When only the process died, what is behind them is what was written, and counts as well. When the
machine died, a file may be longer than what got to the medium of it, so nothing else counts; and of a
piece that may turn out wrong (it has a checksum that is known to be right only at its end) nothing
does before all of it is there.

After a flush that failed the system may take what it could not write for written, and the next flush
says that all is well. So what such a flush should have kept is cut off, and has to come again.

Names are ids of rows, never anything that a client said. All functions block on the disk.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import threading
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from recorder.journals import make_folder, sync_folder
from recorder.uploads.sure_length import SureLength

SPOOL: Final = ".uploads"  # among the journals: their disk is watched
LENGTH: Final = ".length"
BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")


class Arrival:
    """An open file and the piece that is being appended to it.

    `start` is where the piece begins, `end` where its next byte goes, `durable` how long the file is
    if the machine dies now, and `sure` the note of it. Closing waits for a write that a cancelled task
    left to its thread: the number of the file may be another one's afterwards.
    """

    def __init__(self, path: Path, boot: str, last: Arrival | None = None) -> None:
        """`last` is the one before, if this process had it open."""
        self._boot = boot
        self._lock = threading.Lock()
        self._hash: hashlib._Hash | None = None
        self.sure = SureLength(_beside(path))
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except BaseException:
            self.sure.close()
            raise
        try:
            self.durable = self.sure.entry.length
            if last is None or not self._follows(last):
                self._settle()
            self.start = self.end = self.durable
        except BaseException:
            self._close()
            raise

    def check_with(self, algorithm: str) -> None:
        """Nothing of the piece counts before `keep`. `algorithm` is a name of hashlib."""
        self._hash = hashlib.new(algorithm, usedforsecurity=False)
        self.sure.note(self.start, self._boot, provisional=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._lock:
            self._close()

    def write(self, block: bytes | bytearray | memoryview) -> None:
        """Raises OSError; what could be written of the block stays."""
        rest = memoryview(block)
        with self._lock:
            while rest:
                count = os.pwrite(self._file, rest, self.end)
                if self._hash is not None:
                    self._hash.update(rest[:count])
                self.end += count
                rest = rest[count:]

    def flush(self) -> int:
        """The length that is durable now; a piece with a checksum adds nothing before `keep`."""
        return self.durable if self._hash is not None else self.keep()

    def digest(self) -> bytes:
        return self._hash.digest() if self._hash else b""

    def keep(self) -> int:
        """The piece counts as far as it came; the length that is durable."""
        with self._lock:
            self._sync()
            self.sure.note(self.end, self._boot)
            self.durable = self.end
        return self.durable

    def discard(self) -> int:
        """As if the piece had never come."""
        with self._lock:
            os.ftruncate(self._file, self.start)
            os.fsync(self._file)
            self.sure.note(self.start, self._boot)
            self.end = self.durable = self.start
        return self.durable

    def _follows(self, last: Arrival) -> bool:
        """Was all that is there flushed by this process?"""
        as_noted = last.sure.entry == self.sure.entry and last.end == last.durable
        return as_noted and self.durable == last.durable == self._size()

    def _settle(self) -> None:
        """Cut off what does not count, and flush the rest."""
        self.sure.settle()
        known = self.sure.entry
        if (known.provisional or known.boot != self._boot) and self._size() > known.length:
            os.ftruncate(self._file, known.length)
        self._sync()
        self.durable = self._size()
        self.sure.note(self.durable, self._boot)

    def _sync(self) -> None:
        try:
            os.fsync(self._file)
        except OSError:
            with suppress(OSError):
                os.ftruncate(self._file, self.durable)
                os.fsync(self._file)
            self.end = self.durable
            raise

    def _size(self) -> int:
        return os.fstat(self._file).st_size

    def _close(self) -> None:
        file, self._file = self._file, -1
        self.sure.close()
        os.close(file)


class Spool:
    """The folder of files that have not come as a whole yet. `boot` is another one each time that the
    machine was started.
    """

    def __init__(self, root: Path, boot: str | None = None) -> None:
        self.root = root
        self._boot = boot or _boot_id()
        self._last: dict[str, Arrival] = {}

    def path(self, name: str) -> Path:
        return self.root / name

    def create(self, name: str) -> None:
        """An empty file that a power cut can't take. Raises FileExistsError, OSError."""
        if not self.root.is_dir():
            make_folder(self.root, self.root.parent, mode=0o700)
        path = self.path(name)
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
        try:
            SureLength.make(_beside(path), self._boot)
            sync_folder(self.root)
        except OSError:
            with suppress(OSError):
                self.remove(name)
            raise

    def open(self, name: str) -> Arrival:
        """For one at a time. Raises FileNotFoundError, OSError."""
        last = self._last.get(name)
        arrival = self._last[name] = Arrival(self.path(name), self._boot, last)
        return arrival

    def remove(self, name: str) -> None:
        """No error when it is gone already. Raises OSError."""
        self._last.pop(name, None)
        for path in (self.path(name), _beside(self.path(name))):
            path.unlink(missing_ok=True)

    def sizes(self) -> dict[str, int]:
        """The files that are there, and how long they look: what does not count is in it."""
        found: dict[str, int] = {}
        with suppress(FileNotFoundError):
            for entry in os.scandir(self.root):
                size = 0 if entry.name.endswith(LENGTH) else entry.stat().st_size
                name = entry.name.removesuffix(LENGTH)
                found[name] = found.get(name, 0) + size
        return found


def _beside(path: Path) -> Path:
    return Path(f"{path}{LENGTH}")


def _boot_id() -> str:
    try:
        return BOOT_ID.read_text("ascii").strip()
    except OSError:  # then it may have been started again each time
        return secrets.token_hex(16)
