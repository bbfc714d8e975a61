"""Large request bodies: read late, in pieces, and refused before they come.

A client that sends `Expect: 100-continue` is told to go on only when its body is about to be read; until
then it gets a refusal without having sent anything.
"""

from __future__ import annotations

import base64
import re
from collections.abc import AsyncIterator
from typing import Final

from aiohttp import HttpVersion11, hdrs, web

from recorder.chunks.files import Algorithm, Digest
from signaling.errors import InvalidRequest
from signaling.rest.objects import Pace, is_packed

READ_ANYHOW: Final = 64 * 1024  # bytes of a body that are here before a refusal is
DIGEST_MEMBER: Final = re.compile(
    r"[ \t]*([a-z*][a-z0-9_.*-]*)=:([A-Za-z0-9+/]*={0,2}):[ \t]*(?:;.*)?", re.ASCII
)
ALGORITHMS: Final[tuple[tuple[str, Algorithm, int], ...]] = (
    ("sha-256", "sha256", 32),
    ("sha-512", "sha512", 64),
)


async def expect_later(request: web.Request) -> None:
    """An `expect_handler` that leaves the word to whoever reads the body."""
    expected = request.headers.get(hdrs.EXPECT, "")
    if expected.lower() != "100-continue":
        raise web.HTTPExpectationFailed


async def body_blocks(request: web.Request) -> AsyncIterator[bytes]:
    """The body as it arrives.

    Raises InvalidRequest when it breaks off, HTTPRequestTimeout after a minute without a byte, or
    for what comes as slowly as `Pace` does not allow.
    """
    if hdrs.EXPECT in request.headers and request.version == HttpVersion11:
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0
    pace = Pace()
    while block := await pace.next(request.content.readany):
        yield block


async def end_unread(request: web.Request, response: web.StreamResponse) -> None:
    """Signal `on_response_prepare`: a refusal whose request has a body that nobody waits for.

    The server still takes what comes for a while, so that the client gets to read the answer; then
    the connection ends, or else the rest of the body would stand before the next request.
    """
    if response.status < 400 or not request.can_read_body or request.content.at_eof():
        return
    size = request.content_length
    if hdrs.EXPECT in request.headers or size is None or size > READ_ANYHOW:
        response.force_close()
        response.headers[hdrs.CONNECTION] = "close"


def check_plain(request: web.Request) -> None:
    """Raises HTTPUnsupportedMediaType for packed bodies: aiohttp would unpack them without a limit."""
    if is_packed(request):
        raise web.HTTPUnsupportedMediaType


def content_digests(request: web.Request) -> list[Digest]:
    """What `Content-Digest` (RFC 9530) says of the body, in the algorithms that we know.

    Raises InvalidRequest.
    """
    values = request.headers.getall("Content-Digest", [])
    named: dict[str, str] = {}
    for member in ",".join(values).split(",") if values else []:
        if (found := DIGEST_MEMBER.fullmatch(member)) is None:
            raise _bad_digest()
        named[found[1]] = found[2]
    return [
        Digest(algorithm, _digest_value(named[name], size))
        for name, algorithm, size in ALGORITHMS
        if name in named
    ]


def _digest_value(text: str, size: int) -> bytes:
    try:
        value = base64.b64decode(text, validate=True)
    except ValueError:
        raise _bad_digest() from None
    if len(value) != size:
        raise _bad_digest()
    return value


def _bad_digest() -> InvalidRequest:
    return InvalidRequest(
        "`Content-Digest` has to be like `sha-256=:<base64 of the digest>:` (RFC 9530)",
        code="bad_digest",
    )
