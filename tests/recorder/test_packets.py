"""RTP packets: parsing, and their places in epochs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.packets import RETIRED_US, EpochTracker, Placed, RtpPacket, parse_rtp
from tests.recorder.known_media import rtp_packet


def packet(sequence: int, timestamp: int = 0, ssrc: int = 1) -> RtpPacket:
    return RtpPacket(ssrc, sequence, timestamp, False, 96, b"x")


def test_a_packet_is_parsed() -> None:
    data = rtp_packet(7, 9, b"payload", ssrc=5, marker=True, payload_type=111)
    assert parse_rtp(data) == RtpPacket(5, 7, 9, True, 111, b"payload")


def test_extension_contributors_and_padding_are_left_out() -> None:
    data = bytearray(rtp_packet(7, 9, b"payload", padding=5, extension=b"12345678"))
    data[0] |= 0x02
    data[12:12] = b"csrccsrc"
    parsed = parse_rtp(bytes(data))
    assert parsed is not None
    assert parsed.payload == b"payload"


def test_padding_alone_is_an_empty_payload() -> None:
    parsed = parse_rtp(rtp_packet(7, 9, b"", padding=200))
    assert parsed is not None
    assert parsed.payload == b""


@pytest.mark.parametrize(
    "data",
    [
        b"",
        rtp_packet(1, 1, b"")[:11],
        b"\x40" + rtp_packet(1, 1, b"")[1:],
        b"\x90" + rtp_packet(1, 1, b"")[1:],  # extension bit, no extension
        b"\x8f" + rtp_packet(1, 1, b"")[1:],  # fifteen contributors, none there
        b"\xa0" + rtp_packet(1, 1, b"\x00")[1:],  # padding of no byte
        b"\xa0" + rtp_packet(1, 1, b"\x02")[1:],  # more padding than packet
    ],
)
def test_what_is_no_packet_is_none(data: bytes) -> None:
    assert parse_rtp(data) is None


@given(st.binary(max_size=64))
def test_any_bytes_parse_or_do_not(data: bytes) -> None:
    parse_rtp(data)


def test_numbers_go_on_across_their_wrap() -> None:
    tracker = EpochTracker()
    assert tracker.place(packet(65535, 0xFFFF_FFFF), 0) == Placed(0, 65535, 0xFFFF_FFFF)
    assert tracker.place(packet(0, 9), 1) == Placed(0, 65536, 0x1_0000_0009)
    assert tracker.place(packet(65534, 0xFFFF_FFF0), 2) == Placed(0, 65534, 0xFFFF_FFF0)


def test_another_ssrc_is_another_epoch_and_stragglers_are_left_out() -> None:
    tracker = EpochTracker()
    tracker.place(packet(10, ssrc=1), 0)
    assert tracker.place(packet(500, ssrc=2), 1000) == Placed(1, 500, 0)
    assert tracker.place(packet(11, ssrc=1), 2000) is None
    assert tracker.place(packet(501, ssrc=2), 3000) == Placed(1, 501, 0)


def test_an_ssrc_may_come_back() -> None:
    tracker = EpochTracker()
    tracker.place(packet(10, ssrc=1), 0)
    tracker.place(packet(500, ssrc=2), 1000)
    assert tracker.place(packet(12, ssrc=1), 1000 + RETIRED_US) == Placed(2, 12, 0)


def test_numbers_that_start_anew_are_another_epoch() -> None:
    tracker = EpochTracker()
    tracker.place(packet(10_000), 0)
    assert tracker.place(packet(7_000), 1) == Placed(0, 7_000, 0)
    assert tracker.place(packet(6_999), 2) == Placed(1, 6_999, 0)


def test_numbers_that_went_all_the_way_round_are_no_late_packet() -> None:
    """The track was muted for so long; its timestamp says so."""
    tracker = EpochTracker()
    tracker.place(packet(10_000, 1_000_000), 0)
    assert tracker.place(packet(9_500, 760_000), 1) == Placed(0, 9_500, 760_000)  # late
    assert tracker.place(packet(9_500, 90_000_000), 2) == Placed(1, 9_500, 90_000_000)
