"""What the browser recorded and what the server received lie on one time line (promise C8)."""

from __future__ import annotations

import json
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recorder.chunks.alignment import RATE, Fit, Loudness, agree, fit, windows_of
from recorder.chunks.arrivals import ArrivalEnvelope, Mark
from recorder.chunks.parts import ChunkTimes
from recorder.chunks.placing import Agreement, Placed, Reference, place, said_to_begin
from recorder.file_options import FileOptions
from recorder.finalize import finalize
from recorder.jobs import FinalizedFile
from tests.recorder.known_media import START_US, audio_track, encode_video, video_track
from tests.recorder.made_chunks import (
    BEGAN,
    FIREFOX,
    SAFARI,
    Recorder,
    cut,
    lay_out,
    off_the_time_line,
    record,
    run_job,
)

WITHIN_S = 0.040
NETWORK_S = 0.12
"""The server's time line is when things come: how long the fastest was under way, nobody knows."""
START_S = START_US / 1e6


@dataclass(frozen=True, slots=True)
class Server:
    """`zero_us` is where the recording's time line begins."""

    file: FinalizedFile
    zero_us: int


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Server:
    """Eight seconds of the known content as the server received them, late, by another clock."""
    folder = tmp_path_factory.mktemp("server")
    frames = encode_video("video/VP8", count=240, size=(160, 90))
    for track in (
        video_track(frames=frames, delay=NETWORK_S + 0.06, clock_offset=37.0),
        audio_track(8.0, delay=NETWORK_S, clock_offset=37.0),
    ):
        track.write(folder / "journals")
    options = FileOptions(thumbnails=False)
    result = finalize(folder / "journals", folder / "output", lambda _: None, options)
    assert result.first_media_us is not None
    (file,) = result.files
    return Server(file, result.first_media_us)


FIRST = 90
"""The client's recorder begins three seconds into the call."""


@pytest.mark.parametrize(
    ("recorder", "wrong"), [(FIREFOX, -0.3), (SAFARI, 0.35)], ids=["webm", "mp4"]
)
def test_both_files_lie_on_one_time_line_by_sound(
    tmp_path: Path, server: Server, recorder: Recorder, wrong: float
) -> None:
    """However wrong the page's clock is: what is heard in both files is heard at the same time."""
    began = START_S + FIRST / 30
    chunks = cut(record(recorder, 5.0, first=FIRST))
    lay_out(tmp_path / "set", 0, chunks, [began - BEGAN + n * 5 / len(chunks) + 8 for n in chunks])
    facts = {
        "startedAt": datetime.fromtimestamp(began - 100 + wrong, UTC).isoformat(),
        "clockOffsetMs": 100_000,
    }
    result = run_job(
        tmp_path,
        recordingStartUs=server.zero_us,
        parts={"0": facts},
        reference=[{"path": str(server.file.path), "startSeconds": server.file.start_seconds}],
    )
    (part,) = result.integrity["parts"]
    assert part["alignment"]["method"] == "sound"
    moved = part["alignment"]["offsetMs"] / 1000
    assert abs(moved + wrong - NETWORK_S) < WITHIN_S
    assert part["alignment"]["residualMs"] < 10
    (file,) = result.files
    assert all(
        abs(off) < WITHIN_S
        for off in off_the_time_line(
            (server.file.path, server.file.start_seconds), (file.path, file.start_seconds)
        )
    )
    assert result.integrity["complete"] is True


