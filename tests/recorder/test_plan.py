"""Which tracks share a file."""

from __future__ import annotations

from pathlib import Path

from mediaserver.journal import JournalHeader
from recorder.plan import OVERLAP_US, FilePlan, plan_files
from recorder.scan import ScannedTrack


def track(
    name: str,
    mime_type: str,
    source: str,
    *,
    participant: str = "alice",
    first: int | None = 0,
    last: int = 10_000_000,
) -> ScannedTrack:
    labels = {"participantId": participant, "source": source}
    header = JournalHeader(
        name, "RC", mime_type.split("/", maxsplit=1)[0], mime_type, 1, 0, 96, "", 0, labels
    )
    scanned = ScannedTrack(Path(f"{name}.journal"), header)
    scanned.first_arrival_us, scanned.last_arrival_us = first, None if first is None else last
    return scanned


def names(plans: list[FilePlan]) -> list[tuple[str, str, str, str]]:
    return [
        (
            plan.participant_id,
            plan.group,
            "+".join(track.header.track_id for track in plan.audio),
            "+".join(track.header.track_id for track in plan.video),
        )
        for plan in plans
    ]


def test_camera_and_microphone_make_one_file_and_the_screen_another() -> None:
    tracks = [
        track("mic", "audio/opus", "microphone"),
        track("cam", "video/VP8", "camera"),
        track("screen", "video/VP9", "screen_share"),
        track("sound", "audio/opus", "screen_share_audio"),
        track("bob", "audio/opus", "microphone", participant="bob"),
    ]
    assert names(plan_files(tracks)) == [
        ("alice", "camera", "mic", "cam"),
        ("alice", "screen", "sound", "screen"),
        ("bob", "camera", "bob", ""),
    ]
    assert names(plan_files(tracks[::-1])) == names(plan_files(tracks))


def test_the_container_follows_the_video() -> None:
    plans = plan_files(
        [
            track("h264", "video/H264", "camera"),
            track("mic", "audio/opus", "microphone", participant="bob"),
            track("vp8", "video/VP8", "camera", participant="carol"),
        ]
    )
    assert [plan.container for plan in plans] == ["mp4", "webm", "webm"]


def test_republished_tracks_follow_one_another() -> None:
    tracks = [
        track("b", "audio/opus", "microphone", first=10_000_000 - OVERLAP_US, last=20_000_000),
        track("a", "audio/opus", "microphone"),
        track("c", "audio/opus", "microphone", first=30_000_000, last=40_000_000),
    ]
    assert names(plan_files(tracks)) == [("alice", "camera", "a+b+c", "")]


def test_another_codec_or_two_at_a_time_make_files_of_their_own() -> None:
    tracks = [
        track("vp8", "video/VP8", "camera"),
        track("h264", "video/H264", "camera", first=20_000_000, last=30_000_000),
        track("second", "video/VP8", "camera", first=1_000_000),
        track("mic", "audio/opus", "microphone"),
    ]
    assert names(plan_files(tracks)) == [
        ("alice", "camera", "mic", "vp8"),
        ("alice", "camera", "", "second"),
        ("alice", "camera", "", "h264"),
    ]


def test_empty_tracks_and_unknown_codecs_are_in_no_file() -> None:
    assert (
        plan_files([track("a", "audio/opus", "x", first=None), track("b", "audio/PCMU", "x")]) == []
    )


def test_a_track_without_a_participant_stands_for_itself() -> None:
    nobody = track("TR_1", "audio/opus", "", participant="")
    assert names(plan_files([nobody])) == [("TR_1", "camera", "TR_1", "")]
