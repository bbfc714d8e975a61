"""Coded media of known content, as a browser would send it: encoded, packetized, journalled.

One clock rules: `at` is the time of capture in seconds. A `Sender` has its own NTP clock and RTP
clocks; the network adds delay. All packetizers are written from the RFCs, apart from the product's.
"""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cache
from itertools import count, groupby, islice
from pathlib import Path
from typing import Any

import av

from mediaserver.journal import (
    JournalHeader,
    RecordKind,
    encode_header,
    encode_record,
    encode_sender_report,
)
from tests.media_truth import draw_picture, make_sound

START_US = 1_760_000_000_000_000
NTP_OFFSET_S = 2_208_988_800
MTU = 900
FRAME_RATE = 30

SILENCE = frozenset(
    bytes.fromhex(text)
    for mono, stereo in (("f8", "fc"), ("f0", "f4"), ("e8", "ec"), ("e0", "e4"))
    for text in (f"{mono}fffe", f"{stereo}fffe")
) | {bytes.fromhex("fb06" + 6 * "fffe"), bytes.fromhex("ff06" + 6 * "fffe")}
"""Opus packets of 20, 10, 5, 2.5 and 120 ms that are silent. Encoders make the first two as well."""

os.environ.setdefault("SVT_LOG", "1")

_AS_CALLS_DO = {
    "deadline": "realtime",
    "cpu-used": "8",
    "lag-in-frames": "0",
    "threads": "1",  # others spin while they wait: 3 s of CPU rather than 0.1 for 120 pictures
}
ENCODERS: dict[str, tuple[str, dict[str, str]]] = {
    "video/VP8": ("libvpx", _AS_CALLS_DO),
    "video/VP9": ("libvpx-vp9", _AS_CALLS_DO),
    "video/H264": (
        "libx264",
        {"preset": "ultrafast", "tune": "zerolatency", "x264-params": "repeat-headers=1"},
    ),
    "video/AV1": ("libsvtav1", {"preset": "12", "svtav1-params": "pred-struct=1"}),
}


@dataclass(frozen=True, slots=True)
class Coded:
    """One frame as an encoder gives it (H.264: Annex B)."""

    counter: int
    data: bytes
    keyframe: bool


@contextmanager
def usual_scheduling() -> Iterator[None]:
    """Undoes what SVT-AV1 does as root: it makes the thread that calls it a real-time one, which
    then starves every other process of the machine."""
    policy, parameters = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        yield
    finally:
        os.sched_setscheduler(0, policy, parameters)


@cache
def encode_video(
    mime_type: str,
    first: int = 0,
    count: int = 120,
    size: tuple[int, int] = (320, 240),
    keyframe_every: int = 30,
) -> tuple[Coded, ...]:
    name, options = ENCODERS[mime_type]
    encoder: Any = av.CodecContext.create(name, "w")
    encoder.width, encoder.height = size
    encoder.pix_fmt = "yuv420p"
    encoder.time_base = Fraction(1, FRAME_RATE)
    encoder.framerate = FRAME_RATE
    encoder.gop_size = keyframe_every
    encoder.max_b_frames = 0
    if mime_type != "video/AV1":  # its encoder has no variable rate without reordering
        encoder.bit_rate = 1_500_000
    encoder.options = options
    packets = []
    with usual_scheduling():
        for counter in range(first, first + count):
            picture = draw_picture(counter, *size)
            picture.pts = counter - first
            packets += encoder.encode(picture)
        packets += encoder.encode(None)
    assert len(packets) == count
    return tuple(
        Coded(first + number, bytes(packet), packet.is_keyframe)
        for number, packet in enumerate(packets)
    )


def encode_audio(seconds: float) -> tuple[bytes, ...]:
    """20 ms Opus packets; the first begins at 0 s. What was encoded before is not again."""
    wanted = round(seconds * 50)
    _spoken.extend(islice(_speech, max(wanted - len(_spoken), 0)))
    return tuple(_spoken[:wanted])


def _speak() -> Iterator[bytes]:
    encoder: Any = av.CodecContext.create("libopus", "w")
    encoder.sample_rate = 48000
    encoder.layout = "mono"
    encoder.format = "s16"
    encoder.time_base = Fraction(1, 48000)
    encoder.options = {"application": "voip", "frame_duration": "20"}
    for number in count():
        samples = make_sound(number * 960, 960).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
        frame.sample_rate = 48000
        frame.pts = number * 960
        yield from map(bytes, encoder.encode(frame))


_speech = _speak()
_spoken: list[bytes] = []


# --- packetizers ------------------------------------------------------------------------------------


def _pieces(data: bytes, size: int = MTU) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


