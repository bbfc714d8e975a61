"""Captions as users bring them: WebVTT files, checked before they are kept. Pure."""

from __future__ import annotations

import re
from typing import Final

from recorder.errors import BadCaptions

LARGEST: Final = 1 << 20
"""Bytes of a file of captions: a film of two hours has a tenth of that."""
MOST_LANGUAGES: Final = 50
CONTENT_TYPE: Final = "text/vtt"

_LANGUAGE: Final = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{1,8}){0,3}", re.ASCII)
_TIME: Final = r"(?:(\d{2,}):)?([0-5]\d):([0-5]\d\.\d{3})"
_TIMING: Final = re.compile(rf"{_TIME}[ \t]+-->[ \t]+{_TIME}(?:[ \t].*)?", re.ASCII)


def canonical_language(language: str) -> str:
    """`pt-BR` of a language tag like `PT-br`, whose case says nothing (RFC 5646, section 2.1.1).

    Raises BadCaptions for what is none.
    """
    if not _LANGUAGE.fullmatch(language):
        raise BadCaptions(
            f"{language[:20]!r} is no language tag, which looks like `de` or `pt-BR`",
        )
    first, *others = language.split("-")
    return "-".join([first.lower(), *map(_cased, others)])


def _cased(subtag: str) -> str:
    """Countries are written BR, scripts Latn, the rest small."""
    match len(subtag):
        case 2:
            return subtag.upper()
        case 4:
            return subtag.capitalize()
        case _:
            return subtag.lower()


def check_captions(data: bytes) -> int:
    """How many cues there are. Raises BadCaptions for what is no WebVTT (W3C, section 4)."""
    if len(data) > LARGEST:
        raise BadCaptions(f"captions may have {LARGEST} bytes, and these have {len(data)}")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise BadCaptions("captions have to be in UTF-8") from None
    lines = re.split("\r\n|\n|\r", text)
    if not re.fullmatch("WEBVTT([ \t].*)?", lines[0]):
        raise BadCaptions("captions have to be WebVTT: the first line is `WEBVTT`")
    if "\0" in text:
        raise BadCaptions("captions have no zero bytes in them")
    cues = 0
    for number, line in enumerate(lines[1:], 2):
        if "-->" in line:
            _check_timing(line.strip(), number)
            cues += 1
    if not cues:
        raise BadCaptions("there is no cue in it: `00:01.000 --> 00:02.500` and a line of text")
    return cues


def _check_timing(line: str, number: int) -> None:
    found = _TIMING.fullmatch(line)
    if found is None:
        raise BadCaptions(f"line {number} is no timing like `00:01.000 --> 00:02.500`")
    begin, end = _seconds(*found.groups()[:3]), _seconds(*found.groups()[3:])
    if end <= begin:
        raise BadCaptions(f"line {number}: the cue ends before it begins")


def _seconds(hours: str | None, minutes: str, rest: str) -> float:
    return int(hours or 0) * 3600 + int(minutes) * 60 + float(rest)
