"""Stream parameters for a muxer, without an encoder.

PyAV copies stream parameters from a stream of an open container only. So a Matroska file of one
track and no media is written in memory (RFC 9559), opened, and its stream taken as the template.
"""

from __future__ import annotations

import io
import struct
from typing import cast

import av
from av.container import InputContainer
from av.stream import Stream

from recorder.bitstream import Size, opus_head

_EBML, _SEGMENT, _INFO, _TRACKS = 0x1A45DFA3, 0x18538067, 0x1549A966, 0x1654AE6B
_CLUSTER, _CLUSTER_TIME = 0x1F43B675, 0xE7
_DOCUMENT_TYPE, _DOCUMENT_VERSION, _READ_VERSION = 0x4282, 0x4287, 0x4285
_TIMESTAMP_SCALE = 0x2AD7B1
_TRACK_ENTRY, _TRACK_NUMBER, _TRACK_UID, _TRACK_TYPE = 0xAE, 0xD7, 0x73C5, 0x83
_CODEC_ID, _CODEC_PRIVATE = 0x86, 0x63A2
_VIDEO, _WIDTH, _HEIGHT = 0xE0, 0xB0, 0xBA
_AUDIO, _FREQUENCY, _CHANNELS = 0xE1, 0xB5, 0x9F
_OPUS_RATE = 48000


class Template:
    """Keeps the container open as long as its stream is needed: until the output was written."""

    def __init__(self, entry: bytes) -> None:
        self._container = cast(
            InputContainer, av.open(io.BytesIO(_matroska(entry)), format="matroska")
        )
        self.stream: Stream = self._container.streams[0]

    def close(self) -> None:
        self._container.close()


def video_template(codec_id: str, size: Size, private: bytes) -> Template:
    """`private` is what Matroska keeps as CodecPrivate: avcC, av1C, or nothing."""
    video = _element(_VIDEO, _unsigned(_WIDTH, size[0]) + _unsigned(_HEIGHT, size[1]))
    return Template(_entry(1, codec_id, private) + video)


def opus_template(channels: int) -> Template:
    frequency = _element(_FREQUENCY, struct.pack("!d", _OPUS_RATE))
    audio = _element(_AUDIO, frequency + _unsigned(_CHANNELS, channels))
    return Template(_entry(2, "A_OPUS", opus_head(channels)) + audio)


def _entry(kind: int, codec_id: str, private: bytes) -> bytes:
    entry = _unsigned(_TRACK_NUMBER, 1) + _unsigned(_TRACK_UID, 1) + _unsigned(_TRACK_TYPE, kind)
    entry += _element(_CODEC_ID, codec_id.encode())
    return entry + (_element(_CODEC_PRIVATE, private) if private else b"")


def _matroska(entry: bytes) -> bytes:
    kind = _element(_DOCUMENT_TYPE, b"matroska")
    kind += _unsigned(_DOCUMENT_VERSION, 4) + _unsigned(_READ_VERSION, 2)
    info = _element(_INFO, _unsigned(_TIMESTAMP_SCALE, 1_000_000))
    tracks = _element(_TRACKS, _element(_TRACK_ENTRY, entry))
    cluster = _element(_CLUSTER, _unsigned(_CLUSTER_TIME, 0))
    return _element(_EBML, kind) + _element(_SEGMENT, info + tracks + cluster)


def _element(identifier: int, data: bytes) -> bytes:
    name = identifier.to_bytes((identifier.bit_length() + 7) // 8, "big")
    return name + struct.pack("!Q", len(data) | 1 << 56) + data


def _unsigned(identifier: int, value: int) -> bytes:
    return _element(identifier, value.to_bytes(8, "big"))
