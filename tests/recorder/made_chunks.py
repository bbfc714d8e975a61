"""Chunks as browsers' recorders send them, real ones and made ones, and what becomes of them."""

from __future__ import annotations

import hashlib
import io
import json
import os
import random
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import av

from recorder.assemble import assemble
from recorder.chunks.assembly import AssembledPart, assemble_part
from recorder.chunks.parts import open_part
from recorder.chunks.spec import Spec
from recorder.chunks.webm import CLUSTER, SEGMENT, element_at
from recorder.integrity import TrackLedger
from recorder.jobs import FinalizeResult
from tests.media_truth import draw_picture, make_sound, measure
from tests.recorder.known_media import usual_scheduling

REAL_SETS = Path(__file__).parents[1] / "media_chunks"
REAL = sorted(path.name for path in REAL_SETS.iterdir())
BEGAN = 1_760_000_000.0
"""When recorders began, unix time; chunks arrive from then on."""

Chunks = Mapping[int, bytes]


def real_set(name: str) -> dict[int, bytes]:
    """What Chromium's MediaRecorder gave, blob by blob."""
    paths = sorted((REAL_SETS / name).glob("*.bin"))
    return {number: path.read_bytes() for number, path in enumerate(paths)}


def arrivals_of(name: str) -> list[float]:
    """When each blob of a real set came, in seconds from the recorder's start."""
    log = json.loads((REAL_SETS / name / "index.json").read_text())["log"]
    return [entry["t"] / 1000 for entry in log]


def joined(chunks: Chunks) -> bytes:
    return b"".join(chunks[number] for number in sorted(chunks))


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def cut(data: bytes, *sizes: int, seed: int = 0) -> dict[int, bytes]:
    """Irregular chunks of about 3 kB, some of them empty, the first ones of these sizes."""
    dice = random.Random(seed)
    chunks: dict[int, bytes] = {}
    at = 0
    while at < len(data):
        size = sizes[len(chunks)] if len(chunks) < len(sizes) else dice.choice([0, 1, 3000, 6000])
        chunks[len(chunks)] = data[at : at + size]
        at += size
    return chunks


