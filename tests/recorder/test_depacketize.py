"""Frames that encoders made come out of their RTP payloads as they went in."""

from __future__ import annotations

import base64
import contextlib
from typing import Any

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.depacketize import PictureId
from recorder.depacketize.av1 import Av1Depacketizer, leb128, read_leb128
from recorder.depacketize.h264 import H264Depacketizer, sequence_parameter_sets
from recorder.depacketize.opus import OpusDepacketizer
from recorder.depacketize.vp8 import Vp8Depacketizer
from recorder.depacketize.vp9 import Vp9Depacketizer
from recorder.errors import BadPayload
from tests.media_truth import read_counter
from tests.recorder.known_media import (
    Coded,
    av1_obus,
    av1_payloads,
    encode_audio,
    encode_video,
    h264_nals,
    h264_payloads,
    vp8_payloads,
    vp9_payloads,
)

DEPACKETIZERS = [Vp8Depacketizer, Vp9Depacketizer, H264Depacketizer, Av1Depacketizer]


def annex_b(data: bytes) -> bytes:
    """Length-prefixed NAL units with start codes instead."""
    out, at = b"", 0
    while at < len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        out += b"\0\0\0\1" + data[at + 4 : at + 4 + size]
        at += 4 + size
    return out


# --- Opus -------------------------------------------------------------------------------------------


def test_opus_packets_stay_as_they_are() -> None:
    depacketizer = OpusDepacketizer()
    packet = encode_audio(1.0)[0]
    frame = depacketizer.assemble([packet])
    assert frame is not None
    assert (frame.data, frame.keyframe, frame.duration_us) == (packet, True, 20_000)
    assert depacketizer.starts(packet)
    assert depacketizer.picture_id(packet) is None


# --- VP8 --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("counted", [True, False])
def test_vp8(counted: bool) -> None:
    depacketizer = Vp8Depacketizer()
    for frame in encode_video("video/VP8"):
        payloads = vp8_payloads(frame, frame.counter if counted else None)
        assert depacketizer.starts(payloads[0])
        assert not any(depacketizer.starts(payload) for payload in payloads[1:])
        found = depacketizer.assemble(payloads)
        assert found is not None
        assert found.data == frame.data
        assert found.keyframe == frame.keyframe
        assert found.size == ((320, 240) if frame.keyframe else None)
        picture = depacketizer.picture_id(payloads[0])
        assert picture == (PictureId(frame.counter, 1 << 15) if counted else None)


@pytest.mark.parametrize(
    ("descriptor", "picture"),
    [
        (b"\x90\x80\x05", PictureId(5, 128)),
        (b"\x90\x80\x81\x00", PictureId(256, 1 << 15)),
        (b"\x90\xf0\x05\x01\x02", PictureId(5, 128)),
        (b"\x90\x40\x09", None),
        (b"\x90\x20\x09", None),
        (b"\x90\x10\x09", None),
        (b"\x90\x00", None),
        (b"\x10", None),
    ],
)
def test_vp8_descriptors(descriptor: bytes, picture: PictureId | None) -> None:
    depacketizer = Vp8Depacketizer()
    found = depacketizer.assemble([descriptor + b"\x01data"])
    assert found is not None
    assert found.data == b"\x01data"
    assert depacketizer.picture_id(descriptor + b"\x01data") == picture


@pytest.mark.parametrize(
    "payload", [b"\x10", b"\x90", b"\x90\x80", b"\x90\x80\x85", b"\x90\x80\x05"]
)
def test_vp8_payloads_that_end_in_their_descriptor(payload: bytes) -> None:
    depacketizer = Vp8Depacketizer()
    depacketizer.picture_id(payload)
    with pytest.raises(BadPayload):
        depacketizer.assemble([payload])


def test_picture_ids_follow_each_other_across_their_wrap() -> None:
    assert PictureId(0, 128).follows(PictureId(127, 128))
    assert not PictureId(2, 128).follows(PictureId(0, 128))
    assert not PictureId(1, 1 << 15).follows(PictureId(0, 128))


