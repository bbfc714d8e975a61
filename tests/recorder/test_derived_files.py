"""What is made beside a recording's files: pictures, single tracks; and what is left out."""

from __future__ import annotations

import json
import re
import struct
import subprocess
import sys
from fractions import Fraction
from hashlib import sha256
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from mediaserver.journal import encode_header
from recorder import finalize as job
from recorder.derived.thumbnails import derive
from recorder.errors import DiskFull
from recorder.file_options import FileOptions
from recorder.jobs import FinalizedFile, FinalizeResult
from tests.media_truth import draw_picture, measure, read_counter
from tests.recorder.changing_media import FRAMES, SIZES, make_changing_recording
from tests.recorder.known_media import (
    ENCODERS,
    Coded,
    KnownTrack,
    audio_track,
    encode_video,
    video_track,
)

CODECS = ["video/VP8", "video/VP9", "video/H264"]


def make(tmp_path: Path, *tracks: KnownTrack, **options: Any) -> FinalizeResult:
    for track in tracks:
        track.write(tmp_path / "journals")
    journals, output = tmp_path / "journals", tmp_path / "output"
    result = job.finalize(journals, output, lambda _progress: None, FileOptions(**options))
    assert result.failures == ()
    assert sorted(output.iterdir()) == sorted(file.path for file in result.files)
    return result


def by_role(result: FinalizeResult) -> dict[str, FinalizedFile]:
    return {file.role: file for file in result.files}


def decoded(path: Path) -> list[av.VideoFrame]:
    with av.open(str(path)) as container:
        return list(container.decode(video=0))


def complaints(path: Path) -> str:
    decode = ["ffmpeg", "-v", "error", "-i", str(path), "-f", "null", "-"]
    return subprocess.run(decode, capture_output=True, text=True, check=True).stderr


def cues_in(path: Path) -> list[tuple[str, str, str, tuple[int, int, int, int]]]:
    """(begin, end, image, region) of each cue."""
    pattern = r"^(\S+) --> (\S+)\n(\S+)#xywh=(\d+),(\d+),(\d+),(\d+)$"
    found = re.findall(pattern, path.read_text(), re.M)
    return [(begin, end, name, tuple(map(int, region))) for begin, end, name, *region in found]


# --- pictures -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("codec", [*CODECS, "video/AV1"])
def test_a_file_with_video_has_poster_strip_and_cues(tmp_path: Path, codec: str) -> None:
    frames = encode_video(codec, 30, 600, (160, 90))
    result = make(tmp_path, video_track(codec, frames=frames, shift=-1.0), audio_track(20.0))
    original, poster, strip, cues = result.files
    assert [file.role for file in (original, poster, strip, cues)] == [
        "",
        "poster",
        "strip",
        "cues",
    ]
    assert {file.kind for file in (poster, strip, cues)} == {"thumbnail"}
    assert {file.derived_from for file in (poster, strip, cues)} == {original.path.name}
    assert original.derived_from is None
    assert [poster.content_type, cues.content_type] == ["image/jpeg", "text/vtt"]
    assert (poster.width, poster.height) == (160, 90)
    (picture,) = decoded(poster.path)
    assert read_counter(picture) == 30
    (sprite,) = decoded(strip.path)
    assert (sprite.width, sprite.height) == (strip.width, strip.height) == (640, 90)
    assert cues_in(cues.path) == [
        ("00:00:00.000", "00:00:05.000", strip.path.name, (0, 0, 160, 90)),
        ("00:00:05.000", "00:00:10.000", strip.path.name, (160, 0, 160, 90)),
        ("00:00:10.000", "00:00:15.000", strip.path.name, (320, 0, 160, 90)),
        ("00:00:15.000", "00:00:20.000", strip.path.name, (480, 0, 160, 90)),
    ]
    assert [counter_at(sprite, 160 * number, 0, 160, 90) for number in range(4)] == [
        30,
        180,
        330,
        480,
    ]


def counter_at(sprite: av.VideoFrame, x: int, y: int, width: int, height: int) -> int:
    part = sprite.to_ndarray(format="gray")[y : y + height, x : x + width]
    return read_counter(av.VideoFrame.from_ndarray(np.ascontiguousarray(part), format="gray"))


def test_the_poster_shows_something(tmp_path: Path) -> None:
    result = make(tmp_path, black_then("video/VP8", 125))
    (picture,) = decoded(by_role(result)["poster"].path)
    assert read_counter(picture) >= 125
    assert len(cues_in(by_role(result)["cues"].path)) == 2


def test_a_file_that_is_black_throughout_has_a_black_poster(tmp_path: Path) -> None:
    result = make(tmp_path, black_then("video/VP8", 300))
    (picture,) = decoded(by_role(result)["poster"].path)
    assert picture.to_ndarray(format="gray").max() < 40


