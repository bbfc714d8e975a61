"""Fragmented MP4 that grows (ISO/IEC 14496-12 section 8.8): H.264 and Opus.

Each fragment stands alone: its own decode times, offsets from its own beginning. Parameter sets
are in the beginning and in each keyframe; when they change, a new beginning is written.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from recorder.bitstream import Size
from recorder.live.lanes import Block

_VIDEO_TRACK, _AUDIO_TRACK = 1, 2
_VIDEO_RATE, _AUDIO_RATE = 90_000, 48_000
_UNITY_MATRIX = struct.pack("!9I", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
_UNDETERMINED = 0x55C4  # the language "und"
_KEYFRAME, _INTERFRAME = 0x02000000, 0x01010000  # sample flags, section 8.8.3.1
_ENABLED_IN_MOVIE = 3
_SAMPLE = struct.Struct("!III")
# trun: data offset, and for each sample its duration, size and flags
_RUN_FLAGS = 0x000701
_DEFAULT_BASE_IS_MOOF = 0x020000


class FragmentedMp4:
    """A `Container` for video in H.264."""

    def __init__(self, size: Size) -> None:
        self._size = size
        self._number = 0

    def begin(self, config: bytes) -> bytes:
        kind = b"iso5" + struct.pack("!I", 0x200) + b"iso5iso6mp41"
        video = _track(_VIDEO_TRACK, _VIDEO_RATE, self._size, _avc1(self._size, config))
        audio = _track(_AUDIO_TRACK, _AUDIO_RATE, None, _opus())
        extends = b"".join(
            _full_box("trex", 0, 0, struct.pack("!5I", number, 1, 0, 0, 0))
            for number in (_VIDEO_TRACK, _AUDIO_TRACK)
        )
        movie = _movie_header() + video + audio + _box("mvex", extends)
        return _box("ftyp", kind) + _box("moov", movie)

    def cluster(self, blocks: Sequence[Block]) -> bytes:
        video = [block for block in blocks if block.kind == "video"]
        audio = [block for block in blocks if block.kind == "audio"]
        self._number += 1
        video_size = sum(len(block.data) for block in video)
        # the offsets in the moof count from its beginning, so its size has to be known first
        size = len(self._moof(video, audio, 0, 0))
        moof = self._moof(video, audio, size + 8, size + 8 + video_size)
        return moof + _box("mdat", b"".join(block.data for block in (*video, *audio)))

    def _moof(
        self, video: Sequence[Block], audio: Sequence[Block], video_at: int, audio_at: int
    ) -> bytes:
        parts = _full_box("mfhd", 0, 0, struct.pack("!I", self._number))
        if video:
            parts += _fragment(_VIDEO_TRACK, _VIDEO_RATE, video, video_at)
        if audio:
            parts += _fragment(_AUDIO_TRACK, _AUDIO_RATE, audio, audio_at)
        return _box("moof", parts)


def _fragment(track: int, rate: int, blocks: Sequence[Block], data_at: int) -> bytes:
    samples = [struct.pack("!Ii", len(blocks), data_at)]
    for number, block in enumerate(blocks):
        # within a fragment decode times are sums of durations
        last = number + 1 == len(blocks)
        end_us = block.at_us + block.duration_us if last else blocks[number + 1].at_us
        duration = _ticks(end_us, rate) - _ticks(block.at_us, rate)
        flags = _KEYFRAME if block.keyframe else _INTERFRAME
        samples.append(_SAMPLE.pack(duration, len(block.data), flags))
    header = _full_box("tfhd", 0, _DEFAULT_BASE_IS_MOOF, struct.pack("!I", track))
    time = _full_box("tfdt", 1, 0, struct.pack("!Q", _ticks(blocks[0].at_us, rate)))
    return _box("traf", header + time + _full_box("trun", 0, _RUN_FLAGS, b"".join(samples)))


def _ticks(us: int, rate: int) -> int:
    return (us * rate + 500_000) // 1_000_000


def _movie_header() -> bytes:
    times = struct.pack("!4I", 0, 0, 1000, 0)
    rest = struct.pack("!IHHII", 0x10000, 0x100, 0, 0, 0) + _UNITY_MATRIX + bytes(24)
    return _full_box("mvhd", 0, 0, times + rest + struct.pack("!I", _AUDIO_TRACK + 1))


def _track(number: int, rate: int, size: Size | None, sample_entry: bytes) -> bytes:
    width, height = size or (0, 0)
    volume = 0 if size else 0x100
    head = struct.pack("!5I", 0, 0, number, 0, 0) + bytes(8)
    head += struct.pack("!hhHH", 0, 0, volume, 0) + _UNITY_MATRIX
    head += struct.pack("!II", width << 16, height << 16)
    media_head = struct.pack("!4IHH", 0, 0, rate, 0, _UNDETERMINED, 0)
    handler = bytes(4) + (b"vide" if size else b"soun") + bytes(12) + b"mediaserver\0"
    kind = _full_box("vmhd", 0, 1, bytes(8)) if size else _full_box("smhd", 0, 0, bytes(4))
    here = _full_box("url ", 0, 1, b"")
    reference = _box("dinf", _full_box("dref", 0, 0, struct.pack("!I", 1) + here))
    table = _full_box("stsd", 0, 0, struct.pack("!I", 1) + sample_entry)
    table += _full_box("stts", 0, 0, bytes(4)) + _full_box("stsc", 0, 0, bytes(4))
    table += _full_box("stsz", 0, 0, bytes(8)) + _full_box("stco", 0, 0, bytes(4))
    media = _full_box("mdhd", 0, 0, media_head) + _full_box("hdlr", 0, 0, handler)
    media += _box("minf", kind + reference + _box("stbl", table))
    return _box("trak", _full_box("tkhd", 0, _ENABLED_IN_MOVIE, head) + _box("mdia", media))


def _avc1(size: Size, config: bytes) -> bytes:
    """ISO/IEC 14496-15 section 5.4.2."""
    entry = bytes(6) + struct.pack("!H", 1) + bytes(16) + struct.pack("!HH", *size)
    entry += struct.pack("!IIIH", 0x480000, 0x480000, 0, 1) + bytes(32)
    return _box("avc1", entry + struct.pack("!Hh", 0x18, -1) + _box("avcC", config))


def _opus() -> bytes:
    """ "Encapsulation of Opus in ISO Base Media File Format", section 4.3."""
    entry = bytes(6) + struct.pack("!H", 1) + bytes(8)
    entry += struct.pack("!HHHHI", 2, 16, 0, 0, _AUDIO_RATE << 16)
    specific = struct.pack("!BBHIhB", 0, 2, 0, _AUDIO_RATE, 0, 0)
    return _box("Opus", entry + _box("dOps", specific))


def _box(kind: str, data: bytes) -> bytes:
    return struct.pack("!I", len(data) + 8) + kind.encode() + data


def _full_box(kind: str, version: int, flags: int, data: bytes) -> bytes:
    return _box(kind, struct.pack("!I", version << 24 | flags) + data)
