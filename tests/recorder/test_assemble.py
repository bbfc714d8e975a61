"""Every real sequence of chunks becomes a file that plays, with nothing changed in it."""

from __future__ import annotations

import os
from pathlib import Path

import av
import pytest

from recorder.chunks.checking import check_file
from recorder.chunks.contents import units_between_start_codes, units_with_lengths
from recorder.chunks.webm import CLUSTER
from recorder.jobs import FinalizedFile
from tests.media_truth import measure
from tests.recorder.made_chunks import (
    AV1,
    AV1_MP4,
    BEGAN,
    FIREFOX,
    H264_OPUS_MP4,
    H264_PCM,
    OLD_WRITER,
    PCM,
    PLAIN_MP4,
    REAL,
    SAFARI,
    VP9,
    VP9_MP4,
    Recorder,
    arrivals_of,
    assembled,
    cut,
    joined,
    lay_out,
    mp4_boxes,
    packets_of,
    real_set,
    record,
    run_job,
    sha256,
    webm_elements,
)

SECONDS = {"audio_webm": 10.2, "webm_vp8_pause": 11.5}


def index_is_in_front(path: Path) -> bool:
    """Before the first media there is the table of where things are."""
    data = path.read_bytes()
    if path.suffix in (".webm", ".mkv"):
        return 0 < data.find(b"\x1c\x53\xbb\x6b") < data.find(b"\x1f\x43\xb6\x75")
    boxes = [kind for kind, _, _ in mp4_boxes(data)]
    return boxes.index(b"moov") < boxes.index(b"mdat")


def frame_after_seek(path: Path, seconds: float) -> float:
    """The time of what a player shows first when it goes there."""
    with av.open(str(path)) as container:
        container.seek(round(seconds * av.time_base))
        return float(next(container.decode(container.streams[0])).time or 0.0)


@pytest.mark.parametrize("name", REAL)
def test_a_real_set(tmp_path: Path, name: str) -> None:
    chunks = real_set(name)
    came = None if name == "webm_vp8_pause" else arrivals_of(name)  # pauses: test_pauses.py
    lay_out(tmp_path / "set", 0, chunks, came)
    result = run_job(tmp_path, parts={"0": {"lastSequence": len(chunks) - 1}})

    assert result.failures == ()
    (file,) = result.files
    assert (file.kind, file.participant_id, file.participant_name) == ("client", "bob", "Bob")
    assert sha256(file.path.read_bytes()) == file.sha256
    assert result.integrity["complete"] is True
    (part,) = result.integrity["parts"]
    assert part["sha256"] == sha256(joined(chunks))
    assert (part["part"], part["chunks"], part["missing"]) == (0, len(chunks), [])
    assert part["bytes"] == len(joined(chunks))
    assert part["alignment"] == {"method": "arrival", "offsetMs": 0.0}
    assert all(track["gaps"] == track["undecodable"] == [] for track in result.integrity["tracks"])

    assert abs(file.duration_seconds - SECONDS.get(name, 12.3)) < 0.2
    assert index_is_in_front(file.path)
    assert 4.0 < frame_after_seek(file.path, 8.0) <= 8.1
    same_packets(chunks_of := packets_of(joined(chunks)), packets_of(file.path), name)
    for track in result.integrity["tracks"]:
        assert track["trackId"] == f"client/0/{track['kind']}"
        assert track["source"] == "client"
        assert track["packetsReceived"] == len(chunks_of[track["kind"]])


def same_packets(
    original: dict[str, list[bytes]], made: dict[str, list[bytes]], name: str = ""
) -> None:
    """Byte for byte; H.264 from Matroska unit by unit: it had start codes, and has lengths in MP4."""
    assert original.keys() == made.keys()
    for kind, packets in original.items():
        if name == "webm_h264" and kind == "video":
            assert [list(units_between_start_codes(data)) for data in packets] == [
                list(units_with_lengths(data)) for data in made[kind]
            ]
        else:
            assert packets == made[kind]


