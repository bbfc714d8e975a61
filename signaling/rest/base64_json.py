"""A JSON body with one long base64 text in it, read as it arrives. Pure.

`LongField` takes the text of one field out of the top level of an object, wherever it stands, and keeps
the rest, which is small, for an ordinary parser. `Base64Text` decodes such a text piece by piece. So a
chunk of any size passes through a few kilobytes of memory. Texts may be `data:` URLs, and what is
usually taken for one by mistake is told so.
"""

from __future__ import annotations

import binascii
import json
import re
from typing import Any, Final, Never

from signaling.errors import InvalidRequest

LONGEST_REST: Final = 64 * 1024  # bytes of a body beside the long field
LONGEST_HEAD: Final = 1024  # of a `data:` URL, before its comma
LONGEST_MISTAKE: Final = 256  # pieces of such heads are shorter
STRUCTURE: Final = re.compile(rb'["{}\[\]:,]')
STRING_END: Final = re.compile(rb'["\\]')
TEXT: Final = re.compile(rb'[^"\\]*(?:\\(?:[^u]|u.{4})[^"\\]*)*', re.DOTALL)  # whole escapes only
DATA: Final = b"data:"
BASE64: Final = b";base64,"
QUANTUM: Final = 4  # characters that are three bytes
NOT_BASE64: Final = "chunk_not_base64"


class LongField:
    """Feed it a body; what `feed` gives back is the field's text, in pieces.

    In `rest` the field's text is empty. Raises InvalidRequest where the body can't be read.
    """

    def __init__(self, name: str) -> None:
        self.rest = bytearray()
        self._name = name
        self._step = self._between
        self._depth = 0
        self._expects_name = False
        self._field: Any = None
        self._text_at = 0
        self._cut = b""
        self._seen = False
        self._found: list[bytes] = []

    def feed(self, data: bytes) -> list[bytes]:
        at = 0
        while at < len(data):
            at = self._step(data, at)
            if len(self.rest) > LONGEST_REST:
                raise InvalidRequest(
                    f"the fields beside `{self._name}` are longer than {LONGEST_REST} bytes"
                )
        found, self._found = self._found, []
        return found

    def close(self) -> None:
        """The body has ended. Raises InvalidRequest when it ended within a text."""
        if self._step != self._between:
            raise InvalidRequest("the body broke off within a text", code="bad_body")

    # Each step reads from `at` and returns where the next one begins.

    def _between(self, data: bytes, at: int) -> int:
        found = STRUCTURE.search(data, at)
        if found is None:
            self.rest += data[at : at + LONGEST_REST + 1]
            return len(data)
        self.rest += data[at : min(found.end(), at + LONGEST_REST + 1)]
        self._structure(found.group())
        return found.end()

    def _structure(self, character: bytes) -> None:
        if character == b'"':
            self._begin_text()
        elif character in b"{[":
            self._depth += 1
            if self._depth == 1:
                self._expects_name = character == b"{"
        elif character in b"}]":
            self._depth -= 1
        elif self._depth == 1:
            self._expects_name = character == b","

    def _begin_text(self) -> None:
        self._text_at = len(self.rest) - 1
        is_value = self._depth == 1 and not self._expects_name
        if not is_value or self._field != self._name:
            self._step = self._in_text
            return
        if self._seen:
            raise InvalidRequest(f"`{self._name}` stands twice in the body")
        self._seen = True
        self._step = self._in_field

    def _in_text(self, data: bytes, at: int) -> int:
        found = STRING_END.search(data, at)
        end = found.end() if found else len(data)
        self.rest += data[at : min(end, at + LONGEST_REST + 1)]
        if found and found.group() == b"\\":
            self._step = self._after_backslash
        elif found:
            self._step = self._between
            if self._depth == 1 and self._expects_name:
                self._field = _text(bytes(self.rest[self._text_at :]))
        return end

    def _after_backslash(self, data: bytes, at: int) -> int:
        self.rest += data[at : at + 1]
        self._step = self._in_text
        return at + 1

    def _in_field(self, data: bytes, at: int) -> int:
        text = self._cut + data[at:] if self._cut else data[at:]
        end = text.find(b'"')
        if b"\\" in (text if end < 0 else text[:end]):
            found = TEXT.match(text)
            assert found is not None  # it matches nothing at least
            end = found.end()
        elif end < 0:
            end = len(text)
        if end:
            self._found.append(_unescaped(text[:end]))
        next_at = at + end - len(self._cut)
        self._cut = b""
        if text[end : end + 1] == b'"':
            self.rest += b'"'
            self._step = self._between
            return next_at + 1
        self._cut = text[end:]  # of an escape: its end is still to come
        return len(data)


