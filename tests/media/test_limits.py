"""What one participant may cost: SCTP packets, retransmissions, session descriptions."""

from __future__ import annotations

import struct

import pytest
from aiortc.rtcsctptransport import (
    CookieEchoChunk,
    DataChunk,
    InitChunk,
    SackChunk,
    serialize_packet,
)
from hypothesis import given
from hypothesis import strategies as st

from mediaserver.errors import BadOffer
from mediaserver.forwarding.budget import Budget, Retransmissions
from mediaserver.sdp import negotiate
from mediaserver.sdp.parse import parse_offer
from mediaserver.transport.sctp_guard import acceptable
from tests.media.test_sdp import CHROMIUM


def packet(chunk: bytes) -> bytes:
    return bytes(12) + chunk


def test_what_aiortc_itself_sends_is_acceptable() -> None:
    init = InitChunk()
    init.initiate_tag = init.advertised_rwnd = init.initial_tsn = 1
    init.outbound_streams = init.inbound_streams = 10
    init.params = [(49152, b""), (32776, b"\x82\xc0")]
    data = DataChunk(flags=3)
    data.tsn = data.stream_id = data.stream_seq = data.protocol = 1
    data.user_data = b"hello"
    sack = SackChunk()
    sack.cumulative_tsn, sack.advertised_rwnd = 5, 1000
    sack.gaps, sack.duplicates = [(2, 3), (5, 5)], [4]
    cookie = CookieEchoChunk(body=b"cookie")
    for chunk in (init, data, sack, cookie):
        assert acceptable(serialize_packet(5000, 5000, 1, chunk), outstanding=5)


@pytest.mark.parametrize("kind", [1, 2, 4, 5, 6, 9, 130])
def test_attack_a_parameter_of_length_zero_does_not_reach_the_library(kind: int) -> None:
    fixed = bytes(16) if kind in (1, 2) else b""
    body = fixed + struct.pack("!HH", 1, 0)
    chunk = struct.pack("!BBH", kind, 0, 4 + len(body)) + body
    assert not acceptable(packet(chunk), 0)


@pytest.mark.parametrize(
    "gaps", [[(0, 65535)], [(1, 65535)] * 280, [(5, 4)], [(3, 4), (2, 2)], [(1, 11)]]
)
def test_attack_gaps_that_nobody_sent_do_not_reach_the_library(gaps) -> None:
    body = struct.pack("!LLHH", 1, 1, len(gaps), 0) + b"".join(
        struct.pack("!HH", *gap) for gap in gaps
    )
    assert not acceptable(packet(struct.pack("!BBH", 3, 0, 4 + len(body)) + body), 10)


@given(st.binary(max_size=200), st.integers(0, 20))
def test_any_bytes_get_an_answer(data: bytes, outstanding: int) -> None:
    assert acceptable(data, outstanding) in (True, False)


def test_a_budget_refills_with_time() -> None:
    budget = Budget(rate=10, burst=3)
    assert [budget.take(100.0) for _ in range(4)] == [True, True, True, False]
    assert budget.take(100.15)
    assert not budget.take(100.15)


def test_attack_the_same_nack_again_and_again_is_answered_once_in_a_while() -> None:
    resends = Retransmissions(rate=100, burst=10)
    assert [resends.allows(7, now) for now in (1.0, 1.001, 1.019, 1.021)] == [
        True,
        False,
        False,
        True,
    ]
    granted = sum(resends.allows(number, 2.0) for number in range(1000))
    assert granted == 10


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (("a=rtcp-fb:* nack\n", "a=rtcp-fb:* nack\n" * 17), "line"),
        (("a=fmtp:97 apt=96", "a=fmtp:97 " + "x" * 2000), "line"),
        (("a=fmtp:97 apt=96", "a=fmtp:97 \U0001f600"), "line"),
        (("a=mid:1\n", "a=mid:" + "x" * 40 + "\n"), "line"),
        (("a=mid:1\n", "a=mid:a b\n"), "line"),
        (("a=sendonly\n", "a=sendonly\n" + "a=rid:q send\n" * 9), "line"),
        (("a=ice-pwd:", "a=x:" + "y" * 9000 + "\na=ice-pwd:"), "longer than"),
    ],
)
def test_attack_a_description_that_multiplies_is_refused(change, reason) -> None:
    assert change[0] in CHROMIUM
    with pytest.raises(BadOffer, match=reason):
        parse_offer(CHROMIUM.replace(*change))


def test_attack_a_payload_type_named_many_times_counts_once() -> None:
    offer = parse_offer(CHROMIUM.replace("SAVPF 96 97", "SAVPF " + "96 " * 500 + "97"))
    assert [c.payload_type for c in offer.sections[1].codecs] == [96, 97, 102, 103]


@pytest.mark.parametrize("rate", ["0", "1", "48000", "1" + "0" * 400])
def test_attack_a_codec_with_an_impossible_clock_is_not_forwarded(rate: str) -> None:
    offer = parse_offer(CHROMIUM.replace("VP8/90000", f"VP8/{rate}"))
    assert [c.name for c in negotiate.usable(offer.sections[1])] == ["H264"]


def test_the_worker_hears_only_of_what_can_be_answered() -> None:
    audio, video, _data = negotiate.reduced(parse_offer(CHROMIUM)).sections
    assert [c.name for c in audio.codecs] == ["opus"]
    assert [c.payload_type for c in video.codecs] == [96, 103]
    assert dict(audio.extensions)[4] == negotiate.MID
