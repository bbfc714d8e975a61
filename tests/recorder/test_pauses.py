"""A paused recorder leaves no gap in what it writes: what follows lies where it belongs all the same."""

from __future__ import annotations

import io
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from itertools import accumulate, pairwise
from math import nan
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
import pytest

from recorder.chunks.assembly import AssembledPart
from recorder.chunks.made_at import note_made_at, read_made_at
from recorder.chunks.pauses import NO_PAUSES, Pause, Pauses, corrected, find_pauses
from recorder.chunks.webm import CLUSTER, TIMESTAMP
from tests.media_truth import measure
from tests.recorder.made_chunks import (
    BEGAN,
    FIREFOX,
    SAFARI,
    OnlyForward,
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
    webm_elements,
)

# --- what clocks tell -------------------------------------------------------------------------------

ENDS = [float(number + 1) for number in range(20)]
"""A second of media in each chunk."""


def clock(*steps: tuple[int, float], jitter: float = 0.05) -> list[float]:
    """Of chunks that come as they are made; from a chunk on, so much later."""
    return [
        1000 + end + jitter * (number % 3) + sum(by for first, by in steps if number >= first)
        for number, end in enumerate(ENDS)
    ]


def lengths(pauses: Pauses) -> list[float]:
    return [pause.length_us / 1e6 for pause in pauses.found]


SILENT_PAGE = [nan] * 20


def test_chunks_that_come_as_they_are_made_tell_of_no_pause() -> None:
    assert find_pauses(ENDS, clock(), SILENT_PAGE) == NO_PAUSES
    assert find_pauses([], [], []) == NO_PAUSES
    assert find_pauses([1.0], [2.0], [nan]) == NO_PAUSES


def test_a_step_that_lasts_is_a_pause() -> None:
    found = find_pauses(ENDS, clock((8, 30.0)), SILENT_PAGE)
    (pause,) = found.found
    assert pause.length_us == pytest.approx(30e6, abs=0.1e6)
    assert 8.0 <= pause.at_us / 1e6 <= 9.0
    assert found.clock == "arrival"


def test_several_pauses_are_told_apart() -> None:
    assert lengths(find_pauses(ENDS, clock((4, 10.0), (12, 2.0)), SILENT_PAGE)) == pytest.approx(
        [10.0, 2.0], abs=0.15
    )


def test_a_short_chunk_ends_where_the_recorder_went_on() -> None:
    """Chromium hands out what it had when the first frame after the pause comes."""
    ends = [end if number < 8 else end - 0.8 for number, end in enumerate(ENDS)]
    arrived = [1000 + end + (4.0 if number >= 8 else 0.0) for number, end in enumerate(ends)]
    (pause,) = find_pauses(ends, arrived, SILENT_PAGE).found
    assert pause.at_us == round(ends[8] * 1e6)


def late_for_a_while() -> list[float]:
    return [at + (20.0 if 5 <= number < 12 else 0.0) for number, at in enumerate(clock())]


def backlog_at_once() -> list[float]:
    """Without network from the tenth second on, and then all the rest at once."""
    return [at if number < 10 else 1060.0 + number / 100 for number, at in enumerate(clock())]


def all_after_the_call() -> list[float]:
    return [1400.0 + number / 50 for number in range(20)]


def slower_and_slower() -> list[float]:
    return [1000 + 1.4 * end for end in ENDS]


@pytest.mark.parametrize(
    "arrived", [late_for_a_while, backlog_at_once, all_after_the_call, slower_and_slower]
)
def test_a_slow_network_is_no_pause(arrived: Callable[[], list[float]]) -> None:
    assert find_pauses(ENDS, arrived(), SILENT_PAGE) == NO_PAUSES


def test_what_the_page_says_counts_more_than_arrivals() -> None:
    told = find_pauses(ENDS, [2000.0 + number for number in range(20)], clock((8, 30.0)))
    assert told.clock == "timestamp"
    assert lengths(told) == pytest.approx([30.0], abs=0.1)
    quiet = find_pauses(ENDS, clock((8, 30.0)), clock())
    assert (quiet.clock, quiet.found) == ("timestamp", ())


@pytest.mark.parametrize(
    "made",
    [
        [float(number) for number in range(20)],  # counts chunks
        [*clock()[:19], nan],
        clock((8, -30.0)),
        [at * 1000 for at in clock((8, 3.0))],  # not milliseconds
        clock((8, 90_000.0)),  # an absurd file
    ],
)
def test_nonsense_of_a_page_says_nothing(made: Sequence[float]) -> None:
    found = find_pauses(ENDS, clock((8, 3.0)), made)
    assert found.clock == "arrival"
    assert lengths(found) == pytest.approx([3.0], abs=0.1)


def test_sound_corrects_what_clocks_said() -> None:
    pauses = Pauses((Pause(8_000_000, 30_000_000), Pause(12_000_000, 5_000_000)), "arrival")
    assert lengths(corrected(pauses, [0.1, 0.3, -1.7])) == pytest.approx([30.2, 3.0])
    assert lengths(corrected(pauses, [0.0, -30.0, -30.0])) == [5.0]  # there was none


