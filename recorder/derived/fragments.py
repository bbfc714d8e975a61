"""Where the fragments of a fragmented MP4 are, and when (ISO/IEC 14496-12, section 8.8).

Reads the boxes that libavformat writes, not their media: a few kilobytes a fragment.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple

from recorder.errors import MuxFailed

_BOX = struct.Struct("!I4s")
_LARGE = struct.Struct("!Q")
_NOT_SYNC = 0x0001_0000  # sample_is_non_sync_sample
_MAX_INDEX = 1 << 26
"""Bytes of one moov or moof; they are held in memory."""


class Box(NamedTuple):
    """A box without its header: `start` and `end` are offsets of what is in it."""

    kind: bytes
    at: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Fragment:
    """One moof and its mdat: `size` bytes from `offset`.

    `begins` and `ends` are seconds by track id, `samples` counts by track id. `keyframe` says that
    the first video sample is one a decoder can begin at; it is None in a fragment without video.
    """

    offset: int
    size: int
    begins: dict[int, float]
    ends: dict[int, float]
    samples: dict[int, int]
    keyframe: bool | None


@dataclass(frozen=True, slots=True)
class FragmentedFile:
    """`header_size` is that of everything before the first fragment (the initialization section).

    `video` is the id of the video track, None without one.
    """

    header_size: int
    video: int | None
    tracks: tuple[int, ...]
    fragments: tuple[Fragment, ...]


def read_fragments(path: Path) -> FragmentedFile:
    """Raises MuxFailed when the file is not a fragmented MP4 of whole boxes."""
    with path.open("rb") as file:
        try:
            return _read(file, path.stat().st_size)
        except (struct.error, KeyError, IndexError) as error:
            raise MuxFailed(f"{path.name} is not a fragmented MP4: {error!r}") from error


def _read(file: BinaryIO, size: int) -> FragmentedFile:
    timescales: dict[int, int] = {}
    video: int | None = None
    fragments: list[Fragment] = []
    header_size = 0
    moof: Box | None = None
    for box in _top_level(file, size):
        if box.kind == b"moov":
            timescales, video = _tracks(_content(file, box))
            header_size = box.end
        elif box.kind == b"moof":
            moof = box
        elif box.kind == b"mdat" and moof is not None:
            content = _content(file, moof)
            fragments.append(_fragment(content, moof.at, box.end - moof.at, timescales, video))
            moof = None
    return FragmentedFile(header_size, video, tuple(timescales), tuple(fragments))


def _top_level(file: BinaryIO, size: int) -> Iterator[Box]:
    at = 0
    while at < size:
        file.seek(at)
        length, kind = _BOX.unpack(file.read(_BOX.size))
        start = at + _BOX.size
        if length == 1:
            (length,) = _LARGE.unpack(file.read(_LARGE.size))
            start += _LARGE.size
        if length < start - at or at + length > size:
            raise MuxFailed(f"a box of {length} bytes at {at} in a file of {size}")
        yield Box(kind, at, start, at + length)
        at += length


def _content(file: BinaryIO, box: Box) -> bytes:
    if box.end - box.start > _MAX_INDEX:
        raise MuxFailed(f"an index of {box.end - box.start} bytes")
    file.seek(box.start)
    return file.read(box.end - box.start)


def _boxes(data: bytes, start: int = 0, end: int | None = None) -> Iterator[Box]:
    end = len(data) if end is None else end
    while start < end:
        length, kind = _BOX.unpack_from(data, start)
        if length < _BOX.size or start + length > end:
            raise MuxFailed(f"a box of {length} bytes where {end - start} are left")
        yield Box(kind, start, start + _BOX.size, start + length)
        start += length


def _tracks(moov: bytes) -> tuple[dict[int, int], int | None]:
    """Timescales by track id, and the id of the video track."""
    timescales: dict[int, int] = {}
    video = None
    for trak in _boxes(moov):
        if trak.kind != b"trak":
            continue
        parts = {box.kind: box for box in _boxes(moov, trak.start, trak.end)}
        media = {box.kind: box for box in _boxes(moov, parts[b"mdia"].start, parts[b"mdia"].end)}
        wide = moov[parts[b"tkhd"].start]
        (track,) = struct.unpack_from("!I", moov, parts[b"tkhd"].start + (20 if wide else 12))
        wide = moov[media[b"mdhd"].start]
        (timescale,) = struct.unpack_from("!I", moov, media[b"mdhd"].start + (20 if wide else 12))
        timescales[track] = timescale
        if moov[media[b"hdlr"].start + 8 : media[b"hdlr"].start + 12] == b"vide":
            video = track
    return timescales, video


def _fragment(
    moof: bytes, offset: int, size: int, timescales: dict[int, int], video: int | None
) -> Fragment:
    begins: dict[int, float] = {}
    ends: dict[int, float] = {}
    samples: dict[int, int] = {}
    keyframe: bool | None = None
    for traf in _boxes(moof):
        if traf.kind != b"traf":
            continue
        run = _TrackRun(moof, traf)
        begins[run.track] = run.begins / timescales[run.track]
        ends[run.track] = (run.begins + run.duration) / timescales[run.track]
        samples[run.track] = run.samples
        if run.track == video and run.samples:
            keyframe = not run.first_flags & _NOT_SYNC
    return Fragment(offset, size, begins, ends, samples, keyframe)


class _TrackRun:
    """What the runs of one traf say. Times in ticks of the track."""

    def __init__(self, moof: bytes, traf: Box) -> None:
        self.begins = self.duration = self.samples = 0
        self.first_flags = 0
        parts = list(_boxes(moof, traf.start, traf.end))
        self._read_header(moof, next(box for box in parts if box.kind == b"tfhd"))
        for box in parts:
            if box.kind == b"tfdt":
                form = "!Q" if moof[box.start] else "!I"
                (self.begins,) = struct.unpack_from(form, moof, box.start + 4)
            elif box.kind == b"trun":
                self._add(moof, box)

    def _read_header(self, moof: bytes, box: Box) -> None:
        flags, self.track = struct.unpack_from("!II", moof, box.start)
        at = box.start + 8
        at += (8 if flags & 0x01 else 0) + (4 if flags & 0x02 else 0)
        self._duration = self._flags = 0
        if flags & 0x08:
            (self._duration,) = struct.unpack_from("!I", moof, at)
            at += 4
        at += 4 if flags & 0x10 else 0
        if flags & 0x20:
            (self._flags,) = struct.unpack_from("!I", moof, at)

    def _add(self, moof: bytes, box: Box) -> None:
        flags, count = struct.unpack_from("!II", moof, box.start)
        at = box.start + 8 + (4 if flags & 0x01 else 0)
        first_flags = self._flags
        if flags & 0x04:
            (first_flags,) = struct.unpack_from("!I", moof, at)
            at += 4
        fields = [bit for bit in (0x100, 0x200, 0x400, 0x800) if flags & bit]
        values = struct.unpack_from(f"!{count * len(fields)}I", moof, at)
        if 0x100 in fields:
            self.duration += sum(values[0 :: len(fields)])
        else:
            self.duration += count * self._duration
        if 0x400 in fields and not flags & 0x04 and count:
            first_flags = values[fields.index(0x400)]
        if not self.samples:
            self.first_flags = first_flags
        self.samples += count
