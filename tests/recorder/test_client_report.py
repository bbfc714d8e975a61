"""Client copies in `integrity` and among the files, on the recording's time line."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from recorder.chunks.report import (
    client_files,
    first_media_us,
    nothing_came,
    set_report,
    with_copies,
)
from storage.catalog import ChunkSetRow, FileRow

ZERO = 1_700_000_000_000_000
SECOND = 1_000_000


def track(**more: Any) -> dict[str, Any]:
    gap = {"startSeconds": 2.0, "durationSeconds": 1.0, "reason": "missing"}
    return {"trackId": "client/0/video", "participantId": "alice", "gaps": [gap], **more}


def chunk_set(
    zero_us: int | None = ZERO, *, complete: bool = True, failures: tuple[str, ...] = ()
) -> ChunkSetRow:
    """One that became the file FI_1, which begins half a second after its zero."""
    integrity = {"tracks": [track(source="client")], "parts": [{"part": 0}], "complete": complete}
    return ChunkSetRow(
        id="CS_1",
        recording_id="RC_1",
        participant_id="alice",
        participant_name="Alice",
        status="done",
        parts={},
        progress=1.0,
        integrity=set_report(integrity, failures, zero_us, {"FI_1": 0.5}),
        error=None,
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
        finished_at=None,
    )


def file(file_id: str = "FI_1", kind: str = "client") -> FileRow:
    return FileRow(file_id, kind, "alice", "video/webm", 1, 2.0, None, None, "", "key", 0.5)


SERVER = {
    "tracks": [track(source="camera")],
    "audioVideoOffsetMs": 3.0,
    "complete": True,
    "failures": ["a journal"],
}


def test_tracks_stand_beside_the_servers_shifted_to_its_time_line() -> None:
    told = with_copies(SERVER, [chunk_set(ZERO + 3 * SECOND)], ZERO)
    own, client = told["tracks"]
    assert own == SERVER["tracks"][0]  # type: ignore[index]
    assert client["gaps"] == [{"startSeconds": 5.0, "durationSeconds": 1.0, "reason": "missing"}]
    assert (told["audioVideoOffsetMs"], told["failures"]) == (3.0, ["a journal"])
    assert told["clients"] == [
        {"participantId": "alice", "complete": True, "parts": [{"part": 0}], "failures": []}
    ]


def test_doing_it_again_changes_nothing() -> None:
    sets = [chunk_set(ZERO + SECOND)]
    once = with_copies(SERVER, sets, ZERO)
    assert with_copies(once, sets, ZERO) == once


@pytest.mark.parametrize(
    ("own", "row", "complete"),
    [
        (True, chunk_set(), True),
        (False, chunk_set(), False),
        (True, chunk_set(complete=False), False),
        (True, chunk_set(failures=("part 1: nothing plays",)), False),
        (True, replace(chunk_set(), status="failed", error="it hurts"), False),
        (True, replace(chunk_set(complete=False), status="open"), True),  # not known yet
    ],
)
def test_it_is_complete_when_all_of_it_is(own: bool, row: ChunkSetRow, complete: bool) -> None:
    assert with_copies({"tracks": [], "complete": own}, [row], ZERO)["complete"] is complete


def test_why_a_set_became_no_file_is_told() -> None:
    failed = replace(chunk_set(), status="failed", error="it hurts")
    assert with_copies(None, [failed], ZERO)["clients"][0]["failures"] == ["it hurts"]
    parts = chunk_set(failures=("part 0: noise", "part 1: noise"))
    failed = replace(parts, status="failed", error="part 0: noise; part 1: noise")
    told = with_copies(None, [failed], ZERO)["clients"][0]["failures"]
    assert told == ["part 0: noise", "part 1: noise"]


def test_files_are_found_by_their_sets_and_put_on_the_time_line() -> None:
    files = [file("FI_0", "participant"), file()]
    (found,) = client_files(files, [chunk_set(ZERO - SECOND)], ZERO)
    assert (found.id, found.start_seconds) == ("FI_1", -0.5)
    assert client_files([found], [chunk_set(ZERO - SECOND)], ZERO) == (found,)


def test_the_first_of_all_copies_begins_a_time_line() -> None:
    later, sooner = chunk_set(ZERO + SECOND), chunk_set(ZERO)
    empty = replace(chunk_set(), integrity=set_report({}, (), ZERO - SECOND, {}))
    assert first_media_us([later, sooner, empty]) == ZERO
    assert first_media_us([empty]) is None


def test_what_was_announced_and_never_came_is_missing() -> None:
    announced = replace(chunk_set(), parts={"0": {"mimeType": "video/webm"}})
    assert nothing_came(announced)["complete"] is False
    assert nothing_came(replace(announced, parts={}))["complete"] is True