def test_times_are_the_recorders_own(tmp_path: Path) -> None:
    """As long as nothing says that there was a pause."""
    chunks = real_set("webm_vp8_pause")
    made = assembled(tmp_path, chunks)
    original = tmp_path / "original.webm"
    original.write_bytes(joined(chunks))

    def times(path: Path) -> list[tuple[int, int]]:
        with av.open(str(path)) as container:
            return [
                (packet.stream_index, round(packet.pts * packet.time_base * 1000))
                for packet in container.demux()
                if packet.size and packet.pts is not None and packet.time_base is not None
            ]

    assert sorted(times(made.path)) == sorted(times(original))


def test_sizes_that_change_are_told(tmp_path: Path) -> None:
    lay_out(tmp_path / "set", 0, real_set("webm_vp8_resize"))
    result = run_job(tmp_path)
    (video,) = [track for track in result.integrity["tracks"] if track["kind"] == "video"]
    sizes = [(entry["width"], entry["height"]) for entry in video["resolutions"]]
    assert sizes == [(640, 360), (1280, 720), (320, 180)]
    assert result.integrity["complete"] is True


MORE_RECORDERS = ("vp9_mp4", "av1_mp4", "opus_mp4", "pcm", "h264_pcm")


@pytest.mark.parametrize(
    ("recorder", "container", "content_type"),
    [
        (FIREFOX, "webm", "video/webm"),
        (SAFARI, "mp4", "video/mp4"),
        (OLD_WRITER, "mp4", "video/mp4"),
        (PLAIN_MP4, "mp4", "video/mp4"),
        (VP9, "webm", "video/webm"),
        (AV1, "webm", "video/webm"),
        (VP9_MP4, "mp4", "video/mp4"),
        (AV1_MP4, "mp4", "video/mp4"),
        (H264_OPUS_MP4, "mp4", "video/mp4"),
        (PCM, "matroska", "video/x-matroska"),
        (H264_PCM, "matroska", "video/x-matroska"),
    ],
    ids=[
        "firefox",
        "safari",
        "offsets",
        "plain_mp4",
        "vp9",
        "av1",
        "vp9_mp4",
        "av1_mp4",
        "opus_mp4",
        "pcm",
        "h264_pcm",
    ],
)
def test_other_recorders(
    tmp_path: Path, recorder: Recorder, container: str, content_type: str
) -> None:
    """Irregular chunks, some of them empty, as Safari has sent them. All of it decodes."""
    data = record(recorder)
    chunks = cut(data, 100)
    assert b"" in chunks.values()
    made = assembled(tmp_path, chunks)
    assert (made.container, made.content_type) == (container, content_type)
    assert (made.digest, made.problem) == (sha256(data), None)
    same_packets(packets_of(data), packets_of(made.path))
    assert made.picture == (160, 90)
    assert index_is_in_front(made.path)
    truth = measure(made.path)
    assert truth.counters == tuple(range(120))
    assert truth.beeps_s == pytest.approx([0.0, 1.0, 2.0, 3.0], abs=0.03)
    assert abs(made.duration_seconds - 4.0) < 0.1
    checked = check_file(made.path, lambda _: None)
    assert checked is not None
    assert all(stream.decoded and not stream.undecodable for stream in checked.streams)


def test_sound_alone_and_pictures_alone(tmp_path: Path) -> None:
    sound = assembled(tmp_path / "a", cut(record(FIREFOX, video=False)))
    pictures = assembled(tmp_path / "b", cut(record(SAFARI, audio=False)))
    assert (sound.content_type, sound.picture) == ("audio/webm", None)
    assert (pictures.content_type, pictures.picture) == ("video/mp4", (160, 90))


def test_a_stream_without_a_packet_is_no_stream(tmp_path: Path) -> None:
    """A recorder announces a microphone that was never heard."""
    data = record(FIREFOX)
    silent = b"".join(
        data[at : at + size]
        for kind, at, size, head in webm_elements(data)
        if kind != 0xA0 and not (kind == 0xA3 and data[at + head] == 0x82)  # blocks of track 2
    )
    made = assembled(tmp_path, cut(silent))
    with av.open(str(made.path)) as container:
        assert [stream.type for stream in container.streams] == ["video"]
    assert [ledger.kind for ledger in made.ledgers] == ["video"]


