"""VP8 (RFC 7741)."""

from __future__ import annotations

from collections.abc import Sequence

from recorder.bitstream import vp8_keyframe_size
from recorder.depacketize.frame import CodedFrame, PictureId
from recorder.errors import BadPayload


class Vp8Depacketizer:
    """Strips payload descriptors (section 4.2)."""

    def starts(self, payload: bytes) -> bool:
        return payload[0] & 0x17 == 0x10  # S set, partition index 0

    def picture_id(self, payload: bytes) -> PictureId | None:
        if not payload[0] & 0x80 or len(payload) < 3 or not payload[1] & 0x80:
            return None
        if not payload[2] & 0x80:
            return PictureId(payload[2], 1 << 7)
        if len(payload) < 4:
            return None
        return PictureId((payload[2] & 0x7F) << 8 | payload[3], 1 << 15)

    def assemble(self, payloads: Sequence[bytes]) -> CodedFrame | None:
        data = b"".join(payload[_descriptor_length(payload) :] for payload in payloads)
        size = vp8_keyframe_size(data)
        return CodedFrame(data, size is not None, size)


def _descriptor_length(payload: bytes) -> int:
    length = 1
    if payload[0] & 0x80:  # X
        if len(payload) < 3:
            raise BadPayload("a VP8 payload that ends in its descriptor")
        extension = payload[1]
        length = 2
        if extension & 0x80:  # I
            length += 2 if payload[2] & 0x80 else 1
        length += bool(extension & 0x40)  # L
        length += bool(extension & 0x30)  # T or K
    if length >= len(payload):
        raise BadPayload("a VP8 payload that ends in its descriptor")
    return length