def test_a_pause_that_sound_does_not_confirm_is_none() -> None:
    found = (Pause(8_000_000, 30_000_000), Pause(12_000_000, 5_000_000))
    arrived, said = Pauses(found, "arrival"), Pauses(found, "timestamp")
    assert lengths(corrected(arrived, [0.1, None, 0.1])) == []
    assert lengths(corrected(arrived, [0.1, 0.1, None])) == [30.0]
    assert lengths(corrected(said, [None, None, None])) == []
    assert lengths(corrected(said, [0.1, None, -1.7])) == []  # its clock is wrong
    assert lengths(corrected(said, [0.1, None, 0.2])) == [30.0, 5.0]
    assert lengths(corrected(said, [None, 0.1, 0.1])) == [30.0, 5.0]


def test_pauses_in_the_file_follow_each_other() -> None:
    pauses = Pauses((Pause(1_000_000, 500_000), Pause(3_000_000, 700_000)))
    assert pauses.spans() == [(1_000_000, 1_500_000), (3_500_000, 4_200_000)]
    assert [pauses.before(at) for at in (0, 1_000_000, 2_999_999, 3_000_000)] == [
        0,
        500_000,
        500_000,
        1_200_000,
    ]


def test_when_chunks_were_made_is_kept_beside_them(tmp_path: Path) -> None:
    note_made_at(tmp_path / "gone", 0, 1.0)
    assert read_made_at(tmp_path) == {}
    for sequence, milliseconds in ((0, 1_760_000_000_123.4), (2, -5.0), (0, 7.0)):
        note_made_at(tmp_path, sequence, milliseconds)
    with (tmp_path / "made-at").open("ab") as file:
        file.write(b"nonsense\n3 x\n4 5")
    assert read_made_at(tmp_path) == {0: 1_760_000_000.123, 2: -0.005, 4: 0.005}


# --- files ------------------------------------------------------------------------------------------


def test_chromiums_own_pause(tmp_path: Path) -> None:
    """Paused after 5 s, for 4 s: what came after it lies as much later, and silence between."""
    chunks = real_set("webm_vp8_pause")
    file = assembled(tmp_path, chunks, arrivals=arrivals_of("webm_vp8_pause"))
    assert file.pauses.clock == "arrival"
    assert lengths(file.pauses) == [pytest.approx(4.0, abs=0.1)]
    assert file.duration_seconds == pytest.approx(15.6, abs=0.1)
    for ledger in file.ledgers:
        (gap,) = ledger.to_json(0)["gaps"]
        assert gap["reason"] == "paused"
        assert gap["startSeconds"] == pytest.approx(5.2, abs=0.2)
    whole, made = packets_of(joined(chunks)), packets_of(file.path)
    assert made["video"] == whole["video"]
    before = next(n for n, data in enumerate(made["audio"]) if data != whole["audio"][n])
    behind = len(whole["audio"]) - before
    assert made["audio"][-behind:] == whole["audio"][before:]
    silence = made["audio"][before:-behind]
    assert 30 < len(silence) < 40  # of 120 ms
    assert all(data.endswith(b"\xff\xfe") for data in silence)
    assert longest_hole(file.path) < 0.04


def test_a_pause_that_nothing_confirms_changes_no_packet(tmp_path: Path) -> None:
    """The server has no sound to compare with: the file stays what its recorder made."""
    chunks = real_set("webm_vp8_pause")
    lay_out(tmp_path / "set", 0, chunks, arrivals_of("webm_vp8_pause"))
    result = run_job(tmp_path)
    (file,) = result.files
    (part,) = result.integrity["parts"]
    assert "pauses" not in part
    assert [track["gaps"] for track in result.integrity["tracks"]] == [[], []]
    assert file.duration_seconds == pytest.approx(11.6, abs=0.1)
    assert packets_of(file.path) == packets_of(joined(chunks))


def longest_hole(path: Path) -> float:
    with av.open(str(path)) as container:
        sounds = [
            (float(packet.pts * packet.time_base), float(packet.duration * packet.time_base))
            for packet in container.demux(audio=0)
            if packet.size and packet.pts is not None and packet.duration and packet.time_base
        ]
    return max(later - at - length for (at, length), (later, _) in pairwise(sounds))


@pytest.mark.parametrize("recorder", [FIREFOX, SAFARI], ids=["webm", "mp4"])
@pytest.mark.parametrize("told", ["arrival", "timestamp"])
def test_a_known_pause(tmp_path: Path, recorder: Recorder, told: str) -> None:
    """Eight seconds of media, paused for 20 s in the middle; told by arrivals, or when all of it came
    after the call, by the `timestamp` of each chunk.
    """
    file = paused_recording(tmp_path, recorder, told, pause=20.0)
    assert file.pauses.clock == told
    truth = measure(file.path)
    assert truth.counters == tuple(range(240))
    for counter, time in zip(truth.counters, truth.times_s, strict=True):
        if abs(counter / 30 - 4.0) > 0.6:  # in which chunk it was is known, not where in it
            assert time == pytest.approx(counter / 30 + (20 if counter > 120 else 0), abs=0.15)


