"""Playlists and cues name the files beside them; served, they name signed links instead.

A playlist (RFC 8216) names the one file that it cuts into segments; cues (WebVTT) name the picture
of which they show regions (`strip.jpg#xywh=0,0,160,90`, Media Fragments 1.0). Both kinds of name are
those of the files where they were made, which no address of the API has.

A link is ten times as long as a name, and stands at every segment: neighbours of very long playlists
are joined, so that eight hours with a keyframe each second still have a playlist under 1 MB.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Final, NamedTuple

LARGEST_TEXT: Final = 2 * 1024 * 1024
"""Bytes of a playlist or of cues: eight hours have less than half of it."""

MOST_SEGMENTS: Final = 4000

_SEGMENT: Final = re.compile(
    r"#EXTINF:(\d+(?:\.\d+)?),\n#EXT-X-BYTERANGE:(\d+)@(\d+)\n[^#\n]+\n", re.ASCII
)
_TARGET: Final = re.compile(r"(?<=^#EXT-X-TARGETDURATION:)\d+", re.ASCII | re.MULTILINE)
_URI: Final = re.compile(r'(?<=[:,]URI=")[^"]*')
_PICTURE: Final = re.compile(r"^[^\s#]+(?=#xywh=)")


class _Segment(NamedTuple):
    seconds: float
    size: int
    offset: int


def playlist(text: str, media: str) -> str:
    """The playlist with `media` in place of every name: of segments, and of what starts them."""
    shorter = _joined("\n".join(text.splitlines()) + "\n")
    return "".join(_playlist_line(line, media) + "\n" for line in shorter.splitlines())


def cues(text: str, picture: str) -> str:
    """The cues with `picture` in place of the file whose regions they name."""
    return "\n".join(_PICTURE.sub(lambda _: picture, line) for line in text.splitlines()) + "\n"


def _playlist_line(line: str, media: str) -> str:
    if not line.strip():
        return line
    return _URI.sub(lambda _: media, line) if line.startswith("#") else media


def _joined(text: str) -> str:
    """The same with neighbouring segments made one, as far as there are too many of them."""
    found = list(_SEGMENT.finditer(text))
    if len(found) <= MOST_SEGMENTS or any(a.end() != b.start() for a, b in pairwise(found)):
        return text
    segments = [_Segment(float(a), int(b), int(c)) for a, b, c in (one.groups() for one in found)]
    together = -(-len(segments) // MOST_SEGMENTS)
    groups = (segments[at : at + together] for at in range(0, len(segments), together))
    longer = [each for group in groups for each in _neighbours(group)]
    lines = (
        f"#EXTINF:{each.seconds:.3f},\n#EXT-X-BYTERANGE:{each.size}@{each.offset}\nmedia\n"
        for each in longer
    )
    whole = text[: found[0].start()] + "".join(lines) + text[found[-1].end() :]
    target = math.floor(max(each.seconds for each in longer) + 0.5)
    return _TARGET.sub(str(target), whole)


def _neighbours(group: Sequence[_Segment]) -> Iterator[_Segment]:
    """What of a group lies in one piece, as one segment."""
    first, *others = group
    for each in others:
        if each.offset == first.offset + first.size:
            first = _Segment(first.seconds + each.seconds, first.size + each.size, first.offset)
        else:
            yield first
            first = each
    yield first
