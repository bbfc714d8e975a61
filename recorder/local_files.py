"""Finished files on local disk: flushed, put in place whole, hashed."""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PARTIAL_SUFFIX = ".partial"
"""How the names of files end that are being written."""

_BLOCK = 1 << 20


def partial_of(path: Path) -> Path:
    """Where the file is written that will be `path`."""
    return path.with_name(path.name + PARTIAL_SUFFIX)


def put_in_place(path: Path) -> None:
    """Gives the partial file of `path` its name, so that a power cut leaves it whole or absent."""
    partial = partial_of(path)
    flush(partial)
    partial.replace(path)
    flush(path.parent)


def flush(path: Path) -> None:
    """Forces a file or a directory to the medium."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sha256_of(path: Path) -> str:
    """Hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def sweep_partial(directory: Path) -> None:
    """Removes what a job left unfinished."""
    for leftover in directory.glob(f"*{PARTIAL_SUFFIX}"):
        leftover.unlink()


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Waits until no other job works on this directory."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
