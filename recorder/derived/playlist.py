"""Segments of a fragmented file, and the playlist that names them (RFC 8216). Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from recorder.derived.fragments import Fragment, FragmentedFile


@dataclass(frozen=True, slots=True)
class Segment:
    """`size` bytes from `offset` that play for `duration` seconds."""

    offset: int
    size: int
    duration: float


def segments_of(file: FragmentedFile) -> list[Segment]:
    """Whole fragments from one that begins with a keyframe up to the next.

    The first begins at 0; the last ends with the last sample of any track.
    """
    groups: list[list[Fragment]] = []
    for fragment in file.fragments:
        if not groups or file.video is None or fragment.keyframe:
            groups.append([])
        groups[-1].append(fragment)
    leading = file.tracks[0] if file.video is None else file.video
    times = [0.0, *(group[0].begins[leading] for group in groups[1:])]
    times.append(max(end for fragment in groups[-1] for end in fragment.ends.values()))
    return [
        Segment(group[0].offset, sum(part.size for part in group), times[number + 1] - time)
        for number, (time, group) in enumerate(zip(times[:-1], groups, strict=True))
    ]


def playlist_text(media: str, header_size: int, segments: Sequence[Segment]) -> str:
    """A playlist for what is complete. `media` is the file's name, relative to the playlist."""
    longest = max(segment.duration for segment in segments)
    lines = [
        "#EXTM3U",
        "#EXT-X-VERSION:7",
        f"#EXT-X-TARGETDURATION:{max(_rounded(longest), 1)}",
        "#EXT-X-MEDIA-SEQUENCE:0",
        "#EXT-X-PLAYLIST-TYPE:VOD",
        "#EXT-X-INDEPENDENT-SEGMENTS",
        f'#EXT-X-MAP:URI="{media}",BYTERANGE="{header_size}@0"',
        *_entries(media, segments),
        "#EXT-X-ENDLIST",
    ]
    return "\n".join(lines) + "\n"


def _entries(media: str, segments: Iterable[Segment]) -> Iterable[str]:
    for segment in segments:
        yield f"#EXTINF:{segment.duration:.3f},"
        yield f"#EXT-X-BYTERANGE:{segment.size}@{segment.offset}"
        yield media


def _rounded(seconds: float) -> int:
    """Half up: section 4.3.3.1 compares durations rounded to the nearest integer."""
    return math.floor(seconds + 0.5)