# --- VP9 --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("flexible", [True, False])
@pytest.mark.parametrize("size", [None, (320, 240)])
def test_vp9(flexible: bool, size: tuple[int, int] | None) -> None:
    depacketizer = Vp9Depacketizer()
    for frame in encode_video("video/VP9"):
        payloads = vp9_payloads(frame, flexible=flexible, size=size)
        found = depacketizer.assemble(payloads)
        assert found is not None
        assert found.data == frame.data
        assert found.keyframe == frame.keyframe
        assert found.size == ((320, 240) if frame.keyframe else None)
        assert depacketizer.starts(payloads[0])
        assert not any(depacketizer.starts(payload) for payload in payloads[1:])
        assert depacketizer.picture_id(payloads[0]) == PictureId(frame.counter, 1 << 15)


def test_vp9_layers_of_one_picture_are_joined_and_the_largest_counts() -> None:
    base = encode_video("video/VP9", count=2)[0].data
    structure = b"\x38\x00\xa0\x00\x78\x01\x40\x00\xf0\x01\x08\x00\x00"
    depacketizer = Vp9Depacketizer()
    lower = b"\xae\x05\x00\x07" + structure[:9] + structure[9:10] + b"\x00" + base
    upper = b"\xec\x05\x02\x07" + b"layer"
    found = depacketizer.assemble([lower, upper])
    assert found is not None
    assert found.data == base + b"layer"
    assert found.size == (320, 240)
    assert depacketizer.starts(lower)
    assert not depacketizer.starts(upper)


@pytest.mark.parametrize(
    ("payload", "picture"),
    [
        (b"\x88\x05\x86", PictureId(5, 128)),
        (b"\x08\x86", None),
        (b"\x88\x85", None),
        (b"\x80", None),
    ],
)
def test_vp9_picture_ids(payload: bytes, picture: PictureId | None) -> None:
    assert Vp9Depacketizer().picture_id(payload) == picture


@pytest.mark.parametrize(
    "payload",
    [b"\x08", b"\x88\x05", b"\xa8\x05\x00", b"\xd8\x05\x03", b"\x8a\x05\xf8", b"\x28", b""],
)
def test_vp9_payloads_that_end_in_their_descriptor(payload: bytes) -> None:
    depacketizer = Vp9Depacketizer()
    if payload:
        depacketizer.starts(payload)
    with pytest.raises((BadPayload, IndexError) if not payload else BadPayload):
        depacketizer.assemble([payload])


# --- H.264 ------------------------------------------------------------------------------------------


def decode_h264(frames: list[bytes]) -> list[int]:
    decoder: Any = av.CodecContext.create("h264", "r")
    pictures = [picture for data in frames for picture in decoder.decode(av.Packet(data))]
    return [read_counter(picture) for picture in [*pictures, *decoder.decode(None)]]


def test_h264() -> None:
    depacketizer = H264Depacketizer()
    found = []
    for frame in encode_video("video/H264"):
        payloads = h264_payloads(frame)
        assert depacketizer.starts(payloads[0]) == frame.keyframe
        assert depacketizer.picture_id(payloads[0]) is None
        coded = depacketizer.assemble(payloads)
        assert coded is not None
        assert coded.keyframe == frame.keyframe
        assert coded.size == ((320, 240) if frame.keyframe else None)
        assert coded.config[:1] == (b"\x01" if frame.keyframe else b"")
        assert b"".join(h264_nals(Coded(0, annex_b(coded.data), True))) == b"".join(
            h264_nals(frame)
        )
        found.append(annex_b(coded.data))
    assert decode_h264(found) == list(range(120))


def test_h264_keyframes_without_parameter_sets_get_those_in_force() -> None:
    frames = encode_video("video/H264")
    sets = [nal for nal in h264_nals(frames[0]) if nal[0] & 0x1F in (7, 8)]
    text = ",".join(base64.b64encode(nal).decode() for nal in sets)
    depacketizer = H264Depacketizer(f"packetization-mode=1; sprop-parameter-sets={text},%%%,")
    found = []
    for frame in frames:
        nals = [nal for nal in h264_nals(frame) if nal[0] & 0x1F not in (7, 8)]
        coded = depacketizer.assemble(nals)
        assert coded is not None
        found.append(annex_b(coded.data))
    assert decode_h264(found) == list(range(120))


