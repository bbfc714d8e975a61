"""Client copies in a recording's `integrity` and among its files, all on one time line. Pure.

The files and tracks of a set count from the set's own zero, which is kept in its `integrity` beside
where each file begins. So they can be put on the recording's time line again whenever that changes,
however often: nothing is ever shifted from where it was shifted to.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from recorder.chunks.settling import SetStatus
from storage.catalog import ChunkSetRow, FileRow

CLIENT = "client"
"""The kind of a file that a participant's browser recorded, and the `source` of its tracks."""
TIMED = ("gaps", "undecodable", "freezes", "resolutions")
"""Lists of a track whose entries have a `startSeconds`."""


def set_report(
    integrity: Mapping[str, Any],
    failures: Sequence[str],
    zero_us: int | None,
    starts: Mapping[str, float],
) -> dict[str, Any]:
    """What the row of a set keeps of its assembly. `starts` are the files' `startSeconds` by id."""
    return {
        **integrity,
        "complete": bool(integrity.get("complete")) and not failures,
        "failures": list(failures),
        "zeroUs": zero_us,
        "starts": dict(starts),
    }


def nothing_came(row: ChunkSetRow) -> dict[str, Any]:
    """Of a set without a chunk; what was announced is missing then."""
    parts: list[dict[str, Any]] = [
        {"part": int(name), "chunks": 0, "bytes": 0, "missing": [], "container": None}
        for name in row.parts
    ]
    return set_report({"tracks": [], "parts": parts, "complete": not parts}, (), None, {})


def with_copies(
    integrity: Mapping[str, Any] | None, sets: Iterable[ChunkSetRow], zero_us: int | None
) -> dict[str, Any]:
    """The recording's `integrity` with that of its sets that are done or have failed.

    Their tracks are beside the server's with the source "client"; what is known of their chunks is in
    `clients`. `complete` is never true again once it was false. Doing it again changes nothing.
    """
    told = dict(integrity or {"audioVideoOffsetMs": None, "complete": True})
    over = [each for each in sets if each.status in {SetStatus.DONE, SetStatus.FAILED}]
    tracks = [track for track in told.get("tracks", ()) if track.get("source") != CLIENT]
    for each in over:
        shift = _shift(each, zero_us)
        tracks += [_shifted(track, shift) for track in (each.integrity or {}).get("tracks", ())]
    told["tracks"] = tracks
    told["clients"] = [_client(each) for each in over]
    told["complete"] = bool(told.get("complete")) and all(_is_complete(each) for each in over)
    return told


def client_files(
    files: Iterable[FileRow], sets: Iterable[ChunkSetRow], zero_us: int | None
) -> tuple[FileRow, ...]:
    """Those of `files` that sets became, and what was made of them, on the time line that counts from
    `zero_us`; in the order of the sets.
    """
    known = list(files)
    chosen = []
    for each in sets:
        shift = _shift(each, zero_us)
        starts = (each.integrity or {}).get("starts", {})
        chosen += [
            replace(file, start_seconds=round(starts[file.id] + shift, 6))
            for file in known
            if file.id in starts
        ]
    return tuple(chosen)


def first_media_us(sets: Iterable[ChunkSetRow]) -> int | None:
    """When the first media of sets that became files came; None when none did."""
    zeros = [
        each.integrity["zeroUs"]
        for each in sets
        if each.integrity and each.integrity.get("starts") and each.integrity.get("zeroUs")
    ]
    return min(zeros, default=None)


def _shift(row: ChunkSetRow, zero_us: int | None) -> float:
    own = (row.integrity or {}).get("zeroUs")
    return 0.0 if own is None or zero_us is None else (own - zero_us) / 1e6


def _shifted(track: Mapping[str, Any], shift: float) -> dict[str, Any]:
    moved = {
        name: [
            {**entry, "startSeconds": round(entry["startSeconds"] + shift, 3)}
            for entry in track[name]
        ]
        for name in TIMED
        if name in track
    }
    return {**track, **moved, "source": CLIENT}


def _is_complete(row: ChunkSetRow) -> bool:
    return row.status == SetStatus.DONE and bool((row.integrity or {}).get("complete"))


def _client(row: ChunkSetRow) -> dict[str, Any]:
    known = row.integrity or {}
    failures = list(known.get("failures", ()))
    if row.error and row.error != "; ".join(failures):  # a set fails with these, or with another
        failures.append(row.error)
    return {
        "participantId": row.participant_id,
        "complete": _is_complete(row),
        "parts": known.get("parts", []),
        "failures": failures,
    }
