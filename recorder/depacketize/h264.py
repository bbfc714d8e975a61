"""H.264 (RFC 6184, packetization modes 0 and 1) -> NAL units with 4-byte lengths.

Parameter sets stay in the frames that carried them, and every keyframe is given the ones in force
if it came without, so each keyframe decodes whatever the container's own copy says.
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Iterator, Sequence
from contextlib import suppress

from recorder.bitstream import BitReader, avc_configuration, h264_sequence_parameters
from recorder.depacketize.frame import CodedFrame, PictureId
from recorder.errors import BadPayload

_SLICE, _IDR, _SPS, _PPS, _DELIMITER, _STAP_A, _FU_A = 1, 5, 7, 8, 9, 24, 28
_LENGTH = struct.Struct("!I")


class H264Depacketizer:
    """`fmtp` may bring parameter sets (sprop-parameter-sets); those that are none are left out."""

    def __init__(self, fmtp: str = "") -> None:
        self._sps = b""
        self._pps: dict[int, bytes] = {}
        for nal in _sprop_parameter_sets(fmtp):
            with suppress(BadPayload):
                self._remember(nal)

    def starts(self, payload: bytes) -> bool:
        kind = payload[0] & 0x1F
        if kind == _STAP_A and len(payload) > 3:
            kind = payload[3] & 0x1F
        return kind in (_SPS, _DELIMITER)

    def picture_id(self, _payload: bytes, /) -> PictureId | None:
        return None

    def assemble(self, payloads: Sequence[bytes]) -> CodedFrame | None:
        nals = list(_nal_units(payloads))
        kinds = {nal[0] & 0x1F for nal in nals}
        for nal in nals:
            self._remember(nal)
        if not kinds & {_SLICE, _IDR}:
            return None
        if _IDR not in kinds:
            return CodedFrame(_prefixed(nals), False)
        if not self._sps or not self._pps:
            raise BadPayload("an H.264 keyframe without parameter sets")
        if _SPS not in kinds or _PPS not in kinds:
            own = {_SPS, _PPS, _DELIMITER}
            rest = [nal for nal in nals if nal[0] & 0x1F not in own]
            nals = [self._sps, *self._pps.values(), *rest]
        config = avc_configuration(self._sps, next(iter(self._pps.values())))
        size = h264_sequence_parameters(self._sps).size
        return CodedFrame(_prefixed(nals), True, size, config)

    def _remember(self, nal: bytes) -> None:
        kind = nal[0] & 0x1F
        if kind == _SPS and nal != self._sps:
            self._sps = nal
            self._pps = {}
        elif kind == _PPS and len(nal) > 1:
            self._pps[_picture_parameter_set_id(nal)] = nal


def sequence_parameter_sets(payload: bytes) -> list[bytes]:
    """Those of one RTP payload that are whole in it. Never raises."""
    if not payload or payload[0] & 0x1F not in (_SPS, _STAP_A):
        return []
    try:
        return [nal for nal in _nal_units([payload]) if nal[0] & 0x1F == _SPS]
    except BadPayload:
        return []


def _nal_units(payloads: Sequence[bytes]) -> Iterator[bytes]:
    fragments: list[bytes] = []
    for payload in payloads:
        kind = payload[0] & 0x1F
        if fragments and kind != _FU_A:
            raise BadPayload("an H.264 fragment without its end")
        if kind == _STAP_A:
            yield from _aggregated(payload)
        elif kind == _FU_A:
            if len(payload) < 3 or bool(payload[1] & 0x80) == bool(fragments):
                raise BadPayload("an H.264 fragment out of place")
            if not fragments:
                fragments.append(bytes([payload[0] & 0xE0 | payload[1] & 0x1F]))
            fragments.append(payload[2:])
            if payload[1] & 0x40:
                yield b"".join(fragments)
                fragments = []
        elif 1 <= kind <= 23:
            yield payload
        else:
            raise BadPayload(f"an H.264 payload of type {kind}")
    if fragments:
        raise BadPayload("an H.264 fragment without its end")


def _aggregated(payload: bytes) -> Iterator[bytes]:
    at = 1
    while at < len(payload):
        size = int.from_bytes(payload[at : at + 2], "big")
        at += 2
        if not 0 < size <= len(payload) - at:
            raise BadPayload("an H.264 aggregation packet that ends too early")
        yield payload[at : at + size]
        at += size


def _prefixed(nals: Sequence[bytes]) -> bytes:
    return b"".join(_LENGTH.pack(len(nal)) + nal for nal in nals)


def _picture_parameter_set_id(nal: bytes) -> int:
    return BitReader(nal[1:5]).unsigned_golomb()


def _sprop_parameter_sets(fmtp: str) -> Iterator[bytes]:
    for parameter in fmtp.split(";"):
        name, _, value = parameter.strip().partition("=")
        if name.lower() == "sprop-parameter-sets":
            for text in value.split(","):
                try:
                    nal = base64.b64decode(text, validate=True)
                except ValueError:  # not base64, or not even ASCII
                    continue
                if nal:
                    yield nal
