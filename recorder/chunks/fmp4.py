"""Fragmented MP4 as browsers' recorders write it, box by box (ISO/IEC 14496-12). Pure.

What is kept is what media needs: `ftyp`, `moov`, and each `moof` with its `mdat`. Where a hole cut a
fragment's media off, zeros stand for what is missing, so that the samples before can be read; those
in the zeros are left out later. After a hole reading goes on at the next `moof`.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from recorder.chunks.pieces import Absent, Damage, Hole, Piece
from recorder.chunks.run_reader import RunReader
from recorder.errors import ChunksUnreadable, HeaderMissing

_IGNORED: Final = frozenset(
    {b"styp", b"sidx", b"ssix", b"free", b"skip", b"wide", b"emsg", b"prft", b"mfra", b"uuid"}
    | {b"meta", b"udta", b"pdin"}
)
_MAX_INDEX, _MAX_SKIPPED, _MAX_ABSENT = 1 << 24, 1 << 26, 1 << 26  # bytes
_MAX_MEDIA: Final = 1 << 32
_BOX: Final = struct.Struct("!I4s")
_LARGE: Final = struct.Struct("!Q")
_BASE_GIVEN: Final = 0x01  # tfhd: base-data-offset-present
_OFFSET_GIVEN: Final = 0x01  # trun: data-offset-present


class BoxHead(NamedTuple):
    kind: bytes
    head: int
    size: int  # with its head


def box_at(data: bytes, left: int) -> BoxHead | None:
    """The head of the box that begins with `data`, of `left` bytes in all; None when none does."""
    if len(data) < _BOX.size:
        return None
    size, kind = _BOX.unpack_from(data)
    if size == 0:
        return BoxHead(kind, _BOX.size, left)
    if size != 1:
        return BoxHead(kind, _BOX.size, size) if size >= _BOX.size else None
    if len(data) < 16:
        return None
    (size,) = _LARGE.unpack_from(data, _BOX.size)
    return BoxHead(kind, 16, size) if size >= 16 else None


def clean_fmp4(runs: Iterable[RunReader], damage: Damage, header: bytes = b"") -> Iterator[Piece]:
    """See `recorder.chunks.pieces.Cleaner`."""
    cleaner = _Fmp4(damage, header)
    if header:
        yield header
    for run in runs:
        yield from cleaner.run(run)


class _Fmp4:
    def __init__(self, damage: Damage, header: bytes) -> None:
        self._damage = damage
        self._header = bool(header)
        self._given = len(header)  # bytes so far
        self._moof: bytes | None = None

    def run(self, run: RunReader) -> Iterator[Piece]:
        self._moof = None
        if not run.begins:
            yield from self._resume(run)
        while run.left:
            box = box_at(run.peek(16), run.left)
            if box is None or not self._plausible(box, run):
                self._damage.torn = True
                self._damage.note("the media breaks off, or there is something else in it")
                run.skip(1)
                yield from self._resume(run)
                continue
            for piece in self._box(box, run):
                self._given += piece.count if isinstance(piece, Absent) else 0
                self._given += len(piece) if isinstance(piece, bytes) else 0
                yield piece
        self._end_of_run()

    def _end_of_run(self) -> None:
        if self._moof is not None:
            self._damage.torn = True
            self._damage.note("the media breaks off")

    def _plausible(self, box: BoxHead, run: RunReader) -> bool:
        if box.kind == b"mdat":
            absent = box.size - run.left
            return self._moof is not None and box.size <= _MAX_MEDIA and absent <= _MAX_ABSENT
        if box.size > run.left:
            return False
        if box.kind in (b"ftyp", b"moov", b"moof"):
            return box.size <= _MAX_INDEX
        return box.kind in _IGNORED and box.size <= _MAX_SKIPPED

    def _box(self, box: BoxHead, run: RunReader) -> Iterator[Piece]:
        self._damage.torn = False
        if box.kind in (b"ftyp", b"moov"):
            data = run.take(box.size)
            if self._header:
                self._damage.note("there is a second header in it")
            else:
                self._header = box.kind == b"moov"
                yield data
        elif box.kind == b"moof":
            if not self._header:
                raise ChunksUnreadable("there is media before its header")
            if self._moof is not None:
                self._damage.note("a fragment has no media")
            self._moof = run.take(box.size)
        elif box.kind == b"mdat":
            yield from self._fragment(box, run)
        else:
            run.skip(box.size)

    def _fragment(self, box: BoxHead, run: RunReader) -> Iterator[Piece]:
        assert self._moof is not None
        moof, self._moof = self._moof, None
        yield _placed(moof, self._given + len(moof) + box.head)
        absent = max(box.size - run.left, 0)
        yield run.take(box.head)
        yield from run.through(box.size - box.head - absent)
        if absent:
            self._damage.torn = True
            self._damage.note("the media breaks off")
            yield Absent(absent)

    def _resume(self, run: RunReader) -> Iterator[Piece]:
        """Goes on at the next fragment of the run, or to its end."""
        self._moof = None
        if not self._header:
            raise HeaderMissing("the media breaks off before its header is complete")
        while run.find(b"moof", before=4):
            ahead = run.peek(16)
            box = box_at(ahead, run.left)
            if box is not None and box.head == 8 and ahead[12:16] == b"mfhd":
                self._damage.broke()
                yield Hole()
                return
            run.skip(1)


def is_media_in_fmp4(piece: bytes) -> bool:
    """Of a piece that `clean_fmp4` gives: does it no longer belong to the header?"""
    return piece[4:8] == b"moof"


def _placed(moof: bytes, media_at: int) -> bytes:
    """`moof` with its media at this offset of the file: some writers give offsets from its begin."""
    try:
        bases = list(_bases(moof))
    except (struct.error, IndexError) as error:
        raise ChunksUnreadable("an index of a fragment can't be read") from error
    if not bases:
        return moof
    shift = media_at - min(first for _, _, first in bases)
    placed = bytearray(moof)
    for at, base, _ in bases:
        _LARGE.pack_into(placed, at, max(base + shift, 0))
    return bytes(placed)


def _bases(moof: bytes) -> Iterator[tuple[int, int, int]]:
    """Of each track that has one: where its base offset stands, what it is, where its media begins."""
    for kind, start, end in _inside(moof, _BOX.size, len(moof)):
        if kind != b"traf":
            continue
        base_at, offset = None, 0
        for inner, at, _ in _inside(moof, start, end):
            flags = int.from_bytes(moof[at + 1 : at + 4], "big")
            if inner == b"tfhd" and flags & _BASE_GIVEN:
                base_at = at + 8
            elif inner == b"trun" and flags & _OFFSET_GIVEN and not offset:
                (offset,) = struct.unpack_from("!i", moof, at + 8)
        if base_at is not None:
            (base,) = _LARGE.unpack_from(moof, base_at)
            yield base_at, base, base + offset


def _inside(data: bytes, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    while start + _BOX.size <= end:
        size, kind = _BOX.unpack_from(data, start)
        if size < _BOX.size or start + size > end:
            return
        yield kind, start + _BOX.size, start + size
        start += size
