"""What one participant sends harms at most that participant's own files.

Every recording here holds alice, who is honest, and mallory, who is not.
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import av
import pytest

from mediaserver.errors import JournalError
from mediaserver.journal import JournalHeader, RecordKind, encode_sender_report
from recorder import finalize as job
from recorder.assembly import MAX_FRAME, Dropped, Fragment, FrameAssembler
from recorder.bitstream import (
    avc_configuration,
    h264_sequence_parameters,
    picture_size,
    vp9_keyframe_size,
)
from recorder.depacketize.h264 import H264Depacketizer
from recorder.depacketize.opus import OpusDepacketizer
from recorder.errors import BadPayload, DiskFull
from recorder.file_options import FileOptions
from recorder.jobs import FinalizeResult
from recorder.scan import MAX_EPOCHS
from recorder.timeline import Observation, SenderClock, fit_clocks
from tests.media_truth import measure
from tests.recorder.house import House
from tests.recorder.known_media import (
    START_US,
    KnownTrack,
    audio_track,
    encode_audio,
    encode_video,
    ntp,
    rtp_packet,
    video_track,
    vp8_payloads,
)

HOUR = 3600.0


@dataclass
class Forged(KnownTrack):
    """A journal whose header says something else."""

    says: dict[str, Any] = field(default_factory=dict)

    def header(self) -> JournalHeader:
        return replace(super().header(), **self.says)


def mallory(**says: Any) -> Forged:
    return sound(Forged("audio", "audio/opus", participant="mallory", says=says))


def sound(track: Forged, seconds: float = 1.0) -> Forged:
    for number, packet in enumerate(encode_audio(seconds)):
        track.put(number / 50, packet)
    return track


def make(tmp_path: Path, *tracks: KnownTrack) -> FinalizeResult:
    for track in (audio_track(1.0), *tracks):
        track.write(tmp_path / "journals")
    journals, output = tmp_path / "journals", tmp_path / "output"
    return job.finalize(
        journals, output, lambda _: None, FileOptions(thumbnails=False, hls_minutes=0)
    )


def seconds_of(result: FinalizeResult) -> dict[str, float]:
    """How long each participant's file is; none begins far from the others."""
    assert all(0 <= file.start_seconds <= 12 for file in result.files)
    return {file.participant_id: file.duration_seconds for file in result.files}


def packet_times(path: Path) -> list[float]:
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux() if packet.size]
        return [float((packet.pts or 0) * (packet.time_base or 0)) for packet in packets]


# --- isolation ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [0, -1, 1, 8000, 16000, 90000, 10**400])
def test_an_absurd_clock_rate_costs_that_track_alone(tmp_path: Path, rate: int) -> None:
    result = make(tmp_path, mallory(clock_rate=rate))
    assert list(seconds_of(result)) == ["alice"]
    (failure,) = result.failures
    assert "TR_mallory_microphone" in failure
    assert "clock rate" in failure


def test_an_absurd_clock_rate_of_a_codec_that_can_not_be_kept(tmp_path: Path) -> None:
    result = make(tmp_path, mallory(clock_rate=10**400, mime_type="audio/PCMU"))
    assert list(seconds_of(result)) == ["alice"]
    assert len(result.failures) == 1


async def test_the_others_are_recorded_and_the_bad_journal_is_kept(house: House) -> None:
    house.plane.tracks = [audio_track(1.0), mallory(clock_rate=10**400)]
    started = await house.service.start("blue", None, "host")
    await house.service.stop(started.id)
    await house.settled()
    row = await house.row(started.id)
    assert (row.status, [file.participant_id for file in row.files]) == ("recorded", ["alice"])
    assert any("mallory" in path.name for path in house.journals(started.id).iterdir())


ERRORS = [
    ValueError("bad"),
    OverflowError("bad"),
    ZeroDivisionError("bad"),
    struct.error("bad"),
    RecursionError("bad"),
    MemoryError("bad"),
    KeyError("bad"),
    BadPayload("bad"),
    JournalError("bad"),
    av.error.InvalidDataError(1, "bad"),
]


def breaks(right: Callable[..., Any], bad: Exception) -> Callable[..., Any]:
    def broken(first: Any, *more: Any) -> Any:
        if "mallory" in repr(first):
            raise bad
        return right(first, *more)

    return broken


