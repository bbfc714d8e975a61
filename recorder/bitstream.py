"""The few header fields of coded video that a container needs: picture sizes and configuration.

VP8 RFC 6386 section 9.1, VP9 bitstream specification section 6.2, H.264 ITU-T section 7.3.2.1 and
ISO/IEC 14496-15 section 5.3.3.1, AV1 bitstream specification section 5.5 and "AV1 in ISOBMFF"
section 2.3, Opus RFC 7845 section 5.1 and RFC 6716 section 3.1. Everything raises BadPayload on
bytes that are not what they should be.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from recorder.errors import BadPayload

Size = tuple[int, int]

MAX_SIDE = 16_384
"""Pixels; what decoders allocate for a picture is what its header says."""

H264_HIGH_PROFILES = frozenset({100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135})
_OPUS_RATE = 48000


class BitReader:
    """Reads bits from the most significant on."""

    def __init__(self, data: bytes) -> None:
        self._value = int.from_bytes(data, "big")
        self._left = len(data) * 8

    def bits(self, count: int) -> int:
        if count > self._left:
            raise BadPayload("a header ends too early")
        self._left -= count
        return (self._value >> self._left) & ((1 << count) - 1)

    def flag(self) -> bool:
        return bool(self.bits(1))

    def unsigned_golomb(self) -> int:
        """ue(v), H.264 section 9.1."""
        zeros = 0
        while not self.flag():
            zeros += 1
            if zeros > 32:
                raise BadPayload("not an Exp-Golomb code")
        return (1 << zeros) - 1 + self.bits(zeros)

    def signed_golomb(self) -> int:
        """se(v), H.264 section 9.1.1."""
        code = self.unsigned_golomb()
        return (code + 1) // 2 if code & 1 else -(code // 2)


def picture_size(width: int, height: int) -> Size:
    """Raises BadPayload when no camera, screen or encoder has pictures of this size."""
    sides = 0 < width <= MAX_SIDE and 0 < height <= MAX_SIDE
    if not sides or (width + 128) * (height + 128) * 8 >= 1 << 31:  # FFmpeg takes no larger ones
        raise BadPayload(f"pictures of {width}x{height}")
    return width, height


# --- Opus -----------------------------------------------------------------------------------------


def opus_head(channels: int) -> bytes:
    """The identification header. No pre-skip: a recording rarely begins where its encoder did."""
    return b"OpusHead" + struct.pack("<BBHIhB", 1, channels, 0, _OPUS_RATE, 0, 0)


def opus_duration_us(packet: bytes) -> int:
    """Playing time of one Opus packet, from its first bytes."""
    if not packet:
        raise BadPayload("an empty Opus packet")
    config = packet[0] >> 3
    if config < 12:
        frame_us = (10_000, 20_000, 40_000, 60_000)[config & 3]
    elif config < 16:
        frame_us = (10_000, 20_000)[config & 1]
    else:
        frame_us = (2_500, 5_000, 10_000, 20_000)[config & 3]
    match packet[0] & 3:
        case 0:
            frames = 1
        case 3:
            if len(packet) < 2:
                raise BadPayload("an Opus packet without its frame count")
            frames = packet[1] & 0x3F
        case _:
            frames = 2
    return frames * frame_us


# --- VP8, VP9 -------------------------------------------------------------------------------------


def vp8_keyframe_size(frame: bytes) -> Size | None:
    """The size in a keyframe's header; None for an interframe."""
    if not frame:
        raise BadPayload("an empty VP8 frame")
    if frame[0] & 1:
        return None
    if len(frame) < 10 or frame[3:6] != b"\x9d\x01\x2a":
        raise BadPayload("a VP8 keyframe without its start code")
    width, height = struct.unpack_from("<HH", frame, 6)
    return picture_size(width & 0x3FFF, height & 0x3FFF)


