"""Every part of a server, made once and in order, and ended in the opposite order: first the ground,
where the machine may refuse, then what stands on it.

What can fail because of the machine (a folder that can't be written, a database that can't be reached,
a taken port) fails here, before the ready line, as a StartError with one line to act on.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final, Protocol

from mediaserver.errors import MediaError, PortTaken
from mediaserver.facade import MediaPlane, MediaWorkers
from recorder.chunks.copies import ClientCopies
from recorder.chunks.places import chunks_root
from recorder.chunks.store import ChunkLimits, ChunkStore
from recorder.delivery import Deliverer
from recorder.depots import Depots
from recorder.diskspace import DiskSpace
from recorder.errors import JobPostponed
from recorder.jobs import JobRunner, Tools
from recorder.journals import journals_root
from recorder.keeper import Keeper
from recorder.media.library import MediaLibrary
from recorder.media.limits import MediaLimits
from recorder.rendering import Renderer
from recorder.service import RecordingService
from recorder.targets import Targets
from recorder.uploads.finishing import Admission
from recorder.uploads.service import Uploads
from recorder.uploads.spool import SPOOL, Spool
from recorder.uploads.tus import TusUploads
from signaling.addresses import media_host, own_addresses
from signaling.auth import TokenAuthority
from signaling.automatic import AutomaticRecording
from signaling.calls import CallLog
from signaling.chores import chores
from signaling.clock import now
from signaling.datadir import claim_journals, lock_data_dir, prepare_folder
from signaling.errors import StartError
from signaling.jobhost.runner import QueuedJobs
from signaling.jobs import default_at_once
from signaling.links import LinkSigner
from signaling.live import LiveStreams
from signaling.livekit.rooms import Conferences
from signaling.metrics import Counters
from signaling.playback import Playback
from signaling.rest.events import status_by_id
from signaling.rest.services import Lifecycle, Services
from signaling.room_settings import RoomBook
from signaling.settings import Settings
from signaling.stores import (
    open_depots,
    upload_limits,
    upload_origins,
)
from signaling.traffic import Traffic
from signaling.watching import Watching
from signaling.webhooks import Outbox, Webhooks
from storage.catalog import Catalog, ServerLock, migrate
from storage.errors import StorageError, StoreMisconfigured
from storage.objects import LocalStore
from storage.objects.local_signing import LocalSigner

log: Final = logging.getLogger(__name__)


class Jobs(JobRunner, Tools, Protocol):
    @property
    def renders_at_once(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Ground:
    """What everything else stands on. `journals` is also where arriving files rest."""

    settings: Settings
    keys: Mapping[str, str]
    catalog: Catalog
    depots: Depots
    local_objects: LocalSigner
    media: MediaPlane
    space: DiskSpace
    deliverer: Deliverer
    jobs: Jobs
    journals: Path


async def build(
    settings: Settings, keys: Mapping[str, str], stack: AsyncExitStack
) -> tuple[Services, Conferences, Keeper]:
    """All parts, connected to nobody yet; the keeper looks after them once it is started.

    `stack` ends them. Raises StartError.
    """
    return await build_on(await _lay_ground(settings, keys, stack), stack)


async def build_on(
    ground: Ground, stack: AsyncExitStack, admission: Admission | None = None
) -> tuple[Services, Conferences, Keeper]:
    """The same on ground that is there. Uploads end in `admission` or, without one, in the library."""
    settings, keys = ground.settings, ground.keys
    targets = Targets(ground.depots, ground.journals)
    chunks, copies = _client_copies(ground, stack)
    recordings = RecordingService(
        media=ground.media,
        catalog=ground.catalog,
        deliverer=ground.deliverer,
        jobs=ground.jobs,
        data_dir=settings.data_dir,
        clock=now,
        space=ground.space,
        targets=targets,
        copies=copies,
    )
    renderer = _renderer(ground, stack)
    library, uploads = await _media_library(ground, stack, admission)
    live = await _live_streams(ground, stack)
    recordings.subscribe(live.recording_changed)
    calls, rooms = CallLog(ground.catalog, recordings), RoomBook(ground.catalog.rooms)
    lifecycle = Lifecycle()
    automatic = AutomaticRecording(calls, recordings, rooms, stopping=lambda: lifecycle.draining)
    authority = TokenAuthority(keys)
    conferences = Conferences(ground.media, authority, observer=automatic)
    services = Services(
        settings=settings,
        authority=authority,
        links=LinkSigner(keys),
        catalog=ground.catalog,
        depots=ground.depots,
        local_objects=ground.local_objects,
        playback=Playback(settings, ground.depots),
        traffic=Traffic(ground.catalog, now),
        space=ground.space,
        media=ground.media,
        recordings=recordings,
        chunks=chunks,
        copies=copies,
        live=live,
        renderer=renderer,
        uploads=uploads,
        upload_origins=upload_origins(settings),
        tus=_tus_uploads(ground, uploads),
        library=library,
        calls=calls,
        room_book=rooms,
        automatic=automatic,
        watching=Watching(lambda recording_id: status_by_id(services, recording_id)),
        webhooks=Webhooks(ground.catalog.webhooks, settings.webhook_urls, keys, clock=now),
        attendance=conferences,
        counters=Counters(),
        lifecycle=lifecycle,
    )
    return services, conferences, chores(services, ground.deliverer, targets)


# --- the ground --------------------------------------------------------------------------------------


async def _lay_ground(settings: Settings, keys: Mapping[str, str], stack: AsyncExitStack) -> Ground:
    prepare_folder(settings.data_dir, "MEDIASERVER_DATA_DIR")
    if "local" in (settings.recording_storage_provider, settings.recording_fallback_provider):
        prepare_folder(settings.recordings_dir, "RECORDING_OUTPUT_DIR")
    stack.enter_context(lock_data_dir(settings.data_dir))
    journals = journals_root(settings.data_dir)
    catalog = await _open_catalog(settings, stack)
    stack.push_async_callback(catalog.close)
    catalog.recordings.announce = Outbox(settings.webhook_urls, now)
    await claim_journals(catalog, journals)
    await catalog.calls.end_all_running()
    depots = await _open_depots(settings)
    stack.push_async_callback(depots.close)
    media = await _start_media(settings)
    stack.push_async_callback(media.stop)
    jobs = await _start_jobs(settings)
    stack.push_async_callback(jobs.stop)
    return Ground(
        settings=settings,
        keys=keys,
        catalog=catalog,
        depots=depots,
        local_objects=_local_signer(depots, keys),
        media=media,
        space=DiskSpace(
            settings.data_dir,
            settings.disk_low_mb << 20,
            stop=settings.disk_stop_mb << 20,
            copies=_copies(settings),
        ),
        deliverer=Deliverer(catalog, depots, journals, clock=now),
        jobs=jobs,
        journals=journals,
    )


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


async def _start_media(settings: Settings) -> MediaWorkers:
    public_ips = list(settings.public_ip) or own_addresses()
    media = MediaWorkers(
        host=media_host(settings.host, public_ips),
        udp_port=settings.rtc_udp_port,
        public_ips=public_ips,
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


async def _start_jobs(settings: Settings) -> QueuedJobs:
    jobs = QueuedJobs(
        settings.data_dir, at_once=settings.jobs_at_once, log_level=settings.log_level
    )
    try:
        await jobs.start()
    except JobPostponed as error:
        raise StartError(f"MEDIASERVER_DATA_DIR: {_one_line(error)}") from None
    return jobs


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


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


# --- what stands on it -------------------------------------------------------------------------------


def _client_copies(ground: Ground, stack: AsyncExitStack) -> tuple[ChunkStore, ClientCopies]:
    settings = ground.settings
    limits = ChunkLimits(
        chunk_bytes=settings.recording_chunk_max_mb << 20,
        set_bytes=round(settings.recording_chunks_max_gb * (1 << 30)),
    )
    chunks = ChunkStore(chunks_root(ground.journals), limits, ground.space)
    stack.callback(chunks.close)
    timeout = settings.recording_chunk_timeout or settings.upload_session_timeout
    copies = ClientCopies(
        ground.catalog,
        chunks,
        ground.deliverer,
        ground.jobs,
        ground.journals,
        clock=now,
        timeout=timedelta(seconds=timeout),
    )
    stack.push_async_callback(copies.close)
    return chunks, copies


def _renderer(ground: Ground, stack: AsyncExitStack) -> Renderer:
    renderer = Renderer(
        ground.catalog,
        ground.deliverer,
        ground.jobs,
        ground.journals,
        clock=now,
        at_once=ground.jobs.renders_at_once,
        threads=default_at_once(),
        spare=ground.settings.disk_low_mb << 20,
    )
    stack.push_async_callback(renderer.close)
    return renderer


async def _media_library(
    ground: Ground, stack: AsyncExitStack, admission: Admission | None
) -> tuple[MediaLibrary, Uploads]:
    """Users' own files, and the way they come in."""
    settings = ground.settings
    library = MediaLibrary(
        ground.catalog,
        ground.depots,
        ground.jobs,
        ground.journals / ".media",
        clock=now,
        limits=MediaLimits(
            formats=settings.allowed_video_formats,
            min_width=settings.min_video_width,
            min_height=settings.min_video_height,
            longest_seconds=settings.max_video_duration_seconds,
        ),
        thumbnails=settings.thumbnail_generation_enabled,
        trash=timedelta(days=settings.media_trash_days),
        threads=default_at_once(),
        spare=settings.disk_low_mb << 20,
    )
    uploads = Uploads(
        ground.catalog,
        ground.depots,
        admission or library,
        upload_limits(settings),
        clock=now,
        local=ground.local_objects,
        space=ground.space,
    )
    ground.local_objects.on_arrival = uploads.form_arrived
    await library.recover()  # before uploads that were being finished ask it again
    stack.push_async_callback(library.close)
    stack.push_async_callback(uploads.close)
    return library, uploads


def _tus_uploads(ground: Ground, uploads: Uploads) -> TusUploads:
    spool = Spool(ground.journals / SPOOL)
    return TusUploads(uploads, ground.catalog.uploads, spool, ground.space)


async def _live_streams(ground: Ground, stack: AsyncExitStack) -> LiveStreams:
    settings = ground.settings
    live = LiveStreams(settings.data_dir, ground.space, keep_free=settings.disk_low_mb << 20)
    await live.prepare()
    stack.push_async_callback(live.close)
    return live