def lay_out(
    folder: Path, part: int, chunks: Chunks, arrivals: Sequence[float] | None = None
) -> None:
    """The files of a part, written in no order. They arrive once a second unless told otherwise."""
    order = list(chunks)
    random.Random(1).shuffle(order)
    for sequence in order:
        path = folder / str(part) / str(sequence // 1000) / str(sequence)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(chunks[sequence])
        arrived = BEGAN + (arrivals[sequence] if arrivals else sequence + 1.2)
        os.utime(path, (arrived, arrived))


def assembled(
    tmp_path: Path,
    chunks: Chunks,
    *,
    arrivals: Sequence[float] | None = None,
    lacks_end: bool = False,
) -> AssembledPart:
    """The file of one part, not decoded and not placed. Raises what `assemble_part` raises."""
    lay_out(tmp_path / "set", 0, chunks, arrivals)
    (tmp_path / "out").mkdir(exist_ok=True)
    return assemble_part(
        open_part(tmp_path / "set" / "0"),
        tmp_path / "out" / "client",
        lambda kind: TrackLedger(f"client/0/{kind}", "bob", kind, "client"),
        lambda _count: None,
        lacks_end=lacks_end,
    )


def spec_of(tmp_path: Path, **more: Any) -> dict[str, Any]:
    """What the job is told of the set in `tmp_path / "set"`."""
    return {
        "folder": str(tmp_path / "set"),
        "output": str(tmp_path / "out"),
        "participantId": "bob",
        "participantName": "Bob",
        "recordingStartUs": None,
        "parts": {},
        "reference": [],
        "thumbnails": False,
        **more,
    }


def run_job(tmp_path: Path, **more: Any) -> FinalizeResult:
    """The whole job, in this process but for its decoders."""
    spec = Spec.from_json(spec_of(tmp_path, **more))
    return FinalizeResult.from_json(
        json.loads(json.dumps(assemble(spec, lambda _: None).to_json()))
    )


def packets_of(source: Path | bytes) -> dict[str, list[bytes]]:
    """What is in the packets of each kind of stream."""
    found: dict[str, list[bytes]] = {}
    with av.open(io.BytesIO(source) if isinstance(source, bytes) else str(source)) as container:
        for packet in container.demux():
            if packet.size:
                found.setdefault(packet.stream.type, []).append(bytes(packet))
    return found


# --- recorders of our own ---------------------------------------------------------------------------


class OnlyForward:
    """A file that can't be searched, as a recorder's output: sizes that come later stay unknown."""

    def __init__(self) -> None:
        self.data = bytearray()

    def write(self, data: bytes) -> int:
        self.data += data
        return len(data)


@dataclass(frozen=True, eq=False)
class Recorder:
    """FFmpeg's names of a container, its options, and codecs."""

    container: str
    options: Mapping[str, str]
    video: str
    audio: str


FIREFOX = Recorder("webm", {"live": "1", "cluster_time_limit": "900"}, "libvpx", "libopus")
SAFARI = Recorder(
    "mp4",
    {"movflags": "empty_moov+default_base_moof+frag_keyframe", "flush_packets": "1"},
    "libx264",
    "aac",
)
OLD_WRITER = Recorder("mp4", {"movflags": "empty_moov+frag_keyframe"}, "libx264", "aac")
"""Offsets in its fragments count from the beginning of the file."""
VP9 = Recorder("matroska", {"live": "1", "cluster_time_limit": "900"}, "libvpx-vp9", "libopus")
PLAIN_MP4 = Recorder("mp4", {}, "libx264", "aac")
VP9_MP4 = Recorder("mp4", SAFARI.options, "libvpx-vp9", "libopus")
AV1_MP4 = Recorder("mp4", SAFARI.options, "libsvtav1", "libopus")
H264_OPUS_MP4 = Recorder("mp4", SAFARI.options, "libx264", "libopus")
AV1 = Recorder("matroska", VP9.options, "libsvtav1", "libopus")
PCM = Recorder("matroska", VP9.options, "libvpx", "pcm_f32le")
H264_PCM = Recorder("matroska", VP9.options, "libx264", "pcm_s16le")

_ENCODING = {
    "libvpx": {"deadline": "realtime", "cpu-used": "8", "lag-in-frames": "0"},
    "libvpx-vp9": {"deadline": "realtime", "cpu-used": "8", "lag-in-frames": "0"},
    "libsvtav1": {"preset": "12", "svtav1-params": "pred-struct=1"},
    "libx264": {"preset": "ultrafast", "tune": "zerolatency", "profile": "baseline"},
}


@cache
def record(
    recorder: Recorder,
    seconds: float = 4.0,
    *,
    first: int = 0,
    size: tuple[int, int] = (160, 90),
    video: bool = True,
    audio: bool = True,
) -> bytes:
    """The known content of `tests.media_truth` from picture `first` on, a keyframe a second."""
    forward = OnlyForward()
    seekable = io.BytesIO()
    target: Any = seekable if recorder is PLAIN_MP4 else forward
    output = av.open(target, "w", format=recorder.container, options=dict(recorder.options))
    pictures: Any = None
    sounds: Any = None
    if video:
        pictures = output.add_stream(
            recorder.video, rate=30, options=dict(_ENCODING[recorder.video])
        )
        pictures.width, pictures.height = size
        pictures.pix_fmt = "yuv420p"
        pictures.gop_size = 30
        if recorder.video != "libsvtav1":  # it has no variable rate without reordering
            pictures.bit_rate = 300_000
        pictures.thread_count = 1
    if audio:
        sounds = output.add_stream(recorder.audio, rate=48000, layout="mono")
    samples = sounds.codec_context.frame_size or 960 if audio else 0
    heard = 0
    with usual_scheduling():
        for number in range(round(seconds * 30)):
            if video:
                picture = draw_picture(first + number, *size)
                picture.pts, picture.time_base = number, Fraction(1, 30)
                output.mux(pictures.encode(picture))
            while audio and heard < (number + 1) * 1600:
                output.mux(sounds.encode(_sound(heard + first * 1600, samples, heard)))
                heard += samples
        for stream in (pictures, sounds):
            if stream is not None:
                output.mux(stream.encode(None))
    output.close()
    return seekable.getvalue() if recorder is PLAIN_MP4 else bytes(forward.data)


def _sound(at: int, samples: int, pts: int) -> av.AudioFrame:
    data = make_sound(at, samples).reshape(1, -1)
    frame = av.AudioFrame.from_ndarray(data, format="s16", layout="mono")
    frame.sample_rate = 48000
    frame.pts, frame.time_base = pts, Fraction(1, 48000)
    return frame


def webm_elements(data: bytes) -> Iterator[tuple[int, int, int, int]]:
    """Id, offset, whole size and size of the head of each; segment and clusters are heads alone."""
    at = 0
    while at < len(data):
        element = element_at(data[at : at + 12])
        assert element is not None
        kind, head, size = element
        whole = head if kind in (SEGMENT, CLUSTER) else head + size
        yield kind, at, whole, head
        at += whole


def mp4_boxes(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Kind, offset and size of the boxes of a file."""
    at = 0
    while at < len(data):
        size, kind = struct.unpack_from("!I4s", data, at)
        yield kind, at, size
        at += size


def without(chunks: Chunks, numbers: Iterable[int]) -> dict[int, bytes]:
    gone = set(numbers)
    return {number: data for number, data in chunks.items() if number not in gone}


# --- two files of the same content -----------------------------------------------------------------

Placed = tuple[Path, float]
"""A file and where on the recording's time line it begins, in seconds."""


def off_the_time_line(servers: Placed, clients: Placed) -> list[float]:
    """How much later each picture and beep of the client's file lies than that of the server's."""
    (server, server_start), (client, client_start) = (
        (measure(path), start) for path, start in (servers, clients)
    )
    seen = dict(zip(client.counters, client.times_s, strict=True))
    pictures = [
        seen[counter] + client_start - (time + server_start)
        for counter, time in zip(server.counters, server.times_s, strict=True)
        if counter in seen
    ]
    later = [beep + client_start for beep in client.beeps_s]
    beeps = [
        min((late - beep - server_start for late in later), key=abs)
        for beep in server.beeps_s
        if any(abs(late - beep - server_start) < 0.5 for late in later)
    ]
    assert len(pictures) > 60
    assert len(beeps) >= 3
    return pictures + beeps