def black_then(mime_type: str, first: int) -> KnownTrack:
    """10 s of video whose pictures are black up to the first one of a number."""
    name, options = ENCODERS[mime_type]
    encoder: Any = av.CodecContext.create(name, "w")
    encoder.width, encoder.height, encoder.pix_fmt = 320, 180, "yuv420p"
    encoder.time_base, encoder.gop_size = Fraction(1, 30), 30
    encoder.options = dict(options)
    frames = []
    for counter in range(300):
        picture = draw_picture(counter, 320, 180)
        if counter < first:
            for number, level in enumerate((16, 128, 128)):
                picture.planes[number].update(bytes([level]) * picture.planes[number].buffer_size)
        picture.pts = counter
        (packet,) = encoder.encode(picture)
        frames.append(Coded(counter, bytes(packet), packet.is_keyframe))
    return video_track(mime_type, frames=frames)


def test_large_pictures_are_made_small(tmp_path: Path) -> None:
    frames = encode_video("video/VP8", 30, 30, (1920, 1080))
    result = make(tmp_path, video_track(frames=frames, shift=-1.0))
    poster = by_role(result)["poster"]
    assert (poster.width, poster.height) == (1280, 720)
    assert decoded(poster.path)[0].width == 1280


@pytest.mark.parametrize("codec", CODECS)
def test_strips_keep_the_shape_of_each_picture(tmp_path: Path, codec: str) -> None:
    """320x180, 1280x720, 720x1280, 2 s each; a picture each 2 s is too near for a short file."""
    result = make_changing_recording(tmp_path, codec)
    regions = [region for *_, region in cues_in(by_role(result)["cues"].path)]
    assert regions == [(0, 0, 160, 90), (160, 0, 160, 90)]
    (sprite,) = decoded(by_role(result)["strip"].path)
    assert counter_at(sprite, 160, 0, 160, 90) == 90


def test_sound_alone_has_no_pictures(tmp_path: Path) -> None:
    assert [file.kind for file in make(tmp_path, audio_track(1.0)).files] == ["participant"]


def test_they_can_be_left_out(tmp_path: Path) -> None:
    assert len(make(tmp_path, video_track(), thumbnails=False).files) == 1


def test_pictures_that_can_not_be_decoded_are_no_harm(tmp_path: Path) -> None:
    """The header of each keyframe is right, the rest is not; libvpx's own decoder crashes on less."""
    broken = [
        Coded(frame.counter, frame.data[:10] + b"\xff" * (len(frame.data) - 10), frame.keyframe)
        for frame in encode_video("video/VP9", 0, 60)
    ]
    result = make(tmp_path, video_track("video/VP9", frames=broken), audio_track(2.0))
    assert [file.role for file in result.files] == [""]
    assert result.files[0].duration_seconds == pytest.approx(2.0, abs=0.05)


def test_a_picture_too_large_to_decode_is_no_harm(tmp_path: Path) -> None:
    """A VP8 keyframe says 16,000 x 16,000 in ten bytes: 384 MB for each picture of a decoder."""
    frame = encode_video("video/VP8")[0]
    forged = frame.data[:6] + struct.pack("<HH", 16_000, 16_000) + frame.data[10:]
    result = make(tmp_path, video_track(frames=[Coded(0, forged, True)]), audio_track(1.0))
    assert [file.role for file in result.files] == [""]


def test_a_process_that_dies_is_no_harm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (file,) = make(tmp_path, video_track(), thumbnails=False).files
    monkeypatch.setattr(sys, "executable", "/bin/false")
    assert derive(file) == []


