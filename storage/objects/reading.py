"""Reading an object over a network that cuts: what is missing is asked for again, from where it broke.

The first answer says which version of the object is read (its ETag or generation); later requests
insist on it, so that bytes of two versions never meet. An answer is believed about its own length
only as far as it agrees with the object's.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from storage.errors import StoreUnavailable
from storage.objects.retry import Retrier

_CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18})")


class Body(Protocol):
    """An answer that is being read."""

    async def read(self) -> bytes:
        """The next block of bounded size, b"" at the end. Raises StoreUnavailable."""
        ...

    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Opened:
    """`version` is what to insist on when asking again; the body ends before byte `stop`."""

    body: Body
    version: str
    stop: int


OpenAt = Callable[[int, int | None, str | None], Awaitable[Opened | None]]
"""Ask for the bytes `[start:end]` of a version (of any, if None); None when they are past the end."""


async def resumed(
    open_at: OpenAt, start: int, end: int | None, retrier: Retrier
) -> AsyncIterator[bytes]:
    """The bytes `[start:end]`. Raises what `open_at` raises when asking again doesn't help."""
    position, version, failures, began = start, None, 0, retrier.now()
    opened: Opened | None = None
    try:
        while end is None or position < end:
            try:
                if opened is None:
                    opened = await open_at(position, end, version)
                    if opened is None:
                        return
                    version = opened.version
                    end = opened.stop
                block = (await opened.body.read())[: opened.stop - position]
                if not block:
                    raise StoreUnavailable("the store's answer ended too early", passing=True)
            except StoreUnavailable as error:
                failures += 1
                if opened is not None:
                    await opened.body.close()
                    opened = None
                await retrier.wait(error, failures, began)
                continue
            position += len(block)
            failures, began = 0, retrier.now()
            yield block
    finally:
        if opened is not None:
            await opened.body.close()


def range_header(start: int, end: int | None) -> str:
    """The header `Range` (RFC 9110, 14.2) for the bytes `[start:end]`, of which there are some."""
    return f"bytes={start}-" if end is None else f"bytes={start}-{end - 1}"


def stop_of(content_range: str | None, start: int, end: int | None) -> int:
    """Where a partial answer has to end by its `Content-Range` (RFC 9110, 14.4).

    Raises StoreUnavailable when it is not what was asked for.
    """
    found = _CONTENT_RANGE.fullmatch(content_range or "")
    if found is None or int(found[1]) != start:
        raise StoreUnavailable("the store answered with another range than asked", passing=True)
    total = int(found[3])
    return total if end is None else min(end, total)
