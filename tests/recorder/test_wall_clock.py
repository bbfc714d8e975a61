"""A file's time is wall-clock time, whatever was muted, away, late or lost, and integrity says what.

Every test makes journals as the media plane writes them: of a muted track nothing is kept, while
its sender may go on counting packets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import av
import pytest

from mediaserver.journal import RecordKind
from recorder.jobs import FinalizeResult
from tests.recorder.known_media import (
    SILENCE,
    START_US,
    KnownTrack,
    audio_track,
    encode_audio,
    encode_video,
    vp8_payloads,
)
from tests.recorder.test_finalize_content import ENCODER_DELAY_MS, integrity_of, make, only

SIZE = (160, 120)
Wanted = Callable[[float], bool]


def always(_at: float) -> bool:
    return True


def camera(
    seconds: float,
    *,
    sent: Wanted = always,
    kept: Wanted = always,
    reported: Wanted = always,
    fps: int = 30,
    **more: Any,
) -> KnownTrack:
    """Frames that were `sent`, as far as they were `kept`; a keyframe each 30."""
    track = KnownTrack("video", "video/VP8", **more)
    for frame in encode_video("video/VP8", count=round(seconds * fps), size=SIZE):
        put(track, frame.counter / fps, vp8_payloads(frame), sent, kept)
        if frame.counter % fps == 5 and reported(frame.counter / fps):
            track.report(frame.counter / fps)
    return track


def microphone(
    seconds: float, *, sent: Wanted = always, kept: Wanted = always, **more: Any
) -> KnownTrack:
    track = KnownTrack("audio", "audio/opus", **more)
    for number, packet in enumerate(encode_audio(seconds)):
        put(track, number / 50, [packet], sent, kept)
        if number % 50 == 10 and kept(number / 50):
            track.report(number / 50)
    return track


def put(track: KnownTrack, at: float, payloads: list[bytes], sent: Wanted, kept: Wanted) -> None:
    if not sent(at):
        return
    if kept(at):
        track.frame(at, payloads)
    else:
        track.sequence += len(payloads)


def mute(track: KnownTrack, start: float, end: float) -> KnownTrack:
    track.record(RecordKind.MUTED, start)
    track.record(RecordKind.UNMUTED, end)
    return track


def outside(start: float, end: float) -> Wanted:
    return lambda at: not start <= at < end


def gaps_of(result: FinalizeResult, kind: str) -> list[tuple[str, float, float]]:
    return [
        (gap["reason"], gap["startSeconds"], gap["durationSeconds"])
        for gap in integrity_of(result, kind)["gaps"]
    ]


def about(reason: str, start: float, duration: float) -> tuple[Any, Any, Any]:
    return reason, pytest.approx(start, abs=0.2), pytest.approx(duration, abs=0.2)


def freezes_of(result: FinalizeResult) -> list[tuple[float, float]]:
    return [
        (span["startSeconds"], span["durationSeconds"])
        for span in integrity_of(result, "video")["freezes"]
    ]


def sound_packets(path: Path) -> list[bytes]:
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(audio=0) if packet.size]


def sound_seconds(path: Path) -> float:
    """What a player hears that puts one packet after the other and looks at no times."""
    with av.open(str(path)) as container:
        return sum(frame.samples / frame.sample_rate for frame in container.decode(audio=0))


def assert_all_there_in_order(path: Path, sent: Iterable[bytes]) -> None:
    """Between what was sent there is nothing but silence."""
    wanted = iter(sent)
    due = next(wanted, None)
    for packet in sound_packets(path):
        if packet == due:
            due = next(wanted, None)
        else:
            assert packet in SILENCE
    assert due is None


# --- muted, away, cut off -----------------------------------------------------------------------------


@pytest.mark.parametrize("counting", [True, False])
def test_a_mute_of_five_seconds(tmp_path: Path, *, counting: bool) -> None:
    unmuted = outside(2.0, 7.0)
    track = microphone(10, kept=unmuted, sent=always if counting else unmuted)
    result = make(tmp_path, [camera(10), mute(track, 2.0, 7.02)])
    file, truth = only(result)
    assert truth.duration_s == pytest.approx(10, abs=0.1)
    assert truth.beeps_s == pytest.approx([0.006, 1.006, 7.006, 8.006, 9.006], abs=0.01)
    assert all(abs(ms - ENCODER_DELAY_MS) < 10 for ms in truth.offsets_ms)
    assert sound_seconds(file.path) == pytest.approx(10, abs=0.05)
    assert gaps_of(result, "audio") == [about("muted", 2.0, 5.0)]
    assert integrity_of(result, "audio")["packetsLost"] == 0
    assert integrity_of(result, "audio")["packetsReceived"] == 250
    assert result.integrity["complete"] is True


@pytest.mark.parametrize("counting", [True, False])
def test_a_camera_off_for_thirty_seconds(tmp_path: Path, *, counting: bool) -> None:
    on = outside(2.0, 32.0)
    track = camera(35, kept=on, sent=always if counting else on)
    result = make(tmp_path, [mute(track, 2.0, 32.02), microphone(35)])
    _, truth = only(result)
    assert truth.duration_s == pytest.approx(35, abs=0.1)
    assert truth.counters == (*range(60), *range(960, 1050))
    assert truth.times_s[60] == pytest.approx(32.0, abs=0.01)
    assert gaps_of(result, "video") == [about("muted", 2.0, 30.0)]
    seen = integrity_of(result, "video")
    assert (seen["packetsLost"], seen["freezes"], seen["undecodable"]) == (0, [], [])
    assert result.integrity["complete"] is True


def test_a_muted_minute_in_which_the_numbers_went_all_the_way_round(tmp_path: Path) -> None:
    """65,000 packets later the next one looks like one from a second before the mute."""
    track = KnownTrack("audio", "audio/opus")
    for number, packet in enumerate(encode_audio(4.0)):
        if number == 100:
            track.sequence += 65_000
        track.put(number / 50 + (1300.0 if number >= 100 else 0.0), packet)
    (file,) = make(tmp_path, [mute(track, 2.0, 1302.0)]).files
    assert file.duration_seconds == pytest.approx(1304, abs=0.1)
    assert_all_there_in_order(file.path, encode_audio(4.0))


@pytest.mark.parametrize("journals", [1, 2])
def test_a_reconnect_with_new_streams(tmp_path: Path, journals: int) -> None:
    """Gone for 3.4 s; what comes then has another SSRC, other numbers and other timestamps."""
    there = outside(3.6, 7.0)
    tracks = [camera(10, sent=lambda at: at < 3.6), microphone(10, sent=lambda at: at < 3.6)]
    back = [
        camera(10, sent=lambda at: at >= 7.0, reported=lambda at: at >= 7.0),
        microphone(10, sent=lambda at: at >= 7.0),
    ]
    for first, second in zip(tracks, back, strict=True):
        first.entries = [e for e in first.entries if there((e[0] - first.entries[0][0]) / 1e6)]
        second.entries = [e for e in second.entries if e[0] >= START_US + 7_000_000]
        renumber(second, ssrc=77, sequence=9, timestamp=1 << 31)
        second.track_id += "_again"
        if journals == 1:
            first.entries += second.entries
    result = make(tmp_path, tracks if journals == 1 else [*tracks, *back])
    _, truth = only(result)
    assert truth.counters == (*range(108), *range(210, 300))
    assert truth.duration_s == pytest.approx(10, abs=0.1)
    assert truth.times_s[108] == pytest.approx(7.0, abs=0.05)
    assert all(abs(ms - ENCODER_DELAY_MS) < 20 for ms in truth.offsets_ms)
    reason = "network" if journals == 1 else "absent"
    found = [
        (gap["reason"], gap["startSeconds"], gap["durationSeconds"])
        for track in result.integrity["tracks"]
        for gap in track["gaps"]
    ]
    assert found == [about(reason, 3.6, 3.4)] * 2


def renumber(track: KnownTrack, *, ssrc: int, sequence: int, timestamp: int) -> None:
    """The same media from a sender that begins anew."""
    base: int | None = None
    shift = timestamp - track.timestamp
    for index, (arrival_us, kind, data) in enumerate(track.entries):
        changed = bytearray(data)
        if kind == RecordKind.RTP:
            base = int.from_bytes(data[2:4], "big") if base is None else base
            number = int.from_bytes(data[2:4], "big") - base + sequence
            ticks = int.from_bytes(data[4:8], "big") + shift
            changed[2:4] = (number & 0xFFFF).to_bytes(2, "big")
            changed[4:8] = (ticks & 0xFFFF_FFFF).to_bytes(4, "big")
            changed[8:12] = ssrc.to_bytes(4, "big")
        elif kind == RecordKind.SENDER_REPORT:
            ticks = int.from_bytes(data[8:12], "big") + shift
            changed[8:12] = (ticks & 0xFFFF_FFFF).to_bytes(4, "big")
        track.entries[index] = arrival_us, kind, bytes(changed)


def test_a_network_gap_of_ten_seconds(tmp_path: Path) -> None:
    """Both go on sending; nothing of it comes. The first pictures then refer to lost ones."""
    through = outside(3.0, 13.1)
    tracks = [camera(16, kept=through, reported=through), microphone(16, kept=through)]
    result = make(tmp_path, tracks)
    file, truth = only(result)
    assert truth.duration_s == pytest.approx(16, abs=0.1)
    assert truth.counters == (*range(90), *range(420, 480))
    assert truth.times_s[90] == pytest.approx(14.0, abs=0.01)
    assert sound_seconds(file.path) == pytest.approx(16, abs=0.05)
    assert gaps_of(result, "audio") == [about("network", 3.0, 10.1)]
    assert gaps_of(result, "video") == [about("network", 3.0, 10.1)]
    assert freezes_of(result) == [pytest.approx((3.0, 11.0), abs=0.2)]
    assert integrity_of(result, "audio")["packetsLost"] == 505
    (stretch,) = integrity_of(result, "video")["undecodable"]
    assert stretch["startSeconds"] == pytest.approx(13.1, abs=0.1)
    assert stretch["durationSeconds"] == pytest.approx(0.9, abs=0.1)
    assert result.integrity["complete"] is False


def test_what_the_network_held_back_and_brought_is_no_gap(tmp_path: Path) -> None:
    tracks = [camera(10), microphone(10)]
    for track in tracks:
        track.entries = [
            (max(at, START_US + 6_000_000) if at >= START_US + 3_000_000 else at, kind, data)
            for at, kind, data in track.entries
        ]
    result = make(tmp_path, tracks)
    _, truth = only(result)
    assert truth.counters == tuple(range(300))
    assert truth.times_s == pytest.approx([n / 30 for n in range(300)], abs=0.01)
    assert (gaps_of(result, "audio"), gaps_of(result, "video")) == ([], [])
    assert freezes_of(result) == []
    assert result.integrity["complete"] is True


# --- freezes ------------------------------------------------------------------------------------------


def test_a_camera_that_stalls_while_the_network_is_up_is_a_freeze_and_no_gap(
    tmp_path: Path,
) -> None:
    result = make(tmp_path, [camera(12, sent=outside(4.0, 8.0)), microphone(12)])
    assert freezes_of(result) == [pytest.approx((4.0, 4.0), abs=0.1)]
    assert gaps_of(result, "video") == []
    assert result.integrity["complete"] is True


@pytest.mark.parametrize(("stall", "count"), [(0.8, 0), (1.2, 1)])
def test_a_freeze_is_more_than_a_second(tmp_path: Path, stall: float, count: int) -> None:
    result = make(tmp_path, [camera(6, sent=outside(2.0, 2.0 + stall))])
    assert len(freezes_of(result)) == count


def test_what_a_loss_made_undecodable_is_a_freeze_too(tmp_path: Path) -> None:
    result = make(tmp_path, [camera(6, kept=lambda at: not 2.0 <= at < 2.05)])
    _, truth = only(result)
    assert truth.counters == (*range(60), *range(90, 180))
    (stretch,) = integrity_of(result, "video")["undecodable"]
    assert stretch["durationSeconds"] == pytest.approx(1.0, abs=0.1)
    assert freezes_of(result) == [pytest.approx((1.967, 1.033), abs=0.05)]


def test_a_shared_screen_with_a_picture_a_second_does_not_freeze(tmp_path: Path) -> None:
    track = KnownTrack("video", "video/VP8", source="screen_share")
    for number, frame in enumerate(encode_video("video/VP8", count=30, size=SIZE)):
        track.frame(number * 1.04, vp8_payloads(frame))
    result = make(tmp_path, [track])
    _, truth = only(result)
    assert truth.times_s == pytest.approx([n * 1.04 for n in range(30)], abs=0.002)
    assert freezes_of(result) == []
    assert gaps_of(result, "video") == []


# --- sound without holes ------------------------------------------------------------------------------


def test_a_sender_with_discontinuous_transmission(tmp_path: Path) -> None:
    """After a second of speech only a packet of comfort noise each 400 ms; nothing is missing."""
    packets = encode_audio(6.0)
    sent = [n for n in range(300) if n < 50 or n >= 250 or n % 20 == 0]
    track = KnownTrack("audio", "audio/opus")
    for number in sent:
        track.put(number / 50, packets[number])
    result = make(tmp_path, [track])
    file, truth = only(result)
    assert truth.duration_s == pytest.approx(6, abs=0.03)
    assert sound_seconds(file.path) == pytest.approx(6, abs=0.001)
    assert truth.beeps_s[-1] == pytest.approx(5.006, abs=0.005)
    assert_all_there_in_order(file.path, [packets[number] for number in sent])
    assert integrity_of(result, "audio")["packetsReceived"] == len(sent)
    assert result.integrity["complete"] is True


def test_every_lost_packet_of_sound_leaves_silence_as_long(tmp_path: Path) -> None:
    packets = encode_audio(8.0)
    lost = {n for n in range(1, 400) if n % 19 == 7 or 200 <= n < 230}
    track = microphone(8, kept=lambda at: round(at * 50) not in lost)
    result = make(tmp_path, [track, camera(8)])
    file, truth = only(result)
    assert sound_seconds(file.path) == pytest.approx(8, abs=0.02)
    assert_all_there_in_order(file.path, [p for n, p in enumerate(packets) if n not in lost])
    assert integrity_of(result, "audio")["packetsLost"] == len(lost)
    assert all(abs(ms - ENCODER_DELAY_MS) < 10 for ms in truth.offsets_ms)


def test_a_microphone_that_comes_late_and_leaves_early(tmp_path: Path) -> None:
    packets = encode_audio(8.0)[100:250]
    result = make(tmp_path, [camera(8), microphone(8, sent=lambda at: 2.0 <= at < 5.0)])
    file, truth = only(result)
    assert truth.audio_s is not None
    assert truth.audio_s == pytest.approx((0.0, 8.0), abs=0.035)
    assert truth.audio_s[0] == pytest.approx(0.0, abs=0.003)
    assert truth.duration_s == pytest.approx(8, abs=0.05)
    assert truth.beeps_s == pytest.approx([2.006, 3.006, 4.006], abs=0.01)
    assert_all_there_in_order(file.path, packets)
    assert integrity_of(result, "audio")["packetsReceived"] == 150


def test_a_camera_that_comes_late_and_leaves_early(tmp_path: Path) -> None:
    result = make(tmp_path, [camera(8, sent=lambda at: 2.0 <= at < 5.0), microphone(8)])
    file, truth = only(result)
    assert truth.counters == tuple(range(60, 150))
    assert truth.times_s[0] == pytest.approx(2.0, abs=0.01)
    assert truth.duration_s == pytest.approx(8, abs=0.05)
    assert sound_packets(file.path) == list(encode_audio(8.0))


def test_without_any_sound_there_is_no_track_of_it(tmp_path: Path) -> None:
    silent = KnownTrack("audio", "audio/opus")
    file, truth = only(make(tmp_path, [camera(2), silent]))
    assert (truth.frames, truth.audio_s) == (60, None)
    assert file.content_type == "video/webm"


# --- speeds and beginnings ----------------------------------------------------------------------------


@pytest.mark.parametrize("fps", [16, 5])
def test_a_slow_camera_plays_at_its_speed(tmp_path: Path, fps: int) -> None:
    _, truth = only(make(tmp_path, [camera(6, fps=fps), microphone(6)]))
    assert truth.times_s == pytest.approx([n / fps for n in range(6 * fps)], abs=0.002)
    assert truth.duration_s == pytest.approx(6, abs=1 / fps)


def test_a_shared_screen_lies_beside_the_camera_on_one_time_line(tmp_path: Path) -> None:
    """The screen is shared from 3 s on; its clock in RTP is another one, its NTP clock the same."""
    clock = {"clock_offset": 12.5}
    screen = KnownTrack(
        "video", "video/VP8", source="screen_share", ssrc=5, timestamp=77, delay=0.15, **clock
    )
    for number, frame in enumerate(encode_video("video/VP8", count=5, size=SIZE)):
        screen.frame(3.0 + number, vp8_payloads(frame))
        screen.report(3.1 + number)
    result = make(tmp_path, [camera(8, **clock), microphone(8, **clock), screen])
    assert [(file.source, file.start_seconds) for file in result.files] == [
        ("camera", 0.0),
        ("screen", pytest.approx(3.0, abs=0.04)),
    ]


def test_a_stopped_rtp_clock_without_reports(tmp_path: Path) -> None:
    """A phone in the background for 6 s, whose timestamps go on where they stopped."""
    track = KnownTrack("audio", "audio/opus")
    for number, packet in enumerate(encode_audio(8.0)):
        if number == 200:
            track.timestamp -= 6 * 48_000
        track.put(number / 50 + (6.0 if number >= 200 else 0.0), packet)
    result = make(tmp_path, [track])
    file, truth = only(result)
    assert file.duration_seconds == pytest.approx(14, abs=0.1)
    assert sound_seconds(file.path) == pytest.approx(14, abs=0.1)
    assert truth.beeps_s[-1] == pytest.approx(13.006, abs=0.05)
    assert gaps_of(result, "audio") == [about("network", 4.0, 6.0)]


def test_audio_alone_keeps_its_packets_as_they_are(tmp_path: Path) -> None:
    file, _ = only(make(tmp_path, [audio_track(3.0)]))
    assert sound_packets(file.path) == list(encode_audio(3.0))
