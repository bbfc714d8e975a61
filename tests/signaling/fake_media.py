"""A media plane without media: the whole of the facade's contract, in memory.

Offers are not parsed. What a test wants an offer to bring about it says with the methods below the
contract; what the control side asked for can be read back from the plain attributes.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mediaserver.errors import UnknownPeer, UnknownTrack
from mediaserver.messages import (
    EVERY_KIND,
    DataLabel,
    Kind,
    MediaEvent,
    OfferResult,
    PeerId,
    PublishedTrack,
    RecordingId,
    RecordingStarted,
    RoomId,
    SectionsNeeded,
    TrackId,
    TrackIntent,
)


@dataclass(slots=True)
class FakePeer:
    room: RoomId
    intents: dict[TrackId, TrackIntent] = field(default_factory=dict)
    published: dict[TrackId, TrackIntent] = field(default_factory=dict)
    subscribed: list[TrackId] = field(default_factory=list)
    offers: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class SentData:
    peers: tuple[PeerId, ...]
    label: DataLabel
    payload: bytes


class FakeMediaPlane:
    """Every announced track is published by the peer's next offer, unless `hold_tracks` is set."""

    def __init__(self, *, udp_port: int = 7882) -> None:
        self.udp_port = udp_port
        self.running = False
        self.peers: dict[PeerId, FakePeer] = {}
        self.muted: dict[TrackId, bool] = {}
        self.paused: dict[tuple[PeerId, TrackId], bool] = {}
        self.sent: list[SentData] = []
        self.recordings: dict[RecordingId, Path] = {}
        self.hold_tracks = False
        self.media_arrives = True  # does a new recording get its first byte at once?
        self.answers: deque[OfferResult | Exception] = deque()  # scripted, before the default
        self._handler: Callable[[MediaEvent], None] = lambda _event: None
        self._recorded: dict[RecordingId, bool] = {}
        self.kinds: dict[RecordingId, frozenset[Kind]] = {}

    # --- the contract ---------------------------------------------------------------------------

    async def start(self) -> None:
        self.running = True

    async def stop(self) -> None:
        self.running = False
        self.peers.clear()

    def set_event_handler(self, handler: Callable[[MediaEvent], None]) -> None:
        self._handler = handler

    async def add_peer(self, room: RoomId, peer: PeerId) -> None:
        self.peers[peer] = FakePeer(room)

    async def remove_peer(self, peer: PeerId) -> Mapping[PeerId, SectionsNeeded]:
        gone = self.peers.pop(peer, None)
        if gone is None:
            return {}
        touched: dict[PeerId, SectionsNeeded] = {}
        for other, state in self.peers.items():
            kept = [track for track in state.subscribed if track not in gone.published]
            if len(kept) != len(state.subscribed):
                state.subscribed = kept
                touched[other] = SectionsNeeded()
        return touched

    async def expect_track(self, peer: PeerId, intent: TrackIntent) -> SectionsNeeded | None:
        self._peer(peer).intents[intent.track_id] = intent
        return None

    async def answer(self, peer: PeerId, offer_sdp: str) -> OfferResult:
        state = self._peer(peer)
        state.offers.append(offer_sdp)
        if self.answers:
            scripted = self.answers.popleft()
            if isinstance(scripted, Exception):
                raise scripted
            return scripted
        published: list[PublishedTrack] = []
        if not self.hold_tracks:
            for mid, (track_id, intent) in enumerate(state.intents.items()):
                mime = intent.mime_type or ("audio/opus" if intent.kind == "audio" else "video/VP8")
                published.append(PublishedTrack(track_id, f"p{mid}", mime))
            state.published |= state.intents
            state.intents = {}
        return OfferResult(
            answer_sdp=f"v=0\r\ns=answer to {peer}\r\n",
            mid_to_track={f"s{mid}": track for mid, track in enumerate(state.subscribed)},
            published=tuple(published),
            attached=tuple(state.subscribed),
        )

    async def subscribe(self, peer: PeerId, tracks: Sequence[TrackId]) -> SectionsNeeded | None:
        state = self._peer(peer)
        new = [track for track in tracks if track not in state.subscribed]
        kinds = [self._track(track).kind for track in new]
        state.subscribed += new
        if not new:
            return None
        return SectionsNeeded(audio=kinds.count("audio"), video=kinds.count("video"))

    async def unsubscribe(self, peer: PeerId, tracks: Sequence[TrackId]) -> SectionsNeeded | None:
        state = self._peer(peer)
        kept = [track for track in state.subscribed if track not in tracks]
        changed = len(kept) != len(state.subscribed)
        state.subscribed = kept
        return SectionsNeeded() if changed else None

    async def set_track_muted(self, track: TrackId, muted: bool) -> None:
        self.muted[track] = muted

    async def set_subscription_paused(self, peer: PeerId, track: TrackId, paused: bool) -> None:
        self.paused[peer, track] = paused

    async def send_data(self, peers: Sequence[PeerId], label: DataLabel, payload: bytes) -> None:
        self.sent.append(SentData(tuple(peers), label, payload))

    async def start_recording(
        self,
        room: RoomId,
        recording: RecordingId,
        directory: Path,
        kinds: Collection[Kind] = EVERY_KIND,
    ) -> None:
        self.kinds[recording] = frozenset(kinds)
        self.recordings[recording] = directory
        self._recorded[recording] = self.media_arrives
        if self.media_arrives:
            self.emit(RecordingStarted(recording, time.time_ns() // 1000))

    async def stop_recording(self, recording: RecordingId) -> bool:
        self.recordings.pop(recording, None)
        return self._recorded.pop(recording, False)

    async def last_media(self, recording: RecordingId) -> int | None:
        return time.time_ns() // 1000 if self._recorded.get(recording) else None

    async def stats(self) -> Mapping[str, int | str]:
        return {"peers": len(self.peers), "plane": "fake"}

    # --- what a test does -----------------------------------------------------------------------

    def emit(self, event: MediaEvent) -> None:
        """An event as the media worker would send it."""
        self._handler(event)

    def _peer(self, peer: PeerId) -> FakePeer:
        try:
            return self.peers[peer]
        except KeyError:
            raise UnknownPeer(f"no peer {peer}") from None

    def _track(self, track: TrackId) -> TrackIntent:
        for state in self.peers.values():
            if track in state.published:
                return state.published[track]
        raise UnknownTrack(f"no track {track}")
