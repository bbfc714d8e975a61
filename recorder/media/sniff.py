"""What a file is by its own bytes, whatever it is called. Pure.

Only formats that are known here have names; all else (texts, playlists, programs, pictures) has none.
A file that some other program would take for something else as well is a polyglot: browsers look for
a page in the first 1445 bytes (WHATWG MIME Sniffing), readers for a PDF in the first 1024, and unpackers
for an archive at the end.
"""

from __future__ import annotations

import re
import struct
from typing import Final

HEAD: Final = 4096
"""Bytes from the beginning that `sniff` and `disguise` want."""
TAIL: Final = 66 * 1024
"""Bytes from the end that `disguise` wants: an archive's last record and its longest comment."""

CONTENT_TYPES: Final = {
    "mp4": ("video/mp4", "audio/mp4"),
    "m4a": ("video/mp4", "audio/mp4"),
    "mov": ("video/quicktime", "video/quicktime"),
    "webm": ("video/webm", "audio/webm"),
    "mkv": ("video/x-matroska", "audio/x-matroska"),
    "avi": ("video/x-msvideo", "video/x-msvideo"),
    "ogg": ("video/ogg", "audio/ogg"),
    "mp3": ("audio/mpeg", "audio/mpeg"),
    "wav": ("audio/wav", "audio/wav"),
    "flac": ("audio/flac", "audio/flac"),
}
"""Media types by format: of video, and of sound alone."""

_IMAGE_BRANDS: Final = frozenset({b"heic", b"heix", b"mif1", b"msf1", b"avif", b"avis", b"crx "})
_SOUND_BRANDS: Final = frozenset({b"M4A ", b"M4B ", b"F4A ", b"F4B "})
_OLD_QUICKTIME: Final = frozenset({b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot"})
_LARGEST_FTYP: Final = 1024
_EBML: Final = b"\x1a\x45\xdf\xa3"
_DOCTYPE: Final = re.compile(rb"\x42\x82[\x01-\xff][\x00-\x1f]{0,7}?(webm|matroska)")
_MAGIC: Final = {b"OggS\x00": "ogg", b"fLaC\x00": "flac"}
_RIFF: Final = {b"AVI ": "avi", b"WAVE": "wav"}
_PAGE: Final = re.compile(
    rb"<!doctype\s+html|<html|<head|<body|<script|<iframe|<\?php|%pdf-|#extm3u|ffconcat version",
    re.IGNORECASE,
)
_ARCHIVE_END: Final = struct.Struct("<4s4H2LH")
_STRANGE: Final = (
    (b"PK\x03\x04", "a ZIP archive"),
    (b"PK\x05\x06", "a ZIP archive"),
    (b"Rar!\x1a\x07", "a RAR archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (b"%PDF-", "a PDF"),
    (b"\x7fELF", "a program"),
    (b"MZ", "a program"),
    (b"#!", "a script"),
    (b"\x89PNG\r\n", "a picture"),
    (b"GIF8", "a picture"),
    (b"\xff\xd8\xff", "a picture"),
    (b"\x1f\x8b\x08", "a compressed file"),
)


def sniff(head: bytes) -> str | None:
    """The format of a file that begins with `head`: a key of CONTENT_TYPES; None for all others."""
    if head[4:8] == b"ftyp":
        return _by_brand(head)
    if head.startswith(_EBML):
        return _by_doctype(head)
    if head[:4] in (b"RIFF", b"RF64"):
        return _RIFF.get(head[8:12])
    return _by_magic(head)


def _by_magic(head: bytes) -> str | None:
    tagged = head.startswith(b"ID3") and len(head) > 10 and head[3] < 0xFF and max(head[6:10]) < 128
    if tagged or _is_layer_3(head):
        return "mp3"
    if head[4:8] in _OLD_QUICKTIME and _plausible(head):
        return "mov"
    return next((name for magic, name in _MAGIC.items() if head.startswith(magic)), None)


def disguise(head: bytes, tail: bytes) -> str | None:
    """What else this file would be taken for; None for an honest one.

    `head` and `tail` are its first and last bytes, HEAD and TAIL of them or all there are.
    """
    found = _PAGE.search(head)
    if found is not None:
        word = found[0].lower()
        return "a PDF" if word.startswith(b"%pdf") else "a page, a script or a playlist"
    return "a ZIP archive" if _ends_an_archive(tail) else None


def strange(data: bytes) -> str | None:
    """What begins with `data`, where nothing should: after the end of the media."""
    if found := sniff(data):
        return f"another file ({found.upper()})"
    if _PAGE.search(data[:64]):
        return "a page, a script or a PDF"
    return next((name for magic, name in _STRANGE if data.startswith(magic)), None)


def _by_brand(head: bytes) -> str | None:
    size = int.from_bytes(head[:4])
    brand = head[8:12]
    if not 16 <= size <= _LARGEST_FTYP or size % 4 or brand in _IMAGE_BRANDS:
        return None
    if brand == b"qt  ":
        return "mov"
    return "m4a" if brand in _SOUND_BRANDS else "mp4"


def _by_doctype(head: bytes) -> str | None:
    """EBML's DocType element (RFC 8794, 11.2.6) stands within the first header."""
    found = _DOCTYPE.search(head[:256])
    return None if found is None else {b"webm": "webm", b"matroska": "mkv"}[found[1]]


def _is_layer_3(head: bytes) -> bool:
    """Two headers of MPEG audio layer III where the first one says (ISO/IEC 11172-3, 2.4.2.3)."""
    first = _layer_3_length(head[:4])
    return first is not None and _layer_3_length(head[first : first + 4]) is not None


_RATES_1: Final = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_RATES_2: Final = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_SAMPLING: Final = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}


def _layer_3_length(header: bytes) -> int | None:
    """Bytes of a frame; None for what is no header."""
    if len(header) < 4 or header[0] != 0xFF or header[1] & 0xE6 != 0xE2:
        return None
    version, bitrate, sampling = header[1] >> 3 & 3, header[2] >> 4, header[2] >> 2 & 3
    if version == 1 or bitrate in (0, 15) or sampling == 3:
        return None
    rate = (_RATES_1 if version == 3 else _RATES_2)[bitrate] * 1000
    factor = 144 if version == 3 else 72
    return factor * rate // _SAMPLING[version][sampling] + (header[2] >> 1 & 1)


def _plausible(head: bytes) -> bool:
    """A first box whose length is not text: 0 (to the end), 1 (see there), or not absurd."""
    size = int.from_bytes(head[:4])
    return size in (0, 1) or (8 <= size < 1 << 30 and not head[:4].isalnum())


def _ends_an_archive(tail: bytes) -> bool:
    """A ZIP's last record whose comment reaches just to the end (APPNOTE 4.3.16)."""
    at = tail.rfind(b"PK\x05\x06")
    while at >= 0:
        if len(tail) - at >= _ARCHIVE_END.size:
            record = _ARCHIVE_END.unpack_from(tail, at)
            if at + _ARCHIVE_END.size + record[7] == len(tail):
                return True
        at = tail.rfind(b"PK\x05\x06", 0, at)
    return False
