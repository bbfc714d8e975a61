"""Messages between the control side and a media worker: pickled values, length first.

Both ends are the same installation, connected by a socket pair that nobody else holds, so pickle is
as safe as a function call and needs no schema beside the dataclasses.
"""

from __future__ import annotations

import asyncio
import pickle
import struct
from dataclasses import dataclass
from typing import Any

from mediaserver.messages import MediaEvent

_LENGTH = struct.Struct("!I")


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """The first message to a worker. `public_ips` go into candidates; port 0 picks one."""

    host: str
    udp_port: int
    public_ips: tuple[str, ...]
    log_level: str = "INFO"


@dataclass(frozen=True, slots=True)
class Ready:
    """The worker's first message: the UDP port it took, or why it could not."""

    udp_port: int = 0
    error: str = ""


@dataclass(frozen=True, slots=True)
class Call:
    number: int
    method: str
    arguments: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Reply:
    number: int
    value: Any = None
    error: Exception | None = None


Message = WorkerOptions | Ready | Call | Reply | MediaEvent


def write(writer: asyncio.StreamWriter, message: Message) -> None:
    data = pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL)
    writer.write(_LENGTH.pack(len(data)) + data)


async def read(reader: asyncio.StreamReader) -> Any:
    """The next message; raises asyncio.IncompleteReadError when the other end is gone."""
    (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
    return pickle.loads(await reader.readexactly(length))  # noqa: S301 - see the module docstring
