"""One stream: its lanes, its container, and the two files that grow.

`<id>.webm` or `<id>.mp4` is the media. `<id>.places` says where in it playing may begin.
"""

from __future__ import annotations

import os
from heapq import merge
from pathlib import Path

from recorder.depacketize import CodedFrame
from recorder.live.containers import format_of
from recorder.live.lanes import Block, PictureLane, SoundLane
from recorder.live.places import SUFFIX, encode_place

CLUSTER_US = 1_000_000


class LiveStream:
    """Frames in, files on disk out. `start_us` is the server time of the stream's time 0.

    Raises OSError when the disk refuses, MuxFailed for video that no container takes.
    """

    def __init__(
        self,
        folder: Path,
        stream_id: str,
        start_us: int,
        mime_type: str = "",
        first: CodedFrame | None = None,
    ) -> None:
        self.stream_id = stream_id
        self.start_us = start_us
        self.video_mime_type = mime_type if first is not None else ""
        chosen = format_of(mime_type, first)
        self.content_type = chosen.content_type
        self.name = stream_id + chosen.suffix
        self.size = 0
        self.through_us = 0  # how far what is on disk can be played
        self.ended = False
        self._container = chosen.container
        self._restarts = chosen.restarts
        self._config = first.config if first is not None else b""
        self._pictures = PictureLane() if first is not None else None
        self._sound = SoundLane()
        self._taken_us = 0
        self._cluster: list[Block] = []
        self._head = self._container.begin(self._config)
        self._media = (folder / self.name).open("ab", buffering=0)
        self._places = (folder / (stream_id + SUFFIX)).open("ab", buffering=0)

    @property
    def content_end_us(self) -> int:
        """The time of the newest frame, or the end of the sound; from the start of the stream."""
        pictures_us = self._pictures.newest_us if self._pictures else 0
        return max(pictures_us, self._sound.end_us)

    def video(self, at_us: float, coded: CodedFrame) -> None:
        assert self._pictures is not None
        self._pictures.push(at_us - self.start_us, coded, self._taken_us)

    def audio(self, at_us: float, coded: CodedFrame) -> None:
        self._sound.push(at_us - self.start_us, coded)

    def advance(self, until_us: float) -> None:
        """Writes what was captured up to the server time `until_us`; nothing earlier comes."""
        until = int(until_us) - self.start_us
        if until <= self._taken_us:
            return
        self._taken_us = until
        pictures = self._pictures.take(until) if self._pictures else []
        self._put(pictures, self._sound.take(until))

    def finish(self, end_us: float | None = None) -> list[Block]:
        """Writes the rest, up to the server time `end_us`; gives the sound behind it."""
        end = self.content_end_us
        if end_us is not None:
            end = max(int(end_us) - self.start_us, self._taken_us)
        sound = self._sound.take(end)
        pictures = self._pictures.finish(end) if self._pictures else []
        self._put(pictures, sound)
        self._flush()
        self.close()
        return self._sound.rest()

    def close(self) -> None:
        self.ended = True
        self._pictures = None
        self._media.close()
        self._places.close()

    def _put(self, pictures: list[Block], sound: list[Block]) -> None:
        for block in merge(pictures, sound, key=lambda block: block.at_us):
            full = self._cluster and block.at_us - self._cluster[0].at_us >= CLUSTER_US
            if full or _begins(block):
                self._flush()
            self._cluster.append(block)

    def _flush(self) -> None:
        if not self._cluster:
            return
        blocks, self._cluster = self._cluster, []
        first = blocks[0]
        head, self._head = self._head, b""
        if _begins(first) and first.config != self._config:
            self._config = first.config
            if self._restarts:
                head = self._container.begin(first.config)
        data = head + self._container.cluster(blocks)
        place = encode_place(first.at_us, self.size)
        self._write(self._media.fileno(), data)
        self.size += len(data)
        if _begins(first) or self._pictures is None:
            self._write(self._places.fileno(), place)
        sound = [block for block in blocks if block.kind == "audio"]
        if sound:
            self.through_us = sound[-1].at_us + sound[-1].duration_us

    def _write(self, descriptor: int, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view) :]


def _begins(block: Block) -> bool:
    """May playing begin with this picture?"""
    return block.kind == "video" and block.keyframe