def vp9_keyframe_size(frame: bytes) -> Size | None:
    """The size in a keyframe's uncompressed header; None for any other frame."""
    reader = BitReader(frame[:32])
    if reader.bits(2) != 2:
        raise BadPayload("not a VP9 frame")
    profile = reader.bits(1) | reader.bits(1) << 1
    if profile == 3:
        reader.bits(1)
    if reader.flag():  # show_existing_frame
        return None
    if reader.flag():  # frame_type: not a keyframe
        return None
    reader.bits(2)  # show_frame, error_resilient_mode
    if reader.bits(24) != 0x498342:
        raise BadPayload("a VP9 keyframe without its sync code")
    if profile >= 2:
        reader.bits(1)
    if reader.bits(3) != 7:  # color_space: not RGB
        reader.bits(1)
        if profile & 1:
            reader.bits(3)
    elif profile & 1:
        reader.bits(1)
    width = reader.bits(16) + 1
    return picture_size(width, reader.bits(16) + 1)


# --- H.264 ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SequenceParameters:
    """What an H.264 sequence parameter set says that a container repeats."""

    profile: int
    compatibility: int
    level: int
    chroma_format: int
    luma_depth: int
    chroma_depth: int
    size: Size


def h264_sequence_parameters(nal: bytes) -> SequenceParameters:
    """Reads a NAL unit of type 7."""
    if len(nal) < 4 or nal[0] & 0x1F != 7:
        raise BadPayload("not an H.264 sequence parameter set")
    reader = BitReader(nal[1:].replace(b"\0\0\3", b"\0\0"))
    profile, compatibility, level = reader.bits(8), reader.bits(8), reader.bits(8)
    reader.unsigned_golomb()  # seq_parameter_set_id
    chroma, luma_depth, chroma_depth = 1, 8, 8
    if profile in H264_HIGH_PROFILES:
        chroma = reader.unsigned_golomb()
        if chroma == 3:
            reader.bits(1)
        luma_depth, chroma_depth = 8 + reader.unsigned_golomb(), 8 + reader.unsigned_golomb()
        reader.bits(1)
        if reader.flag():
            for index in range(12 if chroma == 3 else 8):
                if reader.flag():
                    _skip_scaling_list(reader, 16 if index < 6 else 64)
    reader.unsigned_golomb()  # log2_max_frame_num_minus4
    _skip_picture_order(reader)
    reader.unsigned_golomb()  # max_num_ref_frames
    reader.bits(1)
    width_mbs, height_units = reader.unsigned_golomb() + 1, reader.unsigned_golomb() + 1
    fields = 2 - reader.bits(1)  # 1: frames only
    if fields == 2:
        reader.bits(1)
    reader.bits(1)
    width, height = width_mbs * 16, height_units * 16 * fields
    if reader.flag():
        left, right = reader.unsigned_golomb(), reader.unsigned_golomb()
        top, bottom = reader.unsigned_golomb(), reader.unsigned_golomb()
        width -= (left + right) * (2 if chroma in (1, 2) else 1)
        height -= (top + bottom) * (2 if chroma == 1 else 1) * fields
    return SequenceParameters(
        profile,
        compatibility,
        level,
        chroma,
        luma_depth,
        chroma_depth,
        picture_size(width, height),
    )


def _skip_scaling_list(reader: BitReader, length: int) -> None:
    last = scale = 8
    for _ in range(length):
        if scale:
            scale = (last + reader.signed_golomb()) % 256
        last = scale or last


def _skip_picture_order(reader: BitReader) -> None:
    kind = reader.unsigned_golomb()
    if kind == 0:
        reader.unsigned_golomb()
    elif kind == 1:
        reader.bits(1)
        reader.signed_golomb()
        reader.signed_golomb()
        for _ in range(min(reader.unsigned_golomb(), 255)):
            reader.signed_golomb()


def avc_configuration(sps: bytes, pps: bytes) -> bytes:
    """AVCDecoderConfigurationRecord (avcC) with 4-byte NAL unit lengths."""
    seen = h264_sequence_parameters(sps)
    if max(len(sps), len(pps)) > 0xFFFF or max(seen.luma_depth, seen.chroma_depth) > 14:
        raise BadPayload("H.264 parameter sets that no decoder takes")
    if seen.chroma_format > 3:
        raise BadPayload(f"an H.264 chroma format of {seen.chroma_format}")
    record = bytes([1, seen.profile, seen.compatibility, seen.level, 0xFF, 0xE1])
    record += len(sps).to_bytes(2, "big") + sps + b"\x01" + len(pps).to_bytes(2, "big") + pps
    if seen.profile in (100, 110, 122, 144):
        depths = (0xF8 | (seen.luma_depth - 8), 0xF8 | (seen.chroma_depth - 8))
        record += bytes([0xFC | seen.chroma_format, *depths, 0])
    return record


