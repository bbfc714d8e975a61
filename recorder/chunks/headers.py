"""Headers that parts lend each other.

Without its first chunk nothing says what a part's bytes are: which codecs, which tracks, which clock.
But one browser's recorder writes the same header whenever it is started for the same kind of media. So
the header of another part of the participant is tried, those of the same announced type first. Whether
it fits shows only when everything behind it decodes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from heapq import nsmallest
from typing import Any, Final

from recorder.chunks.fmp4 import clean_fmp4, is_media_in_fmp4
from recorder.chunks.parts import PartChunks, Run
from recorder.chunks.pieces import Damage
from recorder.chunks.run_reader import RunReader
from recorder.chunks.sniffing import Format, format_of
from recorder.chunks.webm import clean_webm, is_media_in_webm
from recorder.errors import ChunksUnreadable

MOST_TRIED: Final = 4
_MOST_READ: Final = 16


@dataclass(frozen=True, slots=True)
class Header:
    """What stands before the first media of a part."""

    part: int
    kind: Format
    data: bytes


def lent_headers(
    wanting: int, parts: Mapping[int, PartChunks], facts: Mapping[int, Mapping[str, Any]]
) -> Iterator[Header]:
    """Of parts of the type that was announced for `wanting`, or of an unknown one; the likeliest first.

    Raises OSError.
    """
    tried: set[bytes] = set()
    for number in _likeliest(wanting, parts, facts):
        header = header_of(number, parts[number])
        if header is not None and header.data not in tried:
            tried.add(header.data)
            yield header
            if len(tried) == MOST_TRIED:
                return


def header_of(number: int, part: PartChunks) -> Header | None:
    """None of a part that has none to lend. Raises OSError."""
    first = next((run for run in part.runs if run.first == 0), None)
    if first is None:
        return None
    try:
        kind = format_of(_reader(part, first))
        if kind == "plain_mp4":
            return None
        clean, is_media = (
            (clean_webm, is_media_in_webm) if kind == "webm" else (clean_fmp4, is_media_in_fmp4)
        )
        found = b""
        for piece in clean([_reader(part, first)], Damage()):
            if not isinstance(piece, bytes):
                return None
            if is_media(piece):
                return Header(number, kind, found)
            found += piece
    except ChunksUnreadable:
        pass
    return None


def _reader(part: PartChunks, run: Run) -> RunReader:
    return RunReader((block.data for block in part.blocks(run)), run.size)


def _likeliest(
    wanting: int, parts: Mapping[int, PartChunks], facts: Mapping[int, Mapping[str, Any]]
) -> list[int]:
    wanted = _type_of(facts.get(wanting, {}))

    def is_other(number: int) -> bool:
        said = _type_of(facts.get(number, {}))
        return bool(said and wanted) and said != wanted

    def unlike(number: int) -> tuple[bool, bool, int]:
        same_source = facts.get(number, {}).get("source") == facts.get(wanting, {}).get("source")
        same_type = _type_of(facts.get(number, {})) == wanted
        return not same_type, not same_source, abs(number - wanting)

    others = [number for number in parts if number != wanting and not is_other(number)]
    return nsmallest(_MOST_READ, others, key=unlike)


def _type_of(facts: Mapping[str, Any]) -> str:
    said = facts.get("mimeType")
    return "".join(said.split()).lower() if isinstance(said, str) else ""
