"""The folders that journals are in, one for each recording; see `mediaserver.journal` for the files.

All functions block on the disk.
"""

from __future__ import annotations

import os
import shutil
import time
from contextlib import suppress
from pathlib import Path

from mediaserver.journal import JOURNAL_SUFFIX

JOURNAL_PATTERN = f"*{JOURNAL_SUFFIX}"
DELETED_PREFIX = ".deleted-"
COPY_PREFIX = ".fsck-"  # of objects, for as long as they are looked at
ABANDONED = 24 * 3600.0  # seconds; nobody looks at a copy for so long


def journals_root(data_dir: Path) -> Path:
    return data_dir / "journals"


def make_folder(folder: Path, last: Path, *, mode: int = 0o777) -> None:
    """Makes a folder below `last` so that a power cut can't take it. Raises OSError.

    When the names can't be flushed, the folder and those above it that are empty go again: another
    flush alone might say that all is well.
    """
    folder.mkdir(mode, parents=True, exist_ok=True)
    try:
        sync_up(folder.parent, last)
    except OSError:
        for each in (folder, *folder.parents):
            if each == last:
                break
            with suppress(OSError):  # what has something in it was flushed before
                each.rmdir()
        raise


def journal_bytes(folder: Path) -> int:
    """The size of all journals in a folder; 0 when there is none."""
    try:
        return sum(path.stat().st_size for path in folder.glob(JOURNAL_PATTERN))
    except FileNotFoundError:  # finished meanwhile
        return 0


def discard_empty(folder: Path) -> None:
    """Removes the folder of a recording without media; one with bytes in a journal stays."""
    if not journal_bytes(folder):
        shutil.rmtree(folder, ignore_errors=True)


def bury(folder: Path) -> None:
    """Removes a folder in one step, so that no part of it is ever taken for a recording again.

    Back when its name is gone from the disk; what could not be removed under its new name, `sweep`
    removes. Raises OSError, and then all is as it was.
    """
    if (grave := set_aside(folder)) is not None:
        shutil.rmtree(grave, ignore_errors=True)


def set_aside(folder: Path) -> Path | None:
    """The first half of `bury`: what is to be removed, None where there is nothing."""
    grave = folder.with_name(DELETED_PREFIX + folder.name)
    shutil.rmtree(grave, ignore_errors=True)
    try:
        folder.rename(grave)
    except FileNotFoundError:
        if not folder.parent.is_dir():
            return None
    sync_folder(folder.parent)
    return grave


def sweep(root: Path) -> None:
    """Ends the removals that were interrupted, and those of copies that a killed `fsck` left."""
    for grave in root.glob(f"{DELETED_PREFIX}*"):
        shutil.rmtree(grave, ignore_errors=True)
    for copy in root.glob(f"{COPY_PREFIX}*"):
        with suppress(FileNotFoundError):
            if time.time() - copy.stat().st_mtime > ABANDONED:
                copy.unlink()


def sync_up(folder: Path, last: Path) -> None:
    """Makes the names in a folder and in all above it durable, up to those in `last`. Raises OSError."""
    for each in (folder, *folder.parents):
        sync_folder(each)
        if each == last:
            return


def sync_folder(folder: Path) -> None:
    """Makes the names in a folder durable. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
