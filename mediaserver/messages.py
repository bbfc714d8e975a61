"""What crosses the border of a media worker: values in, values out.

The control side (signalling, recordings) and the media plane live in different processes. Everything
they say to each other is one of the frozen dataclasses below, so this module is the whole contract.
Identifiers are opaque strings chosen by the control side; the media plane never looks inside them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, NewType

from mediaserver.sdp.model import Answer

RoomId = NewType("RoomId", str)
PeerId = NewType("PeerId", str)
TrackId = NewType("TrackId", str)
RecordingId = NewType("RecordingId", str)

Kind = Literal["audio", "video"]
EVERY_KIND: Final[frozenset[Kind]] = frozenset(("audio", "video"))
DataLabel = Literal["_reliable", "_lossy", "_data_track"]


@dataclass(frozen=True, slots=True)
class TrackIntent:
    """A track that a peer announced and will offer in a later session description.

    `client_id` is what the offer's `a=msid` will carry for it (LiveKit calls it cid); `stream_id`
    is the `a=msid` given to subscribers; `mime_type` is the codec the publisher prefers or "";
    `labels` are copied into the journal header of a recording and mean nothing to the media plane.
    """

    track_id: TrackId
    client_id: str
    kind: Kind
    stream_id: str
    mime_type: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PublishedTrack:
    """A track that an offer brought into being."""

    track_id: TrackId
    mid: str
    mime_type: str  # "video/VP8", "audio/opus", ...


@dataclass(frozen=True, slots=True)
class SectionsNeeded:
    """Media sections a peer should add to its next offer; (0, 0) asks for a fresh offer only."""

    audio: int = 0
    video: int = 0


@dataclass(frozen=True, slots=True)
class OfferApplied:
    """`OfferResult` before its answer became text (that is done outside the worker)."""

    answer: Answer
    mid_to_track: Mapping[str, TrackId]
    published: tuple[PublishedTrack, ...]
    unpublished: tuple[TrackId, ...]
    attached: tuple[TrackId, ...]
    unsupported: tuple[TrackId, ...]
    requirements: Mapping[PeerId, SectionsNeeded]


@dataclass(frozen=True, slots=True)
class OfferResult:
    """The answer to an offer and what it changed.

    `mid_to_track` is complete: every section of this peer that now carries a subscribed track.
    `unsupported` are tracks this peer is subscribed to but offered no codec for.
    `requirements` names each peer (this one included) that has to offer again.
    """

    answer_sdp: str
    mid_to_track: Mapping[str, TrackId]
    published: tuple[PublishedTrack, ...] = ()
    unpublished: tuple[TrackId, ...] = ()
    attached: tuple[TrackId, ...] = ()  # subscriptions placed by this offer
    unsupported: tuple[TrackId, ...] = ()
    requirements: Mapping[PeerId, SectionsNeeded] = field(default_factory=dict)


# --- events ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PeerConnected:
    """ICE and DTLS of a peer are up; media may flow. Said once for each peer."""

    peer_id: PeerId


@dataclass(frozen=True, slots=True)
class PeerLost:
    """A peer's transport failed or its consent expired (RFC 7675). Nothing is removed by this."""

    peer_id: PeerId
    reason: str


@dataclass(frozen=True, slots=True)
class DataReceived:
    """One SCTP user message from a peer, as it came."""

    peer_id: PeerId
    label: DataLabel
    payload: bytes


@dataclass(frozen=True, slots=True)
class RecordingStarted:
    """The first media byte of a recording is on disk.

    `first_media_us` is when that packet came: unix time in microseconds.
    """

    recording_id: RecordingId
    first_media_us: int


@dataclass(frozen=True, slots=True)
class RecordingFault:
    """A journal could not be written. Journals of other tracks go on."""

    recording_id: RecordingId
    reason: str


@dataclass(frozen=True, slots=True)
class RecordingStalled:
    """No journal of a recording can be written any more: nothing is being recorded."""

    recording_id: RecordingId
    reason: str


@dataclass(frozen=True, slots=True)
class WorkerLost:
    """A media worker died and took these peers, maybe none, along; journals on disk stay."""

    peer_ids: tuple[PeerId, ...]


MediaEvent = (
    PeerConnected
    | PeerLost
    | DataReceived
    | RecordingStarted
    | RecordingFault
    | RecordingStalled
    | WorkerLost
)
