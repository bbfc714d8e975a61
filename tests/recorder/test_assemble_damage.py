"""Chunks that never came, or hold what they should not: what can be played is kept, the rest is told."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from recorder.chunks.assembly import AssembledPart
from recorder.chunks.webm import CLUSTER, TIMESTAMP, TRACKS, element_at
from recorder.errors import ChunksUnreadable
from recorder.integrity import TrackLedger
from tests.media_truth import measure
from tests.recorder.made_chunks import (
    FIREFOX,
    OLD_WRITER,
    PLAIN_MP4,
    SAFARI,
    Recorder,
    assembled,
    cut,
    joined,
    lay_out,
    mp4_boxes,
    packets_of,
    real_set,
    record,
    run_job,
    webm_elements,
    without,
)


def ledger(made: AssembledPart, kind: str) -> TrackLedger:
    (found,) = [each for each in made.ledgers if each.kind == kind]
    return found


def evenly(data: bytes, size: int = 1000) -> dict[int, bytes]:
    return {at // size: data[at : at + size] for at in range(0, len(data), size)}


def seconds(spans: list[Any]) -> list[tuple[float, float]]:
    return [(span.start_us / 1e6, span.end_us / 1e6) for span in spans]


# --- holes ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("recorder", [FIREFOX, SAFARI, OLD_WRITER], ids=["webm", "mp4", "offsets"])
def test_a_hole_in_the_middle(tmp_path: Path, recorder: Recorder) -> None:
    """What is before and what comes after the next place to begin at is played, each at its time."""
    data = record(recorder, 6.0)
    chunks = evenly(data)
    gone = {len(chunks) // 2, len(chunks) // 2 + 1}
    made = assembled(tmp_path, without(chunks, gone))

    truth = measure(made.path)
    expected = set(range(180))
    assert set(truth.counters) < expected
    assert 90 < len(truth.counters) < 175
    assert truth.counters[0] == 0
    assert truth.counters[-1] == 179
    for counter, time in zip(truth.counters, truth.times_s, strict=True):
        assert abs(time - truth.times_s[0] - counter / 30) < 0.03
    for kind in ("video", "audio"):
        (hole,) = seconds([gap for gap in ledger(made, kind).gaps if gap.reason == "missing"])
        assert 1.5 < hole[0] < hole[1] < 5.0
    missed = sorted(expected - set(truth.counters))
    first, end = missed[0] / 30, (missed[-1] + 1) / 30
    (hole,) = seconds(ledger(made, "video").gaps)
    blind = seconds(ledger(made, "video").undecodable)
    assert abs(hole[0] - first) < 0.05
    assert abs((blind[-1][1] if blind else hole[1]) - end) < 0.05
    assert not ledger(made, "video").complete


def test_every_single_chunk_may_be_missing(tmp_path: Path) -> None:
    """Whichever it is, all packets that lie whole outside of it and can be decoded are there."""
    chunks = real_set("webm_vp8")
    whole = packets_of(joined(chunks))
    for number in range(1, len(chunks)):
        made = assembled(tmp_path / str(number), without(chunks, {number}))
        found = packets_of(made.path)
        assert set(found["audio"]) < set(whole["audio"])
        assert len(found["audio"]) > len(whole["audio"]) - 45  # two seconds and a half
        assert any(gap.reason == "missing" for gap in ledger(made, "audio").gaps)
        assert not all(each.complete for each in made.ledgers)


def test_pictures_after_a_hole_begin_with_a_keyframe(tmp_path: Path) -> None:
    """Those before refer to pictures that nobody has; they are left out, and told."""
    chunks = real_set("webm_vp8")  # a keyframe each three seconds
    made = assembled(tmp_path, without(chunks, {5}))
    video = ledger(made, "video")
    (hole,) = seconds(video.gaps)
    (blind,) = seconds(video.undecodable)
    assert 4.0 < hole[0] < hole[1] == blind[0] < blind[1]
    truth = measure(made.path)
    assert not [time for time in truth.times_s if blind[0] <= time < blind[1] - 0.01]
    assert len(truth.times_s) < video.packets_received


@pytest.mark.parametrize("name", ["webm_vp8", "mp4", "webm_h264"])
def test_the_end_is_missing(tmp_path: Path, name: str) -> None:
    chunks = real_set(name)
    last = max(chunks)
    lay_out(tmp_path / "set", 0, without(chunks, {last}))
    result = run_job(tmp_path, parts={"0": {"lastSequence": last}})
    assert result.failures == ()
    assert len(result.files) == 1
    assert result.integrity["complete"] is False
    assert result.integrity["parts"][0]["missing"] == [[last, last]]
    for track in result.integrity["tracks"]:
        assert track["gaps"][-1]["reason"] == "missing"
        assert track["gaps"][-1]["startSeconds"] == pytest.approx(
            result.files[0].duration_seconds, abs=1.1
        )


def test_a_recorder_that_was_killed(tmp_path: Path) -> None:
    """The last chunk ends in the middle of a fragment: its whole samples are kept."""
    data = joined(real_set("mp4"))
    media = [(at, size) for kind, at, size in mp4_boxes(data) if kind == b"mdat"]
    at, size = media[7]
    made = assembled(tmp_path, cut(data[: at + size // 2]))
    assert made.problem == "the media breaks off"
    before = packets_of(data[: at + size])
    found = packets_of(made.path)
    assert found["video"] == before["video"][: len(found["video"])]
    assert len(found["video"]) > len(packets_of(data[: at - 600])["video"])
    assert not ledger(made, "video").complete


@pytest.mark.parametrize("name", ["webm_vp8", "mp4"])
def test_the_beginning_is_missing(tmp_path: Path, name: str) -> None:
    """Nothing says what the rest is: a failure, and the chunks are kept."""
    lay_out(tmp_path / "set", 0, without(real_set(name), {0}))
    result = run_job(tmp_path)
    assert result.files == ()
    assert result.failures == ("part 0: chunk 0 is missing, and the header with it",)
    (part,) = result.integrity["parts"]
    assert part["missing"] == [[0, 0]]
    assert part["container"] is None
    assert len(part["sha256"]) == 64
    assert result.integrity["complete"] is False


def test_a_hole_where_there_is_one_index_for_all(tmp_path: Path) -> None:
    chunks = evenly(record(PLAIN_MP4))
    with pytest.raises(ChunksUnreadable, match="one index"):
        assembled(tmp_path, without(chunks, {5}))


def test_one_bad_part_does_no_harm_to_another(tmp_path: Path) -> None:
    lay_out(tmp_path / "set", 0, {0: b"this is no media at all"})
    lay_out(tmp_path / "set", 1, real_set("audio_webm"))
    result = run_job(tmp_path)
    assert result.failures == ("part 0: this is neither WebM nor MP4",)
    assert [file.path.name for file in result.files] == ["set.001-camera.webm"]
    assert result.integrity["complete"] is False


def test_every_other_chunk_is_missing_and_the_report_stays_small(tmp_path: Path) -> None:
    """It is in the recording's integrity, and so in every answer about it."""
    chunks = real_set("audio_webm")
    holes = dict.fromkeys(range(len(chunks) + 1, len(chunks) + 6001, 2), b"x")
    lay_out(tmp_path / "set", 0, chunks | holes)
    (part,) = run_job(tmp_path).integrity["parts"]
    assert part["chunks"] == len(chunks) + 3000
    assert len(part["missing"]) == 1000
    assert part["missing"][0] == [len(chunks)] * 2
    assert part["missing"][-1] == [len(chunks) + 5998] * 2


