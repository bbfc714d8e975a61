"""What was written so far of a running recording, decoded at several moments."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from mediaserver.journal import RecordKind
from recorder.live.places import place_before
from tests.media_truth import measure
from tests.recorder.known_media import (
    PACKETIZERS,
    START_US,
    KnownTrack,
    audio_track,
    encode_audio,
    encode_video,
    video_track,
)
from tests.recorder.live.known_streams import Growing, Watched, in_a_row

CONTENT_TYPES = {
    "video/VP8": 'video/webm; codecs="vp8, opus"',
    "video/VP9": 'video/webm; codecs="vp9, opus"',
    "video/AV1": 'video/webm; codecs="av01.0.00M.08, opus"',
    "video/H264": 'video/mp4; codecs="avc1.42C015, opus"',
}
SYNC_MS = 80


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    return Watched(tmp_path / "journals", tmp_path / "live")


@pytest.mark.parametrize("mime_type", CONTENT_TYPES)
def test_at_every_moment_all_pictures_so_far_are_there(watched: Watched, mime_type: str) -> None:
    frames = encode_video(mime_type, count=240)
    growing = Growing(watched.journals, [video_track(mime_type, frames=frames), audio_track(8.0)])
    for now in (4.0, 5.25, 6.5, 8.0):
        growing.upto(now)
        watched.upto(now)
        truth = watched.truth()
        assert truth.counters[0] == 0
        assert (truth.dropped, truth.backwards) == (0, 0)
        assert truth.counters[-1] >= (now - 2.2) * 30, now
    (stream,) = watched.streams
    assert stream["contentType"] == CONTENT_TYPES[mime_type]
    assert (stream["participantId"], stream["source"]) == ("alice", "camera")
    growing.end()
    watched.upto(9)
    watched.finish()
    truth = watched.truth()
    in_a_row(truth.counters, 0, 240)
    assert len(truth.offsets_ms) >= 7
    assert max(abs(offset) for offset in truth.offsets_ms) <= SYNC_MS
    assert watched.streams[0]["ended"]


def test_what_is_written_is_never_changed(watched: Watched) -> None:
    growing = Growing(watched.journals, [video_track("video/H264"), audio_track()])
    growing.upto(2.2)
    watched.upto(2.2)
    first = before = watched.media(watched.streams[0])
    for now in (2.5, 3.0, 3.5, 4.0):
        growing.upto(now)
        watched.upto(now)
        media = watched.media(watched.streams[0])
        assert media.startswith(before)
        before = media
    assert len(before) > len(first)


@pytest.mark.parametrize("seed", range(3))
def test_torn_tails_are_waited_for(watched: Watched, tmp_path: Path, seed: int) -> None:
    """Journals are read at any byte; it makes no difference to what is seen."""
    chance = random.Random(seed)
    tracks = [video_track(), audio_track()]
    growing = Growing(watched.journals, tracks)
    for step in range(1, 40):
        growing.upto(step / 10, cut=chance.randrange(900))
        watched.upto(step / 10 - 0.5)
    growing.end()
    watched.upto(5)
    watched.finish()
    in_a_row(watched.truth().counters, 0, 120)


def test_a_follower_started_in_the_middle_gives_the_beginning_too(
    watched: Watched, tmp_path: Path
) -> None:
    growing = Growing(watched.journals, [video_track(), audio_track()])
    late = Watched(watched.journals, tmp_path / "late")
    for now in (1.0, 2.0, 3.0):
        growing.upto(now)
        watched.upto(now)
    late.upto(3.0)
    assert late.truth().counters == watched.truth().counters
    growing.upto(4.0)
    late.upto(4.0)
    assert late.truth().counters[0] == 0


def test_video_that_comes_late_begins_a_stream_of_its_own(watched: Watched) -> None:
    tracks = [audio_track(8.0), video_track(frames=encode_video("video/VP8", 90, 150))]
    Growing(watched.journals, tracks).end()
    watched.upto(9)
    watched.finish()
    sound, both = watched.streams
    assert sound["contentType"] == 'audio/webm; codecs="opus"'
    assert sound["startSeconds"] + sound["seconds"] == pytest.approx(both["startSeconds"], abs=0.03)
    assert sound["ended"]
    assert both["startSeconds"] == pytest.approx(3.0, abs=0.05)
    in_a_row(watched.truth(1).counters, 90, 150)
    assert max(abs(offset) for offset in watched.truth(1).offsets_ms) <= SYNC_MS


def test_sound_that_comes_late_joins_the_stream(watched: Watched) -> None:
    audio = KnownTrack("audio", "audio/opus")
    for number, packet in enumerate(encode_audio(8.0)):
        if number >= 200:
            audio.put(number / 50, packet)
    tracks = [video_track(frames=encode_video("video/VP8", count=240)), audio]
    Growing(watched.journals, tracks).end()
    watched.upto(9)
    watched.finish()
    assert len(watched.streams) == 1
    truth = watched.truth()
    in_a_row(truth.counters, 0, 240)
    assert [round(beep) for beep in truth.beeps_s] == [4, 5, 6, 7]
    assert truth.audio_s is not None
    assert truth.audio_s[0] == pytest.approx(0, abs=0.03)
    assert max(abs(offset) for offset in truth.offsets_ms) <= SYNC_MS


@pytest.mark.parametrize("mime_type", ["video/VP8", "video/VP9", "video/H264"])
def test_a_change_of_size_goes_on_in_the_same_stream(watched: Watched, mime_type: str) -> None:
    frames = [
        *encode_video(mime_type, 0, 60),
        *encode_video(mime_type, 60, 60, (640, 480)),
        *encode_video(mime_type, 120, 60),
    ]
    tracks = [video_track(mime_type, frames=frames), audio_track(6.0)]
    Growing(watched.journals, tracks).end()
    watched.upto(7)
    watched.finish()
    (stream,) = watched.streams
    truth = watched.truth()
    in_a_row(truth.counters, 0, 180)
    assert truth.sizes == ((320, 240), (640, 480), (320, 240))
    beginnings = watched.media(stream).count(b"ftyp")
    assert beginnings == (3 if mime_type == "video/H264" else 0)


def test_another_codec_is_another_stream(watched: Watched) -> None:
    first = video_track(frames=encode_video("video/VP8", 0, 90), track_id="TR_1")
    second = video_track(
        "video/H264", frames=encode_video("video/H264", 90, 90), track_id="TR_2", ssrc=0x77
    )
    Growing(watched.journals, [first, second, audio_track(6.0)]).end()
    watched.upto(7)
    watched.finish()
    assert [stream["contentType"].split(";")[0] for stream in watched.streams] == [
        "video/webm",
        "video/mp4",
    ]
    in_a_row(watched.truth(0).counters, 0, 90)
    in_a_row(watched.truth(1).counters, 90, 90)


def test_a_track_published_again_goes_on_in_the_same_stream(watched: Watched) -> None:
    first = video_track(frames=encode_video("video/VP8", 0, 90), track_id="TR_1")
    second = video_track(
        frames=encode_video("video/VP8", 120, 60), track_id="TR_2", ssrc=0x77, timestamp=5000
    )
    Growing(watched.journals, [first, second, audio_track(6.0)]).end()
    watched.upto(7)
    watched.finish()
    (_,) = watched.streams
    truth = watched.truth()
    assert list(truth.counters) == [*range(90), *range(120, 180)]
    assert truth.times_s[90] - truth.times_s[89] == pytest.approx(31 / 30, abs=0.05)


def test_a_change_of_ssrc_goes_on_in_the_same_stream(watched: Watched) -> None:
    video = video_track(frames=encode_video("video/VP8", 0, 90))
    video.ssrc, video.sequence, video.timestamp = 0x9999, 7, 123_456
    for frame in encode_video("video/VP8", 90, 90):
        if frame.counter % 30 == 5:
            video.report(frame.counter / 30)
        video.frame(frame.counter / 30, PACKETIZERS["video/VP8"](frame))
    Growing(watched.journals, [video, audio_track(6.0)]).end()
    watched.upto(7)
    watched.finish()
    (_,) = watched.streams
    in_a_row(watched.truth().counters, 0, 180)
    assert max(abs(offset) for offset in watched.truth().offsets_ms) <= SYNC_MS


def test_silence_stands_where_no_sound_was_sent(watched: Watched) -> None:
    """A sender with DTX sends a packet each 400 ms; a muted one sends none."""
    audio = KnownTrack("audio", "audio/opus")
    for number, packet in enumerate(encode_audio(8.0)):
        at = number / 50
        if 2 <= at < 4 and number % 20:  # DTX
            continue
        if 4 <= at < 6:  # muted
            continue
        audio.put(at, packet)
    audio.record(RecordKind.MUTED, 4.0)
    audio.record(RecordKind.UNMUTED, 6.0)
    tracks = [video_track(frames=encode_video("video/VP8", count=240)), audio]
    growing = Growing(watched.journals, tracks)
    growing.upto(5.5)
    watched.upto(5.5)  # in the middle of it the stream goes on
    assert watched.streams[0]["seconds"] >= 3.3
    growing.end()
    watched.upto(9)
    watched.finish()
    truth = watched.truth()
    in_a_row(truth.counters, 0, 240)
    assert [round(beep) for beep in truth.beeps_s if beep < 1.5 or beep > 5.5] == [0, 1, 6, 7]
    assert truth.audio_s is not None
    assert truth.audio_s[1] == pytest.approx(8.0, abs=0.1)
    assert max(abs(offset) for offset in truth.offsets_ms) <= SYNC_MS


def test_a_picture_stands_while_the_camera_is_off(watched: Watched) -> None:
    """Off for 12 seconds: the last picture stands, then the last keyframe again and again."""
    frames = [*encode_video("video/VP8", 0, 75), *encode_video("video/VP8", 435, 60)]
    tracks = [video_track(frames=frames), audio_track(16.5)]
    growing = Growing(watched.journals, tracks)
    growing.upto(12.0)
    watched.upto(12.0)
    assert watched.streams[0]["seconds"] >= 9.5
    growing.end()
    watched.upto(17)
    watched.finish()
    (_,) = watched.streams
    truth = watched.truth()
    assert list(truth.counters[:75]) == list(range(75))
    assert list(truth.counters[-60:]) == list(range(435, 495))
    assert set(truth.counters[75:-60]) == {60}  # the keyframe
    steps = [b - a for a, b in zip(truth.times_s, truth.times_s[1:], strict=False)]
    assert max(steps) <= 5.05
    assert max(abs(offset) for offset in truth.offsets_ms[-2:]) <= SYNC_MS


def test_a_clock_that_is_learned_late_moves_nothing_back(watched: Watched) -> None:
    """No report for 4 s, then they say that sound is captured 150 ms later than it seemed."""
    video = video_track(frames=encode_video("video/VP8", count=300), reports=False)
    audio = audio_track(10.0, reports=False, delay=0.17)
    for second in range(4, 10):
        video.report(second + 0.01)
        audio.report(second + 0.02)
    Growing(watched.journals, [video, audio]).end()
    watched.upto(11)
    watched.finish()
    truth = watched.truth()
    in_a_row(truth.counters, 0, 300)
    assert all(b > a for a, b in zip(truth.times_s, truth.times_s[1:], strict=False))
    assert abs(truth.offsets_ms[0]) > SYNC_MS  # nothing was known yet
    assert max(abs(offset) for offset in truth.offsets_ms[-2:]) <= SYNC_MS


def test_lost_packets_cost_what_was_in_them_only(watched: Watched) -> None:
    video = KnownTrack("video", "video/VP8")
    for frame in encode_video("video/VP8", count=240):
        payloads = PACKETIZERS["video/VP8"](frame)
        if frame.counter == 100:
            video.sequence += len(payloads)  # sent, and never seen
            continue
        video.frame(frame.counter / 30, payloads)
    Growing(watched.journals, [video, audio_track(8.0)]).end()
    watched.upto(9)
    watched.finish()
    truth = watched.truth()
    assert list(truth.counters) == [*range(100), *range(120, 240)]


def test_who_left_and_comes_back_has_another_stream(watched: Watched) -> None:
    first = video_track(frames=encode_video("video/VP8", 0, 60), track_id="TR_1")
    sound = audio_track(2.0, track_id="TR_2")
    again = video_track(frames=encode_video("video/VP8", 450, 60), track_id="TR_3", ssrc=5)
    other = audio_track(17.0, participant="bob")  # somebody is there all the time
    for track in (first, sound, again, other):
        track.write(watched.journals)
    watched.upto(18)
    watched.finish()
    alices = [one for one in watched.streams if one["participantId"] == "alice"]
    assert [one["startSeconds"] for one in alices] == pytest.approx([0, 15], abs=0.1)
    assert alices[0]["seconds"] == pytest.approx(2.0, abs=0.2)


def test_screens_and_cameras_are_streams_apart(watched: Watched) -> None:
    for track in (
        video_track(),
        audio_track(),
        video_track(source="screen_share", frames=encode_video("video/VP8", 300, 120), shift=-10),
        video_track(participant="bob", source="camera"),
    ):
        track.write(watched.journals)
    watched.upto(5)
    watched.finish()
    seen = {(one["participantId"], one["source"]) for one in watched.streams}
    assert seen == {("alice", "camera"), ("alice", "screen"), ("bob", "camera")}


@pytest.mark.parametrize("mime_type", ["video/VP8", "video/H264"])
def test_playing_may_begin_at_every_place(watched: Watched, tmp_path: Path, mime_type: str) -> None:
    """The beginning and what follows a place decode from the place's keyframe on."""
    frames = encode_video(mime_type, count=240)
    Growing(watched.journals, [video_track(mime_type, frames=frames), audio_track(8.0)]).end()
    watched.upto(9)
    watched.finish()
    (stream,) = watched.streams
    media = watched.media(stream)
    path = watched.output / str(stream["file"])
    first_cluster = place_before(path, 0).offset or media.index(
        b"moof" if mime_type == "video/H264" else bytes.fromhex("1f43b675")
    )
    head = media[: first_cluster - (4 if mime_type == "video/H264" else 0)]
    for at in (0.0, 1.5, 4.2, 7.9):
        place = place_before(path, at)
        assert at - 1.1 <= place.seconds <= at
        begun = tmp_path / f"from-{at}{path.suffix}"
        begun.write_bytes(head + media[place.offset :] if place.offset else media)
        in_a_row(
            measure(begun).counters, round(place.seconds * 30), 240 - round(place.seconds * 30)
        )


