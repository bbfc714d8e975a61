"""Films that users bring: honest ones made with real encoders, and hostile ones made of those."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

RATE = 48_000


def film(
    path: Path,
    *,
    container: str = "mp4",
    video: str | None = "libx264",
    audio: str | None = "aac",
    size: tuple[int, int] = (640, 360),
    seconds: float = 2.0,
    fps: int = 30,
    rotation: int = 0,
    times: list[float] | None = None,
    options: Mapping[str, str] | None = None,
) -> Path:
    """Its upper left quarter is white, the rest grey, and the sound is 440 Hz. `times` are those of
    its pictures, in seconds, where they are not even. `rotation` is the display matrix's.
    """
    with av.open(str(path), "w", format=container, options=dict(options or {})) as output:
        pictures = _add_video(output, video, size, fps, rotation) if video else None
        sound: Any = output.add_stream(audio, rate=RATE) if audio else None
        if sound is not None:
            sound.codec_context.layout = "stereo"
        output.start_encoding()
        if pictures is not None:
            shown = times or [number / fps for number in range(round(seconds * fps))]
            for number, at in enumerate(shown):
                frame = _picture(size, number)
                frame.pts = round(at * 90_000) if times else number
                frame.time_base = Fraction(1, 90_000 if times else fps)
                output.mux(pictures.encode(frame))
            output.mux(pictures.encode(None))
        if sound is not None:
            for frame in _sounds(seconds, sound.codec_context.format.name):
                output.mux(sound.encode(frame))
            output.mux(sound.encode(None))
    return path


def _add_video(output: Any, codec: str, size: tuple[int, int], fps: int, rotation: int) -> Any:
    stream = output.add_stream(codec, rate=fps)
    stream.width, stream.height = size
    stream.pix_fmt = "yuv420p"
    stream.codec_context.gop_size = fps
    if codec == "libvpx":  # its other threads spin while they wait
        stream.codec_context.thread_count = 1
        stream.codec_context.options = {"deadline": "realtime", "cpu-used": "8"}
    if codec == "libx264":
        stream.codec_context.options = {"preset": "ultrafast"}
    stream.codec_context.time_base = Fraction(1, 90_000 if codec == "libx264" else fps)
    if rotation:
        stream.set_display_rotation(rotation)
    return stream


def _picture(size: tuple[int, int], number: int) -> av.VideoFrame:
    width, height = size
    luma = np.full((height, width), 60 + number % 40, np.uint8)
    luma[: height // 2, : width // 2] = 235
    grey = np.full((height // 2, width), 128, np.uint8)
    return av.VideoFrame.from_ndarray(np.concatenate([luma, grey]), format="yuv420p")


def _sounds(seconds: float, format: str) -> list[av.AudioFrame]:
    count = round(seconds * RATE)
    wave = np.sin(np.arange(count) * 440 / RATE * 2 * np.pi) * 0.3
    resampler = av.AudioResampler(format=format, layout="stereo", rate=RATE)
    frames = []
    for at in range(0, count, 960):
        piece = np.stack([wave[at : at + 960]] * 2).astype(np.float32)
        frame = av.AudioFrame.from_ndarray(piece, format="fltp", layout="stereo")
        frame.sample_rate, frame.pts, frame.time_base = RATE, at, Fraction(1, RATE)
        frames += resampler.resample(frame)
    return frames


# --- hostile ones ---------------------------------------------------------------------------------


def box(kind: bytes, *content: bytes) -> bytes:
    body = b"".join(content)
    return struct.pack("!I4s", 8 + len(body), kind) + body


def boxes(data: bytes) -> dict[bytes, bytes]:
    """The boxes at the top of an MP4, whole, by their kind."""
    found, at = {}, 0
    while at < len(data):
        length, kind = struct.unpack_from("!I4s", data, at)
        found[kind] = data[at : at + length]
        at += length
    return found


def with_compressed_index(mp4: bytes, claimed: int) -> bytes:
    """The index as a zlib stream (QuickTime's cmov) that says to be of `claimed` bytes, all zeros."""
    parts = boxes(mp4)
    bomb = zlib.compress(bytes(64 << 20), 9)
    moov = box(
        b"moov",
        box(
            b"cmov",
            box(b"dcom", b"zlib"),
            box(b"cmvd", struct.pack("!I", claimed), bomb),
        ),
    )
    return parts[b"ftyp"] + moov + parts[b"mdat"]


def with_samples(mp4: bytes, count: int, size: int = 1) -> bytes:
    """The sample table of the first track speaks of `count` samples of `size` bytes each."""
    at = mp4.index(b"stsz")
    return mp4[: at + 8] + struct.pack("!II", size, count) + mp4[at + 16 :]


def fragment_bomb(mp4: bytes, count: int) -> bytes:
    """A fragmented file's last run has `count` samples that take no bytes at all."""
    run = box(b"trun", struct.pack("!II", 0, count))
    header = box(b"tfhd", struct.pack("!III", 0x020018, 1, 1), struct.pack("!I", 0))
    return mp4 + box(b"moof", box(b"traf", header, run)) + box(b"mdat", bytes(8))


def with_reference(mp4: bytes, address: str) -> bytes:
    """The media of every track is at `address`: the flag of `dref` that says "here" is gone."""
    plain = b"url \x00\x00\x00\x01"
    assert plain in mp4
    target = b"url \x00\x00\x00\x00" + address.encode() + b"\x00"
    entry = struct.pack("!I", len(target) + 4) + target
    old = struct.pack("!I", 12) + plain
    grown = len(entry) - len(old)
    data = mp4
    while (at := data.find(old)) >= 0:
        data = _grown(data, at, grown)
        data = data[:at] + entry + data[at + len(old) :]
    return data


def _grown(data: bytes, at: int, more: int) -> bytes:
    """The boxes around offset `at` say that they are longer."""
    changed = bytearray(data)
    start, end = 0, len(data)
    while True:
        length, kind = struct.unpack_from("!I4s", data, start)
        if start + length <= at:
            start += length
            continue
        if start == at or start >= end:
            return bytes(changed)
        struct.pack_into("!I", changed, start, length + more)
        start += 16 if kind == b"dref" else 8
        end = start + length


def element(id: bytes, content: bytes) -> bytes:
    """Of EBML, with a length of 8 bytes."""
    return id + (len(content) | 1 << 56).to_bytes(8) + content


def tiny_webm(
    width: int,
    height: int,
    frame: bytes,
    *,
    compression: bytes = b"",
    codec: bytes = b"V_VP8",
) -> bytes:
    """A WebM of one picture whose header says this size. `compression` is the track's
    ContentEncodings.
    """
    video = element(b"\xb0", width.to_bytes(4)) + element(b"\xba", height.to_bytes(4))
    track = (
        element(b"\xd7", b"\x01")
        + element(b"\x73\xc5", b"\x01")
        + element(b"\x83", b"\x01")
        + element(b"\x86", codec)
        + compression
        + element(b"\xe0", video)
    )
    cluster = element(b"\xe7", b"\x00") + element(b"\xa3", b"\x81\x00\x00\x80" + frame)
    segment = (
        element(b"\x15\x49\xa9\x66", element(b"\x2a\xd7\xb1", (1_000_000).to_bytes(4)))
        + element(b"\x16\x54\xae\x6b", element(b"\xae", track))
        + element(b"\x1f\x43\xb6\x75", cluster)
    )
    header = element(b"\x42\x86", b"\x01") + element(b"\x42\x82", b"webm")
    return element(b"\x1a\x45\xdf\xa3", header) + element(b"\x18\x53\x80\x67", segment)


ZLIB = element(
    b"\x6d\x80",
    element(b"\x62\x40", element(b"\x50\x34", element(b"\x42\x54", b"\x00"))),
)
"""ContentEncodings: every packet is a zlib stream."""


def avi_of_size(avi: bytes, width: int, height: int) -> bytes:
    """Its BITMAPINFOHEADER says this size."""
    at = avi.index(b"strf") + 12
    return avi[:at] + struct.pack("<ii", width, height) + avi[at + 8 :]
