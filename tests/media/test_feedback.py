"""RTCP ends at the server and is spoken anew: what each side hears."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from mediaserver import feedback
from mediaserver.messages import PeerId, TrackId, TrackIntent
from mediaserver.plane.api import PlaneCounters
from mediaserver.plane.streams import Inbound, Link, Outbound
from mediaserver.rtp import rtcp
from mediaserver.sdp.model import Codec
from mediaserver.tracks import DownTrack, UpTrack

UP_SSRC, DOWN_SSRC = 1111, 2222


@dataclass
class Wire:
    """Stands where the plane stands and keeps what was sent."""

    sent: list[tuple[Link, Any]] = field(default_factory=list)
    retransmitted: list[int] = field(default_factory=list)
    counters: PlaneCounters = field(default_factory=PlaneCounters)

    def send_rtcp(self, link: Link, data: bytes) -> None:
        self.sent += [(link, packet) for packet in rtcp.parse(data)]

    def retransmit(self, _out: Outbound, sequence: int) -> bool:
        self.retransmitted.append(sequence)
        return True

    def to(self, peer: Person) -> list[Any]:
        return [packet for link, packet in self.sent if link is peer.link]


@dataclass(eq=False)
class Person:
    """As much of a peer as feedback looks at."""

    peer_id: PeerId
    rtcp_ssrc: int = 7
    ups: dict[TrackId, UpTrack] = field(default_factory=dict)
    outs: dict[int, DownTrack] = field(default_factory=dict)
    secure: bool = True
    opening_until: float = 0.0
    opening_next: float = 0.0

    def __post_init__(self) -> None:
        self.link = Link(self)


@dataclass
class Call:
    wire: Wire
    alice: Person
    bob: Person
    up: UpTrack
    stream: Inbound
    out: Outbound

    def from_bob(self, data: bytes, now: float) -> None:
        feedback.handle(self.wire, self.bob, data, now)  # type: ignore[arg-type]

    def from_alice(self, data: bytes, now: float) -> None:
        feedback.handle(self.wire, self.alice, data, now)  # type: ignore[arg-type]


@pytest.fixture
def call() -> Call:
    """Alice publishes a video that Bob receives."""
    alice, bob = Person(PeerId("alice")), Person(PeerId("bob"))
    intent = TrackIntent(TrackId("TR_v"), "cid", "video", "alice|TR_v")
    up = UpTrack(intent, alice, "0", Codec(96, "VP8", 90000), {}, frozenset())  # type: ignore[arg-type]
    stream = up.new_stream(alice.link, UP_SSRC)
    up.stream = alice.link.inbounds[UP_SSRC] = stream
    alice.ups[up.track_id] = up
    out = Outbound(bob.link, DOWN_SSRC, 100, {})
    out.inbound = stream
    stream.outs.append(out)
    bob.outs[DOWN_SSRC] = DownTrack(up, bob, "3", out)  # type: ignore[arg-type]
    return Call(Wire(), alice, bob, up, stream, out)


def pli(ssrc: int) -> bytes:
    return rtcp.picture_loss(9, ssrc)


def test_a_picture_loss_reaches_the_publisher_once_for_many(call: Call) -> None:
    for now in (1.0, 1.1, 1.2):
        call.from_bob(pli(DOWN_SSRC), now)
    (packet,) = call.wire.to(call.alice)
    assert (packet.fmt, packet.media_ssrc) == (1, UP_SSRC)
    feedback.repair(call.wire, call.up, 1.5)  # type: ignore[arg-type]
    assert len(call.wire.to(call.alice)) == 2


def test_a_full_intra_request_is_understood_too(call: Call) -> None:
    fci = DOWN_SSRC.to_bytes(4, "big") + bytes([1, 0, 0, 0])
    fir = bytes(rtcp.RtcpPsfbPacket(fmt=4, ssrc=9, media_ssrc=0, fci=fci))
    call.from_bob(fir, 1.0)
    assert [packet.media_ssrc for packet in call.wire.to(call.alice)] == [UP_SSRC]


def test_attack_feedback_about_a_stream_of_somebody_else_is_ignored(call: Call) -> None:
    call.from_bob(pli(UP_SSRC) + rtcp.nack(9, UP_SSRC, [1, 2]), 1.0)
    call.from_alice(pli(DOWN_SSRC) + rtcp.nack(9, DOWN_SSRC, [1, 2]), 1.0)
    assert call.wire.sent == []
    assert call.wire.retransmitted == []


def test_a_nack_is_answered_from_the_history(call: Call) -> None:
    call.from_bob(rtcp.nack(9, DOWN_SSRC, [65535, 0, 1]), 1.0)
    assert sorted(call.wire.retransmitted) == [0, 1, 65535]
    assert call.wire.to(call.alice) == []


def test_the_publisher_is_asked_for_what_the_server_misses(call: Call) -> None:
    call.up.nack.missed(5, 2, now=1.0)
    feedback.repair(call.wire, call.up, 1.02)  # type: ignore[arg-type]
    (packet,) = call.wire.to(call.alice)
    assert (packet.lost, packet.media_ssrc) == ([5, 6], UP_SSRC)
    feedback.repair(call.wire, call.up, 9.0)  # type: ignore[arg-type]
    assert call.wire.to(call.alice)[-1].fmt == 1  # given up: a keyframe instead


def test_sender_reports_are_translated_for_each_subscriber(call: Call) -> None:
    call.out.ts_off, call.out.packets, call.out.octets = 500, 10, 9000
    info = rtcp.RtcpSenderInfo(0x1122334455667788, 0xFFFFFFFF, 77, 88)
    call.from_alice(rtcp.sender_report(UP_SSRC, info, "alice's own"), 5.0)
    report, names = call.wire.to(call.bob)
    assert report.ssrc == DOWN_SSRC
    assert report.sender_info == rtcp.RtcpSenderInfo(0x1122334455667788, 499, 10, 9000)
    assert names.chunks[0].items == [(1, b"alice")]
    assert call.up.reception.lsr == 0x33445566


def test_reports_and_bandwidth_go_to_the_publisher(call: Call) -> None:
    call.stream.started, call.stream.first, call.stream.expected = True, 10, 20
    call.stream.packets = 9
    feedback.report(call.wire, call.alice, 6.0)  # type: ignore[arg-type]
    report, remb = call.wire.to(call.alice)
    assert report.reports[0].ssrc == UP_SSRC
    assert report.reports[0].packets_lost == 1
    assert remb.fci[:4] == b"REMB"


def test_a_peer_that_begins_to_send_is_told_its_bandwidth_at_once_and_again(call: Call) -> None:
    call.alice.opening_until = 10.0 + feedback.OPENING_SECONDS
    for tick in range(200):
        feedback.open_bandwidth(call.wire, call.alice, 10.0 + tick * 0.02)  # type: ignore[arg-type]
    rembs = [packet for packet in call.wire.to(call.alice) if hasattr(packet, "fci")]
    assert 40 <= len(rembs) <= 60
    assert rembs[0].fci[:4] == b"REMB"
    call.wire.sent.clear()
    call.alice.secure, call.alice.opening_until = False, 99.0
    feedback.open_bandwidth(call.wire, call.alice, 20.0)  # type: ignore[arg-type]
    assert call.wire.sent == []


def test_a_peer_that_sends_nothing_gets_no_reports(call: Call) -> None:
    feedback.report(call.wire, call.bob, 6.0)  # type: ignore[arg-type]
    assert call.wire.sent == []


@pytest.mark.parametrize("data", [b"", b"\x80", b"\x80\xc8\x00\xff" + bytes(8), b"\xff" * 40])
def test_attack_malformed_rtcp_is_counted_and_dropped(call: Call, data: bytes) -> None:
    call.from_bob(data, 1.0)
    assert call.wire.sent == []
    assert call.wire.counters.malformed == (1 if data else 0)
