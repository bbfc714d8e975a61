"""Journals that grow, a follower that reads along, and what its streams show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mediaserver.journal import encode_header, encode_record
from recorder.live.follower import Follower
from tests.media_truth import Truth, measure
from tests.recorder.known_media import START_US, KnownTrack


@dataclass
class Growing:
    """Tracks whose journals are written as their packets arrive; `upto` moves the time."""

    folder: Path
    tracks: Sequence[KnownTrack]
    written: dict[str, bytes] = field(default_factory=dict)

    def upto(self, seconds: float, cut: int = 0) -> None:
        """Everything that arrived until then, the last `cut` bytes of each journal not yet."""
        self.folder.mkdir(parents=True, exist_ok=True)
        until_us = START_US + round(seconds * 1e6)
        for track in self.tracks:
            entries = sorted(track.entries, key=lambda entry: entry[0])
            records = [
                encode_record(kind, at_us, data)
                for at_us, kind, data in entries
                if at_us <= until_us
            ]
            if not records:
                continue
            blob = encode_header(track.header()) + b"".join(records)
            path = self.folder / f"{track.track_id}.journal"
            path.write_bytes(blob[: max(len(blob) - cut, 0)])

    def end(self) -> None:
        for track in self.tracks:
            track.write(self.folder)


@dataclass
class Watched:
    """A follower of a folder of journals, driven by hand."""

    journals: Path
    output: Path
    run: str = "run"

    def __post_init__(self) -> None:
        self.output.mkdir(parents=True, exist_ok=True)
        self.follower = Follower(self.journals, self.output, self.run)

    def upto(self, seconds: float) -> None:
        """As far as a server would be that many seconds after START_US."""
        while not self.follower.step(START_US + round(seconds * 1e6)):
            pass

    def finish(self) -> None:
        self.follower.finish()

    @property
    def streams(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.follower.state()["streams"]
        return found

    def media(self, stream: dict[str, Any]) -> bytes:
        return (self.output / str(stream["file"])).read_bytes()

    def truth(self, number: int = 0) -> Truth:
        return measure(self.output / str(self.streams[number]["file"]))


def in_a_row(counters: Sequence[int], first: int, count: int) -> None:
    assert list(counters) == list(range(first, first + count)), counters