def vp8_payloads(frame: Coded, picture_id: int | None = None, *, mtu: int = MTU) -> list[bytes]:
    extension = b"" if picture_id is None else struct.pack("!BH", 0x80, 0x8000 | picture_id % 32768)
    x = 0x80 if extension else 0
    return [
        bytes([x | (0x10 if number == 0 else 0)]) + extension + piece
        for number, piece in enumerate(_pieces(frame.data, mtu))
    ]


def vp9_payloads(
    frame: Coded,
    *,
    flexible: bool = False,
    size: tuple[int, int] | None = None,
    mtu: int = MTU,
) -> list[bytes]:
    """With picture id; keyframes carry a scalability structure when `size` is given."""
    pieces = _pieces(frame.data, mtu)
    payloads = []
    for number, piece in enumerate(pieces):
        first = 0x80 | (0 if frame.keyframe else 0x40) | (0x10 if flexible else 0)
        first |= (0x08 if number == 0 else 0) | (0x04 if number == len(pieces) - 1 else 0)
        rest = struct.pack("!H", 0x8000 | frame.counter % 32768)
        if not flexible:
            first |= 0x20
            rest += bytes([0, frame.counter % 256])
        elif not frame.keyframe:
            rest += bytes([1 << 1 | 1, 2 << 1])  # two reference differences
        if size and frame.keyframe and number == 0:
            first |= 0x02
            rest += bytes([0x18]) + struct.pack("!HH", *size) + bytes([1, 0x04, 1])
        payloads.append(bytes([first]) + rest + piece)
    return payloads


def h264_nals(frame: Coded) -> list[bytes]:
    return [nal for nal in re.split(b"\0\0\0?\1", frame.data) if nal]


def h264_payloads(frame: Coded, *, mtu: int = MTU) -> list[bytes]:
    """Small units together in a STAP-A, single ones alone, large ones in FU-As."""
    payloads: list[bytes] = []
    for is_small, group in groupby(h264_nals(frame), key=lambda nal: len(nal) < 100):
        nals = list(group)
        if is_small and len(nals) > 1:
            units = b"".join(struct.pack("!H", len(nal)) + nal for nal in nals)
            payloads.append(bytes([0x78]) + units)
            continue
        for nal in nals:
            payloads += [nal] if len(nal) <= mtu else _fragments(nal, mtu)
    return payloads


def _fragments(nal: bytes, mtu: int) -> list[bytes]:
    pieces = _pieces(nal[1:], mtu)
    payloads = []
    for number, piece in enumerate(pieces):
        flags = (0x80 if number == 0 else 0) | (0x40 if number == len(pieces) - 1 else 0)
        payloads.append(bytes([nal[0] & 0xE0 | 28, flags | nal[0] & 0x1F]) + piece)
    return payloads


def av1_obus(data: bytes) -> list[bytes]:
    """OBUs without size fields and without temporal delimiters."""
    obus = []
    at = 0
    while at < len(data):
        head = 2 if data[at] & 0x04 else 1
        size = shift = 0
        cursor = at + head
        while True:
            byte = data[cursor]
            size |= (byte & 0x7F) << shift
            shift += 7
            cursor += 1
            if not byte & 0x80:
                break
        if data[at] >> 3 & 0x0F != 2:
            extension = data[at + 1 : at + head]
            obus.append(bytes([data[at] & 0xFD]) + extension + data[cursor : cursor + size])
        at = cursor + size
    return obus


def av1_payloads(frame: Coded) -> list[bytes]:
    """Every OBU but the last whole in the first packet, each with its length; the last in pieces."""
    *heads, body = av1_obus(frame.data)
    elements = b"".join(_leb128(len(obu)) + obu for obu in heads)
    pieces = _pieces(body)
    payloads = []
    for number, piece in enumerate(pieces):
        z = 0x80 if number else 0
        y = 0x40 if number < len(pieces) - 1 else 0
        if number == 0:
            n = 0x08 if frame.keyframe else 0
            payloads.append(bytes([y | n]) + elements + _leb128(len(piece)) + piece)
        else:
            payloads.append(bytes([z | y | 0x10]) + piece)
    return payloads


def _leb128(value: int) -> bytes:
    out = b""
    while value > 0x7F:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


PACKETIZERS: dict[str, Callable[[Coded], list[bytes]]] = {
    "video/VP8": lambda frame: vp8_payloads(frame, frame.counter),
    "video/VP9": vp9_payloads,
    "video/H264": h264_payloads,
    "video/AV1": av1_payloads,
}


# --- journals ---------------------------------------------------------------------------------------


