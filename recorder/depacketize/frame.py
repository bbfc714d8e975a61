"""The contract of all depacketizers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

Size = tuple[int, int]


@dataclass(frozen=True, slots=True)
class CodedFrame:
    """One frame (video) or packet (audio) as a container keeps it.

    `size` and `config` (CodecPrivate; avcC, av1C) are known for keyframes only.
    """

    data: bytes
    keyframe: bool
    size: Size | None = None
    config: bytes = b""
    duration_us: int | None = None


class PictureId(NamedTuple):
    """A counter of frames that a payload carries; wraps at `modulus`."""

    value: int
    modulus: int

    def follows(self, other: PictureId) -> bool:
        """True when no frame lies between `other` and this one."""
        return self.modulus == other.modulus and self.value == (other.value + 1) % self.modulus


class Depacketizer(Protocol):
    """Turns the payloads of one frame into the frame. May remember parameter sets."""

    def starts(self, payload: bytes, /) -> bool:
        """True when a frame surely begins with this payload. Never raises."""
        ...

    def picture_id(self, payload: bytes, /) -> PictureId | None:
        """The frame counter, if the payload format has one. Never raises."""
        ...

    def assemble(self, payloads: Sequence[bytes]) -> CodedFrame | None:
        """The frame of these payloads, all there and in order; none of them is empty.

        None when they carry no picture (parameter sets alone). Raises BadPayload.
        """
        ...
