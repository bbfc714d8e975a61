"""Keyframe starts are told from all other packets, by codec."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediaserver.rtp.keyframe import DETECTORS, starts_keyframe

HEADER = bytes([0x80, 0x60, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3])

CASES = [
    ("video/VP8", "10" "00", True),
    ("video/VP8", "10" "01", False),  # inter frame
    ("video/VP8", "00" "00", False),  # not the start of a partition
    ("video/VP8", "11" "00", False),  # a later partition
    ("video/VP8", "90" "80" "8123" "00", True),  # 15-bit picture id
    ("video/VP8", "90" "e0" "23" "07" "40" "00", True),  # picture id, TL0PICIDX, TID
    ("video/VP8", "90" "80", False),  # cut
    ("video/VP9", "08", True),
    ("video/VP9", "48", False),  # inter-predicted
    ("video/VP9", "00", False),  # not the start
    ("video/VP9", "a8" "8123" "02", False),  # a higher spatial layer
    ("video/VP9", "a8" "8123" "00", True),
    ("video/H264", "67" "42", True),  # SPS
    ("video/H264", "65" "88", True),  # IDR
    ("video/H264", "41" "9a", False),
    ("video/H264", "78" "0002" "6742" "0001" "68", True),  # STAP-A with SPS
    ("video/H264", "78" "0002" "419a", False),
    ("video/H264", "7c" "85", True),  # FU-A, start of IDR
    ("video/H264", "7c" "05", False),  # FU-A, middle of IDR
    ("video/H264", "7c" "81", False),
    ("video/AV1", "18" "0a", True),
    ("video/AV1", "10" "0a", False),
    ("audio/opus", "fc", True),
]  # fmt: skip


@pytest.mark.parametrize(("mime_type", "payload", "expected"), CASES)
def test_known_payloads(mime_type: str, payload: str, expected: bool) -> None:
    assert starts_keyframe(mime_type, HEADER + bytes.fromhex(payload)) is expected


@pytest.mark.parametrize("mime_type", list(DETECTORS))
@given(payload=st.binary(max_size=40))
def test_any_payload_gives_an_answer(mime_type: str, payload: bytes) -> None:
    assert starts_keyframe(mime_type, HEADER + payload) in (True, False)


@pytest.mark.parametrize("mime_type", list(DETECTORS))
def test_a_padding_packet_is_no_keyframe(mime_type: str) -> None:
    assert not starts_keyframe(mime_type, bytes([0xA0]) + HEADER[1:] + b"\x00\x00\x00\x04")
