"""WebM that grows (RFC 9559): a segment of unknown size, then whole clusters, no cues.

Written here and not by a muxer library, because players need what those leave out: how long each
picture stands (BlockDuration), and clusters that are cut where this package says.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from recorder.bitstream import Size, opus_head
from recorder.live.lanes import Block

_VIDEO_TRACK, _AUDIO_TRACK = 1, 2
_UNKNOWN_SIZE = b"\x01" + b"\xff" * 7
_BLOCK_HEAD = struct.Struct("!BhB")
_KEYFRAME = 0x80
_SEGMENT = bytes.fromhex("18538067")


class GrowingWebm:
    """A `Container`. `codec` is video's name in Matroska, None for sound alone."""

    def __init__(self, codec: str | None, size: Size) -> None:
        self._codec = codec
        self._size = size

    def begin(self, config: bytes) -> bytes:
        kind = _text(0x4282, "webm") + _unsigned(0x4287, 4) + _unsigned(0x4285, 2)
        info = _unsigned(0x2AD7B1, 1_000_000) + _text(0x4D80, "mediaserver")
        info += _text(0x5741, "mediaserver")
        tracks = b""
        if self._codec is not None:
            tracks += _video_entry(self._codec, self._size, config)
        tracks += _audio_entry()
        head = _element(0x1A45DFA3, kind) + _SEGMENT + _UNKNOWN_SIZE
        return head + _element(0x1549A966, info) + _element(0x1654AE6B, tracks)

    def cluster(self, blocks: Sequence[Block]) -> bytes:
        start_ms = _ms(blocks[0].at_us)
        parts = [_unsigned(0xE7, start_ms)]
        for block in blocks:
            after_ms = _ms(block.at_us) - start_ms
            if block.kind == "audio":
                head = _BLOCK_HEAD.pack(0x80 | _AUDIO_TRACK, after_ms, _KEYFRAME)
                parts.append(_element(0xA3, head + block.data))
            else:
                parts.append(_picture(block, after_ms))
        return _element(0x1F43B675, b"".join(parts))


def _picture(block: Block, after_ms: int) -> bytes:
    duration_ms = _ms(block.at_us + block.duration_us) - _ms(block.at_us)
    head = _BLOCK_HEAD.pack(0x80 | _VIDEO_TRACK, after_ms, 0)
    group = _element(0xA1, head + block.data) + _unsigned(0x9B, duration_ms)
    if not block.keyframe:
        group += _element(0xFB, b"\xff")  # refers to the block 1 ms before: to another one
    return _element(0xA0, group)


def _video_entry(codec: str, size: Size, config: bytes) -> bytes:
    video = _element(0xE0, _unsigned(0xB0, size[0]) + _unsigned(0xBA, size[1]))
    private = _element(0x63A2, config) if config else b""
    return _element(0xAE, _entry(_VIDEO_TRACK, 1, codec) + private + video)


def _audio_entry() -> bytes:
    """Two channels always: a packet of one is played on both (RFC 7845 section 5.1.1)."""
    audio = _element(0xE1, _element(0xB5, struct.pack("!d", 48_000)) + _unsigned(0x9F, 2))
    private = _element(0x63A2, opus_head(2))
    return _element(0xAE, _entry(_AUDIO_TRACK, 2, "A_OPUS") + private + audio)


def _entry(number: int, kind: int, codec: str) -> bytes:
    entry = _unsigned(0xD7, number) + _unsigned(0x73C5, number) + _unsigned(0x83, kind)
    return entry + _unsigned(0x9C, 0) + _text(0x86, codec)


def _ms(us: int) -> int:
    return (us + 500) // 1000


def _element(identifier: int, data: bytes) -> bytes:
    """An EBML element (RFC 8794) with the shortest size."""
    name = identifier.to_bytes((identifier.bit_length() + 7) // 8, "big")
    size, length = len(data), 1
    while size >= (1 << (7 * length)) - 1:
        length += 1
    return name + (size | 1 << (7 * length)).to_bytes(length, "big") + data


def _unsigned(identifier: int, value: int) -> bytes:
    return _element(identifier, value.to_bytes(max((value.bit_length() + 7) // 8, 1), "big"))


def _text(identifier: int, value: str) -> bytes:
    return _element(identifier, value.encode())
