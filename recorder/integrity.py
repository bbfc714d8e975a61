"""What is missing from a recording, repaired in it, or shifted.

In the JSON form every `startSeconds` counts from the first media of the whole recording, so the
entries of all tracks lie on one time line. Reasons of gaps:

    lost             packets that never came
    muted            the publisher muted the track
    absent           the track was away between two publications
    before_keyframe  video that came before the first keyframe and can't be shown
    network          nothing came for more than 2 s, no packet and no sender report, while the track
                     was up and not muted; also what was lost then stands here
    unreadable       the journal is damaged there; `durationSeconds` is 0, the rest is not known
    paused           the participant's own recorder was paused
    missing          chunks of a participant's own recording that never came; `durationSeconds` is 0
                     where nothing follows to tell how much

A freeze is more than a second, and more than three times the usual interval, without a new picture
while the track was up and not muted, whatever the reason.

`audioVideoOffsetMs` bounds how far audio and video of one participant may be apart in the files:
the 95th percentiles of what the sender reports of both disagree with the clocks fitted to them,
added, for the worst file. It is null where a file's tracks had no sender reports to align them by.
`complete` is true when nothing is known to be missing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

Size = tuple[int, int]
Reason = Literal[
    "lost", "muted", "absent", "before_keyframe", "network", "unreadable", "missing", "paused"
]

HARMLESS: frozenset[Reason] = frozenset({"muted", "absent", "before_keyframe", "paused"})
MERGE_US = 1_000_000
"""Gaps of one reason that are nearer than this are one gap. Between two stretches of the other lists
there is a picture."""
MAX_ENTRIES = 1000
"""Of each list, a track keeps so many; later entries widen the last one."""


@dataclass(slots=True)
class Span:
    start_us: float
    end_us: float
    reason: Reason = "lost"

    def to_json(self, zero_us: float) -> dict[str, Any]:
        return {
            "startSeconds": _seconds(self.start_us - zero_us),
            "durationSeconds": _seconds(self.end_us - self.start_us),
        }


@dataclass(slots=True)
class TrackLedger:
    """Counts one track while it is read. Times are server time in microseconds."""

    track_id: str
    participant_id: str
    kind: str
    source: str = ""  # camera, microphone, screen_share, screen_share_audio, as it was published
    packets_received: int = 0
    packets_lost: int = 0
    packets_recovered: int = 0
    gaps: list[Span] = field(default_factory=list)
    undecodable: list[Span] = field(default_factory=list)
    freezes: list[Span] = field(default_factory=list)
    resolutions: list[tuple[float, Size]] = field(default_factory=list)

    def gap(self, start_us: float, end_us: float, reason: Reason) -> None:
        for last in reversed(self.gaps[-4:]):  # other reasons may lie between
            if last.reason == reason and start_us - last.end_us < MERGE_US:
                last.end_us = max(last.end_us, end_us)
                return
        _append(self.gaps, Span(start_us, end_us, reason))

    def not_decodable(self, start_us: float, end_us: float) -> None:
        _append(self.undecodable, Span(start_us, end_us))

    def freeze(self, start_us: float, end_us: float) -> None:
        _append(self.freezes, Span(start_us, end_us))

    def resolution(self, at_us: float, size: Size) -> None:
        """Notes `size` when it is not the one before."""
        if len(self.resolutions) < MAX_ENTRIES and (
            not self.resolutions or self.resolutions[-1][1] != size
        ):
            self.resolutions.append((at_us, size))

    @property
    def complete(self) -> bool:
        return (
            not self.packets_lost
            and not self.undecodable
            and all(gap.reason in HARMLESS for gap in self.gaps)
        )

    def to_json(self, zero_us: float) -> dict[str, Any]:
        gaps = sorted(self.gaps, key=lambda gap: gap.start_us)
        return {
            "trackId": self.track_id,
            "participantId": self.participant_id,
            "kind": self.kind,
            "source": self.source,
            "packetsReceived": self.packets_received,
            "packetsLost": self.packets_lost,
            "packetsRecovered": self.packets_recovered,
            "gaps": [{**gap.to_json(zero_us), "reason": gap.reason} for gap in gaps],
            "undecodable": [span.to_json(zero_us) for span in self.undecodable],
            "freezes": [span.to_json(zero_us) for span in self.freezes],
            "resolutions": [
                {"startSeconds": _seconds(at - zero_us), "width": size[0], "height": size[1]}
                for at, size in self.resolutions
            ],
        }


def integrity_json(
    ledgers: Iterable[TrackLedger], zero_us: float, offset_us: float | None, *, complete: bool
) -> dict[str, Any]:
    """The whole report. `complete` is what is known beside the ledgers."""
    tracks = list(ledgers)
    return {
        "tracks": [ledger.to_json(zero_us) for ledger in tracks],
        "audioVideoOffsetMs": None if offset_us is None else round(offset_us / 1000, 3),
        "complete": complete and all(ledger.complete for ledger in tracks),
    }


def _append(spans: list[Span], span: Span) -> None:
    if len(spans) < MAX_ENTRIES:
        spans.append(span)
    else:
        spans[-1].end_us = max(spans[-1].end_us, span.end_us)


def _seconds(us: float) -> float:
    return round(us / 1e6, 3)
