"""Streams to put that behave as a test wants them to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator


class Failed(Exception):
    """What a stream may raise: nothing that storage knows of."""


async def blocks_of(*blocks: bytes | Exception) -> AsyncIterator[bytes]:
    """These blocks; an exception among them is raised in its turn."""
    for block in blocks:
        if isinstance(block, Exception):
            raise block
        yield block


class HeldStream:
    """Its blocks, and then nothing until `end` is called."""

    def __init__(self, *blocks: bytes) -> None:
        self.asked_for_more = asyncio.Event()
        self._blocks = list(blocks)
        self._ended = asyncio.Event()

    def end(self) -> None:
        self._ended.set()

    def __aiter__(self) -> HeldStream:
        return self

    async def __anext__(self) -> bytes:
        if self._blocks:
            return self._blocks.pop(0)
        self.asked_for_more.set()
        await self._ended.wait()
        raise StopAsyncIteration
