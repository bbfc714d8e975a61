"""A recording is judged by what its files show and sound when they are decoded."""

from __future__ import annotations

import random
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import av
import pytest

from mediaserver.journal import RecordKind, encode_header
from recorder.depacketize import CodedFrame
from recorder.errors import JobFailed, MuxFailed
from recorder.file_options import FileOptions
from recorder.finalize import finalize
from recorder.jobs import FinalizedFile, FinalizeResult
from recorder.muxer import mux
from recorder.plan import FilePlan
from recorder.scan import ScannedTrack
from recorder.stream import TimedFrame
from tests.media_truth import Truth, measure, read_counter
from tests.recorder.known_media import (
    START_US,
    KnownTrack,
    audio_track,
    encode_audio,
    encode_video,
    h264_payloads,
    rtp_packet,
    video_track,
    vp8_payloads,
)

CODECS = ["video/VP8", "video/VP9", "video/H264", "video/AV1"]
BARE = FileOptions(thumbnails=False)  # what is made of the files is in test_derived_files.py
FRAME_MS = 1000 / 30
ENCODER_DELAY_MS = 6.5  # of libopus; it is in the coded sound


def make(tmp_path: Path, tracks: Iterable[KnownTrack], *, end: bool = True) -> FinalizeResult:
    for track in tracks:
        track.write(tmp_path / "journals", end=end)
    return finalize(tmp_path / "journals", tmp_path / "output", lambda _progress: None, BARE)


def only(result: FinalizeResult) -> tuple[FinalizedFile, Truth]:
    assert result.failures == ()
    (file,) = result.files
    return file, measure(file.path)


def integrity_of(result: FinalizeResult, kind: str) -> dict[str, Any]:
    (found,) = [track for track in result.integrity["tracks"] if track["kind"] == kind]
    return dict(found)


def drop(track: KnownTrack, numbers: Iterable[int]) -> KnownTrack:
    """Without some of its RTP packets, by their position."""
    packets = [entry for entry in track.entries if entry[1] == RecordKind.RTP]
    for number in numbers:
        track.entries.remove(packets[number])
    return track


# --- the plain case ---------------------------------------------------------------------------------


@pytest.mark.parametrize("codec", CODECS)
def test_every_frame_and_beep_is_there_in_sync(tmp_path: Path, codec: str) -> None:
    result = make(tmp_path, [video_track(codec, delay=0.12), audio_track(delay=0.02)])
    file, truth = only(result)
    assert truth.counters == tuple(range(120))
    assert len(truth.flashes_s) == 3  # the one at 0 has no picture before it
    assert len(truth.beeps_s) == 4
    assert all(abs(ms - ENCODER_DELAY_MS) < 3 for ms in truth.offsets_ms)
    assert abs(truth.duration_s - 4.0) < 0.05
    assert abs(file.duration_seconds - truth.duration_s) < 0.002
    assert (file.width, file.height) == (320, 240)
    assert file.content_type == ("video/mp4" if codec == "video/H264" else "video/webm")
    assert (file.kind, file.participant_id, file.start_seconds) == ("participant", "alice", 0.0)
    assert file.size == file.path.stat().st_size
    assert result.integrity["complete"] is True
    assert result.integrity["audioVideoOffsetMs"] < 1
    assert result.first_media_us is not None
    assert abs(result.first_media_us - START_US - 20_000) < 2_000


@pytest.mark.parametrize("codec", CODECS)
def test_other_programs_read_duration_and_decode_without_complaint(
    tmp_path: Path, codec: str
) -> None:
    if shutil.which("ffprobe") is None:
        pytest.fail("this test needs ffprobe (Debian: ffmpeg)")
    file, _ = only(make(tmp_path, [video_track(codec), audio_track()]))
    show = ["ffprobe", "-v", "error", "-show_entries", "format=duration", "-of", "csv=p=0"]
    shown = subprocess.run([*show, file.path], capture_output=True, text=True, check=True)
    assert abs(float(shown.stdout) - 4.0) < 0.05
    assert shown.stderr == ""
    decode = ["ffmpeg", "-v", "error", "-i", str(file.path), "-f", "null", "-"]
    assert subprocess.run(decode, capture_output=True, text=True, check=True).stderr == ""


@pytest.mark.parametrize("codec", CODECS)
def test_seeking_to_the_middle_lands_within_a_keyframe(tmp_path: Path, codec: str) -> None:
    file, _ = only(make(tmp_path, [video_track(codec), audio_track()]))
    with av.open(str(file.path)) as container:
        stream = container.streams.video[0]
        assert stream.time_base is not None
        container.seek(round(2.5 / stream.time_base), stream=stream)
        picture = next(container.decode(stream))
        assert 1.5 <= float(picture.time or 0) <= 2.5
        assert read_counter(picture) == 60


