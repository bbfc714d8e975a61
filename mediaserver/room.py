"""A room: its peers, and the recording that listens to all of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from mediaserver.journal import JOURNAL_SUFFIX, JournalHeader
from mediaserver.messages import EVERY_KIND, Kind, PeerId, RecordingId, RoomId
from mediaserver.peer import Peer
from mediaserver.recording import JournalWriter, TrackJournal
from mediaserver.tracks import UpTrack

KEYFRAME_INTERVAL = 4.0
"""Seconds between keyframes of a recorded video: how finely the file can be searched."""


@dataclass(slots=True, eq=False)
class RoomRecording:
    """A recording in progress: one journal for each track that is or will be published.

    Tracks of a kind that is not among `kinds` are passed over.
    """

    room_id: RoomId
    recording_id: RecordingId
    directory: Path
    writer: JournalWriter
    unix_us: Callable[[], int]
    kinds: frozenset[Kind] = EVERY_KIND
    started: bool = False
    journals: list[TrackJournal] = field(default_factory=list)

    def listen(self, up: UpTrack) -> None:
        """Record a track from now on, if it is of a kind that is wanted."""
        if up.kind not in self.kinds:
            return
        codec = up.codec
        header = JournalHeader(
            track_id=up.track_id,
            recording_id=self.recording_id,
            kind=up.kind,
            mime_type=up.mime_type,
            clock_rate=codec.clock_rate,
            channels=codec.channels,
            payload_type=codec.payload_type,
            fmtp=codec.fmtp,
            started_at_us=self.unix_us(),
            labels=dict(up.intent.labels),
        )
        journal = self.writer.open(self.directory / f"{up.track_id}{JOURNAL_SUFFIX}", header)
        self.journals.append(journal)
        up.journals.append(journal)
        up.keyframes.periodic = KEYFRAME_INTERVAL
        up.refresh_sinks()

    def ignore(self, up: UpTrack) -> list[TrackJournal]:
        """Stop recording a track; the journals that were its."""
        mine = [journal for journal in up.journals if journal in self.journals]
        up.journals = [journal for journal in up.journals if journal not in mine]
        if not up.journals:
            up.keyframes.periodic = 0.0
        up.refresh_sinks()
        return mine

    def last_media_us(self) -> int | None:
        """When the latest packet on disk came, unix time in microseconds; None before the first."""
        return max((journal.last_media_us for journal in self.journals), default=0) or None


@dataclass(slots=True, eq=False)
class Room:
    room_id: RoomId
    peers: dict[PeerId, Peer] = field(default_factory=dict)
    recording: RoomRecording | None = None

    def tracks(self) -> list[UpTrack]:
        return [up for peer in self.peers.values() for up in peer.ups.values()]
