"""Files that arrive piece by piece, each in a file of its own: what is acknowledged is on the disk.

The truth is the length of the file, taken after it was flushed: that is what was kept, also after the
process or the machine died in the middle of a piece. A piece that may turn out wrong (it has a checksum
that is known to be right only at its end) is the exception: a mark beside the file, durable before the
first of its bytes, says where it begins, and as long as the mark is there nothing behind it counts.

Names are ids of rows, never anything that a client said. All functions block on the disk.
"""

from __future__ import annotations

import hashlib
import os
import threading
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from recorder.journals import sync_folder

MARK: Final = ".mark"


class Arrival:
    """An open file and the piece that is being appended to it.

    `start` is where the piece begins, `end` where its next byte goes, `durable` how long the file is
    if the process dies now. Closing waits for a write that a cancelled task left to its thread: the
    number of the file may be another one's afterwards.
    """

    def __init__(self, path: Path) -> None:
        self._mark = Path(f"{path}{MARK}")
        self._lock = threading.Lock()
        self._hash: hashlib._Hash | None = None
        self._file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            self.start = self.end = self.durable = _settle(self._file, self._mark)
        except BaseException:
            os.close(self._file)
            raise

    def check_with(self, algorithm: str) -> None:
        """Nothing of the piece counts before `keep`. `algorithm` is a name of hashlib."""
        self._hash = hashlib.new(algorithm, usedforsecurity=False)
        _write_mark(self._mark, self.start)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._lock:
            os.close(self._file)
            self._file = -1

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
        if self._hash is None:
            with self._lock:
                os.fsync(self._file)
            self.durable = self.end
        return self.durable

    def digest(self) -> bytes:
        return self._hash.digest() if self._hash else b""

    def keep(self) -> int:
        """The piece counts from now on; the length that is durable."""
        with self._lock:
            os.fsync(self._file)
            _remove(self._mark)
        self.durable = self.end
        return self.durable

    def discard(self) -> int:
        """As if the piece had never come."""
        with self._lock:
            os.ftruncate(self._file, self.start)
            os.fsync(self._file)
            _remove(self._mark)
        self.end = self.durable = self.start
        return self.durable


class Spool:
    """The folder of files that have not come as a whole yet."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, name: str) -> Path:
        return self.root / name

    def create(self, name: str) -> None:
        """An empty file that a power cut can't take. Raises FileExistsError, OSError."""
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC
        os.close(os.open(self.path(name), flags, 0o600))
        sync_folder(self.root)
        sync_folder(self.root.parent)

    def open(self, name: str) -> Arrival:
        """For one at a time. Raises FileNotFoundError, OSError."""
        return Arrival(self.path(name))

    def remove(self, name: str) -> None:
        """No error when it is gone already. Raises OSError."""
        for path in (self.path(name), Path(f"{self.path(name)}{MARK}")):
            path.unlink(missing_ok=True)

    def sizes(self) -> dict[str, int]:
        """The files that are there, and how long they look: what does not count is in it."""
        found: dict[str, int] = {}
        with suppress(FileNotFoundError):
            for entry in os.scandir(self.root):
                size = 0 if entry.name.endswith(MARK) else entry.stat().st_size
                name = entry.name.removesuffix(MARK)
                found[name] = found.get(name, 0) + size
        return found


def _settle(file: int, mark: Path) -> int:
    """Cut off what does not count, flush, and say how long the file is."""
    with suppress(FileNotFoundError):
        start = _read_mark(mark)
        if start is not None and start < os.fstat(file).st_size:
            os.ftruncate(file, start)
        os.fsync(file)
        _remove(mark)
    os.fsync(file)
    return os.fstat(file).st_size


def _read_mark(mark: Path) -> int | None:
    """None when the process died while it was written: then no byte of the piece was."""
    text = mark.read_text("ascii")
    return int(text[:-1]) if text.endswith(".") else None


def _write_mark(mark: Path, start: int) -> None:
    file = os.open(mark, os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    try:
        os.write(file, b"%d." % start)
        os.fsync(file)
    finally:
        os.close(file)
    sync_folder(mark.parent)


def _remove(path: Path) -> None:
    with suppress(FileNotFoundError):
        path.unlink()
        sync_folder(path.parent)
