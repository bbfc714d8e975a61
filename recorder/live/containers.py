"""The contract of the containers that grow, and what a browser calls what is in them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from recorder.bitstream import Size
from recorder.depacketize import CODECS, CodedFrame
from recorder.errors import MuxFailed
from recorder.live.fmp4 import FragmentedMp4
from recorder.live.lanes import Block
from recorder.live.webm import GrowingWebm


class Container(Protocol):
    """Makes bytes that are appended, and never looks back."""

    def begin(self, config: bytes) -> bytes:
        """What has to stand before the blocks that need `config` (as in CodedFrame)."""
        ...

    def cluster(self, blocks: Sequence[Block]) -> bytes:
        """Blocks of about a second in the order of their times; at least one."""
        ...


class Format(NamedTuple):
    """`content_type` is what MediaSource is asked for (RFC 6381); `restarts` says that another
    `config` on the way needs another beginning."""

    content_type: str
    suffix: str
    container: Container
    restarts: bool = False


def format_of(mime_type: str, first: CodedFrame | None) -> Format:
    """The format for video of `mime_type` that begins with the keyframe `first`, and Opus.

    Without video `first` is None. Raises MuxFailed for what no container takes.
    """
    if first is None:
        return Format('audio/webm; codecs="opus"', ".webm", GrowingWebm(None, (0, 0)))
    size: Size = first.size or (0, 0)
    match mime_type:
        case "video/vp8" | "video/vp9":
            codec = mime_type.removeprefix("video/")
        case "video/av1":
            codec = av1_name(first.config)
        case "video/h264":
            profile = "".join(f"{byte:02X}" for byte in first.config[1:4])
            content_type = f'video/mp4; codecs="avc1.{profile}, opus"'
            return Format(content_type, ".mp4", FragmentedMp4(size), restarts=True)
        case _:
            raise MuxFailed(f"{mime_type} can't be shown while it is recorded")
    container = GrowingWebm(CODECS[mime_type].matroska_id, size)
    return Format(f'video/webm; codecs="{codec}, opus"', ".webm", container)


def av1_name(av1c: bytes) -> str:
    """`av01.P.LLT.DD` ("AV1 in ISOBMFF" section 5) of the configuration record in `av1c`."""
    profile, level = av1c[1] >> 5, av1c[1] & 0x1F
    tier = "H" if av1c[2] & 0x80 else "M"
    depth = 8 if not av1c[2] & 0x40 else 12 if av1c[2] & 0x20 else 10
    return f"av01.{profile}.{level:02d}{tier}.{depth:02d}"
