"""AV1 ("RTP Payload Format For AV1", section 4) -> temporal units whose OBUs have size fields.

Temporal delimiters and tile lists, which containers leave out, are left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from recorder.bitstream import av1_configuration, av1_sequence
from recorder.depacketize.frame import CodedFrame, PictureId
from recorder.errors import BadPayload

_SEQUENCE_HEADER, _TEMPORAL_DELIMITER, _FRAME_HEADER, _FRAME, _TILE_LIST = 1, 2, 3, 6, 8
_LEFT_OUT = frozenset({_TEMPORAL_DELIMITER, _TILE_LIST})


class Av1Depacketizer:
    """Joins OBU elements across payloads."""

    def starts(self, payload: bytes) -> bool:
        return bool(payload[0] & 0x08)  # N: first packet of a coded video sequence

    def picture_id(self, _payload: bytes, /) -> PictureId | None:
        return None

    def assemble(self, payloads: Sequence[bytes]) -> CodedFrame | None:
        parts: list[bytes] = []
        header = b""
        keyframe: bool | None = None  # of the first frame
        for obu in _joined(payloads):
            kind, payload = obu[0] >> 3 & 0x0F, _payload(obu)
            if kind in _LEFT_OUT:
                continue
            parts.append(_with_size(obu, payload))
            if kind == _SEQUENCE_HEADER and not header:
                header, parameters = parts[-1], payload
            elif kind in (_FRAME, _FRAME_HEADER) and keyframe is None and payload:
                keyframe = payload[0] & 0xE0 == 0  # a new frame of type KEY_FRAME
        if keyframe is None:
            return None
        data = b"".join(parts)
        if not keyframe or not header:
            return CodedFrame(data, False)
        size = av1_sequence(parameters).size
        return CodedFrame(data, True, size, av1_configuration(header, parameters))


def leb128(value: int) -> bytes:
    """Little-endian base 128, AV1 section 4.10.5."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def read_leb128(data: bytes, at: int) -> tuple[int, int]:
    """(value, offset behind it). Raises BadPayload."""
    value = 0
    for index, byte in enumerate(data[at : at + 8]):
        value |= (byte & 0x7F) << (7 * index)
        if not byte & 0x80:
            return value, at + index + 1
    raise BadPayload("an AV1 length that does not end")


def _joined(payloads: Sequence[bytes]) -> Iterator[bytes]:
    """Whole OBUs as sent, first byte the OBU header."""
    pending = b""
    for payload in payloads:
        continues, to_be_continued = payload[0] & 0x80, payload[0] & 0x40
        elements = list(_elements(payload))
        if not elements or bool(continues) != bool(pending):
            raise BadPayload("an AV1 payload that does not go on where the last one ended")
        elements[0] = pending + elements[0]
        pending = elements.pop() if to_be_continued else b""
        yield from (element for element in elements if element)
    if pending:
        raise BadPayload("an AV1 OBU without its end")


def _elements(payload: bytes) -> Iterator[bytes]:
    count = payload[0] >> 4 & 0x03  # W: 0 is "each has its length"
    at, index = 1, 0
    while at < len(payload):
        index += 1
        size = len(payload) - at
        if index != count:
            size, at = read_leb128(payload, at)
        if size > len(payload) - at:
            raise BadPayload("an AV1 element that is longer than its packet")
        yield payload[at : at + size]
        at += size


def _payload(obu: bytes) -> bytes:
    at = 2 if obu[0] & 0x04 else 1  # extension byte
    if not obu[0] & 0x02:
        return obu[at:]
    size, at = read_leb128(obu, at)
    return obu[at : at + size]


def _with_size(obu: bytes, payload: bytes) -> bytes:
    extension = obu[1:2] if obu[0] & 0x04 else b""
    return bytes([obu[0] & 0xFD | 0x02]) + extension + leb128(len(payload)) + payload
