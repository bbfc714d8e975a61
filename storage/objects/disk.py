"""The blocking file operations of the local store. Everything here runs in threads.

How a put stays whole: the bytes go to a file of random name in `<root>/.incoming`, are flushed to
the medium, and only then does a rename give them their key; then the folders are flushed. A killed
process leaves at most a file in `.incoming`, which no key can name. While a put runs it holds a
lock (flock) on its file, and the kernel drops the lock when the process dies: that is how `sweep`
tells leftovers from the work of another living process.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import secrets
import stat
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from io import FileIO
from pathlib import Path
from typing import BinaryIO

from storage.errors import BadKey, ObjectNotFound, StoreFull, StoreUnavailable
from storage.objects import local_attributes
from storage.objects.keys import INCOMING, check_key, folder_conflict
from storage.objects.ranges import BLOCK_BYTES
from storage.objects.store import ObjectEntry, ObjectInfo
from storage.objects.threads import Cancelled

PLACE_ATTEMPTS = 100  # each lost one means that another thread deleted in the same folder


class Interrupted(Exception):
    """The caller stopped waiting for this work. Never leaves the package."""


@contextmanager
def translated(doing: str) -> Iterator[None]:
    """Turn what the operating system says into this package's errors."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or type(error).__name__
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StoreFull(f"{doing} failed because the disk is full: {reason}") from error
        if error.errno == errno.ENAMETOOLONG:
            raise BadKey(f"{doing} failed: the file system keeps no name this long") from error
        raise StoreUnavailable(f"{doing} failed: {reason}") from error


def locate(root: Path, key: str) -> Path:
    """The path of a key. Raises BadKey also where a symbolic link stands in the way.

    Links are refused because what is behind them is not in the store; mount, rather than link,
    another disk as the store's root.
    """
    components = check_key(key)
    base = os.path.realpath(root)
    path = os.path.join(base, *components)
    if os.path.realpath(path) != path:
        raise BadKey(f"{key!a} leads through a symbolic link")
    return Path(path)


def head(root: Path, key: str) -> ObjectInfo:
    with open_object(root, key) as file, translated(f"reading {key!r}"):
        return describe(key, file.fileno())


def open_object(root: Path, key: str) -> BinaryIO:
    path = locate(root, key)
    with translated(f"reading {path}"):
        try:
            # O_NONBLOCK: nothing but a plain file is an object, and opening a pipe would wait
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except (FileNotFoundError, NotADirectoryError):
            raise ObjectNotFound(f"there is no object {key!r}") from None
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise ObjectNotFound(f"there is no object {key!r}")
        return os.fdopen(descriptor, "rb")


def digest(root: Path, key: str, cancelled: Cancelled) -> str:
    hashing = hashlib.sha256()
    with open_object(root, key) as file, translated(f"reading {key!r}"):
        while block := file.read(BLOCK_BYTES):
            if cancelled():
                raise Interrupted
            hashing.update(block)
    return hashing.hexdigest()


def delete(root: Path, keys: Collection[str], cancelled: Cancelled) -> None:
    """Remove what there is of these objects, durably, and the folders that it leaves empty."""
    paths = [locate(root, key) for key in keys]
    base = Path(os.path.realpath(root))
    touched: set[Path] = set()
    with translated("deleting objects"):
        try:
            for path in paths:
                if cancelled():
                    raise Interrupted
                with suppress(FileNotFoundError, NotADirectoryError, IsADirectoryError):
                    path.unlink()
                    touched.add(_prune(path.parent, base))
        finally:
            for folder in touched:
                sync_folders(folder, base)


def walk(root: Path, prefix: str) -> Iterator[ObjectEntry]:
    """Objects in the order of their keys. `prefix` is compared, never joined to a path."""
    levels = [iter(_entries(Path(os.path.realpath(root)), ""))]
    while levels:
        entry = next(levels[-1], None)
        if entry is None:
            levels.pop()
            continue
        key, path = entry
        if key.endswith("/"):
            if key.startswith(prefix) or prefix.startswith(key):
                levels.append(iter(_entries(path, key)))
        elif key.startswith(prefix) and (found := _inspect(key, path)):
            yield found


def probe(root: Path) -> None:
    """Write, flush and remove a byte. Raises StoreUnavailable or StoreFull."""
    with translated(f"writing into the folder {root}"), incoming(root) as (writing, _):
        writing.write(b"\0")
        os.fsync(writing.fileno())


