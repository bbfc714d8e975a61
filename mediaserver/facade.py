"""What the control side may ask of the media plane: one Protocol, kept by `workers.MediaWorkers`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from mediaserver.messages import (
    EVERY_KIND,
    DataLabel,
    Kind,
    MediaEvent,
    OfferResult,
    PeerId,
    RecordingId,
    RoomId,
    SectionsNeeded,
    TrackId,
    TrackIntent,
)
from mediaserver.workers import MediaWorkers

__all__ = ["MediaPlane", "MediaWorkers", "RecordingPlane"]


class RecordingPlane(Protocol):
    """The recording side of the media plane."""

    async def start_recording(
        self,
        room: RoomId,
        recording: RecordingId,
        directory: Path,
        kinds: Collection[Kind] = EVERY_KIND,
    ) -> None:
        """Journal every present and future track of `room` as `<directory>/<track>.journal`.

        Tracks of other `kinds` leave no trace on the disk. `directory` must exist.
        `RecordingStarted` follows when the first media byte is on disk.
        """

    async def last_media(self, recording: RecordingId) -> int | None:
        """When the latest packet on disk came: unix time in microseconds.

        None before the first one, and for a recording that does not run. Silence that is sent
        (DTX) is media; a muted track has none.
        """

    async def stop_recording(self, recording: RecordingId) -> bool:
        """End the journals; back when all is flushed and fsynced.

        True when any media was written. Idempotent: an unknown recording is False.
        """


class MediaPlane(RecordingPlane, Protocol):
    """Rooms of peers that publish and subscribe to tracks; the only door to the media workers.

    `answer` publishes what the offer carries and places waiting subscriptions; every call that
    makes some peer's sections stale says so in its result, and the control side must then ask
    that peer for an offer (LiveKit: media_sections_requirement).
    """

    @property
    def udp_port(self) -> int: ...

    async def start(self) -> None:
        """Start the workers. Raises `PortTaken`."""

    async def stop(self) -> None: ...

    def set_event_handler(self, handler: Callable[[MediaEvent], None]) -> None: ...

    async def add_peer(self, room: RoomId, peer: PeerId) -> None: ...

    async def remove_peer(self, peer: PeerId) -> Mapping[PeerId, SectionsNeeded]: ...

    async def expect_track(self, peer: PeerId, intent: TrackIntent) -> SectionsNeeded | None: ...

    async def answer(self, peer: PeerId, offer_sdp: str) -> OfferResult:
        """Apply an offer (RFC 9429, JSEP) and answer it. Raises `BadOffer`, `UnknownPeer`."""

    async def subscribe(self, peer: PeerId, tracks: Sequence[TrackId]) -> SectionsNeeded | None: ...

    async def unsubscribe(
        self, peer: PeerId, tracks: Sequence[TrackId]
    ) -> SectionsNeeded | None: ...

    async def set_track_muted(self, track: TrackId, muted: bool) -> None: ...

    async def set_subscription_paused(self, peer: PeerId, track: TrackId, paused: bool) -> None: ...

    async def send_data(
        self, peers: Sequence[PeerId], label: DataLabel, payload: bytes
    ) -> None: ...

    async def stats(self) -> Mapping[str, int | str]: ...