# --- garbage ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("recorder", [FIREFOX, SAFARI], ids=["webm", "mp4"])
def test_garbage_between_chunks(tmp_path: Path, recorder: Recorder) -> None:
    data = record(recorder, 6.0)
    begins = (
        [at for kind, at, _, _ in webm_elements(data) if kind == CLUSTER]
        if recorder is FIREFOX
        else [at for kind, at, _ in mp4_boxes(data) if kind == b"moof"]
    )
    middle = begins[len(begins) // 2]
    made = assembled(tmp_path, cut(data[:middle] + zlib.compress(data) + data[middle:]))
    assert made.problem is not None
    truth = measure(made.path)
    assert len(truth.counters) > 100
    assert truth.counters[-1] == 179
    assert any(gap.reason == "missing" for gap in ledger(made, "video").gaps)


def test_a_second_header_in_one_part(tmp_path: Path) -> None:
    """Two recorders under one number: the second one's media follows the first one's."""
    made = assembled(tmp_path, cut(record(FIREFOX, 2.0) + record(FIREFOX, 2.0, first=60)))
    truth = measure(made.path)
    assert truth.counters == tuple(range(120))
    assert made.problem is not None
    assert abs(made.duration_seconds - 4.0) < 0.2


def test_frames_that_no_decoder_takes(tmp_path: Path) -> None:
    """A container without a fault around noise: a failure, found by decoding."""
    data = bytearray(record(FIREFOX, 2.0, audio=False))
    for kind, at, size, head in webm_elements(bytes(data)):
        if kind in (0xA3, 0xA0):
            data[at + head + 4 : at + size] = bytes(size - head - 4)
    lay_out(tmp_path / "set", 0, cut(bytes(data)))
    result = run_job(tmp_path)
    assert result.files == ()
    assert result.failures == ("part 0: nothing in it can be decoded",)
    assert list((tmp_path / "out").iterdir()) == []


def test_a_size_change_that_decoders_reject(tmp_path: Path) -> None:
    """MP4 with the parameter sets of its first size alone: demuxing and decoding raise nothing."""
    lay_out(tmp_path / "set", 0, cut(resized_avc1()))
    result = run_job(tmp_path)
    assert result.failures == ()
    (video,) = result.integrity["tracks"]
    assert video["undecodable"] == [{"startSeconds": 1.0, "durationSeconds": 2.0}]
    assert result.integrity["complete"] is False


def resized_avc1() -> bytes:
    """A second of 160x90, and two of 240x136 whose parameter sets are left out."""
    small = record(SAFARI, 1.0, size=(160, 90), audio=False)
    large = record(SAFARI, 2.0, size=(240, 136), audio=False)
    header = b"".join(
        small[at : at + size] for kind, at, size in mp4_boxes(small) if kind in (b"ftyp", b"moov")
    )
    data = bytearray(header)
    for source, later in ((small, 0), (large, timescale_of(header))):
        for kind, at, size in mp4_boxes(source):
            box = bytearray(source[at : at + size])
            if kind == b"moof":
                time = box.find(b"tfdt") + 4
                form = "!Q" if box[time] else "!I"
                (begin,) = struct.unpack_from(form, box, time + 4)
                struct.pack_into(form, box, time + 4, begin + later)
            if kind in (b"moof", b"mdat"):
                data += box
    return bytes(data)


def timescale_of(header: bytes) -> int:
    at = header.find(b"mdhd") + 4
    return int(struct.unpack_from("!I", header, at + 12)[0])


# --- attacks ----------------------------------------------------------------------------------------


def element(kind: int, body: bytes) -> bytes:
    name = kind.to_bytes((kind.bit_length() + 7) // 8, "big")
    return name + struct.pack("!Q", len(body) | 1 << 56) + body


def test_decompression_bomb(tmp_path: Path) -> None:
    """A megabyte of blocks that would be unpacked to gigabytes."""
    data = record(FIREFOX, 1.0, audio=False)
    zlib_settings = element(0x6240, element(0x5034, element(0x4254, b"\0")))
    tracks, size, head = next(
        (at, size, head) for kind, at, size, head in webm_elements(data) if kind == TRACKS
    )
    entry = data[tracks + head : tracks + size]
    inner = element_at(entry)
    assert inner is not None
    packed = element(0xAE, entry[inner.head :] + element(0x6D80, zlib_settings))
    bombed = data[:tracks] + element(TRACKS, packed) + data[tracks + size :]
    with pytest.raises(ChunksUnreadable, match="compressed"):
        assembled(tmp_path, cut(bombed))


def test_absurd_times(tmp_path: Path) -> None:
    """A cluster that says it is 500 million years later: it follows the one before."""
    data = bytearray(record(FIREFOX, 4.0))
    times = [
        (at + head, size - head)
        for kind, at, size, head in webm_elements(bytes(data))
        if kind == TIMESTAMP
    ]
    at, size = times[2]
    data[at : at + size] = b"\x7f" * size  # 9 hours at two bytes
    widened = bytes(data[: at - 1]) + b"\x88" + b"\x0f" * 8 + bytes(data[at + size :])
    made = assembled(tmp_path, cut(widened))
    assert made.problem is not None
    assert made.duration_seconds < 10
    assert len(packets_of(made.path)["video"]) == 120


def test_absurd_sizes(tmp_path: Path) -> None:
    data = record(FIREFOX, 2.0)
    huge = b"\xa3\x01\x00\xff\xff\xff\xff\xff\xff"
    clusters = [at for kind, at, _, _ in webm_elements(data) if kind == CLUSTER]
    made = assembled(tmp_path, cut(data[: clusters[1]] + huge + data[clusters[1] :]))
    assert len(packets_of(made.path)["video"]) > 50  # but for pictures before a keyframe

    mp4 = record(SAFARI, 2.0)
    at = [at for kind, at, _ in mp4_boxes(mp4) if kind == b"moof"][1]
    wide = struct.pack("!I4sQ", 1, b"mdat", 1 << 62)
    made = assembled(tmp_path / "mp4", cut(mp4[:at] + wide + mp4[at:]))
    assert len(packets_of(made.path)["video"]) == 60


def _header_that_never_ends() -> bytes:
    return record(FIREFOX, 1.0)[:60]


def _tracks_of_a_gigabyte() -> bytes:
    data = record(FIREFOX, 1.0)
    at = next(at for kind, at, _, _ in webm_elements(data) if kind == TRACKS)
    return data[: at + 4] + b"\x01\x00\x00\x00\x40\x00\x00\x00" + data[at + 12 :]


def _media_before_its_header() -> bytes:
    data = record(SAFARI, 1.0)
    begin = next(at for kind, at, _ in mp4_boxes(data) if kind == b"moof")
    return data[:28] + data[begin:]


def _empty() -> bytes:
    return record(FIREFOX, 1.0)[:300]


@pytest.mark.parametrize(
    "make",
    [
        _header_that_never_ends,
        _tracks_of_a_gigabyte,
        _media_before_its_header,
        lambda: b"\x1a\x45\xdf\xa3" * 1000,
        lambda: b"\0\0\0\x18ftypisom" + bytes(5000),
        lambda: b"%PDF-1.7 " * 100,
        lambda: b"\0",
    ],
)
def test_what_is_no_media_is_a_failure_in_words(tmp_path: Path, make: Callable[[], bytes]) -> None:
    with pytest.raises(ChunksUnreadable):
        assembled(tmp_path, cut(make()))
