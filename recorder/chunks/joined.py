"""A part without holes as one file that can be searched, for media whose index may be at its end."""

from __future__ import annotations

import hashlib
import io
import os
from array import array
from bisect import bisect_right
from collections.abc import Callable
from pathlib import Path

from recorder.chunks.parts import PartChunks, Run


class JoinedPart:
    """A file object over chunk files. Memory holds eight bytes a chunk.

    Raises OSError. Its bytes are hashed by `digest`, in a pass of its own.
    """

    def __init__(self, part: PartChunks, run: Run, on_bytes: Callable[[int], None]) -> None:
        self._part = part
        self._run = run
        self._on_bytes = on_bytes
        self._begins = array("Q")
        self._at = self._furthest = 0
        total = 0
        for sequence in range(run.first, run.last + 1):
            self._begins.append(total)
            total += self._path(sequence).stat().st_size
        self._size = total

    def read(self, size: int) -> bytes:
        have: list[bytes] = []
        while size > 0 and self._at < self._size:
            index = bisect_right(self._begins, self._at) - 1
            with self._path(self._run.first + index).open("rb") as file:
                file.seek(self._at - self._begins[index])
                data = file.read(size)
            if not data:
                break
            have.append(data)
            size -= len(data)
            self._at += len(data)
        self._on_bytes(max(self._at - self._furthest, 0))
        self._furthest = max(self._furthest, self._at)
        return b"".join(have)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        if base + offset < 0:
            raise io.UnsupportedOperation("before the beginning")
        self._at = base + offset
        return self._at

    def tell(self) -> int:
        return self._at

    def digest(self) -> str:
        """SHA-256 of all chunks in order, in hexadecimal."""
        digest = hashlib.sha256()
        for data, _ in self._part.blocks(self._run):
            digest.update(data)
        return digest.hexdigest()

    def _path(self, sequence: int) -> Path:
        return self._part.folder / str(sequence // 1000) / str(sequence)
