"""The state of one room, without a socket, a clock or an await.

Every method takes what happened and when, changes the state and returns the effects in the order
in which clients must see them. The orders held here:

* `join` is the first message of a session, before anything else about the room;
* a participant is announced before anything that names it, and DISCONNECTED is announced for an
  identity's old sid before its new one appears;
* `update` carrying a track goes to the others before anybody is subscribed to it, so before any
  answer that carries its msid;
* versions of one sid strictly increase from message to message.

Changes of one participant are merged: they are told at once after a pause, else together at the
next `announce_due`. An answer may name a track that its receiver has not heard of then; `catch_up`
tells that one first.

Publishing, subscribing, data and metadata live in modules beside this one as functions over it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from livekit.protocol import models, rtc

from mediaserver.messages import PeerId, SectionsNeeded, TrackId
from signaling.livekit import responses
from signaling.livekit.admission import Admission
from signaling.livekit.effects import (
    Close,
    Effect,
    ParticipantActive,
    RefreshToken,
    RemovePeer,
    RoomClosed,
    Send,
)
from signaling.livekit.ids import new_room_sid
from signaling.livekit.limits import (
    PING_INTERVAL,
    PING_TIMEOUT,
    PUBLISH_CODECS,
    SERVER_VERSION,
    ConferenceLimits,
)
from signaling.livekit.participant import Moment, Participant, State
from signaling.livekit.responses import Action, DisconnectReason


@dataclass(slots=True)
class RoomState:
    name: str
    created: Moment
    node_id: str
    limits: ConferenceLimits = field(default_factory=ConferenceLimits)
    sid: str = field(default_factory=new_room_sid)
    recording: bool = False
    participants: dict[PeerId, Participant] = field(default_factory=dict)
    needs: dict[PeerId, SectionsNeeded] = field(default_factory=dict)  # not asked for yet
    closed: bool = False
    deserted_at: float | None = None  # since when nobody is here for whom the room exists
    counts_stale: bool = False
    counts_sent_at: float = float("-inf")

    # --- looking ---------------------------------------------------------------------------------

    def by_identity(self, identity: str) -> Participant | None:
        found = (one for one in self.participants.values() if one.identity == identity)
        return next(found, None)

    def others(self, than: Participant) -> Iterator[Participant]:
        return (one for one in self.participants.values() if one is not than)

    def owner(self, track_sid: str) -> Participant | None:
        """Who published this track (pending ones are nobody's business yet)."""
        holders = (one for one in self.participants.values() if track_sid in one.tracks)
        return next(holders, None)

    @property
    def active_recording(self) -> bool:
        return self.recording or any(one.grants.recorder for one in self.participants.values())

    def info(self) -> models.Room:
        seen = [one for one in self.participants.values() if not one.hidden]
        return models.Room(
            sid=self.sid,
            name=self.name,
            departure_timeout=int(self.limits.departure_timeout),
            creation_time=self.created.unix_ms // 1000,
            creation_time_ms=self.created.unix_ms,
            enabled_codecs=[models.Codec(mime=mime) for mime in PUBLISH_CODECS],
            num_participants=len(seen),
            num_publishers=sum(one.is_publisher for one in seen),
            active_recording=self.active_recording,
        )

    # --- coming ----------------------------------------------------------------------------------

    def join(
        self, sid: PeerId, admission: Admission, now: Moment, ice_servers: list[rtc.ICEServer]
    ) -> list[Effect]:
        """A new session. What the join request carries beyond itself is the caller's next step."""
        effects: list[Effect] = []
        previous = self.by_identity(admission.identity)
        if previous is not None:
            effects += self.expel(previous, Action.DISCONNECT, DisconnectReason.DUPLICATE_IDENTITY)
        newcomer = Participant.admitted(
            sid, admission, now, refresh_token_at=now.at + self.limits.token_refresh
        )
        self.participants[sid] = newcomer
        if newcomer.keeps_room:
            self.deserted_at = None
        effects.append(Send((sid,), self._join_response(newcomer, ice_servers)))
        if not newcomer.hidden and (audience := tuple(one.sid for one in self.others(newcomer))):
            effects += self._tell(newcomer, audience, now)
        effects.append(RefreshToken(sid))
        self.counts_stale = True
        return effects

    def connected(self, sid: PeerId, now: Moment) -> list[Effect]:
        """The participant's transport is up."""
        one = self.participants.get(sid)
        if one is None or one.state != State.JOINED:
            return []
        one.state = State.ACTIVE
        effects = self.announce(one, now, include_self=True)
        if not one.hidden:
            effects.append(ParticipantActive(one.identity))
        return effects

    def _join_response(
        self, newcomer: Participant, ice_servers: list[rtc.ICEServer]
    ) -> rtc.SignalResponse:
        seen = [one.info() for one in self.others(newcomer) if not one.hidden]
        return rtc.SignalResponse(
            join=rtc.JoinResponse(
                room=self.info(),
                participant=newcomer.info(),
                other_participants=seen,
                server_info=responses.server_info(self.node_id),
                server_version=SERVER_VERSION,
                ping_interval=PING_INTERVAL,
                ping_timeout=PING_TIMEOUT,
                ice_servers=ice_servers,
                subscriber_primary=False,
                fast_publish=newcomer.grants.can_publish,
                enabled_publish_codecs=[models.Codec(mime=mime) for mime in PUBLISH_CODECS],
            )
        )

    # --- telling ---------------------------------------------------------------------------------

    def announce(
        self, one: Participant, now: Moment, *, include_self: bool, tracks: Iterable[TrackId] = ()
    ) -> list[Effect]:
        """Something visible about this participant changed: a new version to everybody.

        Told now, or with whatever else changes until its turn comes. `tracks` are new ones.
        """
        if not one.hidden:
            one.unheard_by.update(other.sid for other in self.others(one))
        if include_self:
            one.unheard_by.add(one.sid)
        one.unheard_tracks.update(tracks)
        return self._announce_if_due(one, now)

    def announce_due(self, now: Moment) -> list[Effect]:
        """Changes that waited long enough. Call it when `next_announcement` says."""
        effects: list[Effect] = []
        for one in self.participants.values():
            effects += self._announce_if_due(one, now)
        return effects

    def next_announcement(self) -> float | None:
        """When (monotonic seconds) the next change is to be told; None: everybody knows all."""
        waiting = (one.announce_at for one in self.participants.values() if one.unheard_by)
        return min(waiting, default=None)

    def catch_up(self, one: Participant) -> list[Effect]:
        """Tell one participant now of tracks that it hasn't heard of: it is about to need them."""
        effects: list[Effect] = []
        for other in self.others(one):
            effects += tell_of_tracks(one, other)
        return effects

    def _announce_if_due(self, one: Participant, now: Moment) -> list[Effect]:
        if not one.unheard_by or now.at < one.announce_at:
            return []
        audience = tuple(sid for sid in self.participants if sid in one.unheard_by)
        one.unheard_by.clear()
        one.unheard_tracks.clear()
        if not audience:
            return []
        one.version += 1
        return self._tell(one, audience, now)

    def _tell(self, one: Participant, audience: tuple[PeerId, ...], now: Moment) -> list[Effect]:
        message = responses.update(one.info())
        pause = message.ByteSize() / self.limits.announce_rate
        one.announce_at = now.at + max(self.limits.announce_interval, pause)
        return [Send(audience, message)]

    def need_sections(self, peer: PeerId, needed: SectionsNeeded | None) -> None:
        """Note that a peer must offer again; `ask_for_sections` says so, once for many notes."""
        if needed is None:
            return
        noted = self.needs.get(peer, SectionsNeeded())
        total = SectionsNeeded(noted.audio + needed.audio, noted.video + needed.video)
        self.needs[peer] = total

    def ask_for_sections(self) -> list[Effect]:
        """Ask for offers. A client whose first offer isn't answered yet is about to offer anyway,
        and the answer to that says what is still missing."""
        needs, self.needs = self.needs, {}
        return [
            Send((peer,), responses.sections(needed))
            for peer, needed in needs.items()
            if (one := self.participants.get(peer)) is not None and one.offers_answered
        ]

    def set_recording(self, active: bool, now: Moment) -> list[Effect]:
        if self.recording == active:
            return []
        self.recording = active
        return self._room_update(now)

    def _room_update(self, now: Moment) -> list[Effect]:
        self.counts_stale = False
        self.counts_sent_at = now.at
        everybody = tuple(self.participants)
        return [Send(everybody, responses.room_update(self.info()))] if everybody else []

    # --- going -----------------------------------------------------------------------------------

    def expel(self, one: Participant, action: Action, reason: DisconnectReason) -> list[Effect]:
        """Say goodbye to a participant, close its socket, forget it."""
        goodbye: list[Effect] = [
            Send((one.sid,), responses.leave(action, reason)),
            Close(one.sid),
        ]
        return goodbye + self.remove(one, reason)

    def drop(self, one: Participant, reason: DisconnectReason) -> list[Effect]:
        """Forget a participant without a word to it."""
        return [Close(one.sid, silently=True), *self.remove(one, reason)]

    def left(self, one: Participant, reason: DisconnectReason) -> list[Effect]:
        """The participant said goodbye itself."""
        return [Close(one.sid), *self.remove(one, reason)]

    def remove(self, one: Participant, reason: DisconnectReason) -> list[Effect]:
        if self.participants.pop(one.sid, None) is None:
            return []
        for other in self.participants.values():
            other.subscribed.difference_update(one.tracks)
            for track in one.tracks:
                other.wishes.pop(track, None)
        one.state = State.DISCONNECTED
        one.version += 1
        farewell = one.info()
        farewell.disconnect_reason = reason
        del farewell.tracks[:]
        audience = () if one.hidden else tuple(self.participants)
        effects: list[Effect] = [Send(audience, responses.update(farewell))] if audience else []
        effects.append(RemovePeer(one.sid))
        self.counts_stale = True
        return effects

    def socket_lost(self, sid: PeerId, now: Moment) -> list[Effect]:
        """The socket died without a `leave`. Without media there is nothing to keep."""
        one = self.participants.get(sid)
        if one is None:
            return []
        if one.state != State.ACTIVE:
            return self.remove(one, DisconnectReason.SIGNAL_CLOSE)
        one.socket_lost_at = now.at
        return []

    def media_lost(self, sid: PeerId) -> list[Effect]:
        """The transport failed. A client whose socket lives is told to start over at once."""
        one = self.participants.get(sid)
        if one is None:
            return []
        return self.expel(one, Action.RECONNECT, DisconnectReason.CONNECTION_TIMEOUT)

    def shut_down(self, action: Action, reason: DisconnectReason) -> list[Effect]:
        """Everybody out; the room is closed for good."""
        effects: list[Effect] = []
        for one in list(self.participants.values()):
            effects += self.expel(one, action, reason)
        self.closed = True
        effects.append(RoomClosed())
        return effects

    # --- time ------------------------------------------------------------------------------------

    def tick(self, now: Moment) -> list[Effect]:
        """Everything that happens because time passed. Call it every `limits.tick` seconds."""
        if self.closed:
            return []
        effects: list[Effect] = []
        for one in list(self.participants.values()):
            effects += self._tick_participant(one, now)
        if self.counts_stale and now.at >= self.counts_sent_at + self.limits.room_update_interval:
            effects += self._room_update(now)
        return effects + self._tick_departure(now)

    def _tick_participant(self, one: Participant, now: Moment) -> list[Effect]:
        limits = self.limits
        if one.state == State.JOINED and now.at >= one.joined.at + limits.connect_timeout:
            return self.expel(one, Action.DISCONNECT, DisconnectReason.JOIN_FAILURE)
        lost_at = one.socket_lost_at
        if lost_at is not None and now.at >= lost_at + limits.signal_grace:
            return self.remove(one, DisconnectReason.SIGNAL_CLOSE)
        effects: list[Effect] = []
        if now.at >= one.refresh_token_at:
            one.refresh_token_at = now.at + limits.token_refresh
            effects.append(RefreshToken(one.sid))
        return effects + _expire_wishes(one, now)

    def _tick_departure(self, now: Moment) -> list[Effect]:
        if any(one.keeps_room for one in self.participants.values()):
            self.deserted_at = None
            return []
        if self.deserted_at is None:
            self.deserted_at = now.at
        if now.at < self.deserted_at + self.limits.departure_timeout:
            return []
        return self.shut_down(Action.DISCONNECT, DisconnectReason.ROOM_CLOSED)


def tell_of_tracks(listener: Participant, publisher: Participant) -> list[Effect]:
    """What `listener` must know before a message names a track of `publisher`."""
    if not publisher.unheard_tracks or listener.sid not in publisher.unheard_by:
        return []
    publisher.unheard_by.discard(listener.sid)
    publisher.version += 1
    return [Send((listener.sid,), responses.update(publisher.info()))]


def _expire_wishes(one: Participant, now: Moment) -> list[Effect]:
    expired = [
        sid
        for sid, wish in one.wishes.items()
        if wish.missing_until is not None and now.at >= wish.missing_until
    ]
    effects: list[Effect] = []
    for sid in expired:
        if one.wishes.pop(sid).subscribe:
            not_found = responses.subscription_failed(sid, models.SE_TRACK_NOTFOUND)
            effects.append(Send((one.sid,), not_found))
    return effects


@dataclass(frozen=True, slots=True)
class Origin:
    """Who says something, in which room, and when: the first argument of every handler."""

    room: RoomState
    one: Participant
    now: Moment

    def reply(self, message: rtc.SignalResponse) -> Send:
        return Send((self.one.sid,), message)
