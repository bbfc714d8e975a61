"""Chunks of one part -> one file that can be searched, nothing encoded (PyAV).

One pass: chunk files are read, hashed, cleaned, demuxed and muxed as they come, so memory holds the
file's index and nothing else. What goes in comes out: the file is read to its end, and for each stream
its packets are counted and compared with those that were read from the chunks.

VP8, VP9, AV1 and Opus from Matroska go into WebM, H.264 and H.265 into MP4, what was MP4 stays MP4;
what else a recorder may put into Matroska stays there.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, Final, Literal, cast

import av
from av.container import InputContainer
from av.stream import Stream

from recorder.bitstream import Size
from recorder.chunks.arrivals import ArrivalEnvelope
from recorder.chunks.contents import (
    StreamDigest,
    h264_parameter_sets,
    has_start_codes,
    units_between_start_codes,
)
from recorder.chunks.fmp4 import clean_fmp4
from recorder.chunks.joined import JoinedPart
from recorder.chunks.lane import Lane, Place
from recorder.chunks.part_clock import PartClock
from recorder.chunks.parts import PartChunks
from recorder.chunks.reading_back import read_back
from recorder.chunks.run_reader import RunReader
from recorder.chunks.salvage import SalvagedPart
from recorder.chunks.sniffing import Format, format_of
from recorder.chunks.webm import clean_webm
from recorder.errors import ChunksUnreadable
from recorder.integrity import TrackLedger
from recorder.job_process import DISK_FULL
from recorder.local_files import partial_of, put_in_place, sha256_of
from recorder.muxer import LAST_FRAME_US
from recorder.writer import MICROSECONDS, PLAYABLE, Packet

Container = Literal["webm", "mp4", "matroska"]
LedgerOf = Callable[[str], TrackLedger]
"""By the kind of a stream: "video" or "audio"."""
Source = SalvagedPart | JoinedPart

SUFFIX: Final = {"webm": "webm", "mp4": "mp4", "matroska": "mkv"}
_DEMUXERS: Final = {"webm": "matroska", "fragmented_mp4": "mp4", "plain_mp4": "mp4"}
_WEBM: Final = frozenset({"vp8", "vp9", "av1", "opus", "vorbis"})
_MP4: Final = frozenset({"h264", "hevc", "opus", "aac", "mp3", "flac"})
_KINDS: Final = frozenset({"video", "audio"})
_NO_ROOM: Final = DISK_FULL | {errno.EFBIG, errno.EROFS}
_MOST_STREAMS: Final = 8
_MOST_ERRORS: Final = 100
_HEAD_PACKETS: Final = 500  # within so many each stream begins that begins with the others
_CLOCKS: Final = {"video": Fraction(1, 90_000), "audio": Fraction(1, 48_000)}
_MICROS: Final = MICROSECONDS.denominator
_MOST_REORDERED: Final = 10  # seconds
_BUFFER: Final = 1 << 18


@dataclass(frozen=True, slots=True)
class AssembledPart:
    """`ledgers` and `origin` are on the file's time line: `origin` is the unix time (seconds) of its
    time 0 as arrivals bound it from above, None when they say nothing. `zero` is the recorder's own
    time (seconds) there. `digest` is the SHA-256 of the chunks in order. `reordered`: pictures are
    not shown in the order they are decoded.
    """

    path: Path
    container: Container
    content_type: str
    size: int
    sha256: str
    duration_seconds: float
    picture: Size | None
    ledgers: tuple[TrackLedger, ...]
    origin: float | None
    zero: float
    digest: str
    problem: str | None
    reordered: bool


def digest_of(part: PartChunks) -> str:
    """SHA-256 of all chunks of a part in order, in hexadecimal. Raises OSError."""
    return SalvagedPart(part, clean_webm, lambda _: None).digest()


def assemble_part(
    part: PartChunks,
    stem: Path,
    ledger_of: LedgerOf,
    on_bytes: Callable[[int], None],
    *,
    lacks_end: bool = False,
) -> AssembledPart:
    """Makes the file of a part: `stem` with the suffix of its container.

    `lacks_end`: chunks are missing at its end. Raises ChunksUnreadable when nothing playable can be
    made of it, MuxFailed when the file is not what went into it, OSError.
    """
    wish = _Wish(_format(part), part, stem, ledger_of, lacks_end)
    try:
        made = _Remux(wish, on_bytes).run()
        if made.changing or made.empty:  # which is known at the end only
            tag = "avc3" if made.changing else None
            made = _Remux(replace(wish, tag=tag, without=made.empty), lambda _: None).run()
    except av.FFmpegError as error:
        if error.errno in _NO_ROOM:
            raise OSError(error.errno, os.strerror(error.errno)) from error
        raise ChunksUnreadable(f"its media can't be read: {error.strerror}") from error
    partial = partial_of(made.path)
    demuxer = "mp4" if made.container == "mp4" else "matroska"
    duration = read_back(partial, demuxer, made.digests, made.units)
    put_in_place(made.path)
    return AssembledPart(
        path=made.path,
        container=made.container,
        content_type=_content_type(made),
        size=made.path.stat().st_size,
        sha256=sha256_of(made.path),
        duration_seconds=duration,
        picture=made.picture,
        ledgers=tuple(made.ledgers),
        origin=made.origin,
        zero=made.zero,
        digest=made.chunks_digest,
        problem=made.problem,
        reordered=made.reordered,
    )


def _format(part: PartChunks) -> Format:
    first = next((run for run in part.runs if run.first == 0), None)
    if first is None:
        raise ChunksUnreadable("chunk 0 is missing, and the header with it")
    blocks = (data for data, _ in part.blocks(first))
    kind = format_of(RunReader(blocks, first.size))
    if kind == "plain_mp4" and len(part.runs) > 1:
        raise ChunksUnreadable("chunks are missing in an MP4 that has one index for all")
    return kind


@dataclass(frozen=True, slots=True)
class _Wish:
    """`tag` marks H.264 in MP4; streams in `without` have no packets and are left out."""

    kind: Format
    part: PartChunks
    stem: Path
    ledger_of: LedgerOf
    lacks_end: bool
    tag: str | None = None
    without: frozenset[int] = frozenset()


@dataclass(slots=True)
class _Made:
    path: Path
    container: Container
    zero: float
    ledgers: list[TrackLedger] = field(default_factory=list)
    digests: list[tuple[int, str]] = field(default_factory=list)
    units: list[bool] = field(default_factory=list)
    picture: Size | None = None
    origin: float | None = None
    changing: bool = False  # parameter sets change on the way
    empty: frozenset[int] = frozenset()
    reordered: bool = False
    chunks_digest: str = ""
    problem: str | None = None


@dataclass(slots=True)
class _Track:
    """A stream and what it becomes. `units`: its packets are compared unit by unit."""

    source: Stream
    target: Stream
    lane: Lane
    base: Fraction
    start_codes: bool
    units: bool
    known_sets: frozenset[bytes]
    digest: StreamDigest = field(default_factory=StreamDigest)
    last: int | None = None  # decoding time of the last packet, in ticks of `base`


class _Remux:
    """One run over a part's chunks."""

    def __init__(self, wish: _Wish, on_bytes: Callable[[int], None]) -> None:
        self._wish = wish
        self._kind = wish.kind
        self._source: Source
        if wish.kind == "plain_mp4":
            self._source = JoinedPart(wish.part, wish.part.runs[0], on_bytes)
        else:
            clean = clean_webm if wish.kind == "webm" else clean_fmp4
            self._source = SalvagedPart(wish.part, clean, on_bytes)
        self._holes = getattr(self._source, "holes", [])
        self._absent = getattr(self._source, "absent", [])
        self._envelope = ArrivalEnvelope(getattr(self._source, "marks", None))
        self._changing = self._reordered = False
        self._problem: str | None = None

    def run(self) -> _Made:
        try:
            container = cast(
                InputContainer,
                av.open(
                    self._source,
                    format=_DEMUXERS[self._kind],
                    metadata_errors="replace",
                    buffer_size=_BUFFER,
                ),
            )
        except av.FFmpegError:
            self._raise_unreadable()
            raise
        with container:
            self._raise_disk()
            return self._mux(container)

    def _mux(self, container: InputContainer) -> _Made:
        streams = [
            stream
            for stream in container.streams
            if stream.type in _KINDS and stream.index not in self._wish.without
        ]
        known = [stream for stream in streams if _codec(stream)]
        if len(known) < len(streams):
            self._note("there is a stream in it of a codec that nobody knows")
        streams = known
        head, packets = _begun(self._packets(container), len(streams))
        if not head or len(streams) > _MOST_STREAMS:
            self._raise_unreadable()
            raise ChunksUnreadable("there is no picture and no sound in it")
        zero_us = min(at for _, at in head)
        clock = PartClock(zero_us)
        target = _container_for(streams, self._kind)
        stem = self._wish.stem
        path = stem.with_name(f"{stem.name}.{SUFFIX[target]}")
        made = _Made(path, target, zero_us / _MICROS)
        options = PLAYABLE.get(target, PLAYABLE["webm"])
        output = av.open(str(partial_of(made.path)), "w", format=target, options=dict(options))
        try:
            tracks = {stream.index: self._track(output, stream, target) for stream in streams}
            for packet, at_us in packets:
                track = tracks.get(packet.stream_index)
                if track is not None and self._place(track, packet, at_us, clock):
                    output.mux_one(packet)
        finally:
            output.close()
        self._raise_disk()
        if not any(track.digest.packets for track in tracks.values()):
            raise ChunksUnreadable("there is no picture and no sound in it")
        self._conclude(made, list(tracks.values()), clock)
        return made

    def _packets(self, container: InputContainer) -> Iterator[tuple[Packet, int]]:
        """Packets and their decoding times in microseconds; goes on behind what can't be read."""
        for _ in range(_MOST_ERRORS):
            try:
                for packet in container.demux():
                    at = packet.dts if packet.dts is not None else packet.pts
                    if packet.size and at is not None and packet.time_base:
                        yield packet, round(at * packet.time_base * _MICROS)
            except av.EOFError:
                return
            except av.FFmpegError:
                self._note("a part of the media can't be read")
            else:
                return

    def _track(self, output: Any, stream: Stream, target: Container) -> _Track:
        made = output.add_stream_from_template(stream, opaque=True)
        context = stream.codec_context
        assert stream.time_base is not None
        as_it_is = (self._kind == "webm") == (target != "mp4")
        made.time_base = stream.time_base if as_it_is else _CLOCKS[stream.type]
        codec = _codec(stream) or ""
        starts = has_start_codes(codec, context.extradata)
        if self._wish.tag and codec == "h264":
            made.codec_context.codec_tag = self._wish.tag
        return _Track(
            source=stream,
            target=made,
            lane=Lane(self._wish.ledger_of(stream.type), self._holes, self._absent),
            base=made.time_base,
            start_codes=starts,
            units=starts and target == "mp4",
            known_sets=h264_parameter_sets(context.extradata or b"")
            if starts and codec == "h264"
            else frozenset(),
        )

    def _place(self, track: _Track, packet: Packet, at_us: int, clock: PartClock) -> bool:
        """Gives the packet its place in the file; False when it has none."""
        shift = clock.shift(packet.stream_index, at_us)
        base = packet.time_base
        ticks = Fraction(shift, _MICROS) / base
        if track.target.type == "video" and (packet.duration or 0) * base <= Fraction(1, 1000):
            packet.duration = round(Fraction(LAST_FRAME_US, _MICROS) / base)
        length_us = round((packet.duration or 0) * base * _MICROS)
        size, begin = packet.size, packet.pos if packet.pos is not None else -1
        self._envelope.packet(begin + size, (at_us + shift + length_us) / _MICROS)
        kept = track.lane.keeps(
            Place(begin, begin + size), at_us + shift, length_us, keyframe=packet.is_keyframe
        )
        if not kept:
            return False
        data = bytes(packet)
        if track.units:
            units = list(units_between_start_codes(data))
            if not units:
                track.lane.ledger.not_decodable(at_us + shift, at_us + shift + length_us)
                return False
            track.digest.add_units(units)
            if packet.is_keyframe and track.known_sets:
                self._changing |= not h264_parameter_sets(data) <= track.known_sets
        else:
            track.digest.add(data)
        delta, furthest = round(ticks), round(_MOST_REORDERED / base)
        dts = (packet.dts if packet.dts is not None else packet.pts or 0) + delta
        pts = (packet.pts if packet.pts is not None else packet.dts or 0) + delta
        least = dts if track.last is None else track.last + 1
        packet.dts = track.last = max(dts, least)
        packet.pts = pts if 0 <= pts - dts <= furthest and pts >= packet.dts else packet.dts
        self._reordered |= packet.pts != packet.dts
        packet.stream = track.target
        return True

    def _conclude(self, made: _Made, tracks: list[_Track], clock: PartClock) -> None:
        made.chunks_digest = self._source.digest()
        torn = self._wish.lacks_end
        if isinstance(self._source, SalvagedPart):
            made.problem = self._source.damage.problem
            torn |= self._source.damage.torn
            if self._source.error is not None:
                made.problem, torn = str(self._source.error), True
        if clock.jumps:
            self._note(f"its times jump at {clock.jumps[0] / _MICROS:.1f} s")
        made.problem = made.problem or self._problem
        for track in tracks:
            track.lane.close(torn=torn)
            made.ledgers.append(track.lane.ledger)
            made.digests.append(track.digest.value())
            made.units.append(track.units)
            if track.source.type == "video" and made.picture is None:
                context = cast(Any, track.source.codec_context)
                made.picture = (context.width, context.height)
        self._envelope.close()
        made.origin = self._envelope.origin
        made.changing = self._changing and self._wish.tag is None
        made.empty = frozenset(track.source.index for track in tracks if not track.digest.packets)
        made.reordered = self._reordered

    def _note(self, problem: str) -> None:
        self._problem = self._problem or problem

    def _raise_disk(self) -> None:
        error = getattr(self._source, "error", None)
        if isinstance(error, OSError):
            raise error

    def _raise_unreadable(self) -> None:
        error = getattr(self._source, "error", None)
        if error is not None:
            raise error


