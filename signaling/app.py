"""The composition root: every part made once, in order, and ended in the opposite order.

What can fail because of the machine (a taken port, a folder that can't be written, a database that
can't be reached) fails here, before the ready line, as a StartError with one line to act on.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
from collections.abc import Mapping
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Final

from aiohttp import web

from mediaserver.errors import MediaError, PortTaken
from mediaserver.facade import MediaWorkers
from mediaserver.messages import (
    MediaEvent,
    RecordingFault,
    RecordingStalled,
    RecordingStarted,
    WorkerLost,
)
from recorder.delivery import Deliverer
from recorder.depots import Depots
from recorder.diskspace import DiskSpace
from recorder.homecoming import Homecoming
from recorder.journals import journals_root
from recorder.keeper import Chore, Keeper
from recorder.orphans import Orphans
from recorder.retention import Retention
from recorder.service import RecordingService
from signaling.accesslog import AccessLog
from signaling.addresses import own_addresses
from signaling.auth import TokenAuthority, VideoGrants
from signaling.calls import CallLog
from signaling.datadir import lock_data_dir, prepare_folder
from signaling.errors import StartError
from signaling.http_guard import GuardedRunner
from signaling.jobs import SubprocessJobs
from signaling.links import LinkSigner
from signaling.livekit.rooms import Conferences
from signaling.metrics import Counters
from signaling.playback import Playback
from signaling.rest.routes import build_application
from signaling.rest.services import Lifecycle, Services
from signaling.settings import Settings
from signaling.stores import links_last, open_depots, retention_policy
from signaling.traffic import Traffic
from storage.catalog import Catalog, RecordingRow, ServerLock, migrate
from storage.errors import StorageError, StoreMisconfigured
from storage.objects import LocalStore
from storage.objects.local_signing import LocalSigner

log: Final = logging.getLogger(__name__)

LONGEST_LINE: Final = 64 * 1024  # bytes; tokens and whole offers travel in the request line
BACKLOG: Final = 1024
SIGN_IN_LIFE: Final = timedelta(hours=24)
LEAVE_PATIENCE: Final = 6.0  # seconds for telling participants
FINISH_PATIENCE: Final = 12.0  # seconds for closing and finalizing recordings


async def serve(settings: Settings, keys: Mapping[str, str]) -> None:
    """Run until SIGTERM or SIGINT. Raises StartError when the server can't start."""
    stop = _stop_signal()
    async with AsyncExitStack() as stack:
        listener = listening_socket(settings)
        stack.callback(listener.close)
        services, conferences = await _build(settings, keys, stack)
        runner = GuardedRunner(
            build_application(services, conferences.routes()),
            access_log_class=AccessLog,
            access_log=logging.getLogger("signaling.access"),
            max_line_size=LONGEST_LINE,
            max_field_size=LONGEST_LINE,
            shutdown_timeout=2.0,
        )
        await services.recordings.recover()
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        site = web.SockSite(runner, listener)
        await site.start()
        port = listener.getsockname()[1]
        print(ready_lines(port, services.media.udp_port, keys), flush=True)  # noqa: T201
        await stop.wait()
        log.info("stopping: nobody new comes in, recordings are finished")
        services.lifecycle.draining = True
        await site.stop()
        await _drain(services, conferences)


def ready_lines(port: int, udp_port: int, keys: Mapping[str, str]) -> str:
    """What whoever started the server waits for: where it is, and how to get in."""
    return (
        f"mediaserver is ready on http://localhost:{port} (media on UDP {udp_port})\n"
        f"Sign in as host: {sign_in_link(port, keys)}"
    )


def sign_in_link(port: int, keys: Mapping[str, str]) -> str:
    """A link whose token is a server's own: it may do everything, for 24 hours."""
    token = TokenAuthority(keys).mint(
        None, VideoGrants(room_create=True, room_list=True, room_record=True), SIGN_IN_LIFE
    )
    return f"http://localhost:{port}/#token={token}"


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


