"""One pass over the chunks of a part: read, cleaned, demuxed, and muxed into a file (PyAV).

Nothing is encoded, and memory holds the file's index. What is not known before the end (streams that
stay empty, parameter sets that change, pauses) is told then, for a second pass.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
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
from recorder.chunks.part_clock import LONGEST_US, PartClock
from recorder.chunks.parts import PartChunks
from recorder.chunks.pauses import NO_PAUSES, Pauses
from recorder.chunks.pieces import Damage
from recorder.chunks.salvage import SalvagedPart
from recorder.chunks.sniffing import Format
from recorder.chunks.webm import clean_webm
from recorder.errors import ChunksUnreadable, NothingRecorded
from recorder.integrity import TrackLedger
from recorder.local_files import partial_of
from recorder.muxer import LAST_FRAME_US
from recorder.silence import MISSING_US, STEREO, silence
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
_NO_MEDIA: Final = "there is no picture and no sound in it"
_MOST_STREAMS: Final = 8
_MOST_ERRORS: Final = 100
_HEAD_PACKETS: Final = 500  # within so many each stream begins that begins with the others
_CLOCKS: Final = {"video": Fraction(1, 90_000), "audio": Fraction(1, 48_000)}
_MICROS: Final = MICROSECONDS.denominator
_MOST_REORDERED: Final = 10  # seconds
_BUFFER: Final = 1 << 18


@dataclass(frozen=True, slots=True)
class Wish:
    """`lacks_end`: chunks are missing at its end. `header` is another part's, for one that has none.
    `tag` marks H.264 in MP4; streams in `without` have no packets and are left out.
    """

    kind: Format
    part: PartChunks
    stem: Path
    ledger_of: LedgerOf
    lacks_end: bool
    header: bytes = b""
    pauses: Pauses | None = None  # None: not known yet
    tag: str | None = None
    without: frozenset[int] = frozenset()


@dataclass(slots=True)
class Made:
    """What has become of a part, all on the file's time line."""

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
    pauses: Pauses = NO_PAUSES


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
    silent: bool  # there can be silence in it where the recorder was paused
    pauses: deque[tuple[int, int]]  # that it has not passed yet
    digest: StreamDigest = field(default_factory=StreamDigest)
    stereo: int | None = None  # of Opus: that bit of the last packet
    last: int | None = None  # decoding time of the last packet, in ticks of `base`


