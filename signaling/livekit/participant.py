"""One participant of a room as the control side knows it, and how others see it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple, cast

from livekit.protocol import models, rtc

from mediaserver.messages import PeerId, TrackId
from signaling.auth import VideoGrants
from signaling.livekit.admission import Admission
from signaling.livekit.limits import MAX_LIST_ITEMS

State = models.ParticipantInfo.State
Kind = models.ParticipantInfo.Kind

SOURCE_NAMES: Final = {number: name.lower() for name, number in models.TrackSource.items()}
_SOURCES: Final = cast(
    "dict[str, models.TrackSource]", {name: number for number, name in SOURCE_NAMES.items()}
)
# Participants that exist for the sake of others: alone they keep no room alive.
_DEPENDENT_KINDS: Final = frozenset({Kind.EGRESS, Kind.AGENT})


class Moment(NamedTuple):
    """A reading of both clocks: `at` (monotonic seconds) for deadlines, `unix_ms` for people."""

    at: float
    unix_ms: int


@dataclass(slots=True)
class Track:
    """A track of a participant, announced (pending) or carried by an offer (published)."""

    cid: str
    info: models.TrackInfo
    subscriber_announced: bool = False

    @property
    def sid(self) -> TrackId:
        return TrackId(self.info.sid)


@dataclass(frozen=True, slots=True)
class AccessRule:
    """What one participant may subscribe to, of another's tracks."""

    all_tracks: bool
    track_sids: frozenset[str]

    def allows(self, track_sid: str) -> bool:
        return self.all_tracks or track_sid in self.track_sids


@dataclass(frozen=True, slots=True)
class Audience:
    """A publisher's rules about who may subscribe to its tracks; by default everybody."""

    everybody: bool = True
    by_identity: Mapping[str, AccessRule] = field(default_factory=dict)
    by_sid: Mapping[str, AccessRule] = field(default_factory=dict)

    def allows(self, subscriber: Participant, track_sid: str) -> bool:
        if self.everybody:
            return True
        rules = (self.by_identity.get(subscriber.identity), self.by_sid.get(subscriber.sid))
        return any(rule is not None and rule.allows(track_sid) for rule in rules)


@dataclass(slots=True)
class Wish:
    """What a subscriber said about one track. None: nothing yet."""

    subscribe: bool | None = None
    disabled: bool = False
    missing_until: float | None = None  # named before it existed; then not found


@dataclass(slots=True)
class Participant:
    sid: PeerId
    identity: str
    name: str
    metadata: str
    attributes: dict[str, str]
    kind: Kind
    kind_details: tuple[models.ParticipantInfo.KindDetail, ...]
    grants: VideoGrants
    client: models.ClientInfo
    auto_subscribe: bool
    joined: Moment
    token_expires_unix_ms: int
    refresh_token_at: float
    state: State = State.JOINED
    version: int = 1
    pending: dict[TrackId, Track] = field(default_factory=dict)
    tracks: dict[TrackId, Track] = field(default_factory=dict)
    queued: list[rtc.AddTrackRequest] = field(default_factory=list)
    audience: Audience = field(default_factory=Audience)
    wishes: dict[TrackId, Wish] = field(default_factory=dict)
    subscribed: set[TrackId] = field(default_factory=set)
    refused: set[TrackId] = field(default_factory=set)  # told that the publisher forbids it
    unsupported: set[TrackId] = field(default_factory=set)  # told that it offers no codec for it
    offers_answered: int = 0
    # Who has not been told the latest about this participant, of which new tracks, and from when
    # on it may be told.
    unheard_by: set[PeerId] = field(default_factory=set)
    unheard_tracks: set[TrackId] = field(default_factory=set)
    announce_at: float = float("-inf")
    socket_lost_at: float | None = None
    last_reliable_sequence: int = 0
    recent_nonces: dict[bytes, None] = field(default_factory=dict)

    @classmethod
    def admitted(
        cls, sid: PeerId, admission: Admission, now: Moment, refresh_token_at: float
    ) -> Participant:
        return cls(
            sid=sid,
            identity=admission.identity,
            name=admission.name,
            metadata=admission.metadata,
            attributes=dict(admission.attributes),
            kind=admission.kind,
            kind_details=admission.kind_details,
            grants=admission.grants,
            client=_client(admission.request.client_info),
            auto_subscribe=admission.request.connection_settings.auto_subscribe,
            joined=now,
            token_expires_unix_ms=int(admission.expires_at.timestamp() * 1000),
            refresh_token_at=refresh_token_at,
        )

    @property
    def hidden(self) -> bool:
        return self.grants.hidden

    @property
    def keeps_room(self) -> bool:
        return not self.grants.recorder and self.kind not in _DEPENDENT_KINDS

    @property
    def is_publisher(self) -> bool:
        return bool(self.tracks)

    def may_publish(self, source: models.TrackSource) -> bool:
        allowed = self.grants.can_publish_sources
        return self.grants.can_publish and (not allowed or SOURCE_NAMES.get(source, "") in allowed)

    def track(self, sid: str) -> Track | None:
        """A published or pending track."""
        key = TrackId(sid)
        return self.tracks.get(key) or self.pending.get(key)

    def cids(self) -> set[str]:
        """Client ids in use by a published or pending track."""
        return {track.cid for track in (*self.pending.values(), *self.tracks.values())}

    def wish(self, track: TrackId) -> Wish:
        return self.wishes.setdefault(track, Wish())

    def wants(self, track: TrackId) -> bool:
        wish = self.wishes.get(track)
        if wish is None or wish.subscribe is None:
            return self.auto_subscribe
        return wish.subscribe

    def info(self) -> models.ParticipantInfo:
        """The whole truth; `tracks` is the full list, what is missing in it is unpublished."""
        return models.ParticipantInfo(
            sid=self.sid,
            identity=self.identity,
            name=self.name,
            state=self.state,
            metadata=self.metadata,
            attributes=self.attributes,
            joined_at=self.joined.unix_ms // 1000,
            joined_at_ms=self.joined.unix_ms,
            version=self.version,
            permission=_permission(self.grants),
            is_publisher=self.is_publisher,
            kind=self.kind,
            kind_details=self.kind_details,
            client_protocol=self.client.client_protocol,
            capabilities=self.client.capabilities,
            tracks=[track.info for track in self.tracks.values()],
        )


def _client(said: models.ClientInfo) -> models.ClientInfo:
    """What is used of a client's words about itself; others are told of its capabilities."""
    return models.ClientInfo(
        protocol=said.protocol,
        client_protocol=said.client_protocol,
        capabilities=list(dict.fromkeys(said.capabilities))[:MAX_LIST_ITEMS],
    )


def _permission(grants: VideoGrants) -> models.ParticipantPermission:
    return models.ParticipantPermission(
        can_subscribe=grants.can_subscribe,
        can_publish=grants.can_publish,
        can_publish_data=grants.can_publish_data,
        can_publish_sources=_sources(grants.can_publish_sources),
        hidden=grants.hidden,
        recorder=grants.recorder,
        can_update_metadata=grants.can_update_own_metadata,
    )


def _sources(names: Iterable[str]) -> list[models.TrackSource]:
    return [_SOURCES[name] for name in names if name in _SOURCES]
