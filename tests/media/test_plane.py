"""The forwarding loop between real sockets, with SRTP on both sides."""

from __future__ import annotations

import secrets
import select
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from pylibsrtp import Error as SrtpError
from pylibsrtp import Policy, Session

from mediaserver.plane.libc import open_socket
from mediaserver.plane.python import PyPlane
from mediaserver.plane.streams import Inbound, Link, Outbound
from mediaserver.transport import srtp

GCM = (Policy.SRTP_PROFILE_AEAD_AES_256_GCM, 44, srtp.GCM_TAG)
CM = (Policy.SRTP_PROFILE_AES128_CM_SHA1_80, 30, srtp.CM_TAG)
HEADER = struct.Struct("!BBHLL")
SSRC = 0xCAFE


def shared_key(profile: int, key_length: int) -> tuple[Session, Session]:
    """A sending and a receiving session that share a fixed key."""
    key = bytes(range(key_length))
    sessions = []
    for ssrc_type in (Policy.SSRC_ANY_OUTBOUND, Policy.SSRC_ANY_INBOUND):
        policy = Policy(key=key, ssrc_type=ssrc_type, srtp_profile=profile)
        policy.allow_repeat_tx = True
        policy.window_size = 1024
        sessions.append(Session(policy))
    return sessions[0], sessions[1]


@dataclass
class Owner:
    """Remembers what the plane reports."""

    control: list[bytes] = field(default_factory=list)
    rtcp: list[bytes] = field(default_factory=list)
    missing: list[tuple[int, int]] = field(default_factory=list)
    late: list[int] = field(default_factory=list)
    keyframes: int = 0
    unknown: list[int] = field(default_factory=list)

    def on_control(self, data: bytes, address: bytes) -> None:
        self.control.append(data)

    def on_rtcp(self, link: Link, data: bytes) -> None:
        self.rtcp.append(data)

    def on_unknown_stream(self, link: Link, ssrc: int, packet: bytes) -> bool:
        self.unknown.append(ssrc)
        return False

    def on_missing(self, stream: Inbound, first: int, count: int) -> None:
        self.missing.append((first, count))

    def on_late(self, stream: Inbound, sequence: int) -> None:
        self.late.append(sequence)

    def on_keyframe(self, stream: Inbound) -> None:
        self.keyframes += 1


class Client:
    """A peer with a socket of its own and the other ends of the SRTP sessions."""

    def __init__(self, plane: PyPlane, profile: tuple[int, int, int]) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.setblocking(False)
        self.plane = plane
        self.link = Link(self)
        number, key, trailer = profile
        up_tx, up_rx = shared_key(number, key)
        down_tx, down_rx = shared_key(number, key)
        self.tx, self.rx = up_tx, down_rx
        plane.aim(self.link, *self.socket.getsockname())
        plane.secure(self.link, up_rx, down_tx, trailer)
        self.server = plane.sock.getsockname()

    def send(self, packet: bytes) -> None:
        self.socket.sendto(self.tx.protect(packet), self.server)

    def received(self) -> list[bytes]:
        """Everything that came, decrypted; a wrong SRTP packet raises."""
        packets = []
        while select.select([self.socket], [], [], 0.02)[0]:
            packets.append(self.rx.unprotect(self.socket.recv(4096)))
        return packets


@pytest.fixture
def owner() -> Owner:
    return Owner()


@pytest.fixture(params=[True, False], ids=["segmented", "plain"])
def plane(owner: Owner, request: pytest.FixtureRequest) -> Iterator[PyPlane]:
    sock = open_socket("127.0.0.1", 0)
    yield PyPlane(sock, owner, segmentation=request.param)
    sock.close()


def run(plane: PyPlane) -> None:
    """Let the plane take in everything that is on its socket."""
    while select.select([plane.sock], [], [], 0.02)[0]:
        plane.poll()


def packet(sequence: int, payload: bytes = b"payload", *, extension: bytes = b"") -> bytes:
    first = 0x90 if extension else 0x80
    return HEADER.pack(first, 0xE0, sequence & 0xFFFF, 1000 + sequence, SSRC) + extension + payload


def stream(client: Client) -> Inbound:
    inbound = Inbound(client.link, SSRC, 0x60, 90000)
    client.link.inbounds[SSRC] = inbound
    return inbound


