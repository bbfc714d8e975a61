"""Which journals go into which file.

A participant's camera and microphone make one file, the shared screen and its sound another.
Several journals of one slot (a track published again after a reconnect) follow one another in one
stream when their codec is the same. What can't be one stream, another codec or two tracks at a
time, gets a file of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from recorder.depacketize import CODECS
from recorder.scan import ScannedTrack

OVERLAP_US = 1_000_000
"""A republished track may begin so much before its predecessor's last packet came."""

_SCREEN = frozenset({"screen_share", "screen_share_audio"})

Lane = tuple[ScannedTrack, ...]


@dataclass(frozen=True, slots=True)
class FilePlan:
    """One file: its streams' journals in order of time; one of the lanes may be empty."""

    participant_id: str
    group: str  # "camera" | "screen"
    audio: Lane
    video: Lane

    @property
    def participant_name(self) -> str:
        """The name in force when the first of the journals began, "" if none was given."""
        return (self.video or self.audio)[0].header.labels.get("participantName", "")

    @property
    def container(self) -> str:
        return CODECS[self.video[0].mime_type].container if self.video else "webm"


def plan_files(tracks: Sequence[ScannedTrack]) -> list[FilePlan]:
    """Plans in an order that depends on the journals alone. Tracks without packets, and of codecs
    that can't be kept, are in none."""
    slots: dict[tuple[str, str], list[ScannedTrack]] = {}
    for track in tracks:
        if track.first_arrival_us is not None and track.mime_type in CODECS:
            group = "screen" if track.source in _SCREEN else "camera"
            slots.setdefault((track.participant_id, group), []).append(track)
    plans = []
    for (participant_id, group), members in sorted(slots.items(), key=lambda slot: slot[0]):
        audio = _lanes([track for track in members if track.mime_type.startswith("audio/")])
        video = _lanes([track for track in members if track.mime_type.startswith("video/")])
        for number in range(max(len(audio), len(video))):
            plans.append(
                FilePlan(
                    participant_id,
                    group,
                    audio[number] if number < len(audio) else (),
                    video[number] if number < len(video) else (),
                )
            )
    return plans


def _lanes(tracks: Sequence[ScannedTrack]) -> list[Lane]:
    lanes: list[Lane] = []
    for track in sorted(tracks, key=lambda track: (track.first_arrival_us, track.path.name)):
        for number, lane in enumerate(lanes):
            if lane[-1].mime_type == track.mime_type and _after(track, lane[-1]):
                lanes[number] = (*lane, track)
                break
        else:
            lanes.append((track,))
    return lanes


def _after(track: ScannedTrack, earlier: ScannedTrack) -> bool:
    assert track.first_arrival_us is not None
    assert earlier.last_arrival_us is not None
    return track.first_arrival_us >= earlier.last_arrival_us - OVERLAP_US
