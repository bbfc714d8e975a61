"""Looking ahead in a run of chunks, which comes block by block. Pure."""

from __future__ import annotations

from collections.abc import Iterator


class RunReader:
    """`size` bytes that `blocks` give, from the first on.

    `begins` says that this is the beginning of the part, not what follows a hole in it; `at` is
    how many bytes were taken. Memory holds what is looked at, and one block.
    """

    def __init__(self, blocks: Iterator[bytes], size: int, *, begins: bool = True) -> None:
        self._blocks = blocks
        self._data = b""
        self._next = 0
        self._size = size
        self.begins = begins
        self.at = 0

    @property
    def left(self) -> int:
        return self._size - self.at

    def peek(self, count: int) -> bytes:
        """The next bytes, fewer at the end; they are not taken."""
        if len(self._data) - self._next < count:
            self._fill(count)
        return self._data[self._next : self._next + count]

    def take(self, count: int) -> bytes:
        data = self.peek(count)
        self._next += len(data)
        self.at += len(data)
        return data

    def through(self, count: int) -> Iterator[bytes]:
        """Takes so many bytes, piece by piece."""
        while count > 0:
            if self._next == len(self._data):
                self._fill(1)
            piece = self.take(min(count, len(self._data) - self._next))
            if not piece:
                return
            count -= len(piece)
            yield piece

    def skip(self, count: int) -> None:
        for _ in self.through(count):
            pass

    def find(self, pattern: bytes, *, before: int = 0) -> bool:
        """Goes to where `pattern` begins, less `before` bytes; False, and to the end, without one.

        Looks from `before` bytes behind the present place on.
        """
        span = len(pattern) + before
        while True:
            found = self._data.find(pattern, self._next + before)
            if found >= 0:
                self._go_to(found - before)
                return True
            self._go_to(max(len(self._data) - span + 1, self._next))
            if not self._fill(len(self._data) - self._next + 1):
                self._go_to(len(self._data))
                return False

    def _go_to(self, index: int) -> None:
        self.at += index - self._next
        self._next = index

    def _fill(self, count: int) -> bool:
        """Has `count` bytes at hand; False at the end."""
        have = [self._data[self._next :]]
        total = len(have[0])
        while total < count:
            block = next(self._blocks, None)
            if block is None:
                break
            have.append(block)
            total += len(block)
        self._data, self._next = b"".join(have), 0
        return total >= count
