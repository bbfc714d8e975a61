"""Whether a container is whole, and all its own, before a demuxer is let at it. Pure.

Reads boxes and chunk headers, not media. Everything a file says of itself is compared with its size:
a table that speaks of more samples than there are bytes is a bomb, or the file was cut.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final, NamedTuple, Protocol

from recorder.media.limits import MediaLimits, not_playable, truncated
from recorder.media.sniff import strange

LARGEST_INDEX: Final = 64 << 20
"""Bytes of a moov; it is held in memory. Phones refuse more than half of that."""
MOST_BOXES: Final = 400_000
MOST_ENTRIES: Final = 64
_BOX: Final = struct.Struct("!I4s")
_CONTAINERS: Final = frozenset({b"trak", b"mdia", b"minf", b"dinf", b"stbl"})
_LARGEST_AVI_HEADER: Final = 256 * 1024
_UNKNOWN_SIZES: Final = frozenset({0, 0xFFFFFFFF})


class ByteSource(Protocol):
    """A file that can be read anywhere."""

    def seek(self, offset: int, whence: int = ..., /) -> int: ...

    def read(self, size: int = ..., /) -> bytes: ...


class Box(NamedTuple):
    """A box of an MP4; `start` and `end` are offsets of what is in it."""

    kind: bytes
    at: int
    start: int
    end: int


def check_structure(file: ByteSource, format: str, size: int, limits: MediaLimits) -> bool:
    """True for a file of fragments, which does not say in one place how long it is.

    Raises FileRefused (truncated, not_playable, unsupported_format) for what is not whole, and
    too_large_picture for a header that says so, whatever its pictures are.
    """
    match format:
        case "mp4" | "mov" | "m4a":
            return _check_mp4(file, size, limits)
        case "webm" | "mkv":
            _check_matroska(file, size)
            _check_tracks(file, size, limits)
        case "avi":
            _check_avi_header(file, size, limits)
            _check_riff(file, size)
        case "wav":
            _check_riff(file, size)
        case _:
            pass  # streams of frames without a length
    return False


# --- MP4 and QuickTime (ISO/IEC 14496-12) ---------------------------------------------------------


def _check_mp4(file: ByteSource, size: int, limits: MediaLimits) -> bool:
    index: Box | None = None
    media = fragmented = False
    for box in _top_level(file, size):
        fragmented = fragmented or box.kind == b"moof"
        if box.kind == b"moov" and index is None:
            index = box
        media = media or box.kind == b"mdat"
    if index is None:
        raise truncated("it has no index (moov)")
    if not media:
        raise truncated("it has no media (mdat)")
    if index.end - index.start > LARGEST_INDEX:
        raise not_playable(f"its index (moov) has more than {LARGEST_INDEX >> 20} MiB")
    file.seek(index.start)
    moov = file.read(index.end - index.start)
    for box in _boxes(moov, 0, len(moov)):
        if box.kind == b"cmov":
            raise not_playable("its index is compressed (cmov): save it without that")
        _check_box(moov, box, size, limits)
    return fragmented


def _top_level(file: ByteSource, size: int) -> Iterator[Box]:
    at = 0
    for _ in range(MOST_BOXES):
        if at >= size:
            return
        file.seek(at)
        head = file.read(64)
        if at and not any(head):
            return  # some programs fill up with zeros
        if len(head) < _BOX.size:
            raise truncated(f"{len(head)} bytes are left over at its end")
        length, kind = _BOX.unpack_from(head)
        start = at + _BOX.size
        if length == 1 and len(head) >= 16:
            length, start = int.from_bytes(head[8:16]), at + 16
        elif length == 0:
            length = size - at
        if length < start - at or not all(32 <= byte < 127 or byte == 0xA9 for byte in kind):
            _refuse_stranger(head)
            return  # what cameras leave behind the film
        if at + length > size:
            raise truncated(f"a box of {length} bytes begins {size - at} bytes before its end")
        yield Box(kind, at, start, at + length)
        at += length
    raise not_playable(f"it has more than {MOST_BOXES} boxes")


def _refuse_stranger(head: bytes) -> None:
    if found := strange(head):
        refusal = not_playable(f"after its media there is {found}: send the film alone")
        refusal.code, refusal.status = "unsupported_format", 415
        raise refusal


def _boxes(data: bytes, start: int, end: int) -> Iterator[Box]:
    while start + _BOX.size <= end:
        length, kind = _BOX.unpack_from(data, start)
        if length == 0 and not any(data[start:end]):
            return  # QuickTime ends lists with zeros
        if length < _BOX.size or start + length > end:
            raise not_playable(f"its index is broken: a box of {length} bytes in {end - start}")
        yield Box(kind, start, start + _BOX.size, start + length)
        start += length


def _check_box(moov: bytes, box: Box, size: int, limits: MediaLimits) -> None:
    """`box` and what is in it, as far as a demuxer would believe it. At most five deep."""
    if box.kind in _CONTAINERS:
        for inner in _boxes(moov, box.start, box.end):
            _check_box(moov, inner, size, limits)
    elif box.kind == b"tkhd" and box.end - box.start >= 84:
        width, height = struct.unpack_from("!II", moov, box.end - 8)  # 16.16
        limits.check_size(width >> 16, height >> 16)
    elif box.kind == b"dref":
        _check_references(moov, box)
    elif box.kind in (b"stsz", b"stco", b"co64", b"stts", b"ctts"):
        _check_table(moov, box, size)


def _check_references(moov: bytes, box: Box) -> None:
    """Data references (8.7.2): media has to be in this very file."""
    entries = list(_boxes(moov, box.start + 8, box.end))
    if len(entries) > MOST_ENTRIES:
        raise not_playable("it refers to too many files")
    for entry in entries:
        flags = int.from_bytes(moov[entry.start : entry.start + 4]) & 0xFFFFFF
        if not flags & 1:
            raise not_playable("its media is in another file that it refers to: save it whole")


def _check_table(moov: bytes, box: Box, size: int) -> None:
    """Sample sizes (8.7.3), chunk offsets (8.7.5), times (8.6): against the bytes that are there."""
    if box.end - box.start < 8:
        raise not_playable("its index is broken")
    wide = {b"stsz": 4, b"stco": 4, b"co64": 8, b"stts": 8, b"ctts": 8}[box.kind]
    (first,) = struct.unpack_from("!I", moov, box.start + 4)
    at, count = box.start + 8, first
    if box.kind == b"stsz":
        if box.end - box.start < 12:
            raise not_playable("its index is broken")
        (count,) = struct.unpack_from("!I", moov, box.start + 8)
        at += 4
        if first:
            if first * count > size:
                raise truncated(f"it speaks of {first * count} bytes of samples")
            return
    if count * wide > box.end - at:
        raise not_playable(f"its index is broken: a table of {count} entries has no room for them")
    if box.kind in (b"stco", b"co64") and count:
        offsets = struct.unpack_from(f"!{count}{'I' if wide == 4 else 'Q'}", moov, at)
        if max(offsets) >= size:
            raise truncated(f"it speaks of media at byte {max(offsets)}")
    elif box.kind in (b"stts", b"ctts"):
        samples = sum(struct.unpack_from(f"!{2 * count}I", moov, at)[::2])
        if samples > size:
            raise not_playable(f"it speaks of {samples} samples, more than it has bytes")


# --- Matroska and WebM (RFC 8794, RFC 9559) -------------------------------------------------------

_EBML_HEADER, _SEGMENT, _VOID, _CLUSTER = 0x1A45DFA3, 0x18538067, 0xEC, 0x1F43B675
_TRACKS, _TRACK_ENTRY, _VIDEO, _PIXEL_WIDTH, _PIXEL_HEIGHT = 0x1654AE6B, 0xAE, 0xE0, 0xB0, 0xBA
_LARGEST_TRACKS: Final = 1 << 20


def _check_matroska(file: ByteSource, size: int) -> None:
    """The header and one segment, which may have no known end (from browsers' recorders)."""
    at, segments = 0, 0
    for _ in range(MOST_ENTRIES):
        if at >= size:
            break
        file.seek(at)
        head = file.read(64)
        if at and not any(head):
            break
        element = _element(head)
        if element is None or element[0] not in (_EBML_HEADER, _SEGMENT, _VOID):
            _refuse_stranger(head)
            break
        kind, length, start = element
        if kind == _EBML_HEADER and at:
            _refuse_stranger(head)
        segments += kind == _SEGMENT
        if length is None:
            return
        if at + start + length > size:
            raise truncated(f"it speaks of {at + start + length} bytes, and {size} are there")
        at += start + length
    if not segments:
        raise truncated("it has no media (Segment)")


def _check_tracks(file: ByteSource, size: int, limits: MediaLimits) -> None:
    """The sizes of pictures that the tracks' headers say, where those stand before the media."""
    at, tracks = 0, b""
    for _ in range(MOST_ENTRIES):
        file.seek(at)
        element = _element(file.read(16))
        if element is None or element[0] == _CLUSTER or at >= size:
            return
        kind, length, start = element
        if kind == _TRACKS and length is not None:
            file.seek(at + start)
            tracks = file.read(min(length, _LARGEST_TRACKS))
            break
        # a segment is gone into, everything else passed by
        at += start if kind == _SEGMENT else start + (length or 0)
    for track in _elements(tracks, _TRACK_ENTRY):
        for video in _elements(track, _VIDEO):
            for width in _elements(video, _PIXEL_WIDTH):
                for height in _elements(video, _PIXEL_HEIGHT):
                    limits.check_size(int.from_bytes(width), int.from_bytes(height))


def _elements(data: bytes, wanted: int) -> Iterator[bytes]:
    """What is in the elements of this id, one after the other."""
    at = 0
    while (element := _element(data[at : at + 16])) is not None:
        kind, length, start = element
        end = len(data) if length is None else at + start + length
        if kind == wanted:
            yield data[at + start : end]
        at = end


def _element(head: bytes) -> tuple[int, int | None, int] | None:
    """Id, length (None for unknown) and where its content begins."""
    id_length = _vint_length(head, 4)
    if id_length is None:
        return None
    size_length = _vint_length(head[id_length:], 8)
    if size_length is None or len(head) < id_length + size_length:
        return None
    number = int.from_bytes(head[id_length : id_length + size_length])
    mask = (1 << 7 * size_length) - 1
    length = number & mask
    return (
        int.from_bytes(head[:id_length]),
        None if length == mask else length,
        id_length + size_length,
    )


def _vint_length(data: bytes, longest: int) -> int | None:
    if not data or not data[0]:
        return None
    length = 9 - data[0].bit_length()
    return length if length <= longest and length <= len(data) else None


# --- RIFF: AVI and WAVE ---------------------------------------------------------------------------


def _check_riff(file: ByteSource, size: int) -> None:
    at = 0
    for _ in range(MOST_ENTRIES):
        if at >= size - 1:
            return
        file.seek(at)
        head = file.read(64)
        if at and (not any(head) or head[:4] != b"RIFF"):
            _refuse_stranger(head)
            return
        length = int.from_bytes(head[4:8], "little")
        if length in _UNKNOWN_SIZES:
            return  # written as a stream
        if at + 8 + length > size:
            raise truncated(f"it speaks of {at + 8 + length} bytes, and {size} are there")
        at += 8 + length + (length & 1)
    raise not_playable("it has too many RIFF chunks")


def _check_avi_header(file: ByteSource, size: int, limits: MediaLimits) -> None:
    """The sizes of pictures that stream headers say (`strf` of a `vids`)."""
    file.seek(12)
    head = file.read(min(_LARGEST_AVI_HEADER, max(0, size - 12)))
    for kind, start, end in _chunks(head, 0, len(head)):
        if kind == b"LIST" and head[start : start + 4] == b"hdrl":
            for inner, first, last in _chunks(head, start + 4, end):
                if inner == b"LIST" and head[first : first + 4] == b"strl":
                    _check_avi_stream(head, first + 4, last, limits)


def _check_avi_stream(head: bytes, start: int, end: int, limits: MediaLimits) -> None:
    is_video = False
    for kind, first, last in _chunks(head, start, end):
        if kind == b"strh":
            is_video = head[first : first + 4] == b"vids"
        elif kind == b"strf" and is_video and last - first >= 12:
            width, height = struct.unpack_from("<ii", head, first + 4)
            limits.check_size(abs(width), abs(height))


def _chunks(data: bytes, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Kind, start and end of what is in each chunk, as far as it is in `data`."""
    while start + 8 <= end:
        kind, length = struct.unpack_from("<4sI", data, start)
        start += 8
        yield kind, start, min(start + length, end)
        start += length + (length & 1)