def test_h264_with_changing_parameter_sets_says_so(tmp_path: Path) -> None:
    """Its file is marked as one whose parameter sets are in the pictures; others are not."""

    def tag(path: Path) -> str:
        with av.open(str(path)) as container:
            return str(container.streams.video[0].codec_context.codec_tag)

    plain = real_set("webm_h264")
    assert tag(assembled(tmp_path / "plain", plain).path) == "avc1"
    sets = b"\0\0\0\1" + bytes.fromhex("6742c01f8c8d405017fcb00f08846a")
    other = sets[:-1] + b"\x6b"
    data = joined(plain)
    at = data.rfind(b"\0\0\0\1\x67")  # of the last keyframe
    changed = data[:at] + other + data[at + len(other) :]
    assert changed[:at].count(sets) > 1
    made = assembled(tmp_path / "changed", cut(changed))
    assert tag(made.path) == "avc3"


def test_several_parts_lie_behind_each_other(tmp_path: Path) -> None:
    """A track change ends the recorder: a new one begins, with its own header."""
    lay_out(tmp_path / "set", 0, real_set("webm_vp8"), arrivals_of("webm_vp8"))
    later = [20.0 + arrived for arrived in arrivals_of("audio_webm")]
    lay_out(tmp_path / "set", 1, real_set("audio_webm"), later)
    result = run_job(tmp_path, parts={"1": {"source": "screen"}})
    first, second = result.files
    assert (first.source, second.source) == ("camera", "screen")
    assert first.start_seconds == 0.0
    assert abs(second.start_seconds - 20.0) < 0.2
    assert result.first_media_us is not None
    assert abs(result.first_media_us / 1e6 - BEGAN) < 0.1
    assert len({file.path.name for file in result.files}) == 2


def test_what_is_made_of_the_file_follows_it(tmp_path: Path) -> None:
    lay_out(tmp_path / "set", 0, real_set("webm_h264"))
    result = run_job(tmp_path, thumbnails=True, hlsMinutes=0.1)
    file = result.files[0]
    derived = {each.role: each for each in result.files[1:]}
    assert set(derived) == {"poster", "strip", "cues", "playlist", "media"}
    assert all(each.derived_from == file.path.name for each in derived.values())
    assert derived["strip"].path.name in derived["cues"].path.read_text()
    assert derived["media"].path.name in derived["playlist"].path.read_text()


def test_the_same_chunks_give_the_same_file(tmp_path: Path) -> None:
    lay_out(tmp_path / "set", 0, real_set("webm_vp8"))

    def made() -> list[FinalizedFile]:
        return list(run_job(tmp_path).files)

    first = made()
    leftover = tmp_path / "out" / "set.000-camera.webm.partial"
    leftover.write_bytes(b"of a job that was killed")
    assert made() == first
    assert sorted(os.listdir(tmp_path / "out")) == ["set.000-camera.webm"]


def test_a_recorder_that_was_stopped_before_its_first_picture_has_lost_nothing(
    tmp_path: Path,
) -> None:
    """As when a page begins anew because another track came; its header alone is no file."""
    data = record(FIREFOX, 2.0)
    header = data[: next(at for kind, at, _, _ in webm_elements(data) if kind == CLUSTER)]
    lay_out(tmp_path / "set", 0, {0: header})
    lay_out(tmp_path / "set", 1, cut(data))
    result = run_job(tmp_path, parts={"0": {"lastSequence": 0}})
    assert result.failures == ()
    assert [file.path.name for file in result.files] == ["set.001-camera.webm"]
    assert [part["container"] for part in result.integrity["parts"]] == [None, "webm"]
    assert result.integrity["complete"] is True
    missing = run_job(tmp_path, parts={"0": {"lastSequence": 1}})
    assert missing.integrity["complete"] is False
    assert len(missing.failures) == 1


def test_a_set_without_any_chunk(tmp_path: Path) -> None:
    result = run_job(tmp_path, parts={"0": {"lastSequence": 3}})
    assert result.files == ()
    assert result.failures == ("part 0: none of its chunks came",)
    assert result.integrity["parts"][0]["missing"] == [[0, 3]]
    assert result.integrity["complete"] is False