def subscriber(plane: PyPlane, inbound: Inbound, remap: dict[int, int] | None = None) -> Client:
    client = Client(plane, GCM)
    client.out = Outbound(client.link, 0xBEEF, 0x65, remap or {})  # type: ignore[attr-defined]
    plane.attach(inbound, client.out)  # type: ignore[attr-defined]
    return client


def sequences(packets: list[bytes]) -> list[int]:
    return [struct.unpack_from("!H", each, 2)[0] for each in packets]


@pytest.mark.parametrize("profile", [GCM, CM], ids=["gcm", "cm"])
def test_payload_goes_through_untouched_under_a_new_header(plane, owner, profile) -> None:
    publisher = Client(plane, profile)
    inbound = stream(publisher)
    subscribers = [subscriber(plane, inbound) for _ in range(3)]
    payloads = [secrets.token_bytes(size) for size in (1, 50, 1100, 1100, 1100, 900)]
    for number, payload in enumerate(payloads):
        publisher.send(packet(65533 + number, payload))
    run(plane)
    for each in subscribers:
        got = each.received()
        assert [p[12:] for p in got] == payloads
        first = sequences(got)[0]
        assert sequences(got) == [(first + n) & 0xFFFF for n in range(6)]
        assert first < 0x4000
        assert {p[1] for p in got} == {0x80 | 0x65}
        assert {p[8:12] for p in got} == {(0xBEEF).to_bytes(4, "big")}
        assert [struct.unpack_from("!L", p, 4)[0] for p in got] == [66533 + n for n in range(6)]
    assert plane.counters.forwarded == 18
    assert plane.counters.protect_errors == plane.counters.unprotect_errors == 0
    assert owner.missing == []


def test_a_batch_larger_than_the_send_arena_is_forwarded_whole(plane) -> None:
    publisher = Client(plane, GCM)
    inbound = stream(publisher)
    subscribers = [subscriber(plane, inbound) for _ in range(9)]
    for number in range(60):
        publisher.send(packet(number, bytes(1000)))
    run(plane)
    assert [len(each.received()) for each in subscribers] == [60] * 9


def test_a_nack_is_answered_from_the_history(plane) -> None:
    publisher = Client(plane, GCM)
    inbound = stream(publisher)
    bob = subscriber(plane, inbound)
    for number in range(10):
        publisher.send(packet(number, bytes([number])))
    run(plane)
    numbers = sequences(bob.received())
    assert plane.retransmit(bob.out, numbers[4])
    # libsrtp of the receiver refuses the replay, which shows that it is the same packet
    with pytest.raises(SrtpError, match="replay"):
        bob.received()
    assert not plane.retransmit(bob.out, (numbers[0] - 1) & 0xFFFF)
    assert not plane.retransmit(bob.out, (numbers[9] + 1) & 0xFFFF)


def test_a_hole_is_reported_and_a_late_packet_still_forwarded(plane, owner) -> None:
    publisher = Client(plane, GCM)
    inbound = stream(publisher)
    bob = subscriber(plane, inbound)
    for number in (1, 2, 5, 4, 6, 3):
        publisher.send(packet(number, bytes([number])))
    run(plane)
    assert owner.missing == [(3, 2)]
    assert owner.late == [4, 3]
    got = sorted(bob.received(), key=lambda p: p[2:4])
    assert [p[12:] for p in got] == [bytes([n]) for n in range(1, 7)]
    assert inbound.packets == 6
    assert inbound.highest == 6


def test_video_starts_at_a_keyframe_and_goes_on_without_a_gap_after_a_pause(plane, owner) -> None:
    publisher = Client(plane, GCM)
    inbound = stream(publisher)
    inbound.is_keyframe = lambda data: data[12:] == b"key"
    bob = subscriber(plane, inbound)
    for number, payload in enumerate([b"delta", b"key", b"delta"]):
        publisher.send(packet(number, payload))
    run(plane)
    plane.detach(bob.out)
    for number in range(3, 50):
        publisher.send(packet(number, b"unseen"))
    run(plane)
    plane.attach(inbound, bob.out)
    for number, payload in enumerate([b"delta", b"key", b"after"], 50):
        publisher.send(packet(number, payload))
    run(plane)
    got = bob.received()
    assert [p[12:] for p in got] == [b"key", b"delta", b"key", b"after"]
    first = sequences(got)[0]
    assert sequences(got) == list(range(first, first + 4))
    assert owner.keyframes == 2


