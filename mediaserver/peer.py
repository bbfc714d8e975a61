"""One peer of a room: its transport, its sections, its tracks up and down."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from aiortc import RTCCertificate

from mediaserver.messages import PeerId, TrackId
from mediaserver.plane.python import PyPlane
from mediaserver.plane.streams import Link
from mediaserver.sdp.model import Fingerprint
from mediaserver.sections import PeerSections
from mediaserver.tracks import DownTrack, UpTrack, new_ssrc
from mediaserver.transport.dtls import DtlsEndpoint
from mediaserver.transport.ice import new_credentials
from mediaserver.transport.srtp import Session


class PeerOwner(Protocol):
    """Who a peer reports to."""

    def peer_secure(self, peer: Peer) -> None: ...

    def peer_failed(self, peer: Peer, reason: str) -> None: ...

    def peer_message(self, peer: Peer, label: str, payload: bytes) -> None: ...


@dataclass(slots=True, eq=False)
class Peer:
    """State of one peer; who gets what is decided in `sfu.Sfu`."""

    peer_id: PeerId
    room_id: str
    plane: PyPlane
    owner: PeerOwner
    certificate: RTCCertificate
    now: Callable[[], float]
    link: Link = field(init=False)
    dtls: DtlsEndpoint = field(init=False)
    ufrag: str = field(init=False)
    password: str = field(init=False)
    sections: PeerSections = field(default_factory=PeerSections)
    ups: dict[TrackId, UpTrack] = field(default_factory=dict)
    downs: dict[TrackId, DownTrack] = field(default_factory=dict)
    outs: dict[int, DownTrack] = field(default_factory=dict)
    paused: set[TrackId] = field(default_factory=set)
    fingerprints: tuple[Fingerprint, ...] = ()
    rtcp_ssrc: int = field(default_factory=new_ssrc)
    session_id: int = field(default_factory=lambda: secrets.randbits(62))
    answers: int = 0
    last_check: float = 0.0
    since: float = field(init=False)
    opening_until: float = 0.0  # see feedback.open_bandwidth
    opening_next: float = 0.0
    secure: bool = False
    lost: bool = False

    def __post_init__(self) -> None:
        self.since = self.now()
        self.ufrag, self.password = new_credentials()
        self.link = Link(self)
        self.dtls = DtlsEndpoint(self.certificate, self._send, self)

    def _send(self, data: bytes) -> None:
        if self.link.target is not None:
            self.plane.send(data, self.link.target)

    def checked(self, address: tuple[str, int], nominated: bool) -> None:
        """An authenticated ICE check came from `address`."""
        self.last_check = self.now()
        self.plane.add_address(self.link, *address)
        if self.link.target is None or (nominated and self.link.target != address):
            self.plane.aim(self.link, *address)

    # DtlsOwner

    def on_secure(self, rx: Session, tx: Session, trailer: int) -> None:
        self.plane.secure(self.link, rx, tx, trailer)
        self.secure = True
        self.owner.peer_secure(self)

    def on_failed(self, reason: str) -> None:
        self.owner.peer_failed(self, reason)

    def on_message(self, label: str, payload: bytes) -> None:
        self.owner.peer_message(self, label, payload)
