"""Offsets in RTP packets: whole, cut at every byte, and as any bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediaserver.rtp.header import element_head, elements, payload_span

FIXED = bytes([0x90, 0x60, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3])
ONE_BYTE = FIXED + bytes.fromhex("bede000210aa22bbccdd0000") + b"payload"
TWO_BYTE = FIXED + bytes.fromhex("100000020101aa0202bbcc00") + b"payload"


def test_one_byte_elements() -> None:
    assert list(elements(ONE_BYTE, len(ONE_BYTE))) == [(1, 17, 1), (2, 19, 3)]
    assert element_head(ONE_BYTE) == 1


def test_two_byte_elements() -> None:
    assert list(elements(TWO_BYTE, len(TWO_BYTE))) == [(1, 18, 1), (2, 21, 2)]
    assert element_head(TWO_BYTE) == 2


def test_elements_of_a_packet_inside_a_larger_buffer() -> None:
    buffer = memoryview(b"\xff" * 100 + ONE_BYTE + b"\xff" * 100)
    assert list(elements(buffer, len(ONE_BYTE), 100)) == [(1, 17, 1), (2, 19, 3)]


def test_payload_without_extension_and_padding() -> None:
    start, end = payload_span(ONE_BYTE)
    assert ONE_BYTE[start:end] == b"payload"
    padded = bytes([FIXED[0] & ~0x10 | 0x20]) + FIXED[1:] + b"abc\x00\x00\x03"
    start, end = payload_span(padded)
    assert padded[start:end] == b"abc"


@pytest.mark.parametrize("packet", [ONE_BYTE, TWO_BYTE])
def test_cut_at_every_byte_it_parses_or_raises_value_error(packet: bytes) -> None:
    for size in range(len(packet)):
        cut = packet[:size]
        try:
            start, end = payload_span(cut)
        except ValueError:
            continue
        assert 12 <= start <= end <= size


@given(st.binary(min_size=12, max_size=80))
def test_any_bytes_parse_or_raise_value_error(data: bytes) -> None:
    for _identifier, position, length in elements(data, len(data)):
        assert position > 12
        assert position + length <= len(data)
    try:
        start, end = payload_span(data)
    except ValueError:
        return
    assert 12 <= start <= end <= len(data)