@pytest.mark.parametrize("codec", ["video/VP8", "video/H264"])
def test_the_index_is_at_the_front(tmp_path: Path, codec: str) -> None:
    file, _ = only(make(tmp_path, [video_track(codec), audio_track()]))
    data = file.path.read_bytes()
    index, media = (b"moov", b"mdat") if codec == "video/H264" else (b"\x1cS\xbbk", b"\x1fC\xb6u")
    at = [m for m in range(len(data)) if data.startswith(index, m)]
    assert at
    assert at[-1] < data.index(media)


# --- clocks -----------------------------------------------------------------------------------------


def test_clocks_that_disagree_do_not_shift_anything(tmp_path: Path) -> None:
    tracks = [
        video_track(delay=0.2, clock_offset=-7200.5, rtp_ppm=180, timestamp=5),
        audio_track(delay=0.01, clock_offset=-7200.5, rtp_ppm=-200, sequence=0),
    ]
    _, truth = only(make(tmp_path, tracks))
    assert truth.counters == tuple(range(120))
    assert all(abs(ms - ENCODER_DELAY_MS) < 5 for ms in truth.offsets_ms)


def test_without_sender_reports_arrival_aligns(tmp_path: Path) -> None:
    tracks = [video_track(delay=0.05, reports=False), audio_track(delay=0.02, reports=False)]
    result = make(tmp_path, tracks)
    _, truth = only(result)
    assert all(abs(ms - ENCODER_DELAY_MS + 30) < 5 for ms in truth.offsets_ms)
    assert result.integrity["audioVideoOffsetMs"] is None


def test_a_fast_sound_card_does_not_pile_up(tmp_path: Path) -> None:
    """A packet every 19.98 ms for half a minute: each keeps its own time, none is left out."""
    track = KnownTrack("audio", "audio/opus", rtp_ppm=1000)
    for number, packet in enumerate(encode_audio(30.0)):
        at = number / 50 / 1.001
        if number % 50 == 0:
            track.report(at)
        track.put(at, packet)
    file, truth = only(make(tmp_path, [track]))
    assert truth.duration_s == pytest.approx(30 / 1.001, abs=0.005)
    with av.open(str(file.path)) as container:
        packets = [packet for packet in container.demux() if packet.size]
        times = [float((packet.pts or 0) * (packet.time_base or 0)) for packet in packets]
    assert times == pytest.approx([n / 50 / 1.001 for n in range(1500)], abs=0.005)


@pytest.mark.parametrize("start", [0, 1, 65534, 65535])
def test_wraps_reordering_and_duplicates_change_nothing(tmp_path: Path, start: int) -> None:
    track = video_track(sequence=start, timestamp=2**32 - 90_000)
    chance = random.Random(start)
    moved = []
    for arrival_us, kind, payload in track.entries:
        late = chance.choice([0, 0, 0, 0, 1_500_000])
        moved.append((arrival_us + late, kind, payload))
        if chance.random() < 0.1:
            moved.append((arrival_us + 500_000, kind, payload))
    track.entries[:] = [moved[0], *moved[1:]]
    result = make(tmp_path, [track])
    _, truth = only(result)
    assert truth.counters == tuple(range(120))
    seen = integrity_of(result, "video")
    assert seen["packetsLost"] == 0
    assert seen["packetsRecovered"] > 5
    assert abs(truth.duration_s - 4.0) < 0.05


def test_silence_keeps_its_length(tmp_path: Path) -> None:
    track = KnownTrack("audio", "audio/opus")
    for number, packet in enumerate(encode_audio(4.0)):
        if not 60 <= number < 140:  # nothing is sent, and nothing is missing, for 1.6 s
            track.put(number / 50, packet)
    result = make(tmp_path, [track])
    file, truth = only(result)
    assert abs(truth.duration_s - 4.0) < 0.03
    assert truth.beeps_s == pytest.approx([0.006, 1.006, 3.006], abs=0.003)
    assert file.content_type == "audio/webm"
    assert file.path.suffix == ".webm"
    assert (file.width, file.height) == (None, None)
    assert result.integrity["complete"] is True


def test_slow_screen_shares_play_at_their_speed(tmp_path: Path) -> None:
    frames = encode_video("video/VP8")[:4]
    track = KnownTrack("video", "video/VP8", source="screen_share")
    for number, frame in enumerate(frames):
        track.frame(float(number), vp8_payloads(frame))
    file, truth = only(make(tmp_path, [track]))
    assert truth.times_s == pytest.approx((0, 1, 2, 3), abs=0.002)
    assert "screen" in file.path.name


