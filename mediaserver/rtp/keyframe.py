"""Does this payload begin a keyframe? One predicate per codec, for starting a subscriber cleanly.

Only the payload descriptor and the first bytes behind it are read, so end-to-end encrypted
frames (whose first bytes stay in the clear) are recognised too.
"""

from __future__ import annotations

from collections.abc import Callable

from mediaserver.rtp.header import payload_span

H264_IDR, H264_SPS, H264_STAP_A, H264_FU_A = 5, 7, 24, 28


def vp8(payload: bytes) -> bool:
    """RFC 7741, 4.2 and 4.3: first partition, inverse key frame flag clear."""
    if len(payload) < 2 or not payload[0] & 0x10 or payload[0] & 0x07:
        return False
    position = 1
    if payload[0] & 0x80:
        extension = payload[1]
        position = 2
        if extension & 0x80:
            if position >= len(payload):
                return False
            position += 2 if payload[position] & 0x80 else 1
        position += bool(extension & 0x40) + bool(extension & 0x30)
    return position < len(payload) and not payload[position] & 0x01


def vp9(payload: bytes) -> bool:
    """RFC 9628, 4.2: not inter-predicted, start of a frame, lowest spatial layer."""
    if not payload or payload[0] & 0x40 or not payload[0] & 0x08:
        return False
    if not payload[0] & 0x20:
        return True
    position = 1
    if payload[0] & 0x80:
        if position >= len(payload):
            return False
        position += 2 if payload[position] & 0x80 else 1
    return position < len(payload) and (payload[position] >> 1) & 0x07 == 0


def h264(payload: bytes) -> bool:
    """RFC 6184, 5.2 to 5.8: a sequence parameter set or the start of an IDR slice."""
    if not payload:
        return False
    nal_type = payload[0] & 0x1F
    if nal_type == H264_FU_A:
        return len(payload) > 1 and bool(payload[1] & 0x80) and payload[1] & 0x1F == H264_IDR
    if nal_type != H264_STAP_A:
        return nal_type in (H264_IDR, H264_SPS)
    position = 1
    while position + 2 < len(payload):
        if payload[position + 2] & 0x1F in (H264_IDR, H264_SPS):
            return True
        position += 2 + (payload[position] << 8 | payload[position + 1])
    return False


def av1(payload: bytes) -> bool:
    """RTP payload format for AV1, 4.4: the N bit starts a coded video sequence."""
    return bool(payload) and bool(payload[0] & 0x08)


def always(_payload: bytes) -> bool:
    """Audio: any packet will do."""
    return True


DETECTORS: dict[str, Callable[[bytes], bool]] = {
    "video/vp8": vp8,
    "video/vp9": vp9,
    "video/h264": h264,
    "video/av1": av1,
}


def starts_keyframe(mime_type: str, packet: bytes) -> bool:
    """Whether the RTP `packet` begins a point where a receiver of `mime_type` may start."""
    try:
        start, end = payload_span(packet)
    except ValueError:
        return False
    return DETECTORS.get(mime_type.lower(), always)(packet[start:end])
