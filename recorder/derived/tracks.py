"""Each stream of a file as a file of its own, for those who edit.

Sound becomes WebM with Opus, video stays in its container. Times within a file count from its own first
frame, and `start_seconds` says where that lies in the recording.
"""

from __future__ import annotations

from collections.abc import Iterator

from recorder.derived.names import track_of
from recorder.derived.streams import StreamReader, open_streams
from recorder.jobs import FinalizedFile
from recorder.local_files import partial_of, put_in_place, sha256_of
from recorder.muxer import LAST_FRAME_US
from recorder.writer import PLAYABLE, ContainerWriter, Packet, verify

KIND = "track"


def split_tracks(file: FinalizedFile) -> list[FinalizedFile]:
    """A file per stream beside `file`, named after it and what it holds: `001-camera.audio.webm`.

    Raises MuxFailed, and what the disk or PyAV raise.
    """
    readers = open_streams(file.path)
    try:
        return [_track_file(file, reader) for reader in readers]
    finally:
        for reader in readers:
            reader.close()


def _track_file(file: FinalizedFile, reader: StreamReader) -> FinalizedFile:
    video = reader.kind == "video"
    container = file.path.suffix.lstrip(".") if video else "webm"
    path = track_of(file.path, reader.kind, container)
    packets = _FromZero(reader)
    writer = ContainerWriter(partial_of(path), container, PLAYABLE[container])
    try:
        writer.add(reader.stream, iter(packets))
        counts = writer.write()
    finally:
        writer.close()
    duration_seconds = verify(partial_of(path), container, counts)
    put_in_place(path)
    return FinalizedFile(
        path=path,
        kind=KIND,
        participant_id=file.participant_id,
        content_type=f"{reader.kind}/{container}",
        size=path.stat().st_size,
        sha256=sha256_of(path),
        duration_seconds=round(duration_seconds, 3),
        width=file.width if video else None,
        height=file.height if video else None,
        start_seconds=round(file.start_seconds + packets.start_us / 1e6, 3),
        participant_name=file.participant_name,
        source=file.source,
    )


class _FromZero:
    """Packets moved so that the first one is at 0; `start_us` is where it was."""

    def __init__(self, packets: StreamReader) -> None:
        self._packets = packets
        self.start_us = 0

    def __iter__(self) -> Iterator[Packet]:
        held: Packet | None = None
        for packet in self._packets:
            assert packet.pts is not None
            if held is None:
                self.start_us = packet.pts
            else:
                yield held
            packet.pts = packet.dts = packet.pts - self.start_us
            held = packet
        if held is not None:
            held.duration = held.duration or LAST_FRAME_US
            yield held
