"""The blocking file operations of the chunk store. Everything here runs in threads.

How a chunk stays whole: its bytes go to a file of random name in `.incoming`, are flushed to the
medium, and only then a link gives them their number, which fails when there is such a chunk already;
then the folder is flushed. A killed process leaves at most files in `.incoming`, which nothing takes
for chunks.
"""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Final, Literal

from recorder.chunks.places import CHUNKS_PER_FOLDER, INCOMING, number_in, set_folder, shard_folder
from recorder.chunks.ranges import RangeSet
from recorder.errors import ChunkConflict, DigestMismatch, DiskLow, JournalsUnwritable, SetComplete
from recorder.journals import bury, sync_folder

FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
COMPARED_BYTES: Final = 1 << 18

Algorithm = Literal["sha256", "sha512"]
Outcome = Literal["stored", "same"]


@dataclass(frozen=True, slots=True)
class Digest:
    """What the sender says that the bytes are."""

    algorithm: Algorithm
    value: bytes


@contextmanager
def translated(root: Path) -> Iterator[None]:
    """Turn what the operating system says into DiskLow and JournalsUnwritable."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or type(error).__name__
        if error.errno in FULL:
            raise DiskLow(f"the disk of {root} is full; send the chunk again later") from error
        raise JournalsUnwritable(f"chunks can't be kept in {root}: {reason}") from error


class ArrivingFile:
    """A chunk that has no number yet. `close` has to be called whatever happened."""

    def __init__(self, root: Path, digest: Digest | None = None) -> None:
        self._root = root
        self._path = root / INCOMING / secrets.token_hex(12)
        self._digest = digest
        self._hash = hashlib.new(digest.algorithm) if digest else None
        self._descriptor: int | None = None

    def write(self, block: bytes) -> None:
        """Raises DiskLow, JournalsUnwritable."""
        with translated(self._root):
            _write_all(self._opened(), block)
        if self._hash is not None:
            self._hash.update(block)

    def place(self, target: Path) -> Outcome:
        """Gives it the name `target`, in a folder that exists and is not flushed here, and closes it.

        Raises DigestMismatch, ChunkConflict, SetComplete, DiskLow, JournalsUnwritable.
        """
        if self._digest and self._hash and self._hash.digest() != self._digest.value:
            raise DigestMismatch(
                f"the bytes that came do not have the {self._digest.algorithm} digest that was"
                " sent with them; send the chunk again"
            )
        with translated(self._root):
            descriptor = self._opened()
            if target.exists():
                return self._compared(target)
            os.fsync(descriptor)
            try:
                os.link(self._path, target)
            except FileExistsError:  # another request was quicker
                return self._compared(target)
            except FileNotFoundError:  # the folder: whoever removes a set asks nobody here
                raise SetComplete("the chunks of this participant were removed meanwhile") from None
        self.close()
        return "stored"

    @property
    def is_open(self) -> bool:
        return self._descriptor is not None

    def close(self) -> None:
        """Again it does nothing."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
            with suppress(OSError):
                self._path.unlink()

    def _opened(self) -> int:
        if self._descriptor is None:
            flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            self._descriptor = os.open(self._path, flags, 0o600)
        return self._descriptor

    def _compared(self, target: Path) -> Outcome:
        if not _equal(self._opened(), target):
            raise ChunkConflict("other bytes are kept under this number; they stay what they are")
        return "same"


@dataclass(slots=True)
class PartOnDisk:
    """`shards` are those folders of the part whose names are known to be on the medium."""

    received: RangeSet = field(default_factory=RangeSet)
    shards: RangeSet = field(default_factory=RangeSet)
    size: int = 0


@dataclass(slots=True)
class SetOnDisk:
    """What is durable of a set. `last_arrival` is unix time in seconds.

    `parts`, but for their shards, change on the event loop only.
    """

    root: Path
    set_id: str
    parts: dict[int, PartOnDisk] = field(default_factory=dict)
    last_arrival: float | None = None
    lock: Lock = field(default_factory=Lock)

    def folder_of(self, part: int, sequence: int) -> Path:
        """Where a chunk belongs, as a folder that a power cut can't take. Raises as `translated`."""
        shard = sequence // CHUNKS_PER_FOLDER
        folder = shard_folder(self.root, self.set_id, part, shard)
        with self.lock, translated(self.root):
            shards = self.parts.setdefault(part, PartOnDisk()).shards
            if not shards.has(shard):
                folder.mkdir(parents=True, exist_ok=True)
                _sync_up(folder.parent, self.root.parent)
                shards.add(shard)
        return folder


def scan(root: Path, set_id: str) -> SetOnDisk:
    """What a set has on the disk; all of it is on the medium afterwards. Raises JournalsUnwritable."""
    found = SetOnDisk(root, set_id)
    folder = set_folder(root, set_id)
    with translated(root):
        if not folder.is_dir():
            return found
        for part in _numbers(folder):
            found.parts[part] = here = PartOnDisk()
            for shard in _numbers(folder / str(part)):
                _scan_shard(found, here, folder / str(part) / str(shard), shard)
            sync_folder(folder / str(part))
        _sync_up(folder, root.parent)
    return found


def sweep(root: Path) -> None:
    """Makes the folder of what arrives, and removes what a killed process left in it."""
    with translated(root):
        incoming = root / INCOMING
        incoming.mkdir(parents=True, exist_ok=True)
        for path in incoming.iterdir():
            with suppress(FileNotFoundError):
                path.unlink()


def remove(root: Path, set_id: str) -> None:
    """All chunks of a set, in one step. Raises JournalsUnwritable, and then all are still there."""
    with translated(root):
        bury(set_folder(root, set_id))


def sync(root: Path, folder: Path) -> None:
    with translated(root):
        sync_folder(folder)


def _scan_shard(found: SetOnDisk, part: PartOnDisk, folder: Path, shard: int) -> None:
    times: list[float] = []
    for sequence in _numbers(folder, lambda number: number // CHUNKS_PER_FOLDER == shard):
        status = os.stat(folder / str(sequence))
        part.received.add(sequence)
        part.size += status.st_size
        times.append(status.st_mtime)
    if times:
        found.last_arrival = max([*times, found.last_arrival or 0.0])
    sync_folder(folder)
    part.shards.add(shard)


def _numbers(folder: Path, fits: Callable[[int], bool] = lambda _: True) -> list[int]:
    """Names in a folder that are numbers, ascending."""
    with os.scandir(folder) as entries:
        found = (number_in(entry.name) for entry in entries)
        return sorted(number for number in found if number is not None and fits(number))


def _write_all(descriptor: int, block: bytes) -> None:
    rest = memoryview(block)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _equal(descriptor: int, path: Path) -> bool:
    with path.open("rb", buffering=0) as file:
        size = os.fstat(descriptor).st_size
        if os.fstat(file.fileno()).st_size != size:
            return False
        return all(
            os.pread(descriptor, COMPARED_BYTES, at) == os.pread(file.fileno(), COMPARED_BYTES, at)
            for at in range(0, size, COMPARED_BYTES)
        )


def _sync_up(folder: Path, last: Path) -> None:
    """Makes the names in `folder` and in all folders above it durable, up to `last`."""
    for each in (folder, *folder.parents):
        sync_folder(each)
        if each == last:
            return