def test_nobody_sends_for_an_hour_and_time_goes_on_in_steps(watched: Watched) -> None:
    """Muted all along: a step makes a minute of silence at most, not an hour at once."""
    Growing(watched.journals, [audio_track(2.0)]).upto(2.5)
    steps = 0
    while not watched.follower.step(START_US + 3600 * 1_000_000):
        steps += 1
    assert steps >= 59
    assert watched.streams[0]["seconds"] == pytest.approx(3599, abs=3)


# --- attacks --------------------------------------------------------------------------------------


@pytest.mark.parametrize("mime_type", CONTENT_TYPES)
@pytest.mark.parametrize("seed", range(3))
def test_garbage_of_one_participant_costs_nobody_elses_stream(
    watched: Watched, mime_type: str, seed: int
) -> None:
    chance = random.Random(seed)
    mallory = video_track(mime_type, participant="mallory")
    mallory.entries = [
        (at_us, kind, _spoilt(data, chance) if kind == RecordKind.RTP else chance.randbytes(12))
        for at_us, kind, data in mallory.entries
    ]
    noise = KnownTrack("audio", "audio/opus", participant="mallory")
    for number in range(200):
        noise.put(number / 50, chance.randbytes(chance.randrange(60)))
    for track in (mallory, noise, video_track(), audio_track()):
        track.write(watched.journals)
    (watched.journals / "TR_junk.journal").write_bytes(chance.randbytes(3000))
    watched.upto(5)
    watched.finish()
    (index,) = [n for n, one in enumerate(watched.streams) if one["participantId"] == "alice"]
    in_a_row(watched.truth(index).counters, 0, 120)


