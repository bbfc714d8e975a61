"""Sending an object in parts: several at a time, each by itself, what is held in memory bounded."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from itertools import count
from typing import Generic, TypeVar

from storage.objects.part_sizes import file_part_size, growing_part_sizes
from storage.objects.signing import Part
from storage.objects.sources import FileSlice, SourceFile, pieces
from storage.objects.store import OnProgress
from storage.together import all_of

Body = TypeVar("Body", bytearray, FileSlice, None)

STREAM_PART = 5 << 20  # bytes: pieces of a stream are held in memory until the store has them


@dataclass(frozen=True, slots=True)
class Piece(Generic[Body]):
    """A part to be sent: `number` counts from 1, `offset` is where it begins in the object."""

    number: int
    offset: int
    size: int
    body: Body


async def pieces_of_file(source: SourceFile) -> AsyncIterator[Piece[FileSlice]]:
    """Equal parts that are read from the file while they are sent."""
    size = file_part_size(source.size)
    for number, offset in enumerate(range(0, source.size, size), start=1):
        length = min(size, source.size - offset)
        yield Piece(number, offset, length, source.slice(offset, length))


async def pieces_of_stream(blocks: AsyncIterator[bytes]) -> AsyncIterator[Piece[bytearray]]:
    """Parts in memory: each is held until it was sent, so few may be sent at a time."""
    numbers, offset = count(1), 0
    async for body in pieces(blocks, growing_part_sizes(STREAM_PART)):
        yield Piece(next(numbers), offset, len(body), body)
        offset += len(body)


async def send_parts(
    parts: AsyncIterator[Piece[Body]],
    send: Callable[[Piece[Body]], Awaitable[Part]],
    *,
    at_once: int,
    on_progress: OnProgress | None = None,
) -> list[Part]:
    """Send every part, `at_once` at a time; the first failure stops the others and comes out."""
    turn = asyncio.Lock()
    sent: list[Part] = []
    taken = 0

    async def work() -> None:
        nonlocal taken
        while True:
            async with turn:
                piece = await anext(parts, None)
            if piece is None:
                return
            sent.append(await send(piece))
            taken += piece.size
            del piece  # its bytes, before the wait for the next one
            if on_progress:
                on_progress(taken)

    await all_of(*(work() for _ in range(at_once)))
    return sorted(sent, key=lambda part: part.number)
