"""What the handlers work with, made once by the composition root."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from aiohttp import web

from mediaserver.facade import MediaPlane
from recorder.chunks.copies import ClientCopies
from recorder.chunks.store import ChunkStore
from recorder.depots import Depots
from recorder.diskspace import DiskSpace
from recorder.media.library import MediaLibrary
from recorder.rendering import Renderer
from recorder.service import RecordingService
from recorder.uploads.service import Uploads
from recorder.uploads.tus import TusUploads
from signaling.auth import TokenAuthority, bearer
from signaling.automatic import AutomaticRecording
from signaling.calls import CallLog
from signaling.links import LinkSigner
from signaling.live import LiveStreams
from signaling.metrics import Counters
from signaling.playback import Playback
from signaling.policy import Principal, principal_of
from signaling.rest.represent import Attendee
from signaling.room_settings import RoomBook
from signaling.settings import Settings
from signaling.traffic import Traffic
from signaling.watching import Watching
from signaling.webhooks import Webhooks
from storage.catalog import Catalog
from storage.objects.local_signing import LocalSigner


class Attendance(Protocol):
    """Who is in which room now."""

    def participants(self, room: str) -> Sequence[Attendee]: ...


@dataclass(slots=True)
class Lifecycle:
    """`draining`: the server is stopping, nobody new comes in.

    `probe` is the latest look at the parts, good until `probe_stale_at` on the loop's clock.
    """

    draining: bool = False
    probe: asyncio.Task[dict[str, str]] | None = None
    probe_stale_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Services:
    settings: Settings
    authority: TokenAuthority
    links: LinkSigner
    catalog: Catalog
    depots: Depots
    local_objects: LocalSigner
    playback: Playback
    traffic: Traffic
    space: DiskSpace
    media: MediaPlane
    recordings: RecordingService
    chunks: ChunkStore
    copies: ClientCopies
    live: LiveStreams
    renderer: Renderer
    uploads: Uploads
    upload_origins: tuple[str, ...]
    tus: TusUploads
    library: MediaLibrary
    calls: CallLog
    room_book: RoomBook
    automatic: AutomaticRecording
    watching: Watching
    webhooks: Webhooks
    attendance: Attendance
    counters: Counters
    lifecycle: Lifecycle


SERVICES: Final = web.AppKey("services", Services)


def services_of(request: web.Request) -> Services:
    return request.config_dict[SERVICES]


def principal(request: web.Request) -> Principal:
    """Who is asking. Raises Unauthorized."""
    return principal_of(services_of(request).authority.verify(bearer(request)))
