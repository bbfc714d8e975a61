"""What a publisher sends again comes as the packet it was, and reaches the recorder so.

Retransmission has no stream of its own here (RFC 4588): answers leave it out, so a NACK is answered with
the original packet, on the original SSRC.
"""

from __future__ import annotations

from mediaserver.plane.python import PyPlane
from mediaserver.sdp.negotiate import for_publisher, reduced, usable
from mediaserver.sdp.parse import parse_offer
from tests.media.test_plane import (  # noqa: F401 - fixtures
    GCM,
    Client,
    Owner,
    owner,
    packet,
    plane,
    run,
    stream,
    subscriber,
)
from tests.media.test_sdp import CHROMIUM


def test_no_answer_takes_retransmissions_on_a_stream_of_their_own() -> None:
    offer = parse_offer(CHROMIUM)
    for section in (*offer.sections, *reduced(offer).sections):
        assert "rtx" not in {codec.name.lower() for codec in usable(section)}
    (video,) = [section for section in reduced(offer).sections if section.kind == "video"]
    assert video.ssrcs == (11,)  # 22 is that of retransmission
    chosen = for_publisher(video, "video/VP8")
    assert chosen is not None
    assert chosen.payload_type == 96
    assert "nack" in offer.sections[1].codecs[0].feedback


def test_a_packet_that_was_sent_again_is_recorded_as_it_was(
    plane: PyPlane,  # noqa: F811
    owner: Owner,  # noqa: F811
) -> None:
    alice = Client(plane, GCM)
    inbound = stream(alice)
    recorded: list[bytes] = []
    inbound.sinks.append(lambda _arrival_us, data: recorded.append(data))
    subscriber(plane, inbound)
    sent = {number: packet(number, b"picture %d" % number) for number in range(65530, 65545)}
    lost = (65532, 65535, 65536)
    for number, data in sent.items():
        if number not in lost:
            alice.send(data)
    run(plane)
    asked = [(first + step) & 0xFFFF for first, count in owner.missing for step in range(count)]
    assert asked == [number & 0xFFFF for number in lost]
    for number in lost:
        alice.send(sent[number])
    run(plane)
    assert sorted(recorded) == sorted(sent.values())
    assert owner.late == asked
