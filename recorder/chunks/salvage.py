"""The media of a part as a demuxer reads it: whole elements, and a note of where something is missing.

Chunk files are read once, hashed, cleaned and handed on; nothing is copied to disk, and memory holds
a block. Offsets are those of the bytes handed on, which is what a demuxer calls a packet's position.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Iterator

from recorder.chunks.made_at import read_made_at
from recorder.chunks.parts import NOTHING_SAID, ChunkTimes, PartChunks, Run
from recorder.chunks.pieces import Absent, Cleaner, Damage, Hole
from recorder.chunks.run_reader import RunReader
from recorder.errors import ChunksUnreadable

_ZEROS = bytes(1 << 16)

Mark = tuple[int, ChunkTimes]
"""An offset, and the times of the chunk that has the bytes before it."""


class SalvagedPart:
    """A file object that can be read once, forward.

    `holes` are offsets from which on the media begins anew, `absent` ranges of zeros that stand for
    what is missing. `marks` says of each chunk that was read to its end where that was. What is raised
    while it is read is not for a demuxer: the file ends there, and `error` has it. With a `header` of
    another part what is in front of the first place to begin at is left out.
    """

    def __init__(
        self,
        part: PartChunks,
        clean: Cleaner,
        on_bytes: Callable[[int], None],
        header: bytes = b"",
    ) -> None:
        self.damage = Damage()
        self.holes: list[int] = []
        self.absent: list[tuple[int, int]] = []
        self.marks: deque[Mark] = deque()
        self.error: ChunksUnreadable | OSError | None = None
        self._part = part
        self._on_bytes = on_bytes
        self._digest = hashlib.sha256()
        self._ends: deque[Mark] = deque()
        self._reader = RunReader(iter(()), 0)
        self._runs = self._readers()
        self._pieces = self._joined(clean)
        self._header = header
        self._made = NOTHING_SAID
        self._given = 0
        self._rest = b""

    def read(self, size: int) -> bytes:
        """Up to `size` bytes; none at the end."""
        have = [self._rest]
        total = len(self._rest)
        while total < size:
            try:
                piece = next(self._pieces, None)
            except (ChunksUnreadable, OSError) as error:
                self.error = error
                break
            if piece is None:
                break
            have.append(piece)
            total += len(piece)
        data = b"".join(have)
        self._rest = data[size:]
        return data[:size]

    def digest(self) -> str:
        """SHA-256 of all chunks in order, in hexadecimal; reads what was not read. Raises OSError."""
        for _ in self._runs:
            pass
        return self._digest.hexdigest()

    def _joined(self, clean: Cleaner) -> Iterator[bytes]:
        for piece in clean(self._runs, self.damage, self._header):
            match piece:
                case Hole():
                    self.holes.append(self._given)
                case Absent(count):
                    self.absent.append((self._given, self._given + count))
                    for at in range(0, count, len(_ZEROS)):
                        self._given += min(len(_ZEROS), count - at)
                        yield _ZEROS[: count - at]
                case _:
                    self._given += len(piece)
                    yield piece
            while self._ends and self._ends[0][0] <= self._reader.at:
                self.marks.append((self._given, self._ends.popleft()[1]))

    def _readers(self) -> Iterator[RunReader]:
        self._made = read_made_at(self._part.folder)
        for run in self._part.runs:
            self._ends.clear()
            self._reader = RunReader(
                self._blocks(run), run.size, begins=run.first == 0 and not self._header
            )
            yield self._reader
            self._reader.skip(self._reader.left)

    def _blocks(self, run: Run) -> Iterator[bytes]:
        at = 0
        for data, times in self._part.blocks(run, self._made):
            self._digest.update(data)
            self._on_bytes(len(data))
            at += len(data)
            if times is not None:
                self._ends.append((at, times))
            yield data