@pytest.mark.parametrize("step", ["scan_journal", "fit_clocks", "mux"])
@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_whatever_a_journal_breaks_is_a_failure_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, error: Exception
) -> None:
    monkeypatch.setattr(job, step, breaks(getattr(job, step), error))
    result = make(tmp_path, mallory())
    assert list(seconds_of(result)) == ["alice"]
    (failure,) = result.failures
    assert "bad" in failure


@pytest.mark.parametrize(
    "fmtp",
    [
        "sprop-parameter-sets=\U0001f600",
        "sprop-parameter-sets=" + base64.b64encode(b"\x68\0\0\0\0\0\0").decode(),
        ";=;==,,;sprop-parameter-sets=,,,=",
    ],
)
def test_odd_fmtp_costs_nothing(tmp_path: Path, fmtp: str) -> None:
    video = Forged("video", "video/H264", participant="mallory", says={"fmtp": fmtp})
    video.entries = video_track("video/H264").entries
    result = make(tmp_path, video)
    assert seconds_of(result) == pytest.approx({"alice": 1.0, "mallory": 4.0}, abs=0.05)
    assert result.failures == ()


# --- time ---------------------------------------------------------------------------------------------


def test_sender_reports_of_fifty_years(tmp_path: Path) -> None:
    track = mallory()
    for number, time in enumerate([2**63, 2**63 + (86400 * 365 * 50 << 32)]):
        at = 0.4 + number / 5
        payload = encode_sender_report(time, track.rtp(at) & 0xFFFF_FFFF)
        track.record(RecordKind.SENDER_REPORT, at, payload)
    assert seconds_of(make(tmp_path, track))["mallory"] == pytest.approx(1.0, abs=0.05)


@pytest.mark.parametrize("speed", [-5.0, 0.5, 1.09, 1.9])
def test_sender_reports_of_a_clock_that_runs_wrong(tmp_path: Path, speed: float) -> None:
    """Each report is a little off the one before: no step to be seen, but minutes in the end."""
    track = Forged("audio", "audio/opus", participant="mallory")
    packet = encode_audio(1.0)[0]
    for number in range(1500):
        at = number / 5
        track.put(at, packet)
        time = ntp(START_US / 1e6 + 1e6 + at * speed)
        report = encode_sender_report(time, track.rtp(at) & 0xFFFF_FFFF)
        track.record(RecordKind.SENDER_REPORT, at + 0.02, report)
    make(tmp_path, track)
    (file,) = (tmp_path / "output").glob("002*.webm")
    times = packet_times(file)
    assert times == sorted(times)
    assert times[-1] == pytest.approx(1499 / 5, abs=0.1)


@pytest.mark.parametrize("ticks", [0x7000_0000, 0x9000_0000, 48000 * 3600])
def test_timestamp_jumps_of_days(tmp_path: Path, ticks: int) -> None:
    track = mallory()
    for number in range(100):
        at = 1.0 + number / 50
        data = rtp_packet(
            track.sequence + number, number * ticks, encode_audio(1.0)[0], ssrc=track.ssrc
        )
        track.record(RecordKind.RTP, at, data)
    assert seconds_of(make(tmp_path, track))["mallory"] == pytest.approx(3.0, abs=0.5)


@pytest.mark.parametrize("jump", [-30.0, 30.0, 20000.0])
def test_one_timestamp_jump_leaves_the_rest_at_its_time(tmp_path: Path, jump: float) -> None:
    track = Forged("audio", "audio/opus", participant="mallory")
    for number, packet in enumerate(encode_audio(4.0)):
        if number == 100:
            track.timestamp += round(jump * 48000)
        track.put(number / 50, packet)
    make(tmp_path, track)
    (file,) = (tmp_path / "output").glob("002*.webm")
    assert measure(file).beeps_s == pytest.approx([0.006, 1.006, 2.006, 3.006], abs=0.1)


def two_hundred_hours(*, really: bool) -> Forged:
    track = Forged("audio", "audio/opus", participant="mallory")
    for number, packet in enumerate(encode_audio(1.0)[:10]):
        said = number / 50 + (200 * HOUR if number >= 5 else 0)
        data = rtp_packet(number, track.rtp(said), packet, ssrc=track.ssrc)
        track.record(RecordKind.RTP, said if really else number / 50, data)
    return track


@pytest.mark.parametrize(("really", "seconds"), [(True, 200 * HOUR + 0.2), (False, 0.2)])
def test_two_hundred_hours_only_when_they_passed(
    tmp_path: Path, *, really: bool, seconds: float
) -> None:
    found = seconds_of(make(tmp_path, two_hundred_hours(really=really)))["mallory"]
    assert found == pytest.approx(seconds, abs=0.1)


