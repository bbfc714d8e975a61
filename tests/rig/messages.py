"""HTTP/1.1 messages as they are on the wire (RFC 9112), for rigs that stand between two others.

Just enough of it to tell where a message ends; bytes are passed on as they came.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncGenerator
from contextlib import suppress
from dataclasses import dataclass

BLOCK = 256 * 1024


@dataclass(slots=True)
class Stream:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def write(self, block: bytes) -> None:
        self.writer.write(block)
        await self.writer.drain()

    def end(self, *, flush: bool) -> None:
        if flush:
            self.writer.close()
            return
        connection = self.writer.get_extra_info("socket")
        with suppress(OSError):  # lingering for no time at all is what makes a reset of it
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


@dataclass(slots=True)
class Head:
    """The first line and the header of a message, and its bytes as they came."""

    first_line: str
    headers: dict[str, str]
    raw: bytes

    @classmethod
    async def read(cls, reader: asyncio.StreamReader) -> Head | None:
        """None where the connection ends instead."""
        try:
            raw = await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError:
            return None
        first_line, *lines = raw.decode("latin-1").split("\r\n")[:-2]
        pairs = (line.partition(":") for line in lines)
        return cls(first_line, {name.lower(): value.strip() for name, _, value in pairs}, raw)

    @property
    def chunked(self) -> bool:
        return "chunked" in self.headers.get("transfer-encoding", "").lower()

    @property
    def length(self) -> int | None:
        value = self.headers.get("content-length")
        return None if value is None else int(value)

    @property
    def closes(self) -> bool:
        return "close" in self.headers.get("connection", "").lower()

    def with_length(self, length: int) -> bytes:
        lines = self.raw.decode("latin-1").split("\r\n")
        kept = [line for line in lines if not line.lower().startswith("content-length:")]
        return "\r\n".join([kept[0], f"Content-Length: {length}", *kept[1:]]).encode("latin-1")


async def body_blocks(
    reader: asyncio.StreamReader, head: Head, *, open_ended: bool
) -> AsyncGenerator[bytes, None]:
    """The body's bytes as they come, framing and all. Raises IncompleteReadError at an early end.

    `open_ended`: without any framing it lasts as long as the connection (RFC 9112, 6.3).
    """
    if head.chunked:
        async for block in _chunks(reader):
            yield block
    elif head.length is not None:
        async for block in _exactly(reader, head.length):
            yield block
    elif open_ended:
        while block := await reader.read(BLOCK):
            yield block


async def _chunks(reader: asyncio.StreamReader) -> AsyncGenerator[bytes, None]:
    """RFC 9112, 7.1, with the trailers."""
    size = 1
    while size:
        line = await reader.readuntil(b"\r\n")
        yield line
        size = int(line.split(b";")[0], 16)
        if size:
            async for block in _exactly(reader, size + 2):
                yield block
    while True:
        line = await reader.readuntil(b"\r\n")
        yield line
        if line == b"\r\n":
            return


async def _exactly(reader: asyncio.StreamReader, count: int) -> AsyncGenerator[bytes, None]:
    while count:
        block = await reader.read(min(count, BLOCK))
        if not block:
            raise asyncio.IncompleteReadError(b"", count)
        count -= len(block)
        yield block
