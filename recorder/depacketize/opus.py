"""Opus (RFC 7587): one payload is one packet."""

from __future__ import annotations

from collections.abc import Sequence

from recorder.bitstream import opus_duration_us
from recorder.depacketize.frame import CodedFrame, PictureId


class OpusDepacketizer:
    """Every packet stands alone."""

    def starts(self, _payload: bytes, /) -> bool:
        return True

    def picture_id(self, _payload: bytes, /) -> PictureId | None:
        return None

    def assemble(self, payloads: Sequence[bytes]) -> CodedFrame | None:
        data = payloads[0]
        return CodedFrame(data, True, duration_us=opus_duration_us(data))
