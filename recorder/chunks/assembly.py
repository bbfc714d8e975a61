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
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import av

from recorder.bitstream import Size
from recorder.chunks.headers import Header
from recorder.chunks.parts import PartChunks
from recorder.chunks.pauses import Pauses
from recorder.chunks.reading_back import read_back
from recorder.chunks.remux import Container, LedgerOf, Made, Remux, Wish
from recorder.chunks.run_reader import RunReader
from recorder.chunks.salvage import SalvagedPart
from recorder.chunks.sniffing import Format, format_of
from recorder.chunks.webm import clean_webm
from recorder.errors import ChunksUnreadable, HeaderMissing
from recorder.integrity import TrackLedger
from recorder.job_process import DISK_FULL
from recorder.local_files import partial_of, put_in_place, sha256_of

_NO_ROOM: Final = DISK_FULL | {errno.EFBIG, errno.EROFS}


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
    pauses: Pauses


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
    header: Header | None = None,
    pauses: Pauses | None = None,
) -> AssembledPart:
    """Makes the file of a part: `stem` with the suffix of its container.

    `lacks_end`: chunks are missing at its end. `header` is lent by another part; `pauses` are looked
    for when they are not given. Raises HeaderMissing, ChunksUnreadable when nothing playable can be
    made of it, MuxFailed when the file is not what went into it, OSError.
    """
    kind = header.kind if header else _format(part)
    data = header.data if header else b""
    wish = Wish(kind, part, stem, ledger_of, lacks_end, data, pauses)
    try:
        made = Remux(wish, on_bytes).run()
        if made.changing or made.empty or (pauses is None and made.pauses.found):
            wish = replace(  # all of which is known at the end only
                wish,
                pauses=made.pauses,
                tag="avc3" if made.changing else None,
                without=made.empty,
            )
            made = Remux(wish, lambda _: None).run()
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
        pauses=made.pauses,
    )


def _format(part: PartChunks) -> Format:
    first = next((run for run in part.runs if run.first == 0), None)
    if first is None:
        raise HeaderMissing("chunk 0 is missing, and the header with it")
    kind = format_of(RunReader((block.data for block in part.blocks(first)), first.size))
    if kind == "plain_mp4" and len(part.runs) > 1:
        raise ChunksUnreadable("chunks are missing in an MP4 that has one index for all")
    return kind


def _content_type(made: Made) -> str:
    kind = "video" if any(ledger.kind == "video" for ledger in made.ledgers) else "audio"
    return f"{kind}/{'x-matroska' if made.container == 'matroska' else made.container}"