class Base64Text:
    """Decodes base64, or a `data:` URL, piece by piece.

    Raises InvalidRequest with the code chunk_not_base64 and what is wrong.
    """

    def __init__(self) -> None:
        self._start: bytes | None = b""  # until it is clear what this is
        self._rest = b""
        self._padded = False

    def feed(self, text: bytes) -> bytes:
        if self._start is not None:
            self._start += text
            text = self._behind_head(self._start)
            if self._start is not None:
                return b""
        return self._decode(self._rest + text)

    def close(self) -> bytes:
        """What is left. Raises InvalidRequest when the text was cut."""
        decoded = b""
        if self._start is not None:
            start, self._start = self._start, None
            if start.lower() == DATA:  # what browsers have made of an empty blob
                return b""
            if start.lower().startswith(DATA):
                _refuse(start)
            decoded = self._decode(start)
        if self._rest:
            raise InvalidRequest(
                "`chunk` is not base64: it ends within a group of four characters; was it cut?",
                code=NOT_BASE64,
            )
        return decoded

    def _behind_head(self, start: bytes) -> bytes:
        """What comes behind the head of a URL; `_start` is None when that has been found."""
        if start[: len(DATA)].lower() != DATA[: len(start)]:
            if len(start) < LONGEST_MISTAKE:
                return b""
            self._start = None
            return start
        comma = start.lower().find(BASE64)
        if comma >= 0:
            self._start = None
            return start[comma + len(BASE64) :]
        if len(start) > LONGEST_HEAD:
            _refuse(start)
        return b""

    def _decode(self, text: bytes) -> bytes:
        whole = len(text) - len(text) % QUANTUM
        text, self._rest = text[:whole], text[whole:]
        if text and self._padded:
            raise InvalidRequest(
                "`chunk` is not base64: more text follows its end; encode the whole blob at once",
                code=NOT_BASE64,
            )
        try:
            decoded = binascii.a2b_base64(text, strict_mode=True)
        except binascii.Error:
            _refuse(text + self._rest)
        self._padded = self._padded or text.endswith(b"=")
        return decoded


def _refuse(text: bytes) -> Never:
    if b"," not in text and (b";base64" in text.lower() or text[:5].lower() == DATA):
        shown = text[:60].decode("ascii", "replace")
        raise InvalidRequest(
            f"`chunk` is not base64 but a piece of a data: URL's head ({shown!a}): types like"
            ' `video/webm;codecs=vp8,opus` have a comma of their own, so `dataUrl.split(",")[1]`'
            ' gives the wrong piece; send `dataUrl.split(";base64,")[1]`, or the whole URL',
            code=NOT_BASE64,
        )
    raise InvalidRequest(
        "`chunk` is not base64 (RFC 4648, section 4), nor a data: URL with `;base64,`",
        code=NOT_BASE64,
    )


def _unescaped(text: bytes) -> bytes:
    """What is not ASCII is no base64 either way: it may come out as anything that is none."""
    if b"\\" not in text:
        return text
    return _text('"' + text.decode("latin-1") + '"').encode("latin-1", "replace")


def _text(token: str | bytes) -> str:
    """A JSON text with its quotes. Raises InvalidRequest."""
    try:
        return str(json.loads(token))
    except ValueError:
        raise InvalidRequest("the body is not JSON: a text in it can't be read") from None
