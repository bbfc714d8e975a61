"""When a participant's chunks are all there is, and how long others wait for them. Pure.

    open --told complete, or settled--> complete --recording is ready--> assembling --files made-->
         uploading --stored, in the recording--> done

From every state but `done` and `open` a set may become `failed`: nothing of it can be played, or the
job died again and again. Its chunks are kept then. After a restart `assembling` begins again from the
chunks; `uploading` goes on where its files are.

A set that nobody completes settles by itself once the recording has ended. One that came without being
announced and has no hole is taken for whole after a short silence: its sender knows no other way to
end it. Any other may be a tab that was closed with chunks still in it, which comes back, so it is
salvaged only after a long silence.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import chain, islice
from typing import Any

GRACE = timedelta(seconds=10)
"""Silence after which a set that was never announced, and has no hole, is whole."""
LIVELY = timedelta(seconds=30)
"""Somebody who sent something so recently is at it still: the recording waits."""
LATE_START = timedelta(seconds=30)
"""So long after its stop a recording without any media still takes a first chunk."""
LONGEST = timedelta(hours=24)
"""So long after the stop a set is closed whatever still comes, or one could be kept open for ever."""
MOST_MISSING = 10_000
"""So many missing sequences of a set are named at most, the first ones."""
MOST_RANGES = 10_000
"""So many ranges of what came are named at most, and of every part the last: what is not named may be
sent again. Whoever sends every other number, or the last of each part, would get answers of any size.
"""

Ranges = Sequence[tuple[int, int]]
"""First and last of each range, ascending and apart."""
Received = Mapping[int, Ranges]
"""By part."""


class SetStatus(StrEnum):
    OPEN = "open"
    COMPLETE = "complete"
    ASSEMBLING = "assembling"
    UPLOADING = "uploading"
    DONE = "done"
    FAILED = "failed"


WORK_LEFT = frozenset({SetStatus.COMPLETE, SetStatus.ASSEMBLING, SetStatus.UPLOADING})
UNDER_WAY = WORK_LEFT | {SetStatus.OPEN}


class Verdict(StrEnum):
    WAIT = "wait"
    WHOLE = "whole"
    SALVAGE = "salvage"


@dataclass(frozen=True, slots=True)
class Facts:
    """Of an open set. `stopped_at` is None while the recording runs."""

    announced: bool
    whole: bool  # something came, and it has no hole
    last_activity: datetime
    stopped_at: datetime | None


def verdict(facts: Facts, timeout: timedelta, now: datetime) -> Verdict:
    """What becomes of an open set now."""
    if facts.stopped_at is None:
        return Verdict.WAIT
    if now - facts.stopped_at >= LONGEST:
        return Verdict.SALVAGE
    silence = now - max(facts.last_activity, facts.stopped_at)
    if settles_soon(facts) and silence >= GRACE:
        return Verdict.WHOLE
    return Verdict.SALVAGE if silence >= timeout else Verdict.WAIT


def settles_soon(facts: Facts) -> bool:
    return facts.whole and not facts.announced


def is_live(facts: Facts, timeout: timedelta, now: datetime) -> bool:
    """Does an ended recording that has other media wait for this open set?

    Not longer than `timeout`, so that nobody can hold it up; what comes later is added then.
    """
    if facts.stopped_at is not None and now - facts.stopped_at >= timeout:
        return False
    return settles_soon(facts) or now - facts.last_activity < LIVELY


def is_whole(received: Received) -> bool:
    """No hole below what came last, as far as that can be seen; an empty set is not whole."""
    complete_parts = all(
        len(ranges) == 1 and ranges[0][0] == 0 for ranges in received.values() if ranges
    )
    numbers = sorted(part for part, ranges in received.items() if ranges)
    return bool(numbers) and complete_parts and numbers == list(range(len(numbers)))


def missing(ranges: Ranges, last: int, most: int = MOST_MISSING) -> list[int]:
    """The sequences up to `last` that did not come, the first `most` of them."""
    found: list[int] = []
    expected = 0
    for first, end in chain(ranges, ((last + 1, last + 1),)):
        if len(found) >= most:
            break
        found.extend(range(expected, min(first, last + 1))[: most - len(found)])
        expected = max(expected, end + 1)
    return found


def named(ranges: Sequence[Sequence[int]], most: int) -> list[list[int]]:
    """The first `most` ranges, and the last one."""
    told = [list(each) for each in islice(ranges, most)]
    if len(told) < len(ranges):
        told.append(list(ranges[-1]))
    return told


def last_sequences(received: Received, said: Mapping[int, int]) -> dict[int, int]:
    """Where each part ends: where its sender said, and never before what came of it."""
    ends = {part: ranges[-1][1] for part, ranges in received.items() if ranges}
    return {
        part: max(said.get(part, -1), ends.get(part, -1))
        for part in sorted(said.keys() | ends.keys())
    }


def closed_parts(
    parts: Mapping[str, Any], received: Received, last: Mapping[int, int]
) -> dict[str, Any]:
    """The row's `parts` of a set that takes no more: with `lastSequence`, and what was received."""
    closed = {name: dict(facts) for name, facts in parts.items()}
    room = MOST_RANGES
    for part, sequence in last.items():
        came = named(received.get(part, ()), room)
        room = max(0, room - len(came))
        closed.setdefault(str(part), {}).update(lastSequence=sequence, received=came)
    return closed


def said_last(parts: Mapping[str, Any]) -> dict[int, int]:
    """`lastSequence` of the parts of a set that takes no more."""
    return {
        int(name): facts["lastSequence"]
        for name, facts in parts.items()
        if facts.get("lastSequence") is not None
    }


def parts_state(received: Received, last: Mapping[int, int]) -> list[dict[str, Any]]:
    """What `chunks` in the contract's JSON holds for each part."""
    told = []
    ranges_left, numbers_left = MOST_RANGES, MOST_MISSING
    for part in sorted(received.keys() | last.keys()):
        ranges = received.get(part, ())
        end = ranges[-1][1] if ranges else -1
        came = named(ranges, ranges_left)
        absent = missing(ranges, max(end, last.get(part, -1)), numbers_left)
        ranges_left = max(0, ranges_left - len(came))
        numbers_left -= len(absent)
        told.append({"part": part, "received": came, "missing": absent, "next": end + 1})
    return told


def has_come(parts: Mapping[str, Any], part: int, sequence: int) -> bool:
    """Is a chunk among those that a set was closed with, as its row tells?"""
    ranges = row_received(parts).get(part, ())
    return any(first <= sequence <= last for first, last in ranges)


def row_received(parts: Mapping[str, Any]) -> dict[int, Ranges]:
    """What came of a set whose chunks may be gone: as its row remembers it."""
    return {
        int(name): [(first, last) for first, last in facts.get("received", ())]
        for name, facts in parts.items()
    }


def has_holes(parts: Iterable[Mapping[str, Any]]) -> bool:
    return any(part["missing"] for part in parts)