class Remux:
    """One run over a part's chunks."""

    def __init__(self, wish: Wish, on_bytes: Callable[[int], None]) -> None:
        self._wish = wish
        self._kind = wish.kind
        self._source: Source
        if wish.kind == "plain_mp4":
            self._source = JoinedPart(wish.part, wish.part.runs[0], on_bytes)
        else:
            clean = clean_webm if wish.kind == "webm" else clean_fmp4
            self._source = SalvagedPart(wish.part, clean, on_bytes, wish.header)
        self._holes = getattr(self._source, "holes", [])
        self._absent = getattr(self._source, "absent", [])
        self._envelope = ArrivalEnvelope(getattr(self._source, "marks", None))
        self._pauses = wish.pauses or NO_PAUSES
        self._changing = self._reordered = False
        self._problem: str | None = None

    def run(self) -> Made:
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
        except av.FFmpegError as error:
            self._raise_unreadable()
            if isinstance(error, av.EOFError) and self._is_whole():
                raise NothingRecorded(_NO_MEDIA) from error
            raise
        with container:
            self._raise_disk()
            return self._mux(container)

    def _mux(self, container: InputContainer) -> Made:
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
            if not head and self._is_whole():
                raise NothingRecorded(_NO_MEDIA)
            raise ChunksUnreadable(_NO_MEDIA)
        zero_us = min(at for _, at in head)
        clock = PartClock(zero_us, self._pauses)
        target = _container_for(streams, self._kind)
        stem = self._wish.stem
        path = stem.with_name(f"{stem.name}.{SUFFIX[target]}")
        made = Made(path, target, zero_us / _MICROS)
        options = PLAYABLE.get(target, PLAYABLE["webm"])
        output = av.open(str(partial_of(made.path)), "w", format=target, options=dict(options))
        try:
            tracks = {
                stream.index: self._track(output, stream, target, zero_us) for stream in streams
            }
            for packet, at_us in packets:
                track = tracks.get(packet.stream_index)
                if track is None:
                    continue
                shift = clock.shift(packet.stream_index, at_us)
                for silent in _silence_before(track, at_us + shift):
                    output.mux_one(silent)
                if self._place(track, packet, at_us, shift):
                    output.mux_one(packet)
        finally:
            output.close()
        self._raise_disk()
        if not any(track.digest.packets for track in tracks.values()):
            raise ChunksUnreadable(_NO_MEDIA)
        self._conclude(made, list(tracks.values()), clock)
        return made

    def _is_whole(self) -> bool:
        damage = self._source.damage if isinstance(self._source, SalvagedPart) else Damage()
        missing = self._wish.lacks_end or self._wish.header or len(self._wish.part.runs) > 1
        return not missing and damage == Damage()

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

    def _track(self, output: Any, stream: Stream, target: Container, zero_us: int) -> _Track:
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
            lane=Lane(
                self._wish.ledger_of(stream.type), self._holes, self._absent, self._since(zero_us)
            ),
            base=made.time_base,
            start_codes=starts,
            units=starts and target == "mp4",
            known_sets=h264_parameter_sets(context.extradata or b"")
            if starts and codec == "h264"
            else frozenset(),
            silent=codec == "opus",
            pauses=deque(self._pauses.spans()),
        )

    def _since(self, zero_us: int) -> int:
        """From where on the file's time line (microseconds) something is missing that came first."""
        return -zero_us if self._wish.header and 0 < zero_us <= LONGEST_US else 0

    def _place(self, track: _Track, packet: Packet, at_us: int, shift: int) -> bool:
        """Gives the packet its place in the file; False when it has none."""
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
        if track.silent:
            track.stereo = data[0] & STEREO
        delta, furthest = round(ticks), round(_MOST_REORDERED / base)
        dts = (packet.dts if packet.dts is not None else packet.pts or 0) + delta
        pts = (packet.pts if packet.pts is not None else packet.dts or 0) + delta
        least = dts if track.last is None else track.last + 1
        packet.dts = track.last = max(dts, least)
        packet.pts = pts if 0 <= pts - dts <= furthest and pts >= packet.dts else packet.dts
        self._reordered |= packet.pts != packet.dts
        packet.stream = track.target
        return True

    def _conclude(self, made: Made, tracks: list[_Track], clock: PartClock) -> None:
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
            for begin_us, end_us in self._pauses.spans():
                track.lane.ledger.gap(begin_us, end_us, "paused")
            made.ledgers.append(track.lane.ledger)
            made.digests.append(track.digest.value())
            made.units.append(track.units)
            if track.source.type == "video" and made.picture is None:
                context = cast(Any, track.source.codec_context)
                made.picture = (context.width, context.height)
        self._envelope.close()
        made.origin = self._envelope.origin
        known = self._wish.pauses
        made.pauses = self._envelope.pauses() if known is None else known
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


def _silence_before(track: _Track, at_us: int) -> Iterator[Packet]:
    """What fills the pauses that are over at a time of the file: players disagree on holes in sound."""
    while track.pauses and track.pauses[0][1] <= at_us + MISSING_US:
        begin_us, end_us = track.pauses.popleft()
        if not track.silent or track.stereo is None:
            continue
        begin_us = max(begin_us, track.lane.end_us)
        for at, coded in silence(begin_us, min(end_us, at_us), track.stereo):
            packet = av.Packet(coded.data)
            packet.time_base = track.base
            packet.pts = packet.dts = track.last = round(Fraction(round(at), _MICROS) / track.base)
            packet.duration = round(Fraction(coded.duration_us or 0, _MICROS) / track.base)
            packet.is_keyframe = True
            packet.stream = track.target
            track.digest.add(coded.data)
            yield packet


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