def sweep(root: Path) -> int:
    """Remove what interrupted puts left behind; returns how many there were.

    Folders are not touched: those are uploads in parts (`storage.objects.local_parts`).
    """
    folder = root / INCOMING
    swept = 0
    with translated(f"cleaning the folder {folder}"):
        folder.mkdir(parents=True, exist_ok=True)
        with suppress(PermissionError):  # what is above may be nobody's to read
            sync_folders(root, root.parent)
        for path in folder.iterdir():
            with (
                suppress(FileNotFoundError, IsADirectoryError, BlockingIOError),
                path.open("rb") as file,
            ):
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink()
                swept += 1
    return swept


@contextmanager
def incoming(root: Path) -> Iterator[tuple[FileIO, Path]]:
    """A new, locked file without a buffer, and its path; removed at the end unless renamed."""
    folder = root / INCOMING
    folder.mkdir(parents=True, exist_ok=True)
    while True:
        path = folder / secrets.token_hex(16)
        file = path.open("xb", buffering=0)
        fcntl.flock(file, fcntl.LOCK_EX)
        if os.fstat(file.fileno()).st_nlink:
            break
        file.close()  # a sweep came between the last two calls and took it for a leftover
    try:
        yield file, path
    finally:
        path.unlink(missing_ok=True)
        file.close()


def finish(
    root: Path,
    key: str,
    writing: FileIO,
    temporary: Path,
    content_type: str,
    metadata: Mapping[str, str],
) -> ObjectInfo:
    """Make a file of `incoming` the object `key`, durably."""
    target = locate(root, key)
    with translated(f"storing {target}"):
        local_attributes.keep(writing.fileno(), content_type, metadata)
        os.fsync(writing.fileno())
        status = os.fstat(writing.fileno())
        _place(temporary, target, key)
        sync_folders(target.parent, Path(os.path.realpath(root)))
    return ObjectInfo(
        key, status.st_size, _utc(status.st_mtime), content_type, metadata=dict(metadata)
    )


def describe(key: str, descriptor: int) -> ObjectInfo:
    """What an open file says about the object that it is."""
    status = os.fstat(descriptor)
    return ObjectInfo(
        key,
        status.st_size,
        _utc(status.st_mtime),
        local_attributes.content_type(descriptor, key),
        metadata=local_attributes.metadata(descriptor),
    )


def write_all(writing: FileIO, block: bytes) -> None:
    """A file without a buffer may take less than it is given."""
    left = memoryview(block)
    while left:
        left = left[writing.write(left) :]


def _place(temporary: Path, target: Path, key: str) -> None:
    """Give a finished file its name, against threads that delete and prune in the same folders."""
    for _ in range(PLACE_ATTEMPTS):
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            temporary.rename(target)
        except FileNotFoundError:
            continue
        except (NotADirectoryError, FileExistsError):
            # mkdir also says "exists" of a folder that was there and is gone a moment later
            if any(folder.is_file() for folder in target.parents):
                raise folder_conflict(key) from None
        except IsADirectoryError:
            if not _remove_empty_tree(target):
                raise folder_conflict(key) from None
        else:
            return
    raise StoreUnavailable(f"storing {target} failed: its folder is removed again and again")


def _prune(folder: Path, base: Path) -> Path:
    """Remove empty folders from here up to the root; returns the first that stays."""
    with suppress(OSError):  # not empty, or another thread was faster
        while folder != base:
            folder.rmdir()
            folder = folder.parent
    return folder


def _remove_empty_tree(folder: Path) -> bool:
    """Remove folders that a killed put or delete left empty; False when an object is in them."""
    for path, _, files in os.walk(folder, topdown=False):
        if files:
            return False
        with suppress(OSError):
            os.rmdir(path)
    return not folder.is_dir()


def sync_folders(folder: Path, root: Path) -> None:
    """Make names durable, up to the root: an ancestor may be new too."""
    while True:
        with suppress(FileNotFoundError):  # pruned by a later delete, so nothing is left to keep
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        if folder == root:
            return
        folder = folder.parent


def _entries(folder: Path, below: str) -> list[tuple[str, Path]]:
    """Keys (folders end in "/") and paths of one folder, in the order of the keys."""
    found: list[tuple[str, Path]] = []
    with suppress(FileNotFoundError, NotADirectoryError), os.scandir(folder) as entries:
        for entry in entries:
            key = below + entry.name
            with suppress(BadKey):  # put there by something else; no key can name it
                check_key(key)
                if entry.is_dir(follow_symlinks=False):
                    found.append((key + "/", Path(entry.path)))
                elif entry.is_file(follow_symlinks=False):
                    found.append((key, Path(entry.path)))
    found.sort()
    return found


def _inspect(key: str, path: Path) -> ObjectEntry | None:
    try:
        status = os.stat(path, follow_symlinks=False)
    except (FileNotFoundError, NotADirectoryError):
        return None
    if not stat.S_ISREG(status.st_mode):
        return None
    return ObjectEntry(key, status.st_size, _utc(status.st_mtime))


def _utc(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