# --- losses -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("codec", CODECS)
def test_a_loss_costs_the_frames_up_to_the_next_keyframe(tmp_path: Path, codec: str) -> None:
    track = video_track(codec)
    marks = [e[2] for e in track.entries if e[1] == RecordKind.RTP]
    ends = [number for number, data in enumerate(marks) if data[1] & 0x80]
    drop(track, [ends[39]])  # the last packet of frame 40 - 1
    result = make(tmp_path, [track, audio_track()])
    _, truth = only(result)
    assert truth.counters == (*range(39), *range(60, 120))
    seen = integrity_of(result, "video")
    assert seen["packetsLost"] == 1
    assert [gap["reason"] for gap in seen["gaps"]] == ["lost"]
    (stretch,) = seen["undecodable"]
    assert stretch["startSeconds"] == pytest.approx(39 / 30, abs=0.05)
    assert stretch["durationSeconds"] == pytest.approx(21 / 30, abs=0.05)
    assert result.integrity["complete"] is False
    assert abs(truth.duration_s - 4.0) < 0.05


def test_a_lost_padding_packet_costs_nothing(tmp_path: Path) -> None:
    track = KnownTrack("video", "video/VP8")
    for frame in encode_video("video/VP8"):
        at = frame.counter / 30
        track.frame(at, vp8_payloads(frame, frame.counter))
        track.put(at, b"", padding=100)
    packets = [entry for entry in track.entries if entry[1] == RecordKind.RTP]
    padding = [entry for entry in packets if entry[2][0] & 0x20]
    for number in (3, 4, 50):
        track.entries.remove(padding[number])
    result = make(tmp_path, [track])
    _, truth = only(result)
    assert truth.counters == tuple(range(120))
    assert integrity_of(result, "video")["packetsLost"] == 3
    assert integrity_of(result, "video")["undecodable"] == []


@pytest.mark.parametrize("codec", ["video/VP8", "video/H264"])
def test_video_that_waits_for_its_keyframe_starts_at_its_own_time(
    tmp_path: Path, codec: str
) -> None:
    result = make(tmp_path, [drop(video_track(codec), range(6)), audio_track()])
    file, truth = only(result)
    assert truth.counters == tuple(range(30, 120))
    assert truth.video_s is not None
    assert truth.video_s[0] == pytest.approx(1.0, abs=0.01)
    assert all(abs(ms - ENCODER_DELAY_MS) < 3 for ms in truth.offsets_ms)
    assert file.start_seconds == 0.0
    (gap,) = integrity_of(result, "video")["gaps"]
    assert gap["reason"] == "before_keyframe"
    assert result.integrity["complete"] is True


def test_lost_sound_is_a_gap_and_nothing_else(tmp_path: Path) -> None:
    result = make(tmp_path, [drop(audio_track(), [*range(70, 80), 120])])
    _, truth = only(result)
    assert truth.beeps_s == pytest.approx([0.006, 1.006, 2.006, 3.006], abs=0.003)
    seen = integrity_of(result, "audio")
    assert (seen["packetsReceived"], seen["packetsLost"]) == (189, 11)
    assert abs(truth.duration_s - 4.0) < 0.03


# --- several tracks ---------------------------------------------------------------------------------


def test_a_republished_track_goes_on_in_the_same_file(tmp_path: Path) -> None:
    first, second = encode_video("video/VP8")[:45], encode_video("video/VP8")[60:]
    tracks = [
        video_track(frames=first, track_id="TR_z"),
        video_track(frames=second, track_id="TR_a", ssrc=99, sequence=7, timestamp=3),
        audio_track(),
    ]
    result = make(tmp_path, tracks)
    _, truth = only(result)
    assert truth.counters == (*range(45), *range(60, 120))
    assert truth.times_s[45] == pytest.approx(2.0, abs=0.01)
    gaps = [gap for track in result.integrity["tracks"] for gap in track["gaps"]]
    assert [gap["reason"] for gap in gaps] == ["absent"]


def test_sound_that_comes_twice_is_kept_once(tmp_path: Path) -> None:
    """The old connection still delivers while the new one does already."""
    old = KnownTrack("audio", "audio/opus", track_id="TR_1")
    new = KnownTrack("audio", "audio/opus", track_id="TR_2", ssrc=9)
    for number, packet in enumerate(encode_audio(4.0)):
        if number < 110:
            old.put(number / 50, packet)
        if number >= 80:
            new.put(number / 50, packet)
    _, truth = only(make(tmp_path, [old, new]))
    assert truth.duration_s == pytest.approx(4.0, abs=0.03)
    assert truth.beeps_s == pytest.approx([0.006, 1.006, 2.006, 3.006], abs=0.003)