@pytest.mark.parametrize("reports", [True, False])
@pytest.mark.parametrize("clock_runs", [True, False])
def test_an_hour_of_silence_stays_an_hour(
    tmp_path: Path, *, reports: bool, clock_runs: bool
) -> None:
    track = Forged("audio", "audio/opus", participant="mallory")
    for number, packet in enumerate(encode_audio(4.0)):
        late = number >= 100
        if number == 100 and not clock_runs:
            track.timestamp -= round(HOUR * 48000)
        at = number / 50 + (HOUR if late else 0.0)
        track.put(at, packet)
        if reports and number % 50 == 10:
            track.report(at)
    make(tmp_path, track)
    (file,) = (tmp_path / "output").glob("002*.webm")
    times = packet_times(file)
    expected = [n / 50 + (HOUR if n >= 100 else 0) for n in range(200)]
    assert times[:100] + times[-100:] == pytest.approx(expected, abs=0.1)
    assert times == sorted(times)


@pytest.mark.parametrize("step", [-3600.0, -5.0, -0.3, 0.3, 5.0, 3600.0])
def test_an_honest_ntp_clock_that_is_set_shifts_nothing(tmp_path: Path, step: float) -> None:
    audio, video = (
        KnownTrack(kind, mime, participant="bob", delay=delay)
        for kind, mime, delay in (("audio", "audio/opus", 0.02), ("video", "video/VP8", 0.05))
    )
    for number, packet in enumerate(encode_audio(4.0)):
        audio.clock_offset = step if number >= 100 else 0.0
        audio.put(number / 50, packet)
        if number % 25 == 10:
            audio.report(number / 50)
    for frame in encode_video("video/VP8"):
        video.clock_offset = step if frame.counter >= 60 else 0.0
        video.frame(frame.counter / 30, vp8_payloads(frame))
        if frame.counter % 15 == 5:
            video.report(frame.counter / 30)
    result = make(tmp_path, audio, video)
    (file,) = [file for file in result.files if file.participant_id == "bob"]
    truth = measure(file.path)
    assert truth.counters == tuple(range(120))
    assert truth.times_s == pytest.approx([n / 30 for n in range(120)], abs=0.05)
    assert truth.beeps_s == pytest.approx([0.006, 1.006, 2.006, 3.006], abs=0.05)
    assert file.start_seconds == pytest.approx(0.0, abs=0.05)


def test_frames_that_flood_do_not_make_hours(tmp_path: Path) -> None:
    """Frames of one packet, all at one time: each would take a millisecond."""
    flood = KnownTrack("video", "video/VP8", participant="mallory")
    flood.frame(0.0, vp8_payloads(encode_video("video/VP8")[0]))
    for number in range(12_000):
        data = rtp_packet(
            flood.sequence + number,
            flood.rtp(1 / 30) + number % 2,
            b"\x10\x11\0\0",
            marker=True,
            ssrc=flood.ssrc,
        )
        flood.record(RecordKind.RTP, 0.1, data)
    result = make(tmp_path, flood)
    assert list(seconds_of(result)) == ["alice"]
    assert len(result.failures) == 1


# --- sizes and amounts --------------------------------------------------------------------------------


def vp8_keyframe(width: int, height: int) -> bytes:
    return b"\x10\0\0\x9d\x01\x2a" + struct.pack("<HH", width, height) + bytes(40)


def vp9_keyframe(width: int, height: int) -> bytes:
    bits = "10000010" + f"{0x498342:024b}" + "0010"
    bits += f"{width - 1:016b}{height - 1:016b}"
    return int(bits.ljust(96, "0"), 2).to_bytes(12, "big")


@pytest.mark.parametrize(
    "size", [(65535, 65535), (65536, 2), (16385, 16), (16, 16385), (16384, 16384)]
)
def test_pictures_of_65535_squared_are_not_pictures(size: tuple[int, int]) -> None:
    with pytest.raises(BadPayload):
        vp9_keyframe_size(vp9_keyframe(*size))
    with pytest.raises(BadPayload):
        picture_size(*size)
    assert vp9_keyframe_size(vp9_keyframe(16384, 8192)) == (16384, 8192)


def golomb(value: int) -> str:
    bits = f"{value + 1:b}"
    return "0" * (len(bits) - 1) + bits


