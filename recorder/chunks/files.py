"""The blocking file operations of the chunk store. Everything here runs in threads.

How a chunk stays whole: its bytes go to a file of random name in `.incoming`, are flushed to the
medium, and only then a link gives them their number, which fails when there is such a chunk already;
then the folder is flushed. A killed process leaves at most files in `.incoming`, which nothing takes
for chunks.

After a flush that failed the system may take what it could not write for written, and the next flush
says that all is well. So nothing is flushed twice: bytes, names and folders are made anew.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Final, Literal

from recorder.chunks.places import CHUNKS_PER_FOLDER, INCOMING, number_in, set_folder, shard_folder
from recorder.chunks.ranges import RangeSet
from recorder.diskspace import FULL
from recorder.errors import ChunkConflict, DigestMismatch, DiskLow, JournalsUnwritable, SetComplete
from recorder.journals import make_folder, set_aside, sync_folder, sync_up
from storage.objects.threads import Cancelled

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
            raise DiskLow("the server's disk is full; send the chunk again later") from error
        raise JournalsUnwritable(f"chunks can't be kept in {root}: {reason}") from error


class ArrivingFile:
    """A chunk that has no number yet. `close` has to be called whatever happened."""

    def __init__(self, root: Path, digests: Sequence[Digest] = ()) -> None:
        self._root = root
        self._path = root / INCOMING / secrets.token_hex(12)
        self._digests = [(digest, hashlib.new(digest.algorithm)) for digest in digests]
        self._descriptor: int | None = None

    def write(self, block: bytes) -> None:
        """Raises DiskLow, JournalsUnwritable."""
        with translated(self._root):
            _write_all(self._opened(), block)
        for _, computed in self._digests:
            computed.update(block)

    def place(self, target: Path, *, durable: bool) -> None:
        """Gives it the name `target`, in a folder that exists and is not flushed here, and closes it.

        Nothing happens where the same bytes are `durable` under that name; else they are replaced by
        these, since nobody knows what became of their name.
        Raises DigestMismatch, ChunkConflict, SetComplete, DiskLow, JournalsUnwritable.
        """
        self._check_digests()
        with translated(self._root):
            descriptor = self._opened()
            if there := target.exists():
                self._compare(target)
            if not (there and durable):
                os.fsync(descriptor)
                self._name(target, there=there)
        self.close()

    def require_same(self, target: Path) -> None:
        """The same bytes have that name already. Raises as `place`; SetComplete when none have it."""
        self._check_digests()
        with translated(self._root):
            try:
                self._compare(target)
            except FileNotFoundError:
                raise SetComplete("the chunks of this participant were removed meanwhile") from None

    @property
    def is_open(self) -> bool:
        return self._descriptor is not None

    def close(self) -> None:
        """Again it does nothing."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            for end in (self._path.unlink, partial(os.close, descriptor)):
                with suppress(OSError):  # what is kept was flushed under another name
                    end()

    def _opened(self) -> int:
        if self._descriptor is None:
            flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            self._descriptor = os.open(self._path, flags, 0o600)
        return self._descriptor

    def _name(self, target: Path, *, there: bool) -> None:
        try:
            if there:
                self._path.replace(target)
            else:
                os.link(self._path, target)
        except FileExistsError:  # another request was quicker, and flushed the same
            self._compare(target)
        except FileNotFoundError:  # the folder: whoever removes a set asks nobody here
            raise SetComplete("the chunks of this participant were removed meanwhile") from None

    def _check_digests(self) -> None:
        """Raises DigestMismatch."""
        for told, computed in self._digests:
            if computed.digest() != told.value:
                raise DigestMismatch(
                    f"the bytes that came do not have the {told.algorithm} digest that was sent"
                    " with them; send the chunk again"
                )

    def _compare(self, target: Path) -> None:
        """Raises ChunkConflict."""
        if not _equal(self._opened(), target):
            raise ChunkConflict("other bytes are kept under this number; they stay what they are")


@dataclass(slots=True)
class PartOnDisk:
    """`shards` are those folders of the part whose names are known to be on the medium."""

    received: RangeSet = field(default_factory=RangeSet)
    shards: RangeSet = field(default_factory=RangeSet)
    size: int = 0


@dataclass(slots=True)
class SetOnDisk:
    """What is durable of a set. `last_arrival` is unix time in seconds.

    `parts`, but for their shards, change on the event loop only. `making` is one lock for all sets: a
    flush that fails takes with it the names that others have just given in the same folder.
    """

    root: Path
    set_id: str
    making: Lock
    parts: dict[int, PartOnDisk] = field(default_factory=dict)
    last_arrival: float | None = None

    def path_of(self, part: int, sequence: int) -> Path:
        shard = sequence // CHUNKS_PER_FOLDER
        return shard_folder(self.root, self.set_id, part, shard) / str(sequence)

    def folder_of(self, part: int, sequence: int) -> Path:
        """Where a chunk belongs, as a folder that a power cut can't take. Raises as `translated`."""
        shard = sequence // CHUNKS_PER_FOLDER
        folder = self.path_of(part, sequence).parent
        with self.making, translated(self.root):
            shards = self.parts.setdefault(part, PartOnDisk()).shards
            if not shards.has(shard):
                make_folder(folder, self.root)
                shards.add(shard)
        return folder


def scan(root: Path, set_id: str, making: Lock) -> SetOnDisk:
    """What a set has on the disk; all of it is on the medium afterwards. Raises JournalsUnwritable."""
    found = SetOnDisk(root, set_id, making)
    folder = set_folder(root, set_id)
    with translated(root):
        if not folder.is_dir():
            return found
        for part in _numbers(folder):
            found.parts[part] = here = PartOnDisk()
            for shard in _numbers(folder / str(part)):
                _scan_shard(found, here, folder / str(part) / str(shard), shard)
            sync_folder(folder / str(part))
        with making:
            sync_up(folder, root.parent)
    return found


def sweep(root: Path) -> None:
    """Makes the folder of what arrives, and removes what a killed process left in it."""
    with translated(root):
        incoming = root / INCOMING
        make_folder(incoming, root.parent)
        for path in incoming.iterdir():
            with suppress(FileNotFoundError):
                path.unlink()


def remove(root: Path, set_id: str, cancelled: Cancelled) -> None:
    """All chunks of a set, in one step. Raises JournalsUnwritable, and then all are still there.

    A server that stops does not wait for a million files: the next one removes the rest.
    """
    with translated(root):
        grave = set_aside(set_folder(root, set_id))
    for shard in grave.glob("*/*") if grave is not None else ():
        if cancelled():
            return
        shutil.rmtree(shard, ignore_errors=True)
    if grave is not None:
        shutil.rmtree(grave, ignore_errors=True)


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