def test_a_new_ssrc_of_the_publisher_continues_the_subscribers_stream(plane) -> None:
    publisher = Client(plane, GCM)
    old = stream(publisher)
    bob = subscriber(plane, old)
    publisher.send(packet(100))
    run(plane)
    new = Inbound(publisher.link, 0xD00D, 0x60, 90000)
    publisher.link.inbounds[0xD00D] = new
    plane.replace(old, new)
    publisher.send(HEADER.pack(0x80, 0xE0, 40000, 4_000_000_000, 0xD00D) + b"new")
    run(plane)
    before, after = bob.received()
    assert sequences([after])[0] == sequences([before])[0] + 1
    times = [struct.unpack_from("!L", p, 4)[0] for p in (before, after)]
    assert 0 <= times[1] - times[0] < 90000 * 2


def test_extensions_that_subscribers_may_not_see_become_padding(plane) -> None:
    publisher = Client(plane, GCM)
    inbound = stream(publisher)
    inbound.kept = frozenset({2, 5})
    same = subscriber(plane, inbound)
    other = subscriber(plane, inbound, {2: 7, 5: 0})
    extension = bytes.fromhex("bede0003104122bbccdd50ee00000000")
    publisher.send(packet(1, extension=extension))
    run(plane)
    assert same.received()[0][12:] == bytes.fromhex("bede0003000022bbccdd50ee00000000") + b"payload"
    assert (
        other.received()[0][12:] == bytes.fromhex("bede0003000072bbccdd000000000000") + b"payload"
    )


def test_two_byte_extensions_are_renamed_too(plane) -> None:
    publisher = Client(plane, GCM)
    inbound = stream(publisher)
    inbound.kept = frozenset({200})
    bob = subscriber(plane, inbound, {200: 3})
    extension = bytes.fromhex("100000020101aac802bbcc00")
    publisher.send(packet(1, extension=extension))
    run(plane)
    assert bob.received()[0][12:24] == bytes.fromhex("100000020000000302bbcc00")


def test_a_subscriber_that_is_not_secure_yet_gets_nothing_and_hurts_nobody(plane) -> None:
    publisher = Client(plane, GCM)
    inbound = stream(publisher)
    alice = subscriber(plane, inbound)
    alice.link.tx = None
    bob = subscriber(plane, inbound)
    publisher.send(packet(1))
    run(plane)
    assert alice.received() == []
    assert len(bob.received()) == 1


def test_rtcp_is_decrypted_and_handed_up(plane, owner) -> None:
    client = Client(plane, GCM)
    report = bytes.fromhex("81c90007") + bytes(28)
    client.socket.sendto(client.tx.protect_rtcp(report), client.server)
    run(plane)
    assert owner.rtcp == [report]
    plane.send_rtcp(client.link, report)
    assert client.rx.unprotect_rtcp(client.socket.recv(2048)) == report


def test_attack_forged_rtp_from_a_known_address_is_dropped(plane, owner) -> None:
    publisher = Client(plane, GCM)
    bob = subscriber(plane, stream(publisher))
    publisher.socket.sendto(packet(1) + bytes(16), publisher.server)
    run(plane)
    assert bob.received() == []
    assert plane.counters.unprotect_errors == 1


def test_attack_replayed_packet_is_dropped(plane) -> None:
    publisher = Client(plane, GCM)
    bob = subscriber(plane, stream(publisher))
    protected = publisher.tx.protect(packet(1))
    for _ in range(3):
        publisher.socket.sendto(protected, publisher.server)
    run(plane)
    assert len(bob.received()) == 1
    assert plane.counters.unprotect_errors == 2


def test_attack_rtp_from_an_unknown_address_is_dropped(plane, owner) -> None:
    publisher = Client(plane, GCM)
    bob = subscriber(plane, stream(publisher))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.sendto(publisher.tx.protect(packet(1)), publisher.server)
        run(plane)
    assert bob.received() == []
    assert plane.counters.unknown_source == 1


