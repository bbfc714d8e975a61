"""WebM and Matroska as browsers' recorders write them, element by element (RFC 8794, RFC 9559). Pure.

What is kept is what media needs: header, information, tracks, clusters with their blocks. Where an
element is cut off by a hole, or is none, reading goes on at the next cluster, which stands for itself.
Clusters and the segment are given without their sizes, so that one that was cut off is a valid one.
Blocks are not changed. Tracks that are compressed or encrypted are refused: no recorder makes them,
and a few bytes could stand for gigabytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from recorder.chunks.pieces import Damage, Hole, Piece
from recorder.chunks.run_reader import RunReader
from recorder.errors import ChunksUnreadable, HeaderMissing

EBML: Final = 0x1A45DFA3
SEGMENT: Final = 0x18538067
INFO: Final = 0x1549A966
TRACKS: Final = 0x1654AE6B
CLUSTER: Final = 0x1F43B675
TIMESTAMP: Final = 0xE7
_TRACK_ENTRY, _CONTENT_ENCODINGS = 0xAE, 0x6D80
_BLOCKS: Final = frozenset({0xA3, 0xA0})  # SimpleBlock, BlockGroup
_IGNORED: Final = frozenset(
    {
        0x114D9B74,  # SeekHead
        0x1C53BB6B,  # Cues
        0x1254C367,  # Tags
        0x1941A469,  # Attachments
        0x1043A770,  # Chapters
        0x5854,  # SilentTracks
        0xA7,  # Position
        0xAB,  # PrevSize
        0xEC,  # Void
        0xBF,  # CRC-32
    }
)
_IN_CLUSTER: Final = _BLOCKS | {TIMESTAMP, 0x5854, 0xA7, 0xAB, 0xEC, 0xBF}

_CLUSTER_ID: Final = CLUSTER.to_bytes(4, "big")
_ANY_SIZE: Final = b"\x01" + 7 * b"\xff"
_LARGEST: Final = {
    EBML: 1 << 12,
    INFO: 1 << 16,
    TRACKS: 1 << 20,
    TIMESTAMP: 8,
    **dict.fromkeys(_BLOCKS, 1 << 26),
}
"""Bytes of what is kept."""
_LONGEST_HEAD: Final = 12
_UNKNOWN: Final = -1


class Element(NamedTuple):
    """An element's head: its id, how long the head is, how long what follows (-1: not said)."""

    kind: int
    head: int
    size: int


def element_at(data: bytes) -> Element | None:
    """The element that begins with `data`; None when none does."""
    if not data or data[0] < 0x10:
        return None
    length = 9 - data[0].bit_length()
    kind = int.from_bytes(data[:length], "big")
    sized = data[length : length + 1]
    if not sized or not sized[0]:
        return None
    width = 9 - sized[0].bit_length()
    body = data[length : length + width]
    if len(body) < width:
        return None
    size = int.from_bytes(body, "big") & (1 << 7 * width) - 1
    if size == (1 << 7 * width) - 1:
        size = _UNKNOWN
    return Element(kind, length + width, size)


def clean_webm(runs: Iterable[RunReader], damage: Damage, header: bytes = b"") -> Iterator[Piece]:
    """See `recorder.chunks.pieces.Cleaner`."""
    cleaner = _Webm(damage, header_known=bool(header))
    if header:
        yield header
    for run in runs:
        yield from cleaner.run(run)


class _Webm:
    def __init__(self, damage: Damage, *, header_known: bool) -> None:
        self._damage = damage
        self._header = self._tracks = header_known

    def run(self, run: RunReader) -> Iterator[Piece]:
        if not run.begins:
            yield from self._resume(run)
        while run.left:
            element = element_at(run.peek(_LONGEST_HEAD))
            if element is None or not self._plausible(element, run):
                self._damage.torn = True
                self._damage.note("the media breaks off, or there is something else in it")
                run.skip(1)
                yield from self._resume(run)
                continue
            yield from self._element(element, run)

    def _plausible(self, element: Element, run: RunReader) -> bool:
        kind, head, size = element
        if kind in (SEGMENT, CLUSTER):
            return True
        most = run.left if kind in _IGNORED else _LARGEST.get(kind, -1)
        return size != _UNKNOWN and size <= most and head + size <= run.left

    def _element(self, element: Element, run: RunReader) -> Iterator[Piece]:
        kind, head, size = element
        self._damage.torn = False
        if kind == CLUSTER:
            if not self._tracks:
                raise ChunksUnreadable("there is media before its header")
            run.skip(head)
            yield _CLUSTER_ID + _ANY_SIZE
        elif kind == SEGMENT:
            run.skip(head)
            if not self._tracks:
                yield SEGMENT.to_bytes(4, "big") + _ANY_SIZE
        elif kind in (EBML, INFO, TRACKS):
            data = run.take(head + size)
            if kind == TRACKS:
                _refuse_encoded(data[head:])
            if self._tracks or (kind == EBML and self._header):
                self._damage.note("there is a second header in it")
                return
            self._header = True
            self._tracks = kind == TRACKS
            yield data
        elif kind in _BLOCKS or kind == TIMESTAMP:
            yield from run.through(head + size)
        else:
            run.skip(head + size)

    def _resume(self, run: RunReader) -> Iterator[Piece]:
        """Goes on at the next cluster of the run, or to its end."""
        if not self._tracks:
            raise HeaderMissing("the media breaks off before its header is complete")
        while run.find(_CLUSTER_ID):
            element = element_at(run.peek(_LONGEST_HEAD))
            if element is not None:
                ahead = run.peek(element.head + _LONGEST_HEAD)[element.head :]
                child = element_at(ahead)
                if child is not None and child.kind in _IN_CLUSTER:
                    self._damage.broke()
                    yield Hole()
                    return
            run.skip(1)


def is_media_in_webm(piece: bytes) -> bool:
    """Of a piece that `clean_webm` gives: does it no longer belong to the header?"""
    return piece.startswith(_CLUSTER_ID)


def _refuse_encoded(tracks: bytes) -> None:
    """Raises ChunksUnreadable when a track's blocks would have to be unpacked."""
    for kind, track in _children(tracks):
        if kind == _TRACK_ENTRY and any(
            inner == _CONTENT_ENCODINGS for inner, _ in _children(track)
        ):
            raise ChunksUnreadable("its tracks are compressed or encrypted")


def _children(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(data):
        element = element_at(data[at : at + _LONGEST_HEAD])
        if element is None or element.size == _UNKNOWN:
            raise ChunksUnreadable("its header can't be read")
        begin = at + element.head
        at = begin + element.size
        yield element.kind, data[begin:at]
