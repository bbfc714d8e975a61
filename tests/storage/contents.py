"""What tests put into stores, and how they look at what became of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from functools import cache
from typing import Protocol

import numpy as np

from storage.errors import StorageError
from storage.objects import ObjectStore, StoredObject

WEBM = "video/webm"
BLOCK = 262_144  # the most that a store hands out at a time
LONG = 600_001  # bytes: more than two blocks, and not a whole number of them
LARGE = 17_000_001  # bytes: more than two parts of any store


class Put(Protocol):
    async def __call__(
        self, key: str, content: bytes = b"content", content_type: str = WEBM
    ) -> StoredObject: ...


@cache
def counting(size: int) -> bytes:
    """Bytes of which no piece is like another."""
    return np.arange(size // 4 + 1, dtype=">u4").tobytes()[:size]


def cut_into(content: bytes, size: int) -> Iterator[bytes]:
    for offset in range(0, len(content), size):
        yield content[offset : offset + size]


async def streamed(content: bytes, size: int = BLOCK) -> AsyncIterator[bytes]:
    """The bytes as a stream of blocks of this size."""
    for block in cut_into(content, size):
        yield block


async def read(store: ObjectStore, key: str, start: int = 0, end: int | None = None) -> bytes:
    return b"".join([block async for block in store.open(key, start, end)])


async def keys(store: ObjectStore, prefix: str = "") -> list[str]:
    return [entry.key async for entry in store.list(prefix)]


async def rest_of(blocks: AsyncIterator[bytes]) -> tuple[bytes, StorageError | None]:
    """What can still be read, and what then happened, if anything did."""
    seen = []
    try:
        async for block in blocks:
            seen.append(block)
    except StorageError as error:
        return b"".join(seen), error
    return b"".join(seen), None
