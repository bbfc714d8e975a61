"""What a change of a room's state asks the outside world to do, as values, in order.

`Send` and `Close` concern sockets and are done at once; the media commands go to the media plane
one after the other, and what they answer comes back into the state; the rest are notices.
"""

from __future__ import annotations

from dataclasses import dataclass

from livekit.protocol import rtc

from mediaserver.messages import DataLabel, PeerId, TrackId, TrackIntent


@dataclass(frozen=True, slots=True)
class Send:
    """A message to the sockets of these participants, serialized once."""

    to: tuple[PeerId, ...]
    message: rtc.SignalResponse


@dataclass(frozen=True, slots=True)
class Close:
    """Close a participant's socket once what was sent before has left. `silently`: drop it now."""

    peer: PeerId
    silently: bool = False


@dataclass(frozen=True, slots=True)
class RefreshToken:
    peer: PeerId


@dataclass(frozen=True, slots=True)
class SendData:
    """A data packet of `sender`, already rewritten, to `to`."""

    sender: PeerId
    to: tuple[PeerId, ...]
    label: DataLabel
    payload: bytes


# --- commands to the media plane ------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ExpectTrack:
    peer: PeerId
    intent: TrackIntent


@dataclass(frozen=True, slots=True)
class Answer:
    peer: PeerId
    offer_sdp: str
    offer_id: int


@dataclass(frozen=True, slots=True)
class Subscribe:
    peer: PeerId
    tracks: tuple[TrackId, ...]


@dataclass(frozen=True, slots=True)
class Unsubscribe:
    peer: PeerId
    tracks: tuple[TrackId, ...]


@dataclass(frozen=True, slots=True)
class MuteTrack:
    track: TrackId
    muted: bool


@dataclass(frozen=True, slots=True)
class PauseSubscription:
    peer: PeerId
    track: TrackId
    paused: bool


@dataclass(frozen=True, slots=True)
class RemovePeer:
    peer: PeerId


# --- notices --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ParticipantActive:
    identity: str


@dataclass(frozen=True, slots=True)
class MediaPublished:
    pass


@dataclass(frozen=True, slots=True)
class RoomClosed:
    pass


MediaCommand = (
    ExpectTrack | Answer | Subscribe | Unsubscribe | MuteTrack | PauseSubscription | RemovePeer
)
Notice = ParticipantActive | MediaPublished | RoomClosed
Effect = Send | Close | RefreshToken | SendData | MediaCommand | Notice