@pytest.mark.parametrize(("late", "was"), [(0.4, 4.0), (3.8, 0.0)], ids=["longer", "none"])
def test_the_servers_sound_says_how_long_a_pause_was(
    tmp_path: Path, late: float, was: float
) -> None:
    """A network that got slower and stayed so looks like a pause, or makes one longer."""
    chunks = spliced(talk(3.0, 3.0), talk(6.0 + was, 3.0))
    ends = ends_of(chunks)
    came = [end + 0.1 + (was + late if end > 3.1 else 0.0) for end in ends]
    lay_out(tmp_path / "set", 0, chunks, came)
    server = assembled(tmp_path / "server", cut(talk(0.0, 14.0)))
    result = run_job(
        tmp_path,
        recordingStartUs=round((BEGAN - 3.0) * 1e6),
        parts={"0": {"startedAt": datetime.fromtimestamp(BEGAN + 0.05, UTC).isoformat()}},
        reference=[{"path": str(server.path), "startSeconds": 0.0}],
    )
    (part,) = result.integrity["parts"]
    (file,) = result.files
    assert part["alignment"]["method"] == "sound"
    assert file.start_seconds == pytest.approx(3.0, abs=0.02)
    found = part.get("pauses", {}).get("seconds", [])
    assert found == pytest.approx([was] if was else [], abs=0.03)
    assert file.duration_seconds == pytest.approx(6.0 + was, abs=0.05)


@cache
def talk(begin: float, seconds: float) -> bytes:
    """Noise as uneven as speech, from this second of it on, as Firefox would record it."""
    dice = np.random.default_rng(5)
    levels = np.repeat(dice.random(20 * 5), 48_000 // 5)
    samples = dice.standard_normal(20 * 48_000) * levels * (levels > 0.3) * 4000
    forward = OnlyForward()
    output = av.open(cast(Any, forward), "w", format="webm", options=dict(FIREFOX.options))
    stream = output.add_stream("libopus", rate=48_000, layout="mono")
    first = round(begin * 48_000)
    for at in range(0, round(seconds * 48_000), 960):
        data = samples[first + at : first + at + 960].astype(np.int16).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(data, format="s16", layout="mono")
        frame.sample_rate, frame.pts = 48_000, at
        output.mux(stream.encode(frame))
    output.mux(stream.encode(None))
    output.close()
    return bytes(forward.data)


def spliced(first: bytes, second: bytes) -> Mapping[int, bytes]:
    """The media of two recordings of three seconds as that of one, a cluster in each chunk."""
    chunks: list[bytes] = []
    for data, later in ((first, 0), (second, 3000)):
        for kind, at, size, head in webm_elements(data):
            element = data[at : at + size]
            if kind == CLUSTER:
                chunks.append(b"")
            if kind == TIMESTAMP:
                time = int.from_bytes(element[head:], "big") + later
                element = b"\xe7\x88" + time.to_bytes(8, "big")
            if chunks:
                chunks[-1] += element
    header = first[: next(at for kind, at, _, _ in webm_elements(first) if kind == CLUSTER)]
    return dict(enumerate([header + chunks[0], *chunks[1:]]))


def paused_recording(
    tmp_path: Path, recorder: Recorder, told: str, *, pause: float
) -> AssembledPart:
    chunks = chunks_of(recorder)
    made = [ends + (pause if ends > 4.1 else 0.0) for ends in ends_of(chunks)]
    came = [at + 0.1 for at in made] if told == "arrival" else [100.0 + at / 50 for at in made]
    if told == "timestamp":
        (tmp_path / "set" / "0").mkdir(parents=True)
        for number, at in enumerate(made):
            note_made_at(tmp_path / "set" / "0", number, 1_760_000_000_000 + at * 1000)
    return assembled(tmp_path, chunks, arrivals=came)


def chunks_of(recorder: Recorder) -> Mapping[int, bytes]:
    """Eight seconds, a cluster or fragment in each; the header in the first."""
    data = record(recorder, 8.0)
    begins = (
        [at for kind, at, _, _ in webm_elements(data) if kind == CLUSTER]
        if recorder is FIREFOX
        else [at for kind, at, _ in mp4_boxes(data) if kind == b"moof"]
    )
    edges = [0, *begins[1:], len(data)]
    return {number: data[begin:end] for number, (begin, end) in enumerate(pairwise(edges))}


def ends_of(chunks: Mapping[int, bytes]) -> list[float]:
    """Up to which second each goes."""
    edges = list(accumulate(len(data) for data in chunks.values()))
    ends = [0.0] * len(edges)
    with av.open(io.BytesIO(joined(chunks)), "r") as container:
        for packet in container.demux():
            if packet.size and packet.pts is not None and packet.pos is not None:
                number = bisect_left(edges, packet.pos + packet.size)
                ends[number] = max(ends[number], float(packet.pts * packet.time_base))
    return ends
