"""What one participant sends of one source (camera with microphone, screen with its sound).

A slot has one stream at a time. It goes on whatever its tracks do: they come late, are muted, are
published again. What a stream can't take begins the next one: video after sound alone, another
video codec, and all that comes back after it was away for long.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from recorder.depacketize import CodedFrame
from recorder.live.stream import LiveStream
from recorder.live.track import LiveFrame, LiveTrack

AWAY_US = 8_000_000
"""Who published nothing more for so long has left; the stream ends."""
MOST_PENDING = 4096
"""Frames that wait for their stream to begin, about a second's; what comes too many is left out."""

OpenStream = Callable[[int, str, CodedFrame | None], LiveStream]
"""Makes a stream: server time of its start, MIME type and first keyframe of its video, if any."""


class _Pending(NamedTuple):
    is_video: bool
    mime_type: str
    frame: LiveFrame


class Slot:
    """Frames of all tracks of one source in, streams out."""

    def __init__(self, open_stream: OpenStream) -> None:
        self._open_stream = open_stream
        self._stream: LiveStream | None = None
        self._pending: deque[_Pending] = deque()
        self._tracks: dict[bool, list[LiveTrack]] = {True: [], False: []}  # by is_video; living
        self._order: dict[bool, int] = {True: -1, False: -1}  # of the newest track that has media
        self._newest_us: dict[bool, float] = {True: 0.0, False: 0.0}
        self._written_us = 0.0

    def join(self, track: LiveTrack) -> None:
        self._tracks[track.is_video].append(track)

    def leave(self, track: LiveTrack) -> None:
        if track in self._tracks[track.is_video]:
            self._tracks[track.is_video].remove(track)

    def take(self, track: LiveTrack, order: int, frame: LiveFrame) -> None:
        """A frame of `track`. `order` rises from journal to journal: the newer one is believed."""
        is_video = track.is_video
        if order < self._order[is_video]:
            return
        self._order[is_video] = order
        self._newest_us[is_video] = max(self._newest_us[is_video], frame.at_us)
        stream = self._stream
        if stream is not None and is_video and stream.video_mime_type != track.mime_type:
            if frame.coded.keyframe:
                self._begin_anew(stream, track.mime_type, frame)
            return
        self._put(_Pending(is_video, track.mime_type, frame))

    def advance(self, until_us: float) -> None:
        """Everything captured up to the server time `until_us` is here."""
        if self._stream is not None and self._is_left(until_us):
            self._stream.finish()
            self._stream = None
        if self._stream is None:
            self._begin(until_us)
        if self._stream is not None:
            living = any(self._tracks.values())
            # nobody sends: what stands stands, and no silence is made
            limit = until_us if living else min(until_us, max(self._newest_us.values()))
            self._stream.advance(limit)

    def finish(self) -> None:
        """The end of everything: writes what is there."""
        self.advance(max(self._newest_us.values()))
        if self._stream is not None:
            self._stream.finish()
            self._stream = None

    def close(self) -> None:
        """Lets go of the files."""
        if self._stream is not None:
            self._stream.close()

    def _is_left(self, until_us: float) -> bool:
        """Are all tracks gone for long, or the video of a stream that has sound still?"""
        assert self._stream is not None
        kinds = [True] if self._stream.video_mime_type else [False]
        if not any(self._tracks.values()):
            return until_us - max(self._newest_us.values()) > AWAY_US
        return all(
            not self._tracks[kind] and until_us - self._newest_us[kind] > AWAY_US for kind in kinds
        )

    def _put(self, item: _Pending) -> None:
        if self._stream is None:
            if len(self._pending) < MOST_PENDING:
                self._pending.append(item)
        elif item.is_video:
            self._stream.video(*item.frame)
        else:
            self._stream.audio(*item.frame)

    def _begin(self, until_us: float) -> None:
        """Begins a stream with what waits, once it has waited long enough for what belongs to it."""
        first_us = min((item.frame.at_us for item in self._pending), default=None)
        if first_us is None or first_us > until_us:
            return
        videos = [item for item in self._pending if item.is_video]
        mime_type = videos[-1].mime_type if videos else ""
        first = next((item.frame.coded for item in videos if item.mime_type == mime_type), None)
        pending, self._pending = self._pending, deque()
        stream = self._stream = self._open_stream(int(first_us), mime_type, first)
        for item in sorted(pending, key=lambda item: item.frame.at_us):
            if not item.is_video or item.mime_type == stream.video_mime_type:
                self._put(item)

    def _begin_anew(self, stream: LiveStream, mime_type: str, first: LiveFrame) -> None:
        """Ends `stream` where video begins that it can't take."""
        rest = stream.finish(first.at_us)
        self._stream = None
        start_us = max(int(first.at_us), stream.start_us + stream.through_us)
        following = self._stream = self._open_stream(start_us, mime_type, first.coded)
        following.video(*first)
        for block in rest:
            coded = CodedFrame(block.data, True, duration_us=block.duration_us)
            following.audio(stream.start_us + block.at_us, coded)
