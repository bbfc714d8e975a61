"""Which codecs can be kept, how, and in which container."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from mediaserver.journal import JournalHeader
from recorder.depacketize.av1 import Av1Depacketizer
from recorder.depacketize.frame import Depacketizer
from recorder.depacketize.h264 import H264Depacketizer
from recorder.depacketize.opus import OpusDepacketizer
from recorder.depacketize.vp8 import Vp8Depacketizer
from recorder.depacketize.vp9 import Vp9Depacketizer


@dataclass(frozen=True, slots=True)
class Codec:
    """`matroska_id` names it in Matroska; `container` is the file format that it goes into.

    `clock_rate` is the only one that its RTP payload format has.
    """

    matroska_id: str
    container: str  # "webm" | "mp4"
    clock_rate: int
    depacketizer: Callable[[JournalHeader], Depacketizer]


CODECS: Mapping[str, Codec] = {
    "audio/opus": Codec("A_OPUS", "webm", 48_000, lambda _: OpusDepacketizer()),
    "video/vp8": Codec("V_VP8", "webm", 90_000, lambda _: Vp8Depacketizer()),
    "video/vp9": Codec("V_VP9", "webm", 90_000, lambda _: Vp9Depacketizer()),
    "video/av1": Codec("V_AV1", "webm", 90_000, lambda _: Av1Depacketizer()),
    "video/h264": Codec(
        "V_MPEG4/ISO/AVC", "mp4", 90_000, lambda header: H264Depacketizer(header.fmtp)
    ),
}
"""By lower-case MIME type."""
