"""A part whose first chunk never came is read with the header of another part, if one fits."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from recorder.chunks.headers import header_of, lent_headers
from recorder.chunks.parts import open_part
from recorder.jobs import FinalizeResult
from tests.media_truth import measure
from tests.recorder.made_chunks import (
    BEGAN,
    FIREFOX,
    PLAIN_MP4,
    REAL,
    SAFARI,
    VP9,
    Recorder,
    cut,
    joined,
    lay_out,
    packets_of,
    real_set,
    record,
    run_job,
    sha256,
    without,
)

HOLE = "chunk 0 is missing, and the header with it"


def pieces(data: bytes, count: int) -> dict[int, bytes]:
    edges = [len(data) * number // count for number in range(count + 1)]
    return {number: data[begin:end] for number, (begin, end) in enumerate(pairwise(edges))}


def salvaged(
    tmp_path: Path, lender: Mapping[int, bytes], headless: Mapping[int, bytes], mime: str = ""
) -> FinalizeResult:
    """Part 0 has its header, part 1 has none. Both begin when they say; the second 20 s later."""
    lay_out(tmp_path / "set", 0, lender)
    lay_out(tmp_path / "set", 1, headless, [21.2 + number for number in range(max(headless) + 1)])
    begins = [datetime.fromtimestamp(BEGAN + 20 * part, UTC).isoformat() for part in (0, 1)]
    facts = {str(part): {"startedAt": at, "mimeType": mime} for part, at in enumerate(begins)}
    return run_job(tmp_path, parts=facts)


@pytest.mark.parametrize("recorder", [FIREFOX, SAFARI], ids=["webm", "mp4"])
def test_what_is_left_is_played_where_it_belongs(tmp_path: Path, recorder: Recorder) -> None:
    data = record(recorder, 6.0, first=30)
    headless = without(pieces(data, 6), {0, 1})
    result = salvaged(tmp_path, pieces(record(recorder, 2.0), 2), headless)

    _, file = result.files
    truth = measure(file.path)
    assert 60 < len(truth.counters) < 130
    assert truth.counters[-1] == 209
    assert set(truth.counters) == set(range(truth.counters[0], 210))
    for counter, time in zip(truth.counters, truth.times_s, strict=True):
        assert file.start_seconds + time == pytest.approx(20 + (counter - 30) / 30, abs=0.1)

    part = result.integrity["parts"][1]
    assert part["headerOf"] == 0
    assert part["missing"] == [[0, 1]]
    assert part["sha256"] == sha256(joined(headless))
    assert result.failures == (
        f"part 1: {HOLE}; the rest is read with the header of part 0",  # so its chunks are kept
    )
    assert part["problem"] in result.failures[0]
    assert result.integrity["complete"] is False
    for track in result.integrity["tracks"][2:]:
        gap = track["gaps"][0]
        assert gap["reason"] == "missing"
        assert gap["startSeconds"] == pytest.approx(20.0, abs=0.1)
        until_keyframe = track["undecodable"][:1] if track["kind"] == "video" else []
        lacks = gap["durationSeconds"] + sum(span["durationSeconds"] for span in until_keyframe)
        assert lacks == pytest.approx((truth.counters[0] - 30) / 30, abs=0.3)


@pytest.mark.parametrize("name", [name for name in REAL if name != "webm_vp8_resize"])
def test_real_recorders_lend_each_other_their_headers(tmp_path: Path, name: str) -> None:
    """Packets equal the original's."""
    chunks = real_set(name)
    result = salvaged(tmp_path, chunks, without(chunks, {0}))
    whole, found = result.files
    assert result.integrity["parts"][1]["headerOf"] == 0
    for kind, packets in packets_of(found.path).items():
        original = packets_of(whole.path)[kind]
        assert len(packets) > len(original) / 2
        assert packets == original[-len(packets) :]


def test_a_header_that_broke_off_is_replaced(tmp_path: Path) -> None:
    data = record(FIREFOX, 4.0)
    headless = {0: data[:200], 2: data[3000:]}
    result = salvaged(tmp_path, pieces(record(FIREFOX, 2.0), 2), headless)
    assert result.integrity["parts"][1]["headerOf"] == 0
    assert len(measure(result.files[1].path).counters) > 60


OTHERS: dict[str, tuple[Recorder, dict[str, Any], Recorder, dict[str, Any]]] = {
    "codec": (VP9, {}, FIREFOX, {}),
    "tracks": (FIREFOX, {"audio": False}, FIREFOX, {"video": False}),
    "container": (SAFARI, {}, FIREFOX, {}),
    "size": (SAFARI, {"size": (320, 180)}, SAFARI, {}),
    "one index": (PLAIN_MP4, {}, SAFARI, {}),
}


@pytest.mark.parametrize("name", OTHERS)
def test_a_header_that_does_not_fit_is_refused(tmp_path: Path, name: str) -> None:
    """By its name, and not a file is made that shows or sounds like something else."""
    lending, how, wanting, what = OTHERS[name]
    lender = pieces(record(lending, 2.0, **how), 2)
    headless = without(pieces(record(wanting, 4.0, **what), 8), {0})
    result = salvaged(tmp_path, lender, headless)
    assert [file.path.name for file in result.files] == [
        f"set.000-camera.{'mp4' if lending in (SAFARI, PLAIN_MP4) else 'webm'}"
    ]
    tried = "" if name == "one index" else "; no other part's fits (tried: 0)"
    assert result.failures == (f"part 1: {HOLE}{tried}",)
    part = result.integrity["parts"][1]
    assert part["container"] is None
    assert "headerOf" not in part


def test_only_headers_of_the_announced_type_are_tried_the_likeliest_first(tmp_path: Path) -> None:
    for part in range(5):
        lay_out(tmp_path, part, cut(record(FIREFOX, 1.0, size=(160 + 16 * part, 90), audio=False)))
    lay_out(tmp_path, 5, cut(b"no media"))
    chunks = {part: open_part(tmp_path / str(part)) for part in range(6)}
    vp8 = {"mimeType": "video/webm;codecs=vp8", "source": "camera"}
    facts = {
        0: {**vp8, "mimeType": "Video/WebM; codecs=vp8"},
        1: {**vp8, "source": "screen"},
        2: {**vp8, "mimeType": "video/webm;codecs=vp9"},
        3: vp8,
        4: {},
        5: vp8,
    }
    lent = list(lent_headers(3, chunks, facts))
    assert [header.part for header in lent] == [0, 1, 4]
    assert len({header.data for header in lent}) == 3


def test_what_has_no_header_lends_none(tmp_path: Path) -> None:
    lay_out(tmp_path, 0, without(cut(record(FIREFOX, 1.0)), {0}))
    lay_out(tmp_path, 1, {0: record(FIREFOX, 1.0)[:300]})
    lay_out(tmp_path, 2, {0: record(SAFARI, 1.0)[:700]})
    for part in range(3):
        assert header_of(part, open_part(tmp_path / str(part))) is None