def test_a_sender_whose_timestamps_jump_stays_where_its_packets_arrive(watched: Watched) -> None:
    """By ten minutes forward: nobody waits for it, and no hour of silence is made."""
    audio = audio_track(2.0)
    audio.timestamp += 600 * 48_000
    for number, packet in enumerate(encode_audio(4.0)):
        if number >= 100:
            audio.put(number / 50, packet)
    Growing(watched.journals, [video_track(), audio]).end()
    watched.upto(5)
    watched.finish()
    in_a_row(watched.truth().counters, 0, 120)
    assert watched.streams[0]["seconds"] == pytest.approx(4, abs=0.3)


def test_a_journal_that_flips_its_codec_again_and_again_makes_no_end_of_streams(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recorder.live.follower.MOST_STREAMS", 3)
    for number in range(8):
        mime_type = "video/VP8" if number % 2 else "video/VP9"
        frames = encode_video(mime_type, number * 30, 30)
        video_track(mime_type, frames=frames, track_id=f"TR_{number}").write(watched.journals)
    video_track(participant="bob").write(watched.journals)
    watched.upto(9)
    watched.finish()
    assert len(watched.streams) == 3
    assert "bob" in {one["participantId"] for one in watched.streams}


def _spoilt(packet: bytes, chance: random.Random) -> bytes:
    """Header as it was; some of the payload is noise."""
    if chance.random() < 0.5:
        return packet
    at = chance.randrange(12, len(packet) + 1)
    return packet[:at] + chance.randbytes(len(packet) - at)
