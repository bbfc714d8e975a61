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
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from mimetypes import MimeTypes
from pathlib import Path
from typing import BinaryIO

from storage.errors import BadKey, ObjectNotFound, SourceUnreadable, StoreFull, StoreUnavailable
from storage.objects.keys import INCOMING, check_key, folder_conflict
from storage.objects.ranges import BLOCK_BYTES
from storage.objects.store import ObjectInfo, StoredObject

CONTENT_TYPE_ATTRIBUTE = "user.mime_type"  # freedesktop.org, "Guidelines for extended attributes"
PLACE_ATTEMPTS = 100  # each lost one means that another thread deleted in the same folder

Cancelled = Callable[[], bool]


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


def put(
    root: Path, key: str, source: Path, content_type: str, cancelled: Cancelled
) -> StoredObject:
    target = locate(root, key)
    with _source(source) as reading, translated(f"storing {target}"):
        with _incoming(root) as (writing, temporary):
            size, digest = _copy(_blocks(reading, source), writing, cancelled)
            _keep_content_type(writing, content_type)
            writing.flush()
            os.fsync(writing.fileno())
            if cancelled():
                raise Interrupted
            modified_at = _utc(os.fstat(writing.fileno()).st_mtime)
            _place(temporary, target, key)
        _sync_folders(target.parent, Path(os.path.realpath(root)))
    return StoredObject(key, size, content_type, modified_at, digest)


def head(root: Path, key: str) -> ObjectInfo:
    path = locate(root, key)
    with translated(f"reading {path}"):
        info = _inspect(key, path)
    if info is None:
        raise ObjectNotFound(f"there is no object {key!r}")
    return info


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
    with open_object(root, key) as file, translated(f"reading {key!r}"):
        return _copy(iter(lambda: file.read(BLOCK_BYTES), b""), None, cancelled)[1]


def delete(root: Path, key: str) -> None:
    path = locate(root, key)
    with translated(f"deleting {path}"):
        try:
            path.unlink()
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return
        base = Path(os.path.realpath(root))
        folder = path.parent
        with suppress(OSError):  # not empty, or another thread was faster
            while folder != base:
                folder.rmdir()
                folder = folder.parent
        _sync_folders(folder, base)


def walk(root: Path, prefix: str) -> Iterator[ObjectInfo]:
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
        elif key.startswith(prefix) and (info := _inspect(key, path)):
            yield info


def probe(root: Path) -> None:
    """Write, flush and remove a byte. Raises StoreUnavailable or StoreFull."""
    with translated(f"writing into the folder {root}"), _incoming(root) as (writing, _):
        writing.write(b"\0")
        writing.flush()
        os.fsync(writing.fileno())


def sweep(root: Path) -> int:
    """Remove what interrupted puts left behind; returns how many there were."""
    folder = root / INCOMING
    swept = 0
    with translated(f"cleaning the folder {folder}"):
        folder.mkdir(parents=True, exist_ok=True)
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
def _source(path: Path) -> Iterator[BinaryIO]:
    try:
        file = path.open("rb")
    except OSError as error:
        raise SourceUnreadable(f"{path} can't be read: {error.strerror}") from error
    with file:
        yield file


@contextmanager
def _incoming(root: Path) -> Iterator[tuple[BinaryIO, Path]]:
    """A new, locked, unnamed-to-be file and its path; removed at the end unless renamed."""
    folder = root / INCOMING
    folder.mkdir(parents=True, exist_ok=True)
    while True:
        path = folder / secrets.token_hex(16)
        file = path.open("xb")
        fcntl.flock(file, fcntl.LOCK_EX)
        if os.fstat(file.fileno()).st_nlink:
            break
        file.close()  # a sweep came between the last two calls and took it for a leftover
    try:
        yield file, path
    finally:
        path.unlink(missing_ok=True)
        file.close()


def _blocks(file: BinaryIO, path: Path) -> Iterator[bytes]:
    while True:
        try:
            block = file.read(BLOCK_BYTES)
        except OSError as error:
            raise SourceUnreadable(f"{path} can't be read: {error.strerror}") from error
        if not block:
            return
        yield block


def _copy(
    blocks: Iterator[bytes], writing: BinaryIO | None, cancelled: Cancelled
) -> tuple[int, str]:
    """Size and SHA-256 of the blocks, written on the way when there is where to."""
    digest = hashlib.sha256()
    size = 0
    for block in blocks:
        if cancelled():
            raise Interrupted
        digest.update(block)
        size += len(block)
        if writing is not None:
            writing.write(block)
    return size, digest.hexdigest()


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


def _remove_empty_tree(folder: Path) -> bool:
    """Remove folders that a killed put or delete left empty; False when an object is in them."""
    for path, _, files in os.walk(folder, topdown=False):
        if files:
            return False
        with suppress(OSError):
            os.rmdir(path)
    return not folder.is_dir()


def _sync_folders(folder: Path, root: Path) -> None:
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


def _inspect(key: str, path: Path) -> ObjectInfo | None:
    try:
        status = os.stat(path, follow_symlinks=False)
    except (FileNotFoundError, NotADirectoryError):
        return None
    if not stat.S_ISREG(status.st_mode):
        return None
    return ObjectInfo(key, status.st_size, _content_type(key, path), _utc(status.st_mtime))


def _keep_content_type(file: BinaryIO, content_type: str) -> None:
    with suppress(OSError):  # a file system without extended attributes; then it is guessed
        os.setxattr(file.fileno(), CONTENT_TYPE_ATTRIBUTE, content_type.encode())


def _content_type(key: str, path: Path) -> str:
    try:
        return os.getxattr(path, CONTENT_TYPE_ATTRIBUTE).decode("utf-8", "replace")
    except OSError:
        return MimeTypes().guess_type(key)[0] or "application/octet-stream"


def _utc(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
