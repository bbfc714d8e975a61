"""A server from its first word to its last: the port, the parts (`signaling.building`), the ready line,
and the end by a signal.
"""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import socket
from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import Final

from aiohttp import web

from mediaserver.messages import (
    MediaEvent,
    RecordingFault,
    RecordingStalled,
    RecordingStarted,
    WorkerLost,
)
from signaling.accesslog import AccessLog
from signaling.auth import sign_in_link
from signaling.building import build
from signaling.draining import drain
from signaling.errors import StartError
from signaling.http_guard import GuardedRunner
from signaling.livekit.data import RECORDING_TOPIC
from signaling.livekit.rooms import Conferences
from signaling.rest.routes import build_application
from signaling.rest.services import Services
from signaling.settings import Settings
from storage.catalog import RecordingRow

log: Final = logging.getLogger(__name__)

LONGEST_LINE: Final = 64 * 1024  # bytes; tokens and whole offers travel in the request line
BACKLOG: Final = 1024


async def serve(settings: Settings, keys: Mapping[str, str]) -> None:
    """Run until SIGTERM or SIGINT. Raises StartError when the server can't start."""
    stop = _stop_signal()
    async with AsyncExitStack() as stack:
        listener = listening_socket(settings)
        stack.callback(listener.close)
        services, conferences, keeper = await build(settings, keys, stack)
        connect(services, conferences)
        stack.push_async_callback(services.webhooks.close)
        services.webhooks.start()
        stack.push_async_callback(services.traffic.flush)
        stack.push_async_callback(keeper.stop)
        keeper.start()
        runner = GuardedRunner(
            build_application(services, conferences.routes()),
            access_log_class=AccessLog,
            access_log=logging.getLogger("signaling.access"),
            max_line_size=LONGEST_LINE,
            max_field_size=LONGEST_LINE,
            shutdown_timeout=2.0,
        )
        await services.copies.recover()
        await services.recordings.recover()
        await services.renderer.recover()
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        site = web.SockSite(runner, listener)
        await site.start()
        port = listener.getsockname()[1]
        print(ready_lines(port, services.media.udp_port, keys), flush=True)  # noqa: T201
        await stop.wait()
        await drain(services, conferences)
        await site.stop()


def ready_lines(port: int, udp_port: int, keys: Mapping[str, str]) -> str:
    """What whoever started the server waits for: where it is, and how to get in."""
    return (
        f"mediaserver is ready on http://localhost:{port} (media on UDP {udp_port})\n"
        f"Sign in as host: {sign_in_link(port, keys)}"
    )


def listening_socket(settings: Settings) -> socket.socket:
    """Raises StartError when the address can't be had."""
    try:
        infos = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        family, kind, protocol, _, address = infos[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise StartError(
            f"MEDIASERVER_HOST: can't listen on {settings.host} ({error.strerror or error});"
            ' for example MEDIASERVER_HOST="0.0.0.0"'
        ) from None
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise StartError(
            f"MEDIASERVER_PORT: can't listen on {settings.host}, TCP port {settings.port}"
            f" ({error.strerror or error}); stop what uses it or choose another,"
            f' for example MEDIASERVER_PORT="{settings.port % 65535 + 1}"'
        ) from None
    return listener


def connect(services: Services, conferences: Conferences) -> None:
    """Media events reach rooms and recordings; recordings tell their rooms."""

    def on_media_event(event: MediaEvent) -> None:
        services.counters.media_events[type(event).__name__] += 1
        if isinstance(event, RecordingStarted | RecordingFault | RecordingStalled):
            services.recordings.handle(event)
            return
        conferences.handle(event)
        if isinstance(event, WorkerLost):
            services.calls.media_lost()

    def on_recording_change(row: RecordingRow) -> None:
        services.counters.recordings[row.status] += 1
        active = services.recordings.active(row.room)
        # A late word about an old recording says nothing about the one that runs now.
        current = row if active is None or active.id == row.id else active
        conferences.set_recording(row.room, current.status == "recording")
        told = json.dumps({"recordingId": row.id, "status": row.status})
        conferences.tell(row.room, RECORDING_TOPIC, told.encode())

    services.media.set_event_handler(on_media_event)
    services.recordings.subscribe(on_recording_change)
    services.recordings.subscribe(services.watching.changed)
    services.recordings.subscribe(services.webhooks.wake)


def _stop_signal() -> asyncio.Event:
    """Set by the first SIGTERM or SIGINT; the second one ends the process at once."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def on_signal() -> None:
        stop.set()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_DFL)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)
    return stop