# --- AV1 ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Av1Sequence:
    """What an AV1 sequence header says: bytes 1 and 2 of av1C, and the largest picture size."""

    profile_level: int
    depth_chroma: int
    size: Size


def av1_sequence(payload: bytes) -> Av1Sequence:
    """Reads the payload of a sequence header OBU."""
    reader = BitReader(payload)
    profile = reader.bits(3)
    reader.bits(1)  # still_picture
    reduced = reader.flag()
    level, tier = (reader.bits(5), 0) if reduced else _operating_points(reader)
    width_bits, height_bits = reader.bits(4) + 1, reader.bits(4) + 1
    size = picture_size(reader.bits(width_bits) + 1, reader.bits(height_bits) + 1)
    _skip_av1_tools(reader, reduced)
    return Av1Sequence(profile << 5 | level, tier << 7 | _av1_color(reader, profile), size)


def av1_configuration(sequence_header_obu: bytes, payload: bytes) -> bytes:
    """AV1CodecConfigurationRecord (av1C); the OBU has its size field."""
    seen = av1_sequence(payload)
    return bytes([0x81, seen.profile_level, seen.depth_chroma, 0]) + sequence_header_obu


def _operating_points(reader: BitReader) -> tuple[int, int]:
    """Level and tier of the first operating point; what follows is passed over."""
    decoder_model = False
    delay_bits = 0
    if reader.flag():  # timing_info_present_flag
        reader.bits(64)
        if reader.flag():
            reader.unsigned_golomb()
        decoder_model = reader.flag()
        if decoder_model:
            delay_bits = reader.bits(5) + 1
            reader.bits(32 + 5 + 5)
    display_delay = reader.flag()
    points = []
    for _ in range(reader.bits(5) + 1):
        reader.bits(12)
        level = reader.bits(5)
        points.append((level, reader.bits(1) if level > 7 else 0))
        if decoder_model and reader.flag():
            reader.bits(2 * delay_bits + 1)
        if display_delay and reader.flag():
            reader.bits(4)
    return points[0]


def _skip_av1_tools(reader: BitReader, reduced: bool) -> None:
    """From behind the frame size to the colour description."""
    if not reduced and reader.flag():  # frame_id_numbers_present_flag
        reader.bits(7)
    reader.bits(3)  # superblock size, filter intra, intra edge filter
    if not reduced:
        reader.bits(4)  # compound modes, warped motion, dual filter
        order_hint = reader.flag()
        if order_hint:
            reader.bits(2)
        chosen = reader.flag()
        screen_content = chosen or reader.flag()
        if screen_content and not reader.flag():
            reader.bits(1)
        if order_hint:
            reader.bits(3)
    reader.bits(3)  # superres, cdef, restoration


def _av1_color(reader: BitReader, profile: int) -> int:
    """The low seven bits of byte 2 of av1C, from color_config()."""
    high = reader.bits(1)
    twelve = reader.bits(1) if profile == 2 and high else 0
    mono = 0 if profile == 1 else reader.bits(1)
    description = (2, 2, 2)
    if reader.flag():
        description = (reader.bits(8), reader.bits(8), reader.bits(8))
    across, down, position = 1, 1, 0
    if mono:
        reader.bits(1)
    elif description == (1, 13, 0):  # sRGB
        across = down = 0
    else:
        reader.bits(1)
        if profile == 1:
            across = down = 0
        elif profile == 2:
            across = reader.bits(1) if twelve else 1
            down = reader.bits(1) if twelve and across else 0
        if across and down:
            position = reader.bits(2)
    return high << 6 | twelve << 5 | mono << 4 | across << 3 | down << 2 | position
