"""Recordings as ranges of one fragmented file, and the playlist that names them."""

from __future__ import annotations

import json
import re
import struct
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import av
import pytest

from recorder.derived.fragments import Fragment, FragmentedFile, read_fragments
from recorder.derived.playlist import Segment, playlist_text, segments_of
from recorder.errors import MuxFailed
from recorder.file_options import FileOptions
from recorder.finalize import finalize
from recorder.jobs import FinalizedFile, FinalizeResult
from tests.media_truth import measure
from tests.recorder.known_media import (
    KnownTrack,
    audio_track,
    encode_audio,
    encode_video,
    video_track,
)
from tests.recorder.long_media import make_recording, write_recording
from tests.recorder.measured import cost_of

CODECS = ["video/H264", "video/VP9", "video/AV1"]
HLS = FileOptions(hls_minutes=0.01, thumbnails=False)


def make(tmp_path: Path, *tracks: KnownTrack, options: FileOptions = HLS) -> FinalizeResult:
    for track in tracks:
        track.write(tmp_path / "journals")
    result = finalize(tmp_path / "journals", tmp_path / "output", lambda _: None, options)
    assert result.failures == ()
    assert result.integrity["notDerived"] == []
    return result


@dataclass(frozen=True, slots=True)
class Hls:
    """A playlist as a player reads it."""

    playlist: FinalizedFile
    media: FinalizedFile
    header: bytes
    segments: tuple[Segment, ...]
    target: int

    def segment(self, number: int) -> bytes:
        """What a player would load."""
        segment = self.segments[number]
        with self.media.path.open("rb") as file:
            file.seek(segment.offset)
            return file.read(segment.size)


def read_hls(result: FinalizeResult) -> Hls:
    files = {file.role: file for file in result.files}
    playlist, media = files["playlist"], files["media"]
    text = playlist.path.read_text()
    lines = text.splitlines()
    assert lines[0] == "#EXTM3U"
    assert lines[-1] == "#EXT-X-ENDLIST"
    assert {"#EXT-X-VERSION:7", "#EXT-X-PLAYLIST-TYPE:VOD", "#EXT-X-INDEPENDENT-SEGMENTS"} < set(
        lines
    )
    assert {line for line in lines if not line.startswith("#")} == {media.path.name}
    found = re.search(r'^#EXT-X-MAP:URI="(.*)",BYTERANGE="(\d+)@0"$', text, re.M)
    assert found
    assert found[1] == media.path.name
    entry = r"^#EXTINF:([\d.]+),\n#EXT-X-BYTERANGE:(\d+)@(\d+)\n" + re.escape(media.path.name) + "$"
    segments = tuple(
        Segment(int(offset), int(size), float(duration))
        for duration, size, offset in re.findall(entry, text, re.M)
    )
    assert len(segments) == sum(line.startswith("#EXTINF") for line in lines)
    target = re.search(r"^#EXT-X-TARGETDURATION:(\d+)$", text, re.M)
    assert target
    header = media.path.read_bytes()[: int(found[2])]
    return Hls(playlist, media, header, segments, int(target[1]))


