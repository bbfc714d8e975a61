"""The composition root: every part made once, in order, and ended in the opposite order.

What can fail because of the machine (a taken port, a folder that can't be written, a database that
can't be reached) fails here, before the ready line, as a StartError with one line to act on.
"""

from __future__ import annotations

import asyncio
import json
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
from recorder.errors import JobPostponed
from recorder.homecoming import Homecoming
from recorder.journals import journals_root
from recorder.keeper import Chore, Keeper
from recorder.orphans import Orphans
from recorder.reaper import Limits, Reaper
from recorder.rendering import Renderer
from recorder.retention import Retention
from recorder.service import RecordingService
from recorder.targets import Targets
from signaling.accesslog import AccessLog
from signaling.addresses import own_addresses
from signaling.auth import TokenAuthority, VideoGrants
from signaling.automatic import AutomaticRecording
from signaling.calls import CallLog
from signaling.datadir import claim_journals, lock_data_dir, prepare_folder
from signaling.draining import drain
from signaling.errors import StartError
from signaling.http_guard import GuardedRunner
from signaling.jobhost.runner import QueuedJobs
from signaling.jobs import default_at_once
from signaling.links import LinkSigner
from signaling.live import LiveStreams
from signaling.livekit.data import RECORDING_TOPIC
from signaling.livekit.rooms import Conferences
from signaling.metrics import Counters
from signaling.playback import Playback
from signaling.rest.events import status_by_id
from signaling.rest.routes import build_application
from signaling.rest.services import Lifecycle, Services
from signaling.room_settings import RoomBook, limits_of
from signaling.settings import Settings
from signaling.stores import links_last, open_depots, retention_policy
from signaling.traffic import Traffic
from signaling.watching import Watching
from signaling.webhooks import Outbox, Webhooks
from storage.catalog import Catalog, RecordingRow, ServerLock, migrate
from storage.errors import StorageError, StoreMisconfigured
from storage.objects import LocalStore
from storage.objects.local_signing import LocalSigner

log: Final = logging.getLogger(__name__)

LONGEST_LINE: Final = 64 * 1024  # bytes; tokens and whole offers travel in the request line
BACKLOG: Final = 1024
SIGN_IN_LIFE: Final = timedelta(hours=24)


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
    catalog.recordings.announce = Outbox(settings.webhook_urls, _now)
    await claim_journals(catalog, journals_root(settings.data_dir))
    await catalog.calls.end_all_running()
    depots = await _open_depots(settings)
    stack.push_async_callback(depots.close)
    media = await _start_media(settings)
    stack.push_async_callback(media.stop)
    space = DiskSpace(
        settings.data_dir,
        settings.disk_low_mb << 20,
        stop=settings.disk_stop_mb << 20,
        copies=_copies(settings),
    )
    deliverer = Deliverer(catalog, depots, journals_root(settings.data_dir), clock=_now)
    jobs = await _start_jobs(settings)
    stack.push_async_callback(jobs.stop)
    targets = Targets(depots, journals_root(settings.data_dir))
    recordings = RecordingService(
        media=media,
        catalog=catalog,
        deliverer=deliverer,
        jobs=jobs,
        data_dir=settings.data_dir,
        clock=_now,
        space=space,
        targets=targets,
    )
    renderer = Renderer(
        catalog,
        deliverer,
        jobs,
        journals_root(settings.data_dir),
        clock=_now,
        at_once=jobs.renders_at_once,
        threads=default_at_once(),
        spare=settings.disk_low_mb << 20,
    )
    stack.push_async_callback(renderer.close)
    live = LiveStreams(settings.data_dir, space, keep_free=settings.disk_low_mb << 20)
    await live.prepare()
    stack.push_async_callback(live.close)
    recordings.subscribe(live.recording_changed)
    calls, room_book, lifecycle = CallLog(catalog, recordings), RoomBook(catalog.rooms), Lifecycle()
    automatic = AutomaticRecording(
        calls, recordings, room_book, stopping=lambda: lifecycle.draining
    )
    authority = TokenAuthority(keys)
    conferences = Conferences(media, authority, observer=automatic)
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
        live=live,
        renderer=renderer,
        calls=calls,
        room_book=room_book,
        automatic=automatic,
        watching=Watching(lambda recording_id: status_by_id(services, recording_id)),
        webhooks=Webhooks(catalog.webhooks, settings.webhook_urls, keys, clock=_now),
        attendance=conferences,
        counters=Counters(),
        lifecycle=lifecycle,
    )
    connect(services, conferences)
    keeper = _keeper(settings, services, deliverer, targets)
    stack.push_async_callback(services.webhooks.close)
    services.webhooks.start()
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
        told = json.dumps({"recordingId": row.id, "status": row.status})
        conferences.tell(row.room, RECORDING_TOPIC, told.encode())

    services.media.set_event_handler(on_media_event)
    services.recordings.subscribe(on_recording_change)
    services.recordings.subscribe(services.watching.changed)
    services.recordings.subscribe(services.webhooks.wake)


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


def _copies(settings: Settings) -> int:
    """How many bytes of the data folder's disk finishing takes for each byte of journals."""
    targets = (settings.recording_storage_provider, settings.recording_fallback_provider)
    if "local" not in targets:
        return 1
    disks = {folder.stat().st_dev for folder in (settings.data_dir, settings.recordings_dir)}
    return 2 if len(disks) == 1 else 1


def _keeper(
    settings: Settings, services: Services, deliverer: Deliverer, targets: Targets
) -> Keeper:
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
    no_media = timedelta(minutes=settings.recording_no_media_minutes) or None

    async def limits(room: str) -> Limits:
        return limits_of(await services.room_book.of(room), no_media)

    reaper = Reaper(
        services.recordings, services.space, limits, clock=_now, spare=services.live.spare
    )
    return Keeper(
        Chore("reaper", 1.0, reaper.look),
        Chore("targets", 300.0, targets.look),
        Chore("webhooks", 600.0, services.webhooks.expire),
        Chore("deliveries", 5.0, deliverer.look_for_hurry),
        Chore("renders", 2.0, services.renderer.look, first=2.0),
        Chore("recordings to finish", 5.0, services.recordings.look, first=5.0),
        Chore("homecoming", 15.0, homecoming.look),
        Chore("unfinished uploads", 6 * 3600.0, orphans.look),
        # not at once: the clock of a machine that just booted may still be wrong
        Chore("retention", 3600.0, retention.look, first=3600.0),
        Chore("traffic", 60.0, services.traffic.flush),
        Chore("disk space", 30.0, services.space.look),
    )


def _now() -> datetime:
    return datetime.now(UTC)


async def _start_jobs(settings: Settings) -> QueuedJobs:
    jobs = QueuedJobs(
        settings.data_dir, at_once=settings.jobs_at_once, log_level=settings.log_level
    )
    try:
        await jobs.start()
    except JobPostponed as error:
        raise StartError(f"MEDIASERVER_DATA_DIR: {_one_line(error)}") from None
    return jobs


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