def _begun(
    packets: Iterator[tuple[Packet, int]], streams: int
) -> tuple[list[tuple[Packet, int]], Iterator[tuple[Packet, int]]]:
    """The first packets, up to where every stream has begun, and all of them."""
    head: list[tuple[Packet, int]] = []
    begun: set[int] = set()
    for entry in packets:
        head.append(entry)
        begun.add(entry[0].stream_index)
        if len(begun) >= streams or len(head) >= _HEAD_PACKETS:
            break

    def all_of_them() -> Iterator[tuple[Packet, int]]:
        yield from head
        yield from packets

    return head, all_of_them()


def _codec(stream: Stream) -> str | None:
    """FFmpeg's name; None of one it does not know."""
    context: Any = stream.codec_context
    return None if context is None else str(context.codec.canonical_name)


def _container_for(streams: list[Stream], kind: Format) -> Container:
    if kind != "webm":
        return "mp4"
    codecs = {_codec(stream) for stream in streams}
    if codecs <= _WEBM:
        return "webm"
    return "mp4" if codecs <= _MP4 else "matroska"


def _content_type(made: _Made) -> str:
    kind = "video" if any(ledger.kind == "video" for ledger in made.ledgers) else "audio"
    return f"{kind}/{'x-matroska' if made.container == 'matroska' else made.container}"