def test_h264_parameter_sets_alone_are_remembered() -> None:
    frame = encode_video("video/H264")[0]
    depacketizer = H264Depacketizer()
    sets = [nal for nal in h264_nals(frame) if nal[0] & 0x1F in (7, 8)]
    rest = [nal for nal in h264_nals(frame) if nal[0] & 0x1F not in (7, 8)]
    with pytest.raises(BadPayload):
        depacketizer.assemble(rest)
    assert depacketizer.assemble(sets) is None
    coded = depacketizer.assemble(rest)
    assert coded is not None
    assert coded.keyframe


@pytest.mark.parametrize(
    "payloads",
    [
        [b"\x78\x00"],
        [b"\x78\x00\x00"],
        [b"\x78\x00\x09\x65"],
        [b"\x7c\x85"],
        [b"\x7c\x05data"],
        [b"\x7c\x85data"],
        [b"\x7c\x85data", b"\x7c\x85data"],
        [b"\x7c\x85data", b"\x41data"],
        [b"\x7ddata"],
    ],
)
def test_h264_payloads_that_are_none(payloads: list[bytes]) -> None:
    with pytest.raises(BadPayload):
        H264Depacketizer().assemble(payloads)
    assert sequence_parameter_sets(payloads[0]) == []


def test_h264_parameter_sets_are_seen_in_payloads() -> None:
    payload = h264_payloads(encode_video("video/H264")[0])[0]
    (found,) = sequence_parameter_sets(payload)
    assert found[0] & 0x1F == 7
    assert sequence_parameter_sets(b"") == []
    assert H264Depacketizer().starts(b"\x09\x10")


# --- AV1 --------------------------------------------------------------------------------------------


def test_av1() -> None:
    depacketizer = Av1Depacketizer()
    decoder: Any = av.CodecContext.create("libdav1d", "r")
    counters = []
    for frame in encode_video("video/AV1"):
        payloads = av1_payloads(frame)
        assert depacketizer.starts(payloads[0]) == frame.keyframe
        assert depacketizer.picture_id(payloads[0]) is None
        coded = depacketizer.assemble(payloads)
        assert coded is not None
        assert av1_obus(coded.data) == av1_obus(frame.data)
        assert coded.keyframe == frame.keyframe
        assert coded.size == ((320, 240) if frame.keyframe else None)
        assert coded.config[:1] == (b"\x81" if frame.keyframe else b"")
        counters += [read_counter(picture) for picture in decoder.decode(av.Packet(coded.data))]
    counters += [read_counter(picture) for picture in decoder.decode(None)]
    assert counters == list(range(120))


def test_av1_obus_with_sizes_and_extensions_are_taken_as_well() -> None:
    sized = b"\x36\x48" + leb128(3) + b"\x10ab"
    found = Av1Depacketizer().assemble([b"\x10" + sized, b"\x10\x12\x00"])
    assert found is not None
    assert (found.data, found.keyframe) == (b"\x36\x48\x03\x10ab", False)


def test_av1_without_a_frame_is_nothing_to_see() -> None:
    assert Av1Depacketizer().assemble([b"\x10\x10"]) is None


def test_av1_keyframe_without_a_sequence_header_is_no_start() -> None:
    found = Av1Depacketizer().assemble([b"\x10\x30\x00data"])
    assert found is not None
    assert not found.keyframe


@pytest.mark.parametrize(
    "payloads",
    [
        [b"\x10"],
        [b"\x90\x30\x10"],
        [b"\x50\x30\x10"],
        [b"\x50\x30\x10", b"\x10\x30"],
        [b"\x00\x09\x30"],
        [b"\x00\x80\x80\x80\x80\x80\x80\x80\x80\x01"],
    ],
)
def test_av1_payloads_that_are_none(payloads: list[bytes]) -> None:
    with pytest.raises(BadPayload):
        Av1Depacketizer().assemble(payloads)


@given(st.integers(0, 2**40))
def test_leb128_reads_back(value: int) -> None:
    data = leb128(value)
    assert read_leb128(b"x" + data + b"y", 1) == (value, 1 + len(data))


# --- all --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", DEPACKETIZERS)
@given(payloads=st.lists(st.binary(min_size=1, max_size=40), min_size=1, max_size=4))
def test_any_bytes_give_a_frame_or_bad_payload(make: Any, payloads: list[bytes]) -> None:
    depacketizer = make()
    depacketizer.starts(payloads[0])
    depacketizer.picture_id(payloads[0])
    with contextlib.suppress(BadPayload):
        depacketizer.assemble(payloads)