def rtp_packet(
    sequence: int,
    timestamp: int,
    payload: bytes,
    *,
    ssrc: int = 0x1234,
    marker: bool = False,
    payload_type: int = 96,
    padding: int = 0,
    extension: bytes = b"",
) -> bytes:
    first = 0x80 | (0x20 if padding else 0) | (0x10 if extension else 0)
    head = struct.pack(
        "!BBHII",
        first,
        (0x80 if marker else 0) | payload_type,
        sequence & 0xFFFF,
        timestamp & 0xFFFF_FFFF,
        ssrc,
    )
    if extension:
        head += struct.pack("!HH", 0xBEDE, len(extension) // 4) + extension
    tail = bytes(padding - 1) + bytes([padding]) if padding else b""
    return head + payload + tail


def ntp(unix_s: float) -> int:
    """64-bit NTP time."""
    whole = int(unix_s)
    return (whole + NTP_OFFSET_S) << 32 | int((unix_s - whole) * (1 << 32))


@dataclass
class KnownTrack:
    """A journal in the making. Times in seconds from START_US on the server's clock.

    `clock_offset` is the sender's NTP clock minus the server's at the start, `ntp_ppm` how much it is
    fast against the server's, `rtp_ppm` how much its RTP clock is. `delay` is the network's.
    """

    kind: str
    mime_type: str
    participant: str = "alice"
    source: str = ""
    track_id: str = ""
    clock_offset: float = 0.0
    ntp_ppm: float = 0.0
    rtp_ppm: float = 0.0
    delay: float = 0.02
    sequence: int = 65500
    timestamp: int = 0xFFFF_0000
    ssrc: int = 0x1234
    entries: list[tuple[int, int, bytes]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.source = self.source or ("microphone" if self.kind == "audio" else "camera")
        self.track_id = self.track_id or f"TR_{self.participant}_{self.source}"

    @property
    def clock_rate(self) -> int:
        return 48000 if self.kind == "audio" else 90000

    def rtp(self, at: float) -> int:
        return self.timestamp + round(at * self.clock_rate * (1 + self.rtp_ppm * 1e-6))

    def put(self, at: float, payload: bytes, *, marker: bool = False, **more: Any) -> None:
        packet = rtp_packet(
            self.sequence, self.rtp(at), payload, ssrc=self.ssrc, marker=marker, **more
        )
        self.sequence += 1
        self.record(RecordKind.RTP, at + self.delay, packet)

    def frame(self, at: float, payloads: Sequence[bytes]) -> None:
        for number, payload in enumerate(payloads):
            self.put(at, payload, marker=number == len(payloads) - 1)

    def report(self, at: float) -> None:
        sent = START_US / 1e6 + at * (1 + self.ntp_ppm * 1e-6) + self.clock_offset
        payload = encode_sender_report(ntp(sent), self.rtp(at) & 0xFFFF_FFFF)
        self.record(RecordKind.SENDER_REPORT, at + self.delay, payload)

    def record(self, kind: int, arrival: float, payload: bytes = b"") -> None:
        self.entries.append((START_US + round(arrival * 1e6), kind, payload))

    def header(self) -> JournalHeader:
        return JournalHeader(
            track_id=self.track_id,
            recording_id="RC_known",
            kind=self.kind,
            mime_type=self.mime_type,
            clock_rate=self.clock_rate,
            channels=2 if self.kind == "audio" else 0,
            payload_type=96,
            fmtp="",
            started_at_us=START_US,
            labels={"room": "blue", "participantId": self.participant, "source": self.source},
        )

    def to_bytes(self, *, end: bool = True) -> bytes:
        ordered = sorted(self.entries, key=lambda entry: entry[0])
        blob = encode_header(self.header())
        blob += b"".join(encode_record(kind, at, payload) for at, kind, payload in ordered)
        return blob + (encode_record(RecordKind.END, ordered[-1][0]) if end and ordered else b"")

    def write(self, folder: Path, *, end: bool = True) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{self.track_id}.journal"
        path.write_bytes(self.to_bytes(end=end))
        return path


def video_track(
    mime_type: str = "video/VP8",
    *,
    frames: Iterable[Coded] | None = None,
    shift: float = 0.0,
    reports: bool = True,
    **more: Any,
) -> KnownTrack:
    """30 frames a second, each captured at its counter / 30 + `shift`."""
    track = KnownTrack("video", mime_type, **more)
    for frame in frames if frames is not None else encode_video(mime_type):
        at = frame.counter / FRAME_RATE + shift
        if reports and frame.counter % FRAME_RATE == 5:
            track.report(at)
        track.frame(at, PACKETIZERS[mime_type](frame))
    return track


def audio_track(
    seconds: float = 4.0, *, shift: float = 0.0, reports: bool = True, **more: Any
) -> KnownTrack:
    track = KnownTrack("audio", "audio/opus", **more)
    for number, packet in enumerate(encode_audio(seconds)):
        at = number / 50 + shift
        if reports and number % 50 == 10:
            track.report(at)
        track.put(at, packet)
    return track