@pytest.mark.parametrize("name", [15, 16, 255])
def test_attack_an_extension_id_that_does_not_fit_stops_nobody(plane, name) -> None:
    publisher = Client(plane, GCM)
    inbound = stream(publisher)
    inbound.kept = frozenset({2})
    good, bad = subscriber(plane, inbound), subscriber(plane, inbound, {2: name})
    for number in range(5):
        publisher.send(packet(number, extension=bytes.fromhex("bede000120aa0000")))
        run(plane)
    assert len(good.received()) == 5
    assert [p[16:20] for p in bad.received()] == [bytes(4)] * 5


def test_a_failure_in_the_loop_does_not_silence_a_stream_for_ever(plane, owner) -> None:
    publisher = Client(plane, GCM)
    inbound = stream(publisher)
    bob = subscriber(plane, inbound)
    inbound.sinks.append(lambda _arrival, data: {b"fine": None}[data[12:]])
    for number, payload in enumerate([b"fine", b"bad", b"fine"]):
        publisher.send(packet(number, payload))
    run(plane)
    assert [p[12:] for p in bob.received()] == [b"fine", b"fine"]
    assert plane.counters.failures == 1


def test_a_link_turns_to_a_new_address_when_that_proves_itself(plane) -> None:
    publisher = Client(plane, GCM)
    bob = subscriber(plane, stream(publisher))
    moved = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    moved.bind(("127.0.0.1", 0))
    plane.aim(bob.link, *moved.getsockname())
    publisher.send(packet(1))
    run(plane)
    assert len(bob.received()) == 1  # a nomination alone points the media nowhere
    report = bytes.fromhex("81c90007") + bytes(28)
    moved.sendto(bob.tx.protect_rtcp(report), bob.server)
    run(plane)
    publisher.send(packet(2))
    run(plane)
    assert bob.received() == []
    moved.settimeout(5)
    assert moved.recv(2048)
    moved.close()


def test_many_packets_of_one_removed_ssrc_do_not_use_up_the_patience(plane, owner) -> None:
    publisher = Client(plane, GCM)
    for number in range(200):
        publisher.send(HEADER.pack(0x80, 0x60, number, 1, 7) + b"x")
    publisher.send(HEADER.pack(0x80, 0x60, 1, 1, 8) + b"x")
    run(plane)
    assert owner.unknown == [7, 8]


def test_a_client_with_many_addresses_keeps_the_one_that_is_used(plane) -> None:
    publisher = Client(plane, GCM)
    bob = subscriber(plane, stream(publisher))
    for port in range(1, 50):
        plane.add_address(publisher.link, "127.0.0.2", port)
    publisher.send(packet(1))
    run(plane)
    assert len(bob.received()) == 1
    assert len(publisher.link.addresses) == 8


def test_attack_endless_new_ssrcs_are_asked_about_a_bounded_number_of_times(plane, owner) -> None:
    publisher = Client(plane, GCM)
    for ssrc in range(200):
        publisher.send(HEADER.pack(0x80, 0x60, 1, 1, ssrc) + b"x")
    run(plane)
    assert len(owner.unknown) == 64


@pytest.mark.parametrize("size", [0, 1, 11, 12, 13, 100, 1400, 9000])
@pytest.mark.parametrize("first", [0x00, 0x01, 0x16, 0x80, 0x90, 0xBF, 0xFF])
def test_attack_garbage_of_any_kind_leaves_the_plane_working(plane, owner, size, first) -> None:
    publisher = Client(plane, GCM)
    bob = subscriber(plane, stream(publisher))
    for _ in range(20):
        garbage = bytes([first]) + secrets.token_bytes(size)
        publisher.socket.sendto(garbage[:size], publisher.server)
    publisher.send(packet(1))
    run(plane)
    assert len(bob.received()) == 1


@pytest.mark.parametrize(
    "extension",
    [
        "bede00022f11111130000000",
        "bede00011fffffff",
        "bede0000",
        "1000000101ff0000",
        "1234000100000000",
    ],
)
def test_attack_lying_extension_lengths_do_no_harm(plane, extension) -> None:
    publisher = Client(plane, CM)
    bob = subscriber(plane, stream(publisher))
    publisher.send(packet(1, extension=bytes.fromhex(extension)) + bytes(8))
    publisher.send(packet(2))
    run(plane)
    assert bob.received()[-1][12:] == b"payload"
