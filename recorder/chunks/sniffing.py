"""What a part's bytes are, whatever its sender called them. Pure."""

from __future__ import annotations

from typing import Final, Literal

from recorder.chunks.fmp4 import box_at
from recorder.chunks.run_reader import RunReader
from recorder.errors import ChunksUnreadable, HeaderMissing

Format = Literal["webm", "fragmented_mp4", "plain_mp4"]

_EBML: Final = b"\x1a\x45\xdf\xa3"
_FIRST_BOXES: Final = frozenset({b"ftyp", b"styp", b"moov", b"wide", b"free", b"skip"})
_MAX_INDEX: Final = 1 << 24
_MOST_BOXES: Final = 64


def format_of(run: RunReader) -> Format:
    """Takes bytes from the beginning of a part. Raises ChunksUnreadable when they are no media."""
    head = run.peek(12)
    if head.startswith(_EBML):
        return "webm"
    if head[4:8] in _FIRST_BOXES:
        return _mp4(run)
    raise ChunksUnreadable("this is neither WebM nor MP4")


def _mp4(run: RunReader) -> Format:
    """Fragmented, unless its media lies before its index or the index says that all is in it."""
    for _ in range(_MOST_BOXES):
        box = box_at(run.peek(16), run.left)
        if box is not None and box.kind == b"mdat":
            return "plain_mp4"
        if box is None or box.size > run.left:
            break
        if box.kind == b"moov":
            if box.size > _MAX_INDEX:
                break
            return "fragmented_mp4" if b"mvex" in run.take(box.size) else "plain_mp4"
        run.skip(box.size)
    raise HeaderMissing("the MP4 header is not complete")