def test_a_full_disk_is_the_jobs_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is tried again when there is room, instead of a recording that lacks something for ever."""
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\necho '{\"errno\": 28}'\n")
    program.chmod(0o755)
    video_track().write(tmp_path / "journals")
    monkeypatch.setattr(sys, "executable", str(program))
    with pytest.raises(DiskFull):
        job.finalize(tmp_path / "journals", tmp_path / "output", lambda _progress: None)


def test_what_can_not_be_derived_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "output" / "001-camera.m3u8").mkdir(parents=True)  # in the way
    video_track("video/H264").write(tmp_path / "journals")
    options = FileOptions(hls_minutes=0.01, thumbnails=False)
    result = job.finalize(tmp_path / "journals", tmp_path / "output", lambda _: None, options)
    assert [file.kind for file in result.files] == ["participant"]
    assert result.failures == ()
    assert "001-camera.mp4" in result.integrity["notDerived"][0]
    assert result.integrity["complete"]


# --- tracks -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("codec", CODECS)
def test_each_track_can_have_a_file_of_its_own(tmp_path: Path, codec: str) -> None:
    tracks = [video_track(codec, shift=0.5), audio_track(4.0), audio_track(2.0, participant="bob")]
    result = make(tmp_path, *tracks, tracks=True, thumbnails=False)
    container = "mp4" if codec == "video/H264" else "webm"
    assert {file.path.name: file.kind for file in result.files} == {
        f"001-camera.{container}": "participant",
        f"001-camera.video.{container}": "track",
        "001-camera.audio.webm": "track",
        "002-camera.webm": "participant",
        "002-camera.audio.webm": "track",
    }
    assert {file.derived_from for file in result.files} == {None}
    files = {file.path.name: file for file in result.files}
    video, audio = files[f"001-camera.video.{container}"], files["001-camera.audio.webm"]
    assert (video.content_type, audio.content_type) == (f"video/{container}", "audio/webm")
    assert (video.width, video.height, audio.width) == (320, 240, None)
    assert video.start_seconds == pytest.approx(0.5, abs=0.002)
    assert audio.start_seconds == 0.0
    seen, heard = measure(video.path), measure(audio.path)
    assert seen.counters == tuple(range(120))
    assert seen.times_s[0] == 0.0
    assert seen.audio_s is None
    assert heard.video_s is None
    assert len(heard.beeps_s) == 4
    assert complaints(video.path) == complaints(audio.path) == ""


# --- sound alone --------------------------------------------------------------------------------------


def test_a_recording_of_sound_alone_leaves_video_out(tmp_path: Path) -> None:
    tracks = [video_track(), audio_track(4.0), video_track(participant="bob")]
    result = make(tmp_path, *tracks, audio_only=True)
    (file,) = result.files
    assert (file.content_type, file.participant_id) == ("audio/webm", "alice")
    assert measure(file.path).video_s is None
    assert [track["kind"] for track in result.integrity["tracks"]] == ["audio"]
    assert result.integrity["complete"]


def test_a_journal_that_can_not_be_read_is_named_in_a_recording_of_sound_too(
    tmp_path: Path,
) -> None:
    audio_track(1.0).write(tmp_path / "journals")
    head = bytearray(encode_header(video_track().header()))
    head[20] ^= 0xFF
    (tmp_path / "journals" / "broken.journal").write_bytes(bytes(head))
    options = FileOptions(audio_only=True)
    result = job.finalize(tmp_path / "journals", tmp_path / "output", lambda _: None, options)
    assert len(result.files) == 1
    assert "broken.journal" in result.failures[0]


# --- sizes that change --------------------------------------------------------------------------------


@pytest.mark.parametrize("codec", CODECS)
def test_sizes_that_change_decode_without_complaint(tmp_path: Path, codec: str) -> None:
    options = FileOptions(hls_minutes=0.01, tracks=True)
    result = make_changing_recording(tmp_path, codec, options)
    assert result.integrity["notDerived"] == []
    with_video = [file for file in result.files if file.content_type.startswith("video/")]
    assert len(with_video) == (2 if codec == "video/VP8" else 3)
    for file in with_video:
        assert complaints(file.path) == ""
        truth = measure(file.path)
        assert truth.counters == tuple(range(FRAMES))
        assert truth.sizes == SIZES


# --- the report ---------------------------------------------------------------------------------------


def test_the_report_has_each_file_with_its_hash(tmp_path: Path) -> None:
    result = make(tmp_path, video_track(), audio_track())
    assert result.integrity["files"] == [
        {
            "file": file.path.name,
            "sha256": sha256(file.path.read_bytes()).hexdigest(),
            "durationSeconds": file.duration_seconds,
        }
        for file in result.files
    ]
    assert [round(entry["durationSeconds"]) for entry in result.integrity["files"]] == [4, 0, 0, 0]
    assert FinalizeResult.from_json(json.loads(json.dumps(result.to_json()))) == result


def test_options_reach_the_process(tmp_path: Path) -> None:
    for track in (video_track(), audio_track()):
        track.write(tmp_path / "journals")
    assert [file["kind"] for file in run(tmp_path, '{"audioOnly": true, "quality": "720p"}')] == [
        "participant"
    ]


@pytest.mark.parametrize("options", ['{"tracks": "yes"}', "[]", "{"])
def test_options_that_are_none_fail_the_job(tmp_path: Path, options: str) -> None:
    audio_track(1.0).write(tmp_path / "journals")
    with pytest.raises(AssertionError, match="job_failed"):
        run(tmp_path, options)


def run(folder: Path, options: str) -> list[dict[str, Any]]:
    command = [sys.executable, "-m", "recorder.finalize", "--options", options]
    command += ["--journals", str(folder / "journals"), "--output", str(folder / "output")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        last = json.loads(process.stdout.readlines()[-1])
    assert "result" in last, last
    files: list[dict[str, Any]] = last["result"]["files"]
    return files
