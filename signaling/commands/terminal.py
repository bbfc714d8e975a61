"""What commands say: lines on stdout, and a line that shows how far it is."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Final, TextIO

TERMINAL_PACE: Final = 0.25  # seconds between two looks at the progress
LOG_PACE: Final = 30.0  # the same where lines are kept: in files, pipes and logs of containers
ERASE: Final = "\r\x1b[K"  # to the line's beginning, and erase it


def tell(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - what a command is for


def size(count: int) -> str:
    """Bytes for people, in powers of 1000: `999 B`, `1.2 MB`."""
    if count < 1000:
        return f"{count} B"
    amount, unit = count / 1000, "kB"
    for larger in ("MB", "GB", "TB"):
        if amount < 999.95:
            break
        amount, unit = amount / 1000, larger
    return f"{amount:.1f} {unit}"


def counted(count: int, name: str) -> str:
    """`1 file`, `2 files`."""
    return f"{count} {name}" if count == 1 else f"{count} {name}s"


def table(rows: Sequence[Sequence[str]], left: int) -> list[str]:
    """Lines of columns as wide as they need; the first `left` columns begin, the others end alike."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if number < left else cell.rjust(width)
            for number, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


class StatusLine:
    """Says how far something is: one line written over and over on a terminal, else a line now and
    then. Nothing of it is left on a terminal."""

    def __init__(self, text: Callable[[], str], stream: TextIO | None = None) -> None:
        self._text = text
        self._stream = stream or sys.stdout
        self._terminal = self._stream.isatty()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Shown as long as the block runs."""
        showing = asyncio.create_task(self._show())
        try:
            yield
        finally:
            showing.cancel()
            await asyncio.gather(showing, return_exceptions=True)
            if self._terminal:
                self._write(ERASE)

    async def _show(self) -> None:
        while True:
            await asyncio.sleep(TERMINAL_PACE if self._terminal else LOG_PACE)
            self._write(f"{ERASE}{self._text()}" if self._terminal else f"{self._text()}\n")

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()
