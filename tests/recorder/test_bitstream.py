"""Sizes and configurations as encoders wrote them."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.bitstream import (
    BitReader,
    av1_configuration,
    av1_sequence,
    avc_configuration,
    h264_sequence_parameters,
    opus_duration_us,
    opus_head,
    vp8_keyframe_size,
    vp9_keyframe_size,
)
from recorder.errors import BadPayload
from tests.recorder.known_media import av1_obus, encode_video, h264_nals

SIZES = [(320, 240), (322, 242), (638, 358), (64, 64)]


class BitWriter:
    def __init__(self) -> None:
        self.text = ""

    def bits(self, count: int, value: int) -> BitWriter:
        self.text += f"{value:0{count}b}" if count else ""
        return self

    def golomb(self, value: int) -> BitWriter:
        return self.bits(2 * (value + 1).bit_length() - 1, value + 1)

    def to_bytes(self) -> bytes:
        text = self.text + "1"
        text += "0" * (-len(text) % 8)
        return int(text, 2).to_bytes(len(text) // 8, "big")


def encode_h264(
    pix_fmt: str, size: tuple[int, int], params: str = "", profile: str = ""
) -> list[bytes]:
    """NAL units of one keyframe of a plain picture."""
    encoder: Any = av.CodecContext.create("libx264", "w")
    encoder.width, encoder.height = size
    encoder.pix_fmt = pix_fmt
    encoder.time_base = Fraction(1, 30)
    encoder.options = {"preset": "fast", "x264-params": f"annexb=1:{params}", "profile": profile}
    frame = av.VideoFrame(*size, "yuv420p").reformat(format=pix_fmt)
    frame.pts = 0
    packets = encoder.encode(frame) + encoder.encode(None)
    from tests.recorder.known_media import Coded

    return h264_nals(Coded(0, bytes(packets[0]), True))


@pytest.mark.parametrize("size", SIZES)
def test_vp8_size(size: tuple[int, int]) -> None:
    frames = encode_video("video/VP8", count=2, size=size)
    assert [vp8_keyframe_size(frame.data) for frame in frames] == [size, None]


@pytest.mark.parametrize("size", SIZES)
def test_vp9_size(size: tuple[int, int]) -> None:
    frames = encode_video("video/VP9", count=2, size=size)
    assert [vp9_keyframe_size(frame.data) for frame in frames] == [size, None]


@pytest.mark.parametrize(
    ("bits", "size"),
    [
        ("10 1 0 0 0 1 0" + f"{0x498342:024b}" + "0 000 0 0 0", (1, 1)),  # profile 1, 4:4:4 bits
        ("10 1 0 0 0 1 0" + f"{0x498342:024b}" + "111 0", (1, 1)),  # profile 1, RGB
        ("10 0 1 0 0 1 0" + f"{0x498342:024b}" + "1 000 0", (1, 1)),  # profile 2, 10 or 12 bits
        ("10 1 1 0 0 0 1 0" + f"{0x498342:024b}" + "1 111 0", (1, 1)),  # profile 3, RGB
        ("10 0 0 1 000", None),  # shows an existing frame
    ],
)
def test_vp9_profiles(bits: str, size: tuple[int, int] | None) -> None:
    text = bits.replace(" ", "") + "0" * 40
    data = int(text[: len(text) // 8 * 8], 2).to_bytes(len(text) // 8, "big")
    assert vp9_keyframe_size(data) == size


@pytest.mark.parametrize("data", [b"", b"\x00", b"\x00" * 12])
def test_no_vp8(data: bytes) -> None:
    with pytest.raises(BadPayload):
        vp8_keyframe_size(data)


@pytest.mark.parametrize("data", [b"", b"\x00", b"\x82\x00\x00\x00\x00", b"\x82"])
def test_no_vp9(data: bytes) -> None:
    with pytest.raises(BadPayload):
        vp9_keyframe_size(data)


@pytest.mark.parametrize(
    ("pix_fmt", "profile", "chroma", "depth"),
    [
        ("yuv420p", "baseline", 1, 8),
        ("yuv420p", "high", 1, 8),
        ("yuv422p", "high422", 2, 8),
        ("yuv444p", "high444", 3, 8),
        ("yuv420p10le", "high10", 1, 10),
    ],
)
@pytest.mark.parametrize("size", SIZES)
def test_h264_parameters(
    pix_fmt: str, profile: str, chroma: int, depth: int, size: tuple[int, int]
) -> None:
    nals = encode_h264(pix_fmt, size, profile=profile)
    sps = next(nal for nal in nals if nal[0] & 0x1F == 7)
    pps = next(nal for nal in nals if nal[0] & 0x1F == 8)
    seen = h264_sequence_parameters(sps)
    assert (seen.size, seen.chroma_format, seen.luma_depth) == (size, chroma, depth)
    decoder: Any = av.CodecContext.create("h264", "r")
    decoder.extradata = avc_configuration(sps, pps)
    data = b"".join(len(nal).to_bytes(4, "big") + nal for nal in nals if nal[0] & 0x1F == 5)
    (picture,) = decoder.decode(av.Packet(data)) + decoder.decode(None)
    assert (picture.width, picture.height) == size


def test_h264_interlaced_with_scaling_lists() -> None:
    sps = next(
        nal
        for nal in encode_h264("yuv420p", (320, 240), "interlaced=1:cqm=jvt", "high")
        if nal[0] & 0x1F == 7
    )
    assert h264_sequence_parameters(sps).size == (320, 240)


@pytest.mark.parametrize("order", [0, 1, 2])
@pytest.mark.parametrize("profile", [66, 100, 244])
def test_h264_picture_orders_and_lists(order: int, profile: int) -> None:
    bits = BitWriter().bits(8, profile).bits(8, 0).bits(8, 30).golomb(0)
    if profile != 66:
        bits.golomb(3 if profile == 244 else 1)
        if profile == 244:
            bits.bits(1, 0)
        bits.golomb(0).golomb(0).bits(1, 0).bits(1, 1)
        count = 12 if profile == 244 else 8
        bits.bits(1, 1)
        for _ in range(16):
            bits.golomb(0)  # a list of sixteen
        bits.bits(1, 1).golomb(16)  # a list that falls back at once (delta -8)
        bits.bits(count - 2, 0)
    bits.golomb(0).golomb(order)
    if order == 0:
        bits.golomb(0)
    if order == 1:
        bits.bits(1, 0).golomb(0).golomb(0).golomb(2).golomb(1).golomb(2)
    bits.golomb(1).bits(1, 0).golomb(19).golomb(14).bits(1, 1).bits(1, 1).bits(1, 0)
    sps = b"\x67" + bits.to_bytes().replace(b"\0\0", b"\0\0\3")
    assert h264_sequence_parameters(sps).size == (320, 240)


@pytest.mark.parametrize(
    "data", [b"", b"\x67", b"\x68abc", b"\x67\x42\x00\x1e", b"\x67" + bytes(40)]
)
def test_no_h264_parameters(data: bytes) -> None:
    with pytest.raises(BadPayload):
        h264_sequence_parameters(data)


@pytest.mark.parametrize("size", SIZES)
def test_av1_sequence(size: tuple[int, int]) -> None:
    frame = encode_video("video/AV1", count=2, size=size)[0]
    header = next(obu for obu in av1_obus(frame.data) if obu[0] >> 3 & 0x0F == 1)
    seen = av1_sequence(header[1:])
    assert seen.size == size
    assert seen.depth_chroma & 0x7C == 0x0C  # eight bits, colour, 4:2:0
    assert av1_configuration(b"obu", header[1:])[4:] == b"obu"


@pytest.mark.parametrize(
    ("profile", "color", "expected"),
    [
        (0, [(1, 0), (1, 1), (1, 0), (1, 0)], 0b0011100),  # monochrome
        (0, [(1, 1), (1, 0), (1, 0), (1, 0), (2, 1)], 0b1001101),  # ten bits
        (1, [(1, 0), (1, 0), (1, 0)], 0b0000000),  # 4:4:4
        (2, [(1, 0), (1, 0), (1, 0), (1, 0)], 0b0001000),  # 4:2:2
        (2, [(1, 1), (1, 1), (1, 0), (1, 0), (1, 0), (1, 1), (1, 1), (2, 2)], 0b1101110),
        (2, [(1, 1), (1, 1), (1, 0), (1, 0), (1, 0), (1, 0)], 0b1100000),  # twelve bits, 4:4:4
        (1, [(1, 0), (1, 1), (8, 1), (8, 13), (8, 0)], 0),  # sRGB
    ],
)
def test_av1_colours(profile: int, color: list[tuple[int, int]], expected: int) -> None:
    bits = BitWriter().bits(3, profile).bits(2, 0b01).bits(5, 8)  # reduced header
    bits.bits(4, 8).bits(4, 7).bits(9, 319).bits(8, 239)
    bits.bits(3, 0).bits(3, 0)
    for count, value in color:
        bits.bits(count, value)
    assert av1_sequence(bits.to_bytes()).depth_chroma == expected
    assert av1_sequence(bits.to_bytes()).profile_level == profile << 5 | 8


def test_av1_timing_and_operating_points() -> None:
    bits = BitWriter().bits(3, 0).bits(2, 0)
    bits.bits(1, 1).bits(64, 1).bits(1, 1).golomb(5)  # timing, equal intervals
    bits.bits(1, 1).bits(5, 9).bits(32, 1).bits(10, 0)  # decoder model, 10 bits each
    bits.bits(1, 1)  # display delay
    bits.bits(5, 1)  # two operating points
    bits.bits(12, 1).bits(5, 12).bits(1, 1).bits(1, 1).bits(21, 0).bits(1, 1).bits(4, 3)
    bits.bits(12, 0).bits(5, 3).bits(1, 0).bits(1, 0)
    bits.bits(4, 8).bits(4, 7).bits(9, 319).bits(8, 239)
    bits.bits(1, 1).bits(7, 0).bits(3, 0).bits(4, 0)  # frame ids, tools
    bits.bits(1, 1).bits(2, 0)  # order hints
    bits.bits(1, 0).bits(1, 1).bits(1, 0).bits(1, 0)  # screen content, integer motion vectors
    bits.bits(3, 6).bits(3, 0)
    bits.bits(1, 0).bits(1, 0).bits(1, 0).bits(1, 0).bits(2, 0)
    seen = av1_sequence(bits.to_bytes())
    assert seen.size == (320, 240)
    assert (seen.profile_level, seen.depth_chroma) == (12, 0x8C)


@pytest.mark.parametrize(
    ("packet", "duration_us"),
    [
        (b"\x00", 10_000),
        (b"\x18", 60_000),
        (b"\x60", 10_000),
        (b"\x68", 20_000),
        (b"\x80", 2_500),
        (b"\xf8", 20_000),
        (b"\xf9", 40_000),
        (b"\xfa", 40_000),
        (b"\xfb\x03", 60_000),
    ],
)
def test_opus_duration(packet: bytes, duration_us: int) -> None:
    assert opus_duration_us(packet) == duration_us


@pytest.mark.parametrize("packet", [b"", b"\xfb"])
def test_no_opus(packet: bytes) -> None:
    with pytest.raises(BadPayload):
        opus_duration_us(packet)


def test_opus_head_has_its_nineteen_bytes() -> None:
    assert len(opus_head(2)) == 19
    assert opus_head(2)[9] == 2


@given(st.integers(0, 2**20))
def test_exp_golomb_codes_read_back(value: int) -> None:
    data = BitWriter().golomb(value).to_bytes()
    assert BitReader(data).unsigned_golomb() == value
    signed = BitReader(data).signed_golomb()
    assert (2 * signed - 1 if signed > 0 else -2 * signed) == value


def test_endless_exp_golomb_codes_are_refused() -> None:
    with pytest.raises(BadPayload):
        BitReader(bytes(20)).unsigned_golomb()
