"""The contract between a plane (moves packets) and its owner (decides who gets what).

A plane owns the socket and three kinds of object: a `Link` per peer, an `Inbound` per received
RTP stream, an `Outbound` per (stream, subscriber). It keeps nothing about rooms, codecs or names.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from mediaserver.plane.streams import Inbound, Link


class PlaneOwner(Protocol):
    """What the plane reports. All calls are made on the media loop; none may block."""

    def on_control(self, data: bytes, address: bytes) -> None:
        """STUN, DTLS or junk from `address` (a sockaddr)."""

    def on_rtcp(self, link: Link, data: bytes) -> None:
        """A decrypted RTCP compound from a peer."""

    def on_unknown_stream(self, link: Link, ssrc: int, packet: bytes) -> bool:
        """A decrypted packet of an SSRC nobody claimed; True when it has been bound now."""

    def on_missing(self, stream: Inbound, first: int, count: int) -> None:
        """`count` packets from sequence number `first` on were skipped."""

    def on_late(self, stream: Inbound, sequence: int) -> None:
        """A packet older than the newest came."""

    def on_keyframe(self, stream: Inbound) -> None:
        """A keyframe begins; told while somebody waits for one or asked to be told."""


@dataclass(slots=True)
class PlaneCounters:
    """Plain numbers since the start; `metrics` knows Prometheus, the plane does not."""

    received: int = 0
    forwarded: int = 0
    retransmitted: int = 0
    unprotect_errors: int = 0
    protect_errors: int = 0
    unknown_source: int = 0
    malformed: int = 0
    send_dropped: int = 0
    messages_sent: int = 0
    failures: int = 0

    def as_mapping(self) -> Mapping[str, int]:
        return {name: getattr(self, name) for name in self.__slots__}


__all__ = ["PlaneCounters", "PlaneOwner"]