def hold_to_the_rules(hls: Hls) -> None:
    """RFC 8216: ranges follow one another, each begins a fragment, durations are what they say."""
    at = len(hls.header)
    for segment in hls.segments:
        assert segment.offset == at
        at += segment.size
        assert segment.duration <= hls.target + 0.5
    assert at == hls.media.size == hls.media.path.stat().st_size
    total = sum(segment.duration for segment in hls.segments)
    assert total == pytest.approx(hls.playlist.duration_seconds, abs=0.001 * len(hls.segments))
    assert [kind for kind, _, _ in boxes(hls.header)] == [b"ftyp", b"moov"]
    for number in range(len(hls.segments)):
        kinds = [kind for kind, _, _ in boxes(hls.segment(number))]
        assert kinds == [b"moof", b"mdat"] * (len(kinds) // 2)


def boxes(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    at = 0
    while at < len(data):
        (size,) = struct.unpack_from("!I", data, at)
        yield data[at + 4 : at + 8], at, size
        at += size
    assert at == len(data)


def first_picture(hls: Hls, number: int, folder: Path) -> tuple[float, bool]:
    """Time of a segment's first picture, and whether a decoder gives it that has seen nothing before."""
    path = folder / "segment.mp4"
    path.write_bytes(hls.header + hls.segment(number))
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        packet = next(packet for packet in container.demux(stream) if packet.size)
        frames = [*stream.codec_context.decode(packet), *stream.codec_context.decode(None)]
        assert packet.pts is not None
        assert packet.time_base is not None
        return float(packet.pts * packet.time_base), packet.is_keyframe and len(frames) == 1


def complaints(path: Path) -> str:
    decode = ["ffmpeg", "-v", "error", "-i", str(path), "-f", "null", "-"]
    return subprocess.run(decode, capture_output=True, text=True, check=True).stderr


@pytest.mark.parametrize("codec", CODECS)
def test_every_segment_stands_for_itself(tmp_path: Path, codec: str) -> None:
    frames = encode_video(codec, 0, 600, (160, 90))
    result = make(tmp_path, video_track(codec, frames=frames), audio_track(20.0))
    hls = read_hls(result)
    hold_to_the_rules(hls)
    assert [segment.duration for segment in hls.segments] == [5.0] * 4
    assert hls.target == 5
    assert {file.kind for file in (hls.playlist, hls.media)} == {"hls"}
    assert {file.derived_from for file in (hls.playlist, hls.media)} == {result.files[0].path.name}
    assert (hls.playlist.content_type, hls.media.content_type) == (
        "application/vnd.apple.mpegurl",
        "video/mp4",
    )
    for number in range(4):
        assert first_picture(hls, number, tmp_path) == (
            pytest.approx(5.0 * number, abs=0.002),
            True,
        )
    whole, truth = measure(result.files[0].path), measure(hls.playlist.path)
    assert truth.counters == tuple(range(600))
    assert truth.times_s == pytest.approx(whole.times_s, abs=0.002)
    assert len(truth.beeps_s) == 20
    assert abs(truth.median_offset_ms - whole.median_offset_ms) < 3
    assert complaints(hls.playlist.path) == ""


def test_sound_alone_has_segments_too(tmp_path: Path) -> None:
    hls = read_hls(make(tmp_path, audio_track(20.0)))
    hold_to_the_rules(hls)
    assert hls.media.content_type == "audio/mp4"
    assert [round(segment.duration) for segment in hls.segments] == [6, 6, 6, 2]
    assert len(measure(hls.playlist.path).beeps_s) == 20
    assert complaints(hls.playlist.path) == ""


def test_vp8_has_webm_alone(tmp_path: Path) -> None:
    assert [file.kind for file in make(tmp_path, video_track(), audio_track()).files] == [
        "participant"
    ]


@pytest.mark.parametrize(("minutes", "files"), [(0.0, 1), (0.07, 1), (0.06, 3)])
def test_short_recordings_have_none(tmp_path: Path, minutes: float, files: int) -> None:
    options = FileOptions(hls_minutes=minutes, thumbnails=False)  # the recording lasts 4 s
    assert len(make(tmp_path, video_track("video/H264"), options=options).files) == files


def test_the_same_journals_give_the_same_bytes(tmp_path: Path) -> None:
    first = make(tmp_path, video_track("video/H264"), audio_track())
    assert make(tmp_path).files == first.files


@pytest.mark.parametrize("codec", ["video/H264", "video/VP9"])
def test_pauses_do_not_stop_a_player(tmp_path: Path, codec: str) -> None:
    """Camera from 3 to 10 s and from 40 s on, microphone to 5 s, 10 to 20 s and from 55 s on."""
    frames = [
        frame
        for frame in encode_video(codec, 0, 1500, (160, 90))
        if 90 <= frame.counter < 300 or frame.counter >= 1200
    ]
    sound = KnownTrack("audio", "audio/opus")
    for number, packet in enumerate(encode_audio(60.0)):
        if number < 250 or 500 <= number < 1000 or number >= 2750:
            sound.put(number / 50, packet)
    result = make(tmp_path, video_track(codec, frames=frames), sound)
    hls = read_hls(result)
    hold_to_the_rules(hls)
    file = read_fragments(hls.media.path)
    for track in file.tracks:
        runs = [(part.begins[track], part.ends[track]) for part in file.fragments]
        assert runs[0][0] == 0.0
        assert runs[-1][1] == pytest.approx(60.0, abs=0.05)
        for (_, end), (begin, _) in pairwise(runs):
            assert begin == pytest.approx(end, abs=0.02)
    assert all(part.keyframe for part in file.fragments)
    assert max(segment.duration for segment in hls.segments) < 16
    truth = measure(hls.playlist.path)
    shown = dict(zip(truth.times_s, truth.counters, strict=True))
    assert [counter for counter in truth.counters if counter >= 1200] == list(range(1200, 1500))
    assert shown[min(shown, key=lambda time: abs(time - 40.0))] == 1200
    assert (
        sum(270 <= counter < 300 for counter in truth.counters) == 30 + 4
    )  # the repeated keyframe
    assert complaints(hls.playlist.path) == ""


def test_a_long_stretch_without_keyframes_is_one_segment_of_several_fragments(
    tmp_path: Path,
) -> None:
    frames = encode_video("video/H264", 0, 2100, (160, 90), 1950)
    result = make(tmp_path, video_track("video/H264", frames=frames), audio_track(70.0))
    hls = read_hls(result)
    hold_to_the_rules(hls)
    file = read_fragments(hls.media.path)
    assert len(file.fragments) > len(hls.segments)
    assert max(part.ends[1] - part.begins[1] for part in file.fragments) < 31
    assert sum(segment.duration for segment in hls.segments) == pytest.approx(70.0, abs=0.01)
    assert all(first_picture(hls, number, tmp_path)[1] for number in range(len(hls.segments)))


# --- the parts ----------------------------------------------------------------------------------------


def fragment(offset: int, begin: float, end: float, keyframe: bool | None) -> Fragment:
    return Fragment(offset, 100, {1: begin}, {1: end}, {1: 1}, keyframe)


def test_fragments_without_a_keyframe_belong_to_the_segment_before() -> None:
    fragments = (
        fragment(50, 0.0, 6.0, True),
        fragment(150, 6.0, 36.0, False),
        fragment(250, 36.0, 40.0, True),
        fragment(350, 40.0, 41.5, None),
    )
    file = FragmentedFile(50, 1, (1,), fragments)
    assert segments_of(file) == [Segment(50, 200, 36.0), Segment(250, 200, 5.5)]


def test_a_target_is_the_longest_segment_rounded() -> None:
    assert "#EXT-X-TARGETDURATION:6\n" in playlist_text("a.mp4", 1, [Segment(1, 1, 6.499)])
    assert "#EXT-X-TARGETDURATION:7\n" in playlist_text("a.mp4", 1, [Segment(1, 1, 6.5)])
    assert "#EXT-X-TARGETDURATION:1\n" in playlist_text("a.mp4", 1, [Segment(1, 1, 0.2)])


def test_what_is_no_fragmented_file_is_refused(tmp_path: Path) -> None:
    result = make(tmp_path, video_track("video/H264"), audio_track())
    data = read_hls(result).media.path.read_bytes()
    path = tmp_path / "cut.mp4"
    refused = 0
    for end in [*range(0, 2500, 7), len(data) - 1]:
        path.write_bytes(data[:end])
        try:
            found = read_fragments(path)
        except MuxFailed:
            refused += 1
        else:
            assert end in {0, *(at for _, at, _ in boxes(data))}
            assert len(found.fragments) <= 1
    assert refused > 300


# --- eight hours --------------------------------------------------------------------------------------


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_eight_hours(tmp_path: Path) -> None:
    """Low-rate H.264 and Opus: 144,000 pictures and 1,440,000 packets of sound."""
    result = make_recording(tmp_path, hours=8.0)
    assert result.failures == ()
    assert result.integrity["notDerived"] == []
    assert result.integrity["complete"]
    hls = read_hls(result)
    hold_to_the_rules(hls)
    assert hls.playlist.size < 1_000_000
    assert hls.playlist.duration_seconds == pytest.approx(8 * 3600, abs=0.5)
    assert max(segment.duration for segment in hls.segments) <= 8.1
    for number in (0, 1, len(hls.segments) // 2, len(hls.segments) - 1):
        begin = sum(segment.duration for segment in hls.segments[:number])
        at, decodes = first_picture(hls, number, tmp_path)
        assert decodes
        assert at == pytest.approx(begin, abs=0.01)
    assert all(part.keyframe for part in read_fragments(hls.media.path).fragments)
    show = ["ffprobe", "-v", "error", "-count_packets", "-of", "json"]
    show += ["-show_entries", "stream=codec_type,nb_read_packets", str(hls.playlist.path)]
    shown = subprocess.run(show, capture_output=True, text=True, check=True)
    assert shown.stderr == ""
    counts = {
        stream["codec_type"]: int(stream["nb_read_packets"])
        for stream in json.loads(shown.stdout)["streams"]
    }
    assert counts == {"video": 8 * 3600 * 5, "audio": 8 * 3600 * 50}


INDEX_BYTES = 100
"""What libavformat keeps of each sample of an MP4: 80 at most at a time."""


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_memory_does_not_grow_with_the_length_but_for_the_index(tmp_path: Path) -> None:
    hours = (0.5, 3.0)
    peaks = [peak_memory(tmp_path / str(each), each) for each in hours]
    samples = (hours[1] - hours[0]) * 3600 * 55
    assert peaks[1] - peaks[0] < (8 << 20) + samples * INDEX_BYTES, peaks


def peak_memory(folder: Path, hours: float) -> int:
    """Bytes of the job's largest resident set."""
    write_recording(folder / "journals", hours)
    command = [sys.executable, "-m", "recorder.finalize"]
    command += ["--journals", str(folder / "journals"), "--output", str(folder / "output")]
    cost = cost_of(command, folder / "words")
    assert (folder / "output" / "001-camera.m3u8").exists()
    return cost.memory