def test_a_changed_ssrc_goes_on_in_the_same_file(tmp_path: Path) -> None:
    track = KnownTrack("video", "video/VP8")
    for frame in encode_video("video/VP8"):
        if frame.counter == 60:
            track.ssrc, track.sequence, track.timestamp = 77, 12, 2**31
        if frame.counter % 30 == 10:
            track.report(frame.counter / 30)
        track.frame(frame.counter / 30, vp8_payloads(frame))
    _, truth = only(make(tmp_path, [track, audio_track()]))
    assert truth.counters == tuple(range(120))
    assert truth.times_s == pytest.approx([n / 30 for n in range(120)], abs=0.003)


@pytest.mark.parametrize("codec", CODECS)
def test_a_changed_resolution_decodes(tmp_path: Path, codec: str) -> None:
    frames = [*encode_video(codec)[:60], *encode_video(codec, first=60, count=60, size=(480, 270))]
    result = make(tmp_path, [video_track(codec, frames=frames), audio_track()])
    file, truth = only(result)
    assert truth.counters == tuple(range(120))
    assert truth.sizes == ((320, 240), (480, 270))
    seen = integrity_of(result, "video")["resolutions"]
    assert [(entry["width"], entry["height"]) for entry in seen] == [(320, 240), (480, 270)]
    assert seen[1]["startSeconds"] == pytest.approx(2.0, abs=0.01)
    if codec == "video/H264":
        assert b"avc3" in file.path.read_bytes()


def test_participants_and_screens_have_files_of_their_own_on_one_time_line(tmp_path: Path) -> None:
    tracks = [
        audio_track(1.0, participant="alice"),
        audio_track(1.0, participant="bob", shift=2.0),
        audio_track(1.0, participant="alice", source="screen_share_audio", shift=0.5),
    ]
    result = make(tmp_path, tracks)
    assert [(file.participant_id, file.start_seconds) for file in result.files] == [
        ("alice", 0.0),
        ("alice", 0.5),
        ("bob", 2.0),
    ]


def test_muting_is_in_the_report(tmp_path: Path) -> None:
    track = audio_track(2.0)
    track.record(RecordKind.MUTED, 0.5)
    track.record(RecordKind.UNMUTED, 1.5)
    track.record(RecordKind.MUTED, 1.9)
    seen = integrity_of(make(tmp_path, [track]), "audio")
    assert [(gap["startSeconds"], gap["reason"]) for gap in seen["gaps"]] == [(0.48, "muted")]
    track.entries.pop()
    shutil.rmtree(tmp_path / "journals")
    seen = integrity_of(make(tmp_path, [track]), "audio")
    assert seen["gaps"] == [{"startSeconds": 0.48, "durationSeconds": 1.0, "reason": "muted"}]


