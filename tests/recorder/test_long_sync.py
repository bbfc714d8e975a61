"""Sound and picture stay together for two hours, whatever clocks and network do.

One second of coded sound and one group of pictures are sent again and again. A white flash is taken
every 3 s, at the same instant as a beep; each clock counts that instant in its own way.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path

import pytest

from recorder.file_options import FileOptions
from recorder.finalize import finalize
from tests.media_truth import measure
from tests.recorder.known_media import KnownTrack, encode_audio, encode_video, vp8_payloads

FPS = 10
START_MS, END_MS = 40, 80
WINDOW = 20.0
CONTENT_MS = 21.0
"""In this content the beep is heard so late: a second of sound that begins anew."""


@dataclass(frozen=True)
class Call:
    """What goes wrong in it. Clocks are fast by so many ppm against the server's."""

    audio_ppm: float = 0.0
    video_ppm: float = 0.0
    sender_ppm: float = 0.0
    video_joins: float = 0.0
    audio_reports_until: float = 1e9
    video_reports_until: float = 1e9
    jitter: float = 0.0


CALLS = {
    "perfect": Call(),
    "apart": Call(audio_ppm=200, video_ppm=-200),
    "apart_the_other_way": Call(audio_ppm=-200, video_ppm=200, sender_ppm=200),
    "sender_fast": Call(200, 200, 200, jitter=0.015),
    "sender_slow": Call(-200, -200, -200, jitter=0.015),
    "video_joins_late": Call(200, -200, -200, video_joins=20.0, jitter=0.01),
    "reports_stop": Call(200, -200, 200, video_reports_until=60.0, jitter=0.01),
    "all_reports_stop": Call(
        -200, 200, -200, audio_reports_until=15.0, video_reports_until=30.0, jitter=0.01
    ),
}


def sent(call: Call, seconds: float) -> list[KnownTrack]:
    """Both tracks. Sound is counted by its own clock; a flash is taken with the beep's sample."""
    chance = random.Random(1)
    audio = KnownTrack(
        "audio", "audio/opus", rtp_ppm=call.audio_ppm, ntp_ppm=call.sender_ppm, clock_offset=-40.0
    )
    video = KnownTrack(
        "video", "video/VP8", rtp_ppm=call.video_ppm, ntp_ppm=call.sender_ppm, clock_offset=-40.0
    )
    stretch = 1 / (1 + call.audio_ppm * 1e-6)
    sound = encode_audio(1.0)
    for number in range(round(seconds * 50)):
        at = number / 50 * stretch
        audio.delay = 0.03 + (chance.expovariate(1 / call.jitter) if call.jitter else 0.0)
        audio.put(at, sound[number % 50])
        if number % 50 == 10 and at < call.audio_reports_until:
            audio.report(at)
    pictures = [vp8_payloads(frame) for frame in encode_video("video/VP8", size=(64, 48), count=30)]
    for number in range(round(call.video_joins * FPS), round(seconds * FPS)):
        at = number / FPS * stretch
        video.delay = 0.08 + (chance.expovariate(1 / call.jitter) if call.jitter else 0.0)
        video.frame(at, pictures[number % 30])
        if number % FPS == 5 and at < call.video_reports_until:
            video.report(at)
    return [audio, video]


def assert_in_sync(call: Call, seconds: float, folder: Path) -> None:
    for track in sent(call, seconds):
        track.write(folder / "journals")
    options = FileOptions(thumbnails=False, hls_minutes=0)
    result = finalize(folder / "journals", folder / "output", lambda _progress: None, options)
    assert (result.failures, len(result.files)) == ((), 1)
    file = result.files[0]
    wall_clock = seconds / (1 + call.audio_ppm * 1e-6)
    assert file.duration_seconds == pytest.approx(wall_clock, abs=0.1 + 1 / FPS)
    begin = call.video_joins
    start = measure(file.path, since_s=begin, until_s=begin + WINDOW)
    end = measure(file.path, since_s=wall_clock - WINDOW)
    for truth, limit in ((start, START_MS), (end, END_MS)):
        assert len(truth.offsets_ms) >= 4
        assert all(abs(ms - CONTENT_MS) < limit for ms in truth.offsets_ms), truth.offsets_ms


@pytest.mark.parametrize(
    "name", ["perfect", "apart", "video_joins_late", "reports_stop", "all_reports_stop"]
)
def test_ten_minutes_stay_in_sync(tmp_path: Path, name: str) -> None:
    """Two clocks that are 400 ppm apart would be 240 ms apart by then."""
    assert_in_sync(CALLS[name], 600.0, tmp_path)


@pytest.mark.long
@pytest.mark.parametrize("name", CALLS)
def test_two_hours_stay_in_sync(tmp_path: Path, name: str) -> None:
    assert_in_sync(CALLS[name], 7200.0, tmp_path)
