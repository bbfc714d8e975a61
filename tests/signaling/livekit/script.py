"""A room of actors over the pure state: what is said goes in, what each hears is kept and checked.

Every message an actor hears is held against the orders that clients rely on, in every test.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from livekit.protocol import models, rtc

from mediaserver.messages import DataLabel, OfferResult, PeerId, PublishedTrack, TrackId
from signaling.auth import AccessToken, VideoGrants
from signaling.livekit import publishing, requests
from signaling.livekit.admission import Admission, admit
from signaling.livekit.data import relay
from signaling.livekit.effects import Close, Effect, RefreshToken, Send, SendData, Subscribe
from signaling.livekit.join_request import encode_join_request
from signaling.livekit.limits import ConferenceLimits
from signaling.livekit.participant import Moment, Participant
from signaling.livekit.room_state import Origin, RoomState

ROOM = "green"
State = models.ParticipantInfo.State


def token(
    identity: str = "alice",
    *,
    name: str = "",
    metadata: str = "",
    attributes: dict[str, str] | None = None,
    kind: str = "standard",
    claims: dict[str, Any] | None = None,
    **grants: Any,
) -> AccessToken:
    video = VideoGrants(**{"room_join": True, "room": ROOM, **grants})
    return AccessToken(
        key="key",
        identity=identity,
        name=name,
        metadata=metadata,
        attributes=attributes or {},
        kind=kind,
        grants=video,
        expires_at=datetime(2030, 1, 1, tzinfo=UTC),
        claims={"video": {}, **(claims or {})},
    )


def join_request(**fields: Any) -> rtc.JoinRequest:
    """As a browser sends it: subscribes to everything, speaks protocol 17."""
    request = rtc.JoinRequest(**fields)
    if not request.HasField("connection_settings"):
        request.connection_settings.auto_subscribe = True
    if not request.HasField("client_info"):
        request.client_info.protocol = 17
    return request


def admission(who: AccessToken, **fields: Any) -> Admission:
    return admit(who, encode_join_request(join_request(**fields)))


@dataclass(slots=True)
class Ear:
    """What one session hears, checked as it comes."""

    messages: list[rtc.SignalResponse] = field(default_factory=list)
    versions: dict[str, int] = field(default_factory=dict)
    states: dict[str, int] = field(default_factory=dict)
    sid_of: dict[str, str] = field(default_factory=dict)
    tracks: dict[str, set[str]] = field(default_factory=dict)

    def hear(self, message: rtc.SignalResponse) -> None:
        kind = message.WhichOneof("message")
        assert (kind == "join") == (not self.messages), "join comes first, and once"
        assert not (self.messages and self.messages[-1].HasField("leave")), "leave is the last"
        self.messages.append(message)
        if kind == "join":
            for info in (message.join.participant, *message.join.other_participants):
                self._learn(info)
        elif kind == "update":
            for info in message.update.participants:
                assert info.version > self.versions.get(info.sid, 0), "versions strictly increase"
                self._learn(info)
        elif kind == "answer":
            known = set().union(*self.tracks.values())
            named = set(message.answer.mid_to_track_id.values())
            assert named <= known, "an answer names only tracks that were announced"

    def _learn(self, info: models.ParticipantInfo) -> None:
        assert info.state >= self.states.get(info.sid, 0), "states only advance"
        present = self.sid_of.setdefault(info.identity, info.sid)
        assert present == info.sid, "one sid of an identity leaves before the next comes"
        self.versions[info.sid] = info.version
        self.states[info.sid] = info.state
        self.tracks[info.sid] = {track.sid for track in info.tracks}
        if info.state == State.DISCONNECTED:
            del self.sid_of[info.identity]
            del self.tracks[info.sid]


@dataclass(slots=True)
class Actor:
    stage: Stage
    sid: PeerId
    ear: Ear = field(default_factory=Ear)
    closed: bool = False
    mids: Any = field(default_factory=lambda: itertools.count(7))

    @property
    def one(self) -> Participant:
        return self.stage.room.participants[self.sid]

    @property
    def heard(self) -> list[str]:
        """Kinds of the messages, in order."""
        return [message.WhichOneof("message") or "" for message in self.ear.messages]

    def all(self, kind: str) -> list[Any]:
        return [getattr(one, kind) for one in self.ear.messages if one.HasField(kind)]

    def last(self, kind: str) -> Any:
        found = self.all(kind)
        assert found, f"no {kind} among {self.heard}"
        return found[-1]

    def seen(self, of: Actor) -> models.ParticipantInfo:
        """The last this actor heard about another."""
        infos = [info for update in self.all("update") for info in update.participants]
        infos = [*self.last("join").other_participants, *infos]
        return [info for info in infos if info.sid == of.sid][-1]

    def forget(self) -> None:
        """Only what comes from here on is of interest (the checks remember all)."""
        join = self.ear.messages[0]
        self.ear.messages[:] = [join]

    def say(self, **message: Any) -> list[Effect]:
        """Handle one request; media commands and notices are returned and kept by the stage."""
        origin = Origin(self.stage.room, self.one, self.stage.now)
        return self.stage.perform(requests.handle(origin, rtc.SignalRequest(**message)))

    def add_track(
        self, cid: str = "cam", source: models.TrackSource = models.CAMERA, **fields: Any
    ) -> TrackId:
        video = source in {models.CAMERA, models.SCREEN_SHARE}
        fields.setdefault("type", models.VIDEO if video else models.AUDIO)
        self.say(add_track=rtc.AddTrackRequest(cid=cid, source=source, **fields))
        return TrackId(self.last("track_published").track.sid)

    def answered(
        self, published: dict[TrackId, str] | None = None, offer_id: int = 1, **result: Any
    ) -> list[Effect]:
        """The media plane answers an offer of this actor; `published` maps tracks to codecs."""
        carried = tuple(
            PublishedTrack(track, str(next(self.mids)), mime)
            for track, mime in (published or {}).items()
        )
        origin = Origin(self.stage.room, self.one, self.stage.now)
        said = OfferResult("v=0", result.pop("mid_to_track", {}), published=carried, **result)
        effects = self.stage.perform(publishing.answered(origin, offer_id, said))
        self.stage.perform(self.stage.room.ask_for_sections())
        return effects

    def publish(self, cid: str = "cam", source: models.TrackSource = models.CAMERA) -> TrackId:
        track = self.add_track(cid, source)
        video = source in {models.CAMERA, models.SCREEN_SHARE}
        self.answered({track: "video/VP8" if video else "audio/opus"})
        return track

    def send_data(self, packet: models.DataPacket, label: DataLabel = "_reliable") -> SendData:
        effects = relay(self.stage.room, self.sid, label, packet.SerializeToString())
        assert len(effects) == 1, "the packet was not relayed"
        sent = effects[0]
        assert isinstance(sent, SendData)
        return sent


@dataclass(slots=True)
class Stage:
    limits: ConferenceLimits = field(default_factory=ConferenceLimits)
    at_once: bool = True  # every change is told alone; else changes are merged as in real life
    now: Moment = field(default_factory=lambda: Moment(1000.0, 1_700_000_000_000))
    room: RoomState = field(init=False)
    actors: dict[PeerId, Actor] = field(default_factory=dict)
    commands: list[Effect] = field(default_factory=list)
    tokens: list[PeerId] = field(default_factory=list)
    numbers: Any = field(default_factory=lambda: itertools.count(1))

    def __post_init__(self) -> None:
        if self.at_once:
            self.limits = replace(self.limits, announce_interval=0.0, announce_rate=float("inf"))
        self.room = RoomState(ROOM, self.now, "ND_test", self.limits)

    def join(self, identity: str, fields: dict[str, Any] | None = None, **claims: Any) -> Actor:
        sid = PeerId(f"PA_{identity}{next(self.numbers)}")
        actor = self.actors[sid] = Actor(self, sid)
        accepted = admission(token(identity, **claims), **(fields or {}))
        self.perform(requests.enter(self.room, sid, accepted, self.now, []))
        return actor

    def connect(self, identity: str, **claims: Any) -> Actor:
        """A participant whose first offer is answered and whose media is up."""
        actor = self.join(identity, **claims)
        actor.answered()
        self.perform(self.room.connected(actor.sid, self.now))
        return actor

    def perform(self, effects: list[Effect]) -> list[Effect]:
        """Deliver messages; hand back what is for the media plane."""
        commands: list[Effect] = []
        for effect in effects:
            match effect:
                case Send(to, message):
                    for peer in to:
                        if not self.actors[peer].closed:
                            self.actors[peer].ear.hear(message)
                case Close(peer):
                    self.actors[peer].closed = True
                case RefreshToken(peer):
                    self.tokens.append(peer)
                case _:
                    subscribes = isinstance(effect, Subscribe) and self.at_once
                    if subscribes and not self.actors[effect.peer].closed:
                        known = set().union(*self.actors[effect.peer].ear.tracks.values())
                        assert set(effect.tracks) <= known, "first announced, then subscribed"
                    commands.append(effect)
        self.commands += commands
        return commands

    def after(self, seconds: float) -> list[Effect]:
        """Time passes."""
        self.now = Moment(self.now.at + seconds, self.now.unix_ms + int(seconds * 1000))
        commands = self.perform(self.room.tick(self.now))
        self.perform(self.room.announce_due(self.now))
        return commands

    def of(self, kind: type) -> list[Any]:
        return [command for command in self.commands if isinstance(command, kind)]