# --- damage -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("codec", ["video/VP8", "video/H264"])
def test_torn_journals_are_finished_alike(tmp_path: Path, codec: str) -> None:
    journals = tmp_path / "journals"
    video = video_track(codec).write(journals, end=False)
    audio = audio_track().write(journals, end=False)
    for path in (video, audio):
        data = path.read_bytes()
        path.write_bytes(data[: -len(data) // 4] + b"torn")  # wherever a record ends by chance
    result = finalize(journals, tmp_path / "output", lambda _progress: None, BARE)
    file, truth = only(result)
    assert truth.counters == tuple(range(truth.frames))
    assert truth.frames > 70
    assert result.integrity["complete"] is False
    assert result.last_arrival_us is not None
    assert file.duration_seconds == pytest.approx(truth.duration_s, abs=0.002)
    assert {gap["reason"] for gap in integrity_of(result, "video")["gaps"]} == {"unreadable"}


def test_a_corrupt_journal_does_not_lose_the_others(tmp_path: Path) -> None:
    journals = tmp_path / "journals"
    audio_track(1.0).write(journals)
    (journals / "TR_bad.journal").write_bytes(b"this is no journal at all")
    (journals / "TR_cut.journal").write_bytes(encode_header(audio_track(1.0).header())[:40])
    result = finalize(journals, tmp_path / "output", lambda _progress: None, BARE)
    assert len(result.files) == 1
    assert len(result.failures) == 1
    assert "TR_bad" in result.failures[0]
    assert result.integrity["complete"] is False


def test_a_file_that_can_not_be_made_does_not_lose_the_others(tmp_path: Path) -> None:
    (tmp_path / "output" / "001-camera.webm").mkdir(parents=True)  # in the way of alice's
    result = make(tmp_path, [audio_track(1.0), audio_track(1.0, participant="bob")])
    assert [file.participant_id for file in result.files] == ["bob"]
    assert "001-camera.webm" in result.failures[0]


def test_a_codec_that_can_not_be_kept_is_named(tmp_path: Path) -> None:
    track = audio_track(1.0)
    track.mime_type = "audio/PCMU"
    result = make(tmp_path, [track, audio_track(1.0, participant="bob")])
    assert [file.participant_id for file in result.files] == ["bob"]
    assert "audio/pcmu" in result.failures[0]


def test_a_file_that_does_not_read_back_is_refused(tmp_path: Path) -> None:
    plan = FilePlan("alice", "camera", (), (ScannedTrack(tmp_path, video_track().header()),))
    empty = TimedFrame(0.0, CodedFrame(b"", True, (320, 240)))
    whole = TimedFrame(1e6, CodedFrame(encode_video("video/VP8")[0].data, True, (320, 240)))
    with pytest.raises(MuxFailed):
        mux(plan, iter([whole, empty]), iter([]), tmp_path / "a.webm")
    assert not (tmp_path / "a.webm").exists()


def test_a_result_that_is_none_is_refused() -> None:
    with pytest.raises(JobFailed):
        FinalizeResult.from_json({"files": [{"path": "x"}]})


def test_no_media_is_no_files(tmp_path: Path) -> None:
    journals = tmp_path / "journals"
    KnownTrack("audio", "audio/opus").write(journals)
    dropped = KnownTrack("video", "video/VP8")
    for frame in encode_video("video/VP8")[1:20]:
        dropped.frame(frame.counter / 30, vp8_payloads(frame))
    dropped.write(journals)
    result = finalize(journals, tmp_path / "output", lambda _progress: None, BARE)
    assert (result.files, result.failures, result.first_media_us) == ((), (), None)
    assert list((tmp_path / "output").iterdir()) == []


def test_strange_records_and_packets_are_passed_over(tmp_path: Path) -> None:
    track = video_track()
    track.record(RecordKind.SENDER_REPORT, 0.01, b"short")
    track.record(RecordKind.SENDER_REPORT, 0.02, bytes(12))
    track.record(RecordKind.RTP, 0.5, b"no packet")
    track.record(99, 0.6, b"of a later version")
    track.record(RecordKind.RTP, 0.7, rtp_packet(1, 1, b"straggler", ssrc=5))
    track.entries.pop()
    track.sequence += 0
    _, truth = only(make(tmp_path, [track]))
    assert truth.counters == tuple(range(120))


def test_packets_of_another_payload_type_are_no_media(tmp_path: Path) -> None:
    track = KnownTrack("audio", "audio/opus")
    for number, packet in enumerate(encode_audio(1.0)):
        track.put(number / 50, packet)
        track.put(number / 50, b"comfort noise", payload_type=13)
    result = make(tmp_path, [track])
    _, truth = only(result)
    assert truth.duration_s == pytest.approx(1.0, abs=0.02)
    assert integrity_of(result, "audio")["packetsLost"] == 0


def test_h264_without_in_band_parameter_sets_after_the_first(tmp_path: Path) -> None:
    track = KnownTrack("video", "video/H264")
    for frame in encode_video("video/H264"):
        payloads = h264_payloads(frame)
        if frame.keyframe and frame.counter:
            payloads = payloads[1:] if payloads[0][0] & 0x1F == 24 else payloads
        track.frame(frame.counter / 30, payloads)
    _, truth = only(make(tmp_path, [track]))
    assert truth.counters == tuple(range(120))


def test_doing_it_again_gives_the_same(tmp_path: Path) -> None:
    first = make(tmp_path, [video_track(), audio_track()])
    (tmp_path / "output" / "001-camera.webm.partial").write_bytes(b"left behind")
    second = make(tmp_path, [])
    assert [file.path for file in second.files] == [file.path for file in first.files]
    assert second.integrity == first.integrity
    assert not list((tmp_path / "output").glob("*.partial"))
    assert FinalizeResult.from_json(second.to_json()) == second


def test_progress_rises_to_one(tmp_path: Path) -> None:
    video_track().write(tmp_path / "journals")
    told: list[float] = []
    finalize(tmp_path / "journals", tmp_path / "output", told.append, BARE)
    assert told == sorted(told)
    assert told[-1] == 1.0
    assert len(told) <= 102