def sps(width_mbs: int, height_mbs: int, depth: int = 0) -> bytes:
    bits = golomb(0) + golomb(1) + golomb(depth) * 2 + "00" + golomb(0) * 2 + golomb(0)
    bits += golomb(1) + "0" + golomb(width_mbs - 1) + golomb(height_mbs - 1) + "11001"
    bits = bits.ljust(-(-len(bits) // 8) * 8, "0")
    return b"\x67\x64\0\x1f" + int(bits, 2).to_bytes(len(bits) // 8, "big")


def test_an_h264_parameter_set_of_65535_squared() -> None:
    assert h264_sequence_parameters(sps(1024, 512)).size == (16384, 8192)
    with pytest.raises(BadPayload):
        h264_sequence_parameters(sps(4096, 4096))


@pytest.mark.parametrize(
    ("sets", "pps"), [(sps(20, 15, 300), b"\x68\x80"), (sps(20, 15), bytes(70_000))]
)
def test_h264_parameter_sets_that_do_not_fit_their_record(sets: bytes, pps: bytes) -> None:
    with pytest.raises(BadPayload):
        avc_configuration(sets, pps)


def test_a_vp9_layer_of_65535_squared_is_undecodable(tmp_path: Path) -> None:
    payload = b"\x8a\x01\x10" + struct.pack("!HH", 65535, 65535) + vp9_keyframe(320, 240)
    track = KnownTrack("video", "video/VP9", participant="mallory")
    for number in range(10):
        track.put(number / 30, payload, marker=True)
    result = make(tmp_path, track)
    assert list(seconds_of(result)) == ["alice"]
    (found,) = [seen for seen in result.integrity["tracks"] if seen["participantId"] == "mallory"]
    assert found["resolutions"] == []
    assert [gap["reason"] for gap in found["gaps"]] == ["before_keyframe"]


def test_sequence_numbers_that_restart_with_every_packet(tmp_path: Path) -> None:
    track = Forged("audio", "audio/opus", participant="mallory")
    for number in range(MAX_EPOCHS + 10):
        track.sequence = -4000 * number
        track.put(number / 50, encode_audio(1.0)[0])
    result = make(tmp_path, track)
    assert list(seconds_of(result)) == ["alice"]
    assert "TR_mallory" in result.failures[0]


def test_a_frame_without_end_is_not_collected() -> None:
    assembler = FrameAssembler(H264Depacketizer(), single=False)
    payload = b"\x7c\x05" + bytes(1 << 20)
    for _ in range(2 * MAX_FRAME >> 20):
        assert assembler.push(Fragment(1, False, payload)) == []
    assert sum(len(kept) for kept in assembler._payloads) <= MAX_FRAME
    assert assembler.push(Fragment(1, True, payload)) == [Dropped(1)]
    assert FrameAssembler(OpusDepacketizer(), single=True).push(Fragment(2, False, b"\xfc"))


def test_a_flood_of_reports_is_thinned_out() -> None:
    seen = Observation(48000)
    for number in range(1000):
        seen.packet(number, START_US + number * 1000)
        seen.report(START_US + number * 1000, number, START_US + number * 1000)
    assert len(seen.reports) == 10
    assert list(fit_clocks({"flood": seen})) == ["flood"]


def test_a_clock_that_hardly_runs_is_smoothed_over_few_reports(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """All reports of an hour lie within the window: each would be fitted to all the others."""
    sizes: list[int] = []

    def fit(near: list[tuple[float, float]], at: float) -> float:
        sizes.append(len(near))
        return at

    monkeypatch.setattr("recorder.timeline._local_fit", fit)
    SenderClock([(float(n), float(n)) for n in range(2000)])
    assert max(sizes) <= 600


# --- recovery -----------------------------------------------------------------------------------------


async def test_a_recovery_that_waits_for_room_does_not_hold_up_those_behind_it(
    house: House,
) -> None:
    ids = []
    for room in ("a", "b"):
        row = await house.catalog.recordings.create(
            room=room, started_by="host", status="recording"
        )
        audio_track(1.0).write(house.journals(row.id))
        ids.append(row.id)
    house.jobs.failures = [DiskFull("no room left on device")]
    first_waits: list[str] = []

    async def until_the_second_is_there(_seconds: float) -> None:
        while (await house.row(ids[1])).status != "recorded":
            first_waits.append((await house.row(ids[0])).status)
            assert len(first_waits) < 1000

    service = house.another_service(sleep=until_the_second_is_there)
    await service.recover()
    await house.settled(service)
    assert set(first_waits) == {"processing"}
    assert [(await house.row(recording_id)).status for recording_id in ids] == ["recorded"] * 2
    await service.close()
