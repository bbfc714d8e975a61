"""VP9 (RFC 9628): flexible and non-flexible mode, spatial layers of a picture kept together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from recorder.bitstream import Size, picture_size, vp9_keyframe_size
from recorder.depacketize.frame import CodedFrame, PictureId
from recorder.errors import BadPayload


@dataclass(frozen=True, slots=True)
class _Descriptor:
    length: int
    size: Size | None  # of the highest spatial layer, when a scalability structure is there


class Vp9Depacketizer:
    """Strips payload descriptors (section 4.2) and joins what is left."""

    def starts(self, payload: bytes) -> bool:
        if not payload[0] & 0x08:  # B: start of a layer frame
            return False
        if not payload[0] & 0x20:  # L: no layers
            return True
        at = 1 + _picture_id_length(payload)
        return len(payload) > at and not payload[at] & 0x0E  # spatial layer 0

    def picture_id(self, payload: bytes) -> PictureId | None:
        match _picture_id_length(payload):
            case 1 if len(payload) > 1:
                return PictureId(payload[1], 1 << 7)
            case 2 if len(payload) > 2:
                return PictureId((payload[1] & 0x7F) << 8 | payload[2], 1 << 15)
            case _:
                return None

    def assemble(self, payloads: Sequence[bytes]) -> CodedFrame | None:
        parts = []
        layered: Size | None = None
        for payload in payloads:
            descriptor = _descriptor(payload)
            parts.append(payload[descriptor.length :])
            layered = layered or descriptor.size
        data = b"".join(parts)
        size = vp9_keyframe_size(data)
        if size is None:
            return CodedFrame(data, False)
        return CodedFrame(data, True, picture_size(*layered) if layered else size)


def _picture_id_length(payload: bytes) -> int:
    if not payload[0] & 0x80:
        return 0
    return 2 if len(payload) > 1 and payload[1] & 0x80 else 1


def _descriptor(payload: bytes) -> _Descriptor:
    first = payload[0]
    flexible = first & 0x10
    try:
        length = 1 + _picture_id_length(payload)
        if first & 0x20:  # L: layer indices, and TL0PICIDX in non-flexible mode
            length += 1 if flexible else 2
        if flexible and first & 0x40:  # P: up to three reference differences
            length += 1
            for _ in range(2):
                if not payload[length - 1] & 0x01:
                    break
                length += 1
        size = None
        if first & 0x02:  # V: scalability structure
            length, size = _scalability_structure(payload, length)
    except IndexError:
        length, size = len(payload), None
    if length >= len(payload):
        raise BadPayload("a VP9 payload that ends in its descriptor")
    return _Descriptor(length, size)


def _scalability_structure(payload: bytes, at: int) -> tuple[int, Size | None]:
    """Offset behind the structure, and the size of its last spatial layer."""
    layers = (payload[at] >> 5) + 1
    has_sizes, has_pictures = payload[at] & 0x10, payload[at] & 0x08
    at += 1
    size = None
    if has_sizes:
        at += 4 * layers
        last = payload[at - 4 : at]
        size = (int.from_bytes(last[:2], "big"), int.from_bytes(last[2:], "big"))
    if has_pictures:
        pictures = payload[at]
        at += 1
        for _ in range(pictures):
            at += 1 + (payload[at] >> 2 & 0x03)
    return at, size