async def _build(
    settings: Settings, keys: Mapping[str, str], stack: AsyncExitStack
) -> tuple[Services, Conferences]:
    prepare_folder(settings.data_dir, "MEDIASERVER_DATA_DIR")
    if "local" in (settings.recording_storage_provider, settings.recording_fallback_provider):
        prepare_folder(settings.recordings_dir, "RECORDING_OUTPUT_DIR")
    stack.enter_context(lock_data_dir(settings.data_dir))
    catalog = await _open_catalog(settings, stack)
    stack.push_async_callback(catalog.close)
    await catalog.calls.end_all_running()
    depots = await _open_depots(settings)
    stack.push_async_callback(depots.close)
    media = await _start_media(settings)
    stack.push_async_callback(media.stop)
    space = DiskSpace(settings.data_dir, settings.disk_low_mb << 20)
    deliverer = Deliverer(catalog, depots, journals_root(settings.data_dir), clock=_now)
    recordings = RecordingService(
        media=media,
        catalog=catalog,
        deliverer=deliverer,
        jobs=SubprocessJobs(),
        data_dir=settings.data_dir,
        clock=_now,
        space=space,
    )
    calls = CallLog(catalog, recordings)
    authority = TokenAuthority(keys)
    conferences = Conferences(media, authority, observer=calls)
    services = Services(
        settings=settings,
        authority=authority,
        links=LinkSigner(keys),
        catalog=catalog,
        depots=depots,
        local_objects=_local_signer(depots, keys),
        playback=Playback(settings, depots),
        traffic=Traffic(catalog, _now),
        space=space,
        media=media,
        recordings=recordings,
        calls=calls,
        attendance=conferences,
        counters=Counters(),
        lifecycle=Lifecycle(),
    )
    connect(services, conferences)
    keeper = _keeper(settings, services, deliverer)
    stack.push_async_callback(services.traffic.flush)
    stack.push_async_callback(keeper.stop)
    keeper.start()
    return services, conferences


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

    services.media.set_event_handler(on_media_event)
    services.recordings.subscribe(on_recording_change)


async def _open_catalog(settings: Settings, stack: AsyncExitStack) -> Catalog:
    try:
        lock = ServerLock(settings.database)
        await lock.take()
        stack.push_async_callback(lock.release)
        applied = await migrate(settings.database)
        if applied:
            log.debug("database migrated: %s", ", ".join(applied))
        return await Catalog.open(settings.database)
    except StorageError as error:
        raise StartError(f"DATABASE_URL: {_one_line(error)}") from None


async def _open_depots(settings: Settings) -> Depots:
    """The local folder has to be there now; what is far away may be down, and is waited for."""
    try:
        depots = open_depots(settings)
        local = depots.stores["local"]
        if "local" in depots.targets and isinstance(local, LocalStore):
            await local.prepare()
    except StoreMisconfigured as error:
        raise StartError(f"RECORDING_STORAGE_PROVIDER: {_one_line(error)}") from None
    except StorageError as error:
        raise StartError(f"RECORDING_OUTPUT_DIR: {_one_line(error)}") from None
    return depots


def _local_signer(depots: Depots, keys: Mapping[str, str]) -> LocalSigner:
    """Links without a host: whoever hands one out knows under which name this server was asked."""
    local = depots.stores["local"]
    assert isinstance(local, LocalStore)
    secret, *older = (each.encode() for each in keys.values())
    return LocalSigner(local, "", secret, older_secrets=older)


def _keeper(settings: Settings, services: Services, deliverer: Deliverer) -> Keeper:
    """What is looked after while the server runs."""
    catalog, depots = services.catalog, services.depots
    homecoming = Homecoming(catalog, depots, clock=_now, links_last=links_last(depots))
    retention = Retention(
        catalog,
        depots,
        journals_root(settings.data_dir),
        retention_policy(settings),
        clock=_now,
    )
    orphans = Orphans(depots, services.local_objects, clock=_now)
    return Keeper(
        Chore("deliveries", 5.0, deliverer.look_for_hurry),
        Chore("homecoming", 15.0, homecoming.look),
        Chore("unfinished uploads", 6 * 3600.0, orphans.look),
        # not at once: the clock of a machine that just booted may still be wrong
        Chore("retention", 3600.0, retention.look, first=3600.0),
        Chore("traffic", 60.0, services.traffic.flush),
        Chore("disk space", 30.0, services.space.look),
    )


def _now() -> datetime:
    return datetime.now(UTC)


async def _start_media(settings: Settings) -> MediaWorkers:
    media = MediaWorkers(
        host=settings.host,
        udp_port=settings.rtc_udp_port,
        public_ips=list(settings.public_ip) or own_addresses(),
        log_level=settings.log_level.upper(),
    )
    try:
        await media.start()
    except PortTaken as error:
        await media.stop()
        raise StartError(
            f"MEDIASERVER_RTC_UDP_PORT: can't use UDP port {settings.rtc_udp_port}"
            f" ({_one_line(error)}); stop what uses it or choose another, for example"
            f' MEDIASERVER_RTC_UDP_PORT="{settings.rtc_udp_port % 65535 + 1}"'
        ) from None
    except MediaError as error:
        await media.stop()
        raise StartError(f"the media workers did not start: {_one_line(error)}") from None
    return media


async def _drain(services: Services, conferences: Conferences) -> None:
    """Everybody is told, then every recording is closed; each within bounded time."""
    try:
        await asyncio.wait_for(conferences.close(), LEAVE_PATIENCE)
    except TimeoutError:
        log.warning("some participants could not be told that the server stops")
    try:
        await asyncio.wait_for(services.recordings.close(), FINISH_PATIENCE)
    except TimeoutError:
        log.warning("recordings are not finished; the next start goes on with their journals")
    await services.calls.close()
    with contextlib.suppress(StorageError):
        await services.catalog.calls.end_all_running()


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


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
