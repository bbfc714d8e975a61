"""UpTrack and DownTrack: the contract between who publishes a track and who consumes it.

An UpTrack is one published track: its codec, its stream in the plane once RTP came, what is missing
and when a keyframe is due. A DownTrack is one subscriber's view of it. A recorder consumes an UpTrack
too, as a sink beside the DownTracks: there is no second media path.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from mediaserver.forwarding.budget import Retransmissions
from mediaserver.forwarding.keyframes import KeyframeRequests
from mediaserver.messages import Kind, PeerId, TrackId, TrackIntent
from mediaserver.plane.streams import Inbound, Link, Outbound
from mediaserver.rtp.keyframe import starts_keyframe
from mediaserver.rtp.nack import NackGenerator
from mediaserver.rtp.reports import ReceptionState
from mediaserver.sdp.model import Codec

if TYPE_CHECKING:
    from mediaserver.peer import Peer
    from mediaserver.recording import TrackJournal


def new_ssrc() -> int:
    return secrets.randbelow(0xFFFFFFFE) + 1


@dataclass(slots=True, eq=False)
class UpTrack:
    """A published track. `rid` names the one simulcast layer that is taken, "" without simulcast."""

    intent: TrackIntent
    peer: Peer
    mid: str
    codec: Codec
    extension_ids: dict[str, int]  # URI -> id in the publisher's packets
    kept: frozenset[int]  # ids of the extensions that subscribers may see
    ssrcs: tuple[int, ...] = ()
    rid: str = ""
    muted: bool = False
    stream: Inbound | None = None
    downs: dict[PeerId, DownTrack] = field(default_factory=dict)
    journals: list[TrackJournal] = field(default_factory=list)
    nack: NackGenerator = field(default_factory=NackGenerator)
    reception: ReceptionState = field(default_factory=ReceptionState)
    keyframes: KeyframeRequests = field(default_factory=KeyframeRequests)

    @property
    def track_id(self) -> TrackId:
        return self.intent.track_id

    @property
    def kind(self) -> Kind:
        return self.intent.kind

    @property
    def mime_type(self) -> str:
        return self.codec.mime(self.kind)

    def journals_lost(self) -> bool:
        """Whether nothing of this track can be recorded any more."""
        return all(journal.fault for journal in self.journals)

    def new_stream(self, link: Link, ssrc: int) -> Inbound:
        """The stream of `ssrc` for this track, not yet known to the plane."""
        stream = Inbound(link, ssrc, self.codec.payload_type, self.codec.clock_rate)
        stream.owner = self
        stream.kept = self.kept
        if self.kind == "video":
            stream.is_keyframe = partial(starts_keyframe, self.mime_type)
        return stream

    def refresh_sinks(self) -> None:
        """Tell the plane who records; nothing is recorded of a muted track."""
        if self.stream is None:
            return
        recording = self.journals if not self.muted else []
        self.stream.sinks[:] = [journal.packet for journal in recording]
        self.stream.watch_always = bool(recording) and self.kind == "video"
        self.stream.watch = self.stream.watch_always or bool(self.stream.waiting)


@dataclass(slots=True, eq=False)
class DownTrack:
    """A subscription that has a media section. Media flows when the peer is secure and not paused."""

    up: UpTrack
    peer: Peer
    mid: str
    out: Outbound
    paused: bool = False
    retransmissions: Retransmissions = field(default_factory=Retransmissions)

    def remap(self, extension_ids: dict[str, int]) -> None:
        """Take this subscriber's extension ids (URI -> id); {} when all are as the publisher's."""
        names = {
            number: extension_ids.get(uri, 0)
            for uri, number in self.up.extension_ids.items()
            if number in self.up.kept
        }
        same = all(number == name for number, name in names.items())
        self.out.remap = {} if same else names
