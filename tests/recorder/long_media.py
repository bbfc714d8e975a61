"""Recordings of hours, made in seconds: one real encoded group of pictures, repeated.

    write_recording(folder, hours=8)           journals of a participant with camera and microphone
    finished = make_recording(folder, hours=8) and the files that the finalize job makes of them
    ... = make_recording(folder, 8, sound_seconds=60)  the same in a fifth of the time

Every group begins with a keyframe and shows the counters of its frames (`tests.media_truth`) from 0
on again; the white flash comes at the start of each second of a group, the beep at the start of each
second.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache, partial
from pathlib import Path
from typing import Any

import av
import numpy as np

from mediaserver.journal import RecordKind, encode_header, encode_record, encode_sender_report
from recorder.file_options import FileOptions
from recorder.finalize import finalize
from recorder.jobs import FinalizeResult
from tests.media_truth import draw_picture
from tests.recorder.known_media import (
    ENCODERS,
    START_US,
    Coded,
    KnownTrack,
    encode_audio,
    h264_payloads,
    ntp,
    vp8_payloads,
    vp9_payloads,
)

PAYLOAD = 1150
"""Bytes of video in a packet, as browsers send it."""
DELAY_US = 20_000
_HEADER = struct.Struct("!BBHII")
_EXTENSION = bytes.fromhex("bede 0002 1030 0000 0022 1234")
"""Two elements (RFC 8285), as browsers' packets have them."""
_WRITE = 1 << 20

_PACKETIZERS: dict[str, Callable[[Coded], list[bytes]]] = {
    "video/VP8": partial(vp8_payloads, mtu=PAYLOAD),
    "video/VP9": partial(vp9_payloads, mtu=PAYLOAD),
    "video/H264": partial(h264_payloads, mtu=PAYLOAD),
}


@dataclass(frozen=True, slots=True)
class LongVideo:
    """Video whose groups of pictures last `group` seconds, in whole frames, at `bitrate` bit/s.

    Without a bitrate the pictures are plain and take what they need, a few kbit/s.
    """

    mime_type: str = "video/H264"
    size: tuple[int, int] = (320, 180)
    frame_rate: int = 5
    group: float = 4.0
    bitrate: int | None = None


@dataclass(frozen=True, slots=True)
class _Burst:
    """The packets of one instant: seconds after the start of a group, and what they carry."""

    at: float
    payloads: tuple[bytes, ...]


@cache
def _group(video: LongVideo) -> tuple[_Burst, ...]:
    name, options = ENCODERS[video.mime_type]
    count = round(video.group * video.frame_rate)
    encoder: Any = av.CodecContext.create(name, "w")
    encoder.width, encoder.height = video.size
    encoder.pix_fmt = "yuv420p"
    encoder.time_base = Fraction(1, video.frame_rate)
    encoder.framerate = video.frame_rate
    encoder.gop_size = count
    encoder.max_b_frames = 0
    encoder.bit_rate = video.bitrate or 100_000
    encoder.options = dict(options)
    if video.mime_type != "video/H264":
        encoder.options |= {"max-intra-rate": "900"}  # percent of a frame, as browsers do
    packets = []
    for number in range(count):
        picture = _picture(number, video)
        picture.pts = number
        packets += encoder.encode(picture)
    packets += encoder.encode(None)
    assert len(packets) == count
    assert packets[0].is_keyframe
    packetize = _PACKETIZERS[video.mime_type]
    return tuple(
        _Burst(
            number / video.frame_rate,
            tuple(packetize(Coded(number, bytes(packet), packet.is_keyframe))),
        )
        for number, packet in enumerate(packets)
    )


def _picture(number: int, video: LongVideo) -> av.VideoFrame:
    picture = draw_picture(round(number * 30 / video.frame_rate), *video.size)
    if video.bitrate is None:
        return picture
    planes = (
        picture.to_ndarray()
    )  # with noise below the counter, so that the encoder has work to do
    width, height = video.size
    noise = np.random.default_rng(number).integers(-12, 12, (height - height // 8, width))
    part = planes[height // 8 : height]
    part[:] = np.clip(part + noise, 16, 235)
    return av.VideoFrame.from_ndarray(planes, format="yuv420p")


def write_video_journal(
    folder: Path, video: LongVideo, seconds: float, *, participant: str = "alice"
) -> Path:
    group = _group(video)
    track = KnownTrack("video", video.mime_type, participant=participant)
    bursts = (
        _Burst(number * video.group + burst.at, burst.payloads)
        for number in range(int(seconds / video.group) + 1)
        for burst in group
    )
    return _write(folder, track, bursts, seconds)


def write_audio_journal(folder: Path, seconds: float, *, participant: str = "alice") -> Path:
    """Opus packets of 20 ms: silence, and a beep at the start of each second."""
    packets = encode_audio(1.0)
    track = KnownTrack("audio", "audio/opus", participant=participant)
    bursts = (
        _Burst(second + number / len(packets), (packet,))
        for second in range(int(seconds) + 1)
        for number, packet in enumerate(packets)
    )
    return _write(folder, track, bursts, seconds)


def _write(folder: Path, track: KnownTrack, bursts: Iterator[_Burst], seconds: float) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{track.track_id}.journal"
    with path.open("wb") as file:
        pending = [encode_header(track.header())]
        size = 0
        for record in _records(track, bursts, seconds):
            pending.append(record)
            size += len(record)
            if size > _WRITE:
                file.write(b"".join(pending))
                pending, size = [], 0
        file.write(b"".join(pending))
    return path


def _records(track: KnownTrack, bursts: Iterator[_Burst], seconds: float) -> Iterator[bytes]:
    reported = -5.0
    sequence = 0
    arrival_us = START_US
    for burst in bursts:
        if burst.at >= seconds:
            break
        timestamp = round(burst.at * track.clock_rate) & 0xFFFF_FFFF
        arrival_us = START_US + round(burst.at * 1e6) + DELAY_US
        if burst.at - reported >= 5.0:
            reported = burst.at
            report = encode_sender_report(ntp(START_US / 1e6 + burst.at), timestamp)
            yield encode_record(RecordKind.SENDER_REPORT, arrival_us, report)
        last = len(burst.payloads) - 1
        for number, payload in enumerate(burst.payloads):
            marker = 0x80 if number == last and track.kind == "video" else 0
            head = _HEADER.pack(0x90, marker | 96, sequence & 0xFFFF, timestamp, track.ssrc)
            sequence += 1
            yield encode_record(RecordKind.RTP, arrival_us, head + _EXTENSION + payload)
    yield encode_record(RecordKind.END, arrival_us)


def write_recording(
    folder: Path,
    hours: float = 8.0,
    video: LongVideo | None = None,
    sound_seconds: float | None = None,
) -> Sequence[Path]:
    """The journals of one participant, alice, with camera and microphone.

    Most of the time it takes is the sound's; `sound_seconds` ends it earlier.
    """
    seconds = hours * 3600
    sound_seconds = seconds if sound_seconds is None else sound_seconds
    return [
        write_video_journal(folder, video or LongVideo(), seconds),
        write_audio_journal(folder, sound_seconds),
    ]


def make_recording(
    folder: Path,
    hours: float = 8.0,
    *,
    video: LongVideo | None = None,
    sound_seconds: float | None = None,
    options: FileOptions | None = None,
) -> FinalizeResult:
    """All files of `write_recording`, in `folder/output`."""
    write_recording(folder / "journals", hours, video, sound_seconds)
    return finalize(folder / "journals", folder / "output", lambda _: None, options)
