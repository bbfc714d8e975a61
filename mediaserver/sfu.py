"""Who gets what: the selective forwarding unit of one worker.

All methods run on the media loop and finish at once, but for `stop_recording` and `close`, which wait
for the disk and for transports. Packets pass by in `plane`; this decides, when something
changes, which stream goes to whom, and hears from the plane what needs a decision.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Coroutine, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from mediaserver import feedback, negotiation
from mediaserver.errors import BadOffer, UnknownPeer, UnknownTrack
from mediaserver.messages import (
    EVERY_KIND,
    DataLabel,
    DataReceived,
    Kind,
    MediaEvent,
    OfferApplied,
    PeerConnected,
    PeerId,
    PeerLost,
    PublishedTrack,
    RecordingFault,
    RecordingId,
    RecordingStalled,
    RecordingStarted,
    RoomId,
    SectionsNeeded,
    TrackId,
    TrackIntent,
)
from mediaserver.peer import Peer
from mediaserver.plane.libc import unpack_address
from mediaserver.plane.python import PyPlane
from mediaserver.plane.streams import Inbound, Link
from mediaserver.recording import JournalWriter, TrackJournal
from mediaserver.room import Room, RoomRecording
from mediaserver.rtp.header import elements
from mediaserver.sdp import negotiate
from mediaserver.sdp.model import Offer, Section
from mediaserver.sections import Placement
from mediaserver.tracks import DownTrack, UpTrack
from mediaserver.transport.dtls import fingerprint, new_certificate
from mediaserver.transport.ice import CONSENT_TIMEOUT, answer_check

logger = logging.getLogger(__name__)

REPAIR_INTERVAL = 0.02
REPORT_INTERVAL = 0.5
JOIN_TIMEOUT = 90.0
"""Seconds for ICE and DTLS; the control side gives up earlier, this catches what it forgot."""

DATA_LABELS = ("_reliable", "_lossy", "_data_track")

Requirements = dict[PeerId, SectionsNeeded]


class Sfu:
    """Rooms, peers and tracks of one worker; `emit` takes the events."""

    def __init__(
        self,
        candidates: Sequence[tuple[str, int]],
        emit: Callable[[MediaEvent], None],
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.candidates = tuple(candidates)
        self.emit = emit
        self.now = now
        self.certificate = new_certificate()
        self.fingerprint = fingerprint(self.certificate)
        self.plane: PyPlane = cast(PyPlane, None)  # set by `bind`, which needs this as its owner
        self.writer = JournalWriter(self._media_on_disk, self._journal_fault)
        self.rooms: dict[RoomId, Room] = {}
        self.peers: dict[PeerId, Peer] = {}
        self.tracks: dict[TrackId, UpTrack] = {}
        self.recordings: dict[RecordingId, RoomRecording] = {}
        self._by_ufrag: dict[str, Peer] = {}
        self._closing: set[asyncio.Task[None]] = set()

    def bind(self, plane: PyPlane) -> None:
        self.plane = plane

    # --- peers

    def add_peer(self, room_id: RoomId, peer_id: PeerId) -> None:
        room = self.rooms.setdefault(room_id, Room(room_id))
        peer = Peer(peer_id, room_id, self.plane, self, self.certificate, self.now)
        room.peers[peer_id] = self.peers[peer_id] = self._by_ufrag[peer.ufrag] = peer

    def remove_peer(self, peer_id: PeerId) -> Requirements:
        """Forget a peer and what it published; who has to offer again because of that."""
        peer = self.peers.pop(peer_id, None)
        if peer is None:
            return {}
        touched = [each for up in list(peer.ups.values()) for each in self._unpublish(up)]
        for down in list(peer.downs.values()):
            self._detach(down)
        room = self.rooms[RoomId(peer.room_id)]
        del room.peers[peer_id]
        del self._by_ufrag[peer.ufrag]
        if not room.peers and room.recording is None:
            del self.rooms[room.room_id]
        self.plane.remove_link(peer.link)
        self._later(peer.dtls.close())
        return self._requirements(touched)

    def expect_track(self, peer_id: PeerId, intent: TrackIntent) -> SectionsNeeded | None:
        return self._peer(peer_id).sections.expect(intent)

    def apply_offer(self, peer_id: PeerId, offer: Offer) -> OfferApplied:
        """Publish, unpublish and place subscriptions as the offer allows, and answer it."""
        peer = self._peer(peer_id)
        if peer.fingerprints and peer.fingerprints != offer.fingerprints:
            raise BadOffer("the certificate of a running transport can't change; join again")
        peer.fingerprints = offer.fingerprints
        peer.link.unclaimed.clear()  # this offer may claim what the last one did not
        sections = {section.mid: section for section in offer.sections}
        placement = peer.sections.apply(offer, self._supports)
        touched = self._remove_tracks(peer, placement)
        published = self._add_tracks(peer, placement, sections)
        self._place(peer, placement, sections)
        answer = negotiation.answer(peer, offer, self.fingerprint, self.candidates)
        if any(s.kind == "application" and not s.rejected for s in offer.sections):
            peer.dtls.accept_data()
        peer.dtls.start(offer.fingerprints)
        return OfferApplied(
            answer=answer,
            mid_to_track=dict(peer.sections.receiving),
            published=tuple(published),
            unpublished=tuple(placement.unpublished),
            attached=tuple(placement.attached.values()),
            unsupported=tuple(placement.unsupported),
            requirements=self._requirements([*touched, peer]),
        )

    def _supports(self, track_id: TrackId, section: Section) -> bool:
        up = self.tracks.get(track_id)
        return up is not None and bool(negotiate.for_subscriber(section, up.codec, section.kind))

    def _remove_tracks(self, peer: Peer, placement: Placement) -> list[Peer]:
        touched: list[Peer] = []
        for track_id in placement.unpublished:
            touched += self._unpublish(peer.ups[track_id])
        for track_id in placement.detached:
            self._detach(peer.downs[track_id])
        return touched

    def _add_tracks(
        self, peer: Peer, placement: Placement, sections: dict[str, Section]
    ) -> list[PublishedTrack]:
        published = []
        for mid in placement.published:
            up = negotiation.new_up(peer, sections[mid])
            if up is None:
                del peer.sections.sending[mid]
                continue
            peer.ups[up.track_id] = self.tracks[up.track_id] = up
            peer.opening_until = self.now() + feedback.OPENING_SECONDS
            for ssrc in up.ssrcs[:1]:
                self._bind_stream(up, ssrc)
            room = self.rooms[RoomId(peer.room_id)]
            if room.recording is not None:
                room.recording.listen(up)
            published.append(PublishedTrack(up.track_id, mid, up.mime_type))
        return published

    def _place(self, peer: Peer, placement: Placement, sections: dict[str, Section]) -> None:
        for down in peer.downs.values():
            negotiation.refresh_down(down, sections[down.mid])
        for mid, track_id in placement.attached.items():
            up = self.tracks[track_id]
            down = negotiation.new_down(peer, up, sections[mid])
            peer.downs[track_id] = up.downs[peer.peer_id] = peer.outs[down.out.ssrc] = down
            self._flow(down)

    # --- subscriptions

    def subscribe(self, peer_id: PeerId, track_ids: Sequence[TrackId]) -> SectionsNeeded | None:
        """Tracks that ended meanwhile are passed over: their end was told already."""
        peer = self._peer(peer_id)
        for track_id in track_ids:
            up = self.tracks.get(track_id)
            if up is not None and up.peer is not peer:
                peer.sections.want(track_id, up.kind)
        return peer.sections.requirement()

    def unsubscribe(self, peer_id: PeerId, track_ids: Sequence[TrackId]) -> SectionsNeeded | None:
        peer = self._peer(peer_id)
        for track_id in track_ids:
            peer.sections.drop(track_id)
            if down := peer.downs.get(track_id):
                self._detach(down)
        return peer.sections.requirement()

    def set_track_muted(self, track_id: TrackId, muted: bool) -> None:
        up = self.tracks.get(track_id)
        if up is None:
            raise UnknownTrack(f"no track {track_id}")
        if up.muted == muted:
            return
        up.muted = muted
        up.refresh_sinks()
        for journal in up.journals:
            journal.muted(self.plane.unix_us(self.now()), muted)
        for down in up.downs.values():
            self._flow(down)
        if not muted:
            feedback.request_keyframe(self.plane, up, self.now())

    def set_subscription_paused(self, peer_id: PeerId, track_id: TrackId, paused: bool) -> None:
        """May come before the subscription has a section; it is remembered."""
        peer = self._peer(peer_id)
        (peer.paused.add if paused else peer.paused.discard)(track_id)
        if down := peer.downs.get(track_id):
            down.paused = paused
            self._flow(down)

    def send_data(self, peer_ids: Sequence[PeerId], label: DataLabel, payload: bytes) -> None:
        for peer_id in peer_ids:
            if peer := self.peers.get(peer_id):
                peer.dtls.send(label, payload)

    # --- recordings

    def start_recording(
        self,
        room_id: RoomId,
        recording_id: RecordingId,
        directory: Path,
        kinds: Collection[Kind] = EVERY_KIND,
    ) -> None:
        room = self.rooms.setdefault(room_id, Room(room_id))
        room.recording = RoomRecording(
            room_id, recording_id, directory, self.writer, self._unix_us, frozenset(kinds)
        )
        self.recordings[recording_id] = room.recording
        for up in room.tracks():
            room.recording.listen(up)
            if up.journals:
                feedback.request_keyframe(self.plane, up, self.now())

    def last_media(self, recording_id: RecordingId) -> int | None:
        recording = self.recordings.get(recording_id)
        return recording.last_media_us() if recording is not None else None

    async def stop_recording(self, recording_id: RecordingId) -> bool:
        recording = self.recordings.pop(recording_id, None)
        if recording is None:
            return False
        room = self.rooms.get(recording.room_id)
        if room is not None:
            if room.recording is recording:  # else a later one has taken its place
                room.recording = None
            for up in room.tracks():
                recording.ignore(up)
            if not room.peers and room.recording is None:
                del self.rooms[room.room_id]
        closed = [self.writer.close_journal(journal) for journal in recording.journals]
        return any(await asyncio.gather(*closed))

    def _media_on_disk(self, journal: TrackJournal) -> None:
        recording_id = RecordingId(journal.header.recording_id)
        recording = self.recordings.get(recording_id)
        if recording is not None and not recording.started:
            recording.started = True
            self.emit(RecordingStarted(recording_id, journal.first_media_us))

    def _journal_fault(self, journal: TrackJournal, reason: str) -> None:
        recording_id = RecordingId(journal.header.recording_id)
        self.emit(RecordingFault(recording_id, reason))
        recording = self.recordings.get(recording_id)
        room = self.rooms.get(recording.room_id) if recording is not None else None
        wanted = recording.kinds if recording is not None else frozenset()
        tracks = [up for up in room.tracks() if up.kind in wanted] if room is not None else []
        if tracks and all(up.journals_lost() for up in tracks):
            self.emit(RecordingStalled(recording_id, reason))

    def _unix_us(self) -> int:
        return self.plane.unix_us(self.now())

    # --- flow

    def _bind_stream(self, up: UpTrack, ssrc: int) -> None:
        """RTP of `ssrc` is the track's from now on."""
        link = up.peer.link
        stream = up.new_stream(link, ssrc)
        old, up.stream = up.stream, stream
        link.inbounds[ssrc] = stream
        up.refresh_sinks()
        if old is not None:
            link.inbounds.pop(old.ssrc, None)
            self.plane.replace(old, stream)
            up.reception = type(up.reception)()
            up.nack = type(up.nack)()
            return
        for down in up.downs.values():
            self._flow(down)

    def _flow(self, down: DownTrack) -> None:
        """Start or stop the packets of a subscription, as its state wants."""
        up, out = down.up, down.out
        wanted = down.peer.secure and not down.paused and not up.muted and up.stream is not None
        if wanted and out.inbound is None and up.stream is not None:
            self.plane.attach(up.stream, out)
            feedback.request_keyframe(self.plane, up, self.now())
        elif not wanted and out.inbound is not None:
            self.plane.detach(out)

    def _detach(self, down: DownTrack) -> None:
        self.plane.detach(down.out)
        del down.peer.downs[down.up.track_id]
        del down.peer.outs[down.out.ssrc]
        down.up.downs.pop(down.peer.peer_id, None)

    def _unpublish(self, up: UpTrack) -> list[Peer]:
        """A track ended; the peers that must offer again."""
        touched = []
        del self.tracks[up.track_id], up.peer.ups[up.track_id]
        for peer in self.rooms[RoomId(up.peer.room_id)].peers.values():
            if down := peer.downs.get(up.track_id):
                self._detach(down)
                touched.append(peer)
            peer.sections.drop(up.track_id)
            peer.paused.discard(up.track_id)
        room = self.rooms[RoomId(up.peer.room_id)]
        if room.recording is not None:
            for journal in room.recording.ignore(up):
                self._later(_finish(self.writer, journal))
        if up.stream is not None:
            up.peer.link.inbounds.pop(up.stream.ssrc, None)
        return touched

    def _requirements(self, peers: Iterable[Peer]) -> Requirements:
        needs = {
            peer.peer_id: peer.sections.requirement()
            for peer in dict.fromkeys(peers)
            if peer.peer_id in self.peers
        }
        return {peer_id: need for peer_id, need in needs.items() if need is not None}

    def _peer(self, peer_id: PeerId) -> Peer:
        peer = self.peers.get(peer_id)
        if peer is None:
            raise UnknownPeer(f"no peer {peer_id}")
        return peer

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    # --- PeerOwner

    def peer_secure(self, peer: Peer) -> None:
        peer.opening_until = self.now() + feedback.OPENING_SECONDS
        for down in peer.downs.values():
            self._flow(down)
        self.emit(PeerConnected(peer.peer_id))

    def peer_failed(self, peer: Peer, reason: str) -> None:
        if not peer.lost and peer.peer_id in self.peers:
            peer.lost = True
            self.emit(PeerLost(peer.peer_id, reason))

    def peer_message(self, peer: Peer, label: str, payload: bytes) -> None:
        if label in DATA_LABELS and peer.peer_id in self.peers:
            self.emit(DataReceived(peer.peer_id, cast(DataLabel, label), payload))

    # --- PlaneOwner

    def on_control(self, data: bytes, address: bytes) -> None:
        """STUN (RFC 8489) or DTLS by its first byte (RFC 7983); the rest is junk."""
        if data[0] < 4:
            source = unpack_address(address)
            check = answer_check(data, source, self._by_ufrag)
            if check is None:
                self.plane.counters.malformed += 1
                return
            peer, holder = cast(Peer, check.session), self.plane.link_at(address)
            if holder is not None and holder is not peer.link and self._alive(holder):
                return  # that address is another peer's; a forged source must not take it over
            self.plane.send(check.reply, source)
            peer.checked(source, check.nominates)
        elif 19 < data[0] < 64:
            link = self.plane.link_at(address)
            if link is not None:
                cast(Peer, link.owner).dtls.feed(data)
        else:
            self.plane.counters.malformed += 1

    def _alive(self, link: Link) -> bool:
        return self.now() - cast(Peer, link.owner).last_check < CONSENT_TIMEOUT

    def on_rtcp(self, link: Link, data: bytes) -> None:
        feedback.handle(self.plane, cast(Peer, link.owner), data, self.now())

    def on_unknown_stream(self, link: Link, ssrc: int, packet: bytes) -> bool:
        """Find the track of an SSRC that no offer named: by mid and rid, else by payload type."""
        peer = cast(Peer, link.owner)
        up = _claimant(peer, packet)
        if up is None:
            return False
        self._bind_stream(up, ssrc)
        return True

    def on_missing(self, stream: Inbound, first: int, count: int) -> None:
        up: UpTrack = stream.owner
        if not up.nack.missed(first, count, self.now()):
            feedback.request_keyframe(self.plane, up, self.now())

    def on_late(self, stream: Inbound, sequence: int) -> None:
        up: UpTrack = stream.owner
        up.nack.arrived(sequence)

    def on_keyframe(self, stream: Inbound) -> None:
        up: UpTrack = stream.owner
        up.keyframes.keyframe(self.now())

    # --- time

    def repair(self) -> None:
        """To be called every `REPAIR_INTERVAL`."""
        now = self.now()
        for up in self.tracks.values():
            feedback.repair(self.plane, up, now)
        for peer in self.peers.values():
            feedback.open_bandwidth(self.plane, peer, now)

    def report(self) -> None:
        """To be called every `REPORT_INTERVAL`."""
        now = self.now()
        for peer in list(self.peers.values()):
            try:
                self._report(peer, now)
            except Exception:  # supervisor: one peer's trouble must not end the others' reports
                logger.exception("reporting to a peer failed")
                self.peer_failed(peer, "an internal error")

    def _report(self, peer: Peer, now: float) -> None:
        if not peer.secure and now - peer.since > JOIN_TIMEOUT:
            self.peer_failed(peer, "the peer never connected")
            self.remove_peer(peer.peer_id)
        elif peer.secure:
            feedback.report(self.plane, peer, now)
            if now - peer.last_check > CONSENT_TIMEOUT:
                self.peer_failed(peer, "no sign of life from the peer (ICE consent expired)")

    def stats(self) -> Mapping[str, int | str]:
        return {
            "plane": self.plane.name,
            "segmentation_offload": int(self.plane.segmentation),
            "rooms": len(self.rooms),
            "peers": len(self.peers),
            "tracks": len(self.tracks),
            "subscriptions": sum(len(peer.downs) for peer in self.peers.values()),
            "recordings": len(self.recordings),
            "nack_recovered": sum(up.nack.recovered for up in self.tracks.values()),
            "nack_lost": sum(up.nack.lost for up in self.tracks.values()),
            **self.plane.counters.as_mapping(),
        }

    async def close(self) -> None:
        """End journals first, transports after."""
        self.writer.stop()
        await asyncio.gather(
            *[peer.dtls.close() for peer in self.peers.values()], return_exceptions=True
        )


async def _finish(writer: JournalWriter, journal: TrackJournal) -> None:
    await writer.close_journal(journal)


def _claimant(peer: Peer, packet: bytes) -> UpTrack | None:
    """The track of `peer` that a packet of unknown SSRC belongs to (RFC 8843, 9.2; RFC 8852)."""
    payload_type = packet[1] & 0x7F
    candidates = [up for up in peer.ups.values() if up.codec.payload_type == payload_type]
    found = {number: packet[at : at + size] for number, at, size in elements(packet, len(packet))}
    for up in candidates:
        mid = found.get(up.extension_ids.get(negotiate.MID, 0))
        if mid == up.mid.encode():
            rid = found.get(up.extension_ids.get(negotiate.RID, 0))
            return up if not up.rid or rid == up.rid.encode() else None
    unbound = [up for up in candidates if up.stream is None and not up.rid]
    return unbound[0] if len(unbound) == 1 else None