@pytest.mark.parametrize("name", ["clock", "arrival"])
def test_without_a_common_sound_clocks_have_to_do(tmp_path: Path, name: str) -> None:
    """A screen without the participant's microphone in it."""
    data = record(FIREFOX, 4.0, audio=False)
    chunks = {n: data[n * len(data) // 8 : (n + 1) * len(data) // 8] for n in range(8)}
    lay_out(tmp_path / "set", 0, chunks, [n / 2 + 0.6 for n in range(8)])
    facts: dict[str, Any] = {"source": "screen"}
    if name == "clock":
        facts["startedAt"] = datetime.fromtimestamp(BEGAN + 0.02, UTC).isoformat()
    result = run_job(tmp_path, recordingStartUs=round((BEGAN - 5) * 1e6), parts={"0": facts})
    (file,) = result.files
    assert result.integrity["parts"][0]["alignment"] == {"method": name, "offsetMs": 0.0}
    assert abs(file.start_seconds - 5.0) < (0.03 if name == "clock" else 0.2)
    assert file.source == "screen"


def test_entries_of_the_integrity_are_on_the_recordings_time_line(tmp_path: Path) -> None:
    lay_out(tmp_path / "set", 0, cut(record(FIREFOX, 4.0)))
    facts = {"startedAt": datetime.fromtimestamp(BEGAN, UTC).isoformat()}
    result = run_job(tmp_path, recordingStartUs=round((BEGAN - 7) * 1e6), parts={"0": facts})
    (video,) = [track for track in result.integrity["tracks"] if track["kind"] == "video"]
    assert video["resolutions"][0]["startSeconds"] == pytest.approx(7.0, abs=0.05)


# --- what tells ---------------------------------------------------------------------------------------


def test_arrivals_bound_the_beginning() -> None:
    envelope = ArrivalEnvelope(marks := envelope_marks())
    for number in range(1, 6):
        envelope.packet(number * 100, float(number))
    envelope.close()
    assert envelope.origin == pytest.approx(1000.1)
    assert not marks


def envelope_marks() -> deque[Mark]:
    # a chunk a second: 0.4 s late, 3 s late (a retry), 0.1 s late, 0.2 s late
    came = [(100, 1001.4), (200, 1005.0), (300, 1003.1), (400, 1004.2)]
    return deque((offset, ChunkTimes(arrived, None)) for offset, arrived in came)


@pytest.mark.parametrize(
    ("said", "placed"),
    [
        (None, Placed(1000.0, "arrival")),
        (999.8, Placed(999.8, "clock")),
        (1000.9, Placed(1000.0, "arrival")),  # after its first chunk came
        (1000.0 - 3 * 86_400, Placed(1000.0, "arrival")),
    ],
)
def test_a_clock_is_believed_as_far_as_arrivals_allow(said: float | None, placed: Placed) -> None:
    assert place(Path("own"), said, 1000.0, [], lambda *_: None) == placed


def test_the_reference_that_agrees_in_most_places_counts() -> None:
    heard = {Path("a"): Agreement(5.0, 0.0, 1), Path("b"): Agreement(-0.2, 0.001, 3)}
    references = [Reference(path, 990.0) for path in heard]
    found = place(Path("own"), 1000.0, 1000.0, references, lambda _, path, __: heard[path])
    assert found.to_json() == {"method": "sound", "offsetMs": -200.0, "residualMs": 1.0}
    assert found.begins == pytest.approx(999.8)


@pytest.mark.parametrize(
    "facts",
    [{}, {"startedAt": "yesterday"}, {"startedAt": 5}]
    + [
        {"startedAt": "2026-01-01T00:00:00Z", "clockOffsetMs": value} for value in ("x", 1e999, [1])
    ],
)
def test_nonsense_about_a_clock_says_nothing(facts: dict[str, Any]) -> None:
    assert said_to_begin(json.loads(json.dumps(facts)), 0.0) is None


def test_a_page_counts_from_its_start() -> None:
    facts = {"startedAt": "2026-01-01T00:00:00Z", "clockOffsetMs": -1500}
    begun = datetime(2026, 1, 1, tzinfo=UTC).timestamp() - 1.5
    assert said_to_begin(facts, 0.25) == begun + 0.25
    assert said_to_begin(facts, 90_000.0) == begun  # it counts from something else


# --- sounds -------------------------------------------------------------------------------------------


def speech(seconds: float, seed: int = 1) -> Loudness:
    """Syllables of random length and loudness."""
    dice = np.random.default_rng(seed)
    levels = np.repeat(dice.random(round(seconds * 5)), RATE // 5)
    return np.asarray(levels * (levels > 0.3), np.float32)


@pytest.mark.parametrize("off", [-4.9, -0.013, 0.0, 2.5, 5.0])
def test_a_stretch_of_sound_is_found_again(off: float) -> None:
    whole = speech(60)
    begin = round((15 + off) * RATE)
    own = whole[begin : begin + 20 * RATE] * 0.3 + 0.05
    found = fit(np.asarray(own, np.float32), whole[10 * RATE : 40 * RATE], 5.0, 0.5)
    assert found is not None
    assert found.offset == pytest.approx(off, abs=0.002)
    assert found.likeness > 0.99


def test_other_peoples_sound_does_not_fit() -> None:
    assert fit(speech(20, seed=2), speech(30), 5.0, 0.5) is None
    assert fit(np.zeros(20 * RATE, np.float32), speech(30), 5.0, 0.5) is None
    assert fit(speech(1), speech(30), 5.0, 0.5) is None


def beeping(period: float) -> Loudness:
    """A beep of a tenth of a second again and again, for 40 seconds."""
    return np.asarray((np.arange(40 * RATE) % (period * RATE) < 100) * 0.7, np.float32)


def test_of_sounds_that_repeat_the_one_that_the_clock_singles_out_is_taken() -> None:
    found = fit(beeping(1.0)[10_300:30_300], beeping(1.0)[5_000:35_000], 5.0, 0.5)
    assert found is not None
    assert found.offset == pytest.approx(0.3, abs=0.002)


@pytest.mark.parametrize(("period", "off", "unsure"), [(0.4, 300, 0.5), (1.0, 300, 2.0)])
def test_sounds_that_repeat_more_often_than_the_clock_is_wrong_say_nothing(
    period: float, off: int, unsure: float
) -> None:
    """A ringing phone, or music made by a machine: the nearest place would be a period off."""
    sound = beeping(period)
    assert fit(sound[10_000 + off : 30_000 + off], sound[5_000:35_000], 5.0, unsure) is None


def test_a_hum_that_fits_everywhere_says_nothing() -> None:
    sound = np.asarray(np.arange(40 * RATE) % 20 < 10, np.float32)
    assert fit(sound[10_000:30_000], sound[5_000:35_000], 5.0, 0.5) is None


def test_repeating_sound_with_one_word_in_it_is_found_again() -> None:
    sound = beeping(0.4)
    sound[17_000:19_000] += speech(2)
    found = fit(sound[10_300:30_300], sound[5_000:35_000], 5.0, 0.5)
    assert found is not None
    assert found.offset == pytest.approx(0.3, abs=0.002)


def test_windows_that_agree_outvote_the_others() -> None:
    fits = [Fit(offset, 0.9) for offset in (0.100, 0.104, 0.102, -3.0)]
    agreed = agree(fits)
    assert agreed is not None
    assert (agreed.offset, agreed.windows) == (0.102, 3)
    assert agreed.residual == pytest.approx(0.002)
    assert agree([Fit(0.1, 0.9), Fit(2.0, 0.9), Fit(-1.0, 0.9)]) is None
    assert agree([Fit(0.1, 0.6)]) is None
    assert agree([]) is None


def test_windows_lie_inside_the_sound() -> None:
    assert windows_of(0.0, 1.0) == []
    assert windows_of(3.0, 9.0) == [(3.0, 6.0)]
    windows = windows_of(10.0, 3610.0)
    assert len(windows) == 5
    assert windows[0] == (10.0, 40.0)
    assert windows[-1] == (3570.0, 40.0)
