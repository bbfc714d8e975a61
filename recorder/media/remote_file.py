"""A file whose bytes another process gives, through a socket of this machine: `recorder.media.ranges`.

A request is an offset and a count; the answer is a length and that many bytes (fewer at the end), or
FAILED. One request at a time.
"""

from __future__ import annotations

import io
import socket
import struct
from pathlib import Path
from typing import Final

REQUEST: Final = struct.Struct("!QI")
LENGTH: Final = struct.Struct("!I")
FAILED: Final = 0xFFFFFFFF
LARGEST: Final = 1 << 20
"""Bytes of one answer."""
BUFFER: Final = 256 * 1024


class RemoteFile(io.RawIOBase):
    """The other end, as a file that blocks. Raises OSError when the store gave up."""

    def __init__(self, address: Path, size: int) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.connect(str(address))
        self._size = size
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = max(0, start + offset)
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]
        self._socket.sendall(REQUEST.pack(self._at, min(len(buffer), LARGEST)))
        (length,) = LENGTH.unpack(self._receive(bytearray(LENGTH.size)))
        if length == FAILED:
            raise OSError("the store does not give the file")
        data = self._receive(bytearray(length))
        buffer[:length] = data
        self._at += length
        return int(length)

    def _receive(self, data: bytearray) -> bytearray:
        view = memoryview(data)
        while view:
            count = self._socket.recv_into(view)
            if not count:
                raise OSError("the server gave up")
            view = view[count:]
        return data

    def close(self) -> None:
        self._socket.close()
        super().close()


def open_remote(address: Path, size: int) -> io.BufferedReader:
    return io.BufferedReader(RemoteFile(address, size), BUFFER)
