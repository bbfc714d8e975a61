"""The process around an Sfu: `python -m mediaserver.worker FD`, commands in, events out.

One uvloop loop, one UDP socket, nothing else. When the control side goes away, by shutdown or by
`kill -9`, the pipe's end is read, journals are ended in order, and the process leaves.
"""

from __future__ import annotations

import asyncio
import errno
import gc
import logging
import signal
import socket
import sys
import time
from typing import Any

import uvloop

from mediaserver import wire
from mediaserver.errors import MediaError
from mediaserver.messages import DataReceived, MediaEvent
from mediaserver.plane.libc import open_socket
from mediaserver.plane.python import PyPlane
from mediaserver.sfu import REPAIR_INTERVAL, REPORT_INTERVAL, Sfu

logger = logging.getLogger(__name__)

COMMANDS = frozenset(
    {
        "add_peer",
        "apply_offer",
        "expect_track",
        "last_media",
        "remove_peer",
        "send_data",
        "set_subscription_paused",
        "set_track_muted",
        "start_recording",
        "stats",
        "stop_recording",
        "subscribe",
        "unsubscribe",
    }
)

PORT_PATIENCE = 3.0
"""Seconds to wait for a port that is in use."""

EVENT_BACKLOG = 16 * 1024 * 1024
"""Bytes of events the control side may leave unread before unreliable data is dropped."""


class Worker:
    """Serves commands until the pipe ends."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        options: wire.WorkerOptions = await wire.read(self._reader)
        logging.basicConfig(
            level=options.log_level, format="%(asctime)s %(levelname)s media: %(message)s"
        )
        try:
            sock = await _open_patiently(options.host, options.udp_port)
        except OSError as error:
            wire.write(self._writer, wire.Ready(error=error.strerror or str(error)))
            await self._writer.drain()
            return
        port = sock.getsockname()[1]
        self._sfu = Sfu([(ip, port) for ip in options.public_ips], self._emit)
        plane = PyPlane(sock, self._sfu)
        self._sfu.bind(plane)
        loop = asyncio.get_running_loop()
        loop.add_reader(sock.fileno(), plane.poll)
        self._every(REPAIR_INTERVAL, self._sfu.repair)
        self._every(REPORT_INTERVAL, self._sfu.report)
        wire.write(self._writer, wire.Ready(udp_port=port))
        gc.collect()
        gc.freeze()
        try:
            await self._serve()
        finally:
            loop.remove_reader(sock.fileno())
            await self._sfu.close()
            sock.close()

    async def _serve(self) -> None:
        while True:
            try:
                call: wire.Call = await wire.read(self._reader)
            except (asyncio.IncompleteReadError, ConnectionError):
                return
            self._answer(call)

    def _answer(self, call: wire.Call) -> None:
        if call.method not in COMMANDS:
            raise ValueError(f"no such command: {call.method}")
        try:
            value = getattr(self._sfu, call.method)(*call.arguments)
        except Exception as error:  # noqa: BLE001 - supervisor: told to the caller, logged there
            self._reply(call, None, error)
            return
        if asyncio.iscoroutine(value):
            task = asyncio.get_running_loop().create_task(self._finish(call, value))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        else:
            self._reply(call, value, None)

    async def _finish(self, call: wire.Call, work: Any) -> None:
        try:
            self._reply(call, await work, None)
        except Exception as error:  # noqa: BLE001 - supervisor, as above
            self._reply(call, None, error)

    def _reply(self, call: wire.Call, value: object, error: Exception | None) -> None:
        if error is not None and not isinstance(error, MediaError):
            logger.error("command %s failed", call.method, exc_info=error)
            error = MediaError(f"{type(error).__name__}: {error}")
        wire.write(self._writer, wire.Reply(call.number, value, error))

    def _emit(self, event: MediaEvent) -> None:
        backlog = self._writer.transport.get_write_buffer_size()
        lossy = isinstance(event, DataReceived) and event.label != "_reliable"
        if not (lossy and backlog > EVENT_BACKLOG):
            wire.write(self._writer, event)

    def _every(self, seconds: float, work: Any) -> None:
        loop = asyncio.get_running_loop()

        def tick() -> None:
            loop.call_later(seconds, tick)
            work()

        loop.call_later(seconds, tick)


async def _open_patiently(host: str, port: int) -> socket.socket:
    """The media socket; a predecessor that is just closing its journals gets time to leave."""
    deadline = time.monotonic() + PORT_PATIENCE
    while True:
        try:
            return open_socket(host, port)
        except OSError as error:
            if error.errno != errno.EADDRINUSE or time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.1)


async def _main(control: socket.socket) -> None:
    reader, writer = await asyncio.open_connection(sock=control)
    await Worker(reader, writer).run()


def main() -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # the control side says when to stop
    sys.setswitchinterval(0.0005)  # the journal thread must not hold the loop up
    gc.set_threshold(50_000, 20, 50)
    control = socket.socket(fileno=int(sys.argv[1]))
    control.setblocking(False)
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    asyncio.run(_main(control))


if __name__ == "__main__":
    main()
