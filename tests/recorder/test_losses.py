"""What the network loses costs what referred to it, and what it brings late or twice costs nothing."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from mediaserver.journal import RecordKind
from tests.recorder.known_media import (
    PACKETIZERS,
    Coded,
    KnownTrack,
    audio_track,
    encode_video,
    video_track,
)
from tests.recorder.test_finalize_content import integrity_of, make, only

KEYFRAME_SECONDS = 1.0
Entry = tuple[int, int, bytes]


def packets_of(track: KnownTrack) -> list[Entry]:
    return [entry for entry in track.entries if entry[1] == RecordKind.RTP]


def frames_by_packet(codec: str, frames: tuple[Coded, ...]) -> list[int]:
    """For each packet of a video track, which frame it is of."""
    return [n for n, frame in enumerate(frames) for _ in PACKETIZERS[codec](frame)]


def five_percent_and_bursts(owners: list[int], frames: tuple[Coded, ...], seed: int) -> set[int]:
    """Packets that never come. Of keyframes none: they are asked for until one is there."""
    chance = random.Random(seed)
    lost = {number for number in range(len(owners)) if chance.random() < 0.05}
    for burst in (5, 20, 50):
        start = chance.randrange(len(owners) // 6, len(owners) - burst)
        lost |= set(range(start, start + burst))
    return {number for number in lost if not frames[owners[number]].keyframe}


def decodable(owners: list[int], frames: tuple[Coded, ...], lost: set[int]) -> list[int]:
    """The frames that are whole and refer to whole ones only."""
    broken = {owners[number] for number in lost}
    good, intact = [], False
    for number, frame in enumerate(frames):
        intact = number not in broken and (intact or frame.keyframe)
        if intact:
            good.append(number)
    return good


@pytest.mark.parametrize("codec", ["video/VP8", "video/VP9", "video/H264", "video/AV1"])
@pytest.mark.parametrize("seed", [1, 2])
def test_nothing_is_undecodable_for_longer_than_a_keyframe_interval(
    tmp_path: Path, codec: str, seed: int
) -> None:
    frames = encode_video(codec)
    owners = frames_by_packet(codec, frames)
    lost = five_percent_and_bursts(owners, frames, seed)
    track = video_track(codec)
    packets = packets_of(track)
    for number in lost:
        track.entries.remove(packets[number])
    result = make(tmp_path, [track, audio_track()])
    _, truth = only(result)
    good = decodable(owners, frames, lost)
    assert truth.counters == tuple(good)
    assert truth.times_s == pytest.approx([n / 30 for n in good], abs=0.002)
    seen = integrity_of(result, "video")
    assert seen["packetsLost"] == len(lost)
    stretches = seen["undecodable"]
    assert all(span["durationSeconds"] < KEYFRAME_SECONDS + 0.001 for span in stretches)
    missing = set(range(120)) - set(good)
    assert len(missing) > 20
    for number in missing:
        assert_told([*stretches, *seen["gaps"]], number / 30)


def assert_told(spans: list[dict[str, Any]], at: float) -> None:
    """Whatever was to be seen at this time, the report says that it is not."""
    around = [
        -0.002 <= at - span["startSeconds"] <= span["durationSeconds"] + 0.002 for span in spans
    ]
    assert any(around), (at, spans)


def disturbed(track: KnownTrack, seed: int) -> tuple[KnownTrack, int]:
    """Every way of coming late or twice, and how many came a second time only."""
    chance = random.Random(seed)
    entries: list[Entry] = []
    packets = packets_of(track)
    spacing_us = (packets[-1][0] - packets[0][0]) // len(packets)
    repaired = 0
    for entry in track.entries:
        arrival_us, kind, data = entry
        fate = chance.random() if kind == RecordKind.RTP else 1.0
        if fate < 0.2:  # overtaken by up to fifty
            entries.append((arrival_us + chance.randint(1, 50) * spacing_us, kind, data))
        elif fate < 0.25:  # lost, and sent again
            entries.append((arrival_us + chance.randint(60_000, 900_000), kind, data))
            repaired += 1
        else:
            entries.append(entry)
        if fate < 0.05 or 0.5 < fate < 0.55:  # twice
            entries.append((entries[-1][0] + chance.randint(0, 700_000), kind, data))
    entries[0] = track.entries[0]
    track.entries = entries
    return track, repaired


@pytest.mark.parametrize("codec", ["video/VP8", "video/H264"])
@pytest.mark.parametrize("start", [0, 65535, 65200])
def test_reordering_repairs_duplicates_and_wraps_give_the_same_file(
    tmp_path: Path, codec: str, start: int
) -> None:
    def tracks() -> tuple[KnownTrack, KnownTrack]:
        sent: dict[str, Any] = {"sequence": start, "timestamp": 2**32 - 60_000}
        return video_track(codec, **sent), audio_track(**sent)

    clean = make(tmp_path / "clean", tracks())
    repaired = 0
    late = []
    for seed, track in enumerate(tracks()):
        moved, count = disturbed(track, start + seed)
        repaired += count
        late.append(moved)
    result = make(tmp_path / "late", late)
    assert result.files[0].path.read_bytes() == clean.files[0].path.read_bytes()
    assert result.files[0].sha256 == clean.files[0].sha256
    assert result.integrity["complete"] is True
    for kind in ("video", "audio"):
        seen, undisturbed = integrity_of(result, kind), integrity_of(clean, kind)
        assert seen["packetsReceived"] == undisturbed["packetsReceived"]
        assert (seen["packetsLost"], undisturbed["packetsRecovered"]) == (0, 0)
    recovered = sum(integrity_of(result, kind)["packetsRecovered"] for kind in ("video", "audio"))
    assert recovered >= repaired * 0.9


@pytest.mark.parametrize("first", [20, 120, 200])
def test_recovered_are_those_that_had_been_missed(tmp_path: Path, first: int) -> None:
    """Five packets come 150 ms late, and everything twice."""
    track = audio_track(5.0)
    again = {id(entry) for entry in packets_of(track)[first : first + 15 : 3]}
    track.entries = [
        (at + 150_000 if id(entry) in again else at, kind, data)
        for entry in track.entries
        for at, kind, data in (entry, (entry[0] + 200_000, *entry[1:]))
        if kind == RecordKind.RTP or at == entry[0]
    ]
    result = make(tmp_path, [track])
    seen = integrity_of(result, "audio")
    assert seen["packetsRecovered"] == 5
    assert (seen["packetsReceived"], seen["packetsLost"]) == (250, 0)
    assert result.integrity["complete"] is True
