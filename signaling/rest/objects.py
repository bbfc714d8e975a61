"""What signed links of the local store lead to: objects and parts go through this server.

The links are checked first, then what the request says of itself, then its body while it arrives;
an object or a part appears only when all of it has come and was as signed. Whoever signs decides
who may do what: no token is needed here, and pages of any origin may use a link, as with a bucket.

Names and types of objects are chosen by users, and our own pages live on the same origin. So what a
browser gets here is sandboxed, and shown only when it is media or plain text, else saved.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Final, TypeVar

from aiohttp import BodyPartReader, MultipartReader, hdrs, web
from aiohttp.http import HttpProcessingError

from recorder.errors import UploadOver
from signaling.errors import Forbidden, InvalidRequest, NotFound
from signaling.rest.sending import FileAnswer, entity_tag
from signaling.rest.services import services_of
from signaling.rest.turns import COPIES_AT_ONCE, LINK_TURNS
from storage.errors import LinkExpired, LinkInvalid, UploadGone
from storage.objects.disposition import content_disposition
from storage.objects.local_attributes import UNKNOWN_TYPE
from storage.objects.local_grants import Grant
from storage.objects.local_signing import LocalSigner

STALL_SECONDS: Final = 60.0  # without a single byte; after that the client is gone
SLOWEST: Final = 512  # bytes a second, on average: who sends less only holds a place
ROOM_EVERY: Final = 16 << 20  # bytes between two looks at how much room is left for more
CHUNK_BYTES: Final = 64 * 1024
LARGEST_FIELD: Final = 8 * 1024  # bytes of a form's field other than the file
MOST_FIELDS: Final = 32

# A user's HTML or SVG runs nothing, asks nothing and is of no origin; media documents still play.
OBJECT_POLICY: Final = (
    "sandbox; default-src 'none'; media-src 'self'; img-src 'self'; style-src 'unsafe-inline'"
)
SHOWN: Final = re.compile(r"(?:audio|video|image)/(?!svg)[\w.+-]+|text/plain", re.ASCII)
MEDIA_TYPE: Final = re.compile(r"[\w!#$&^.+-]+/[\w!#$&^.+-]+(?:\s*;[ -~]*)?", re.ASCII)
Result = TypeVar("Result")
Read = Callable[[], Awaitable[bytes]]


async def read_object(request: web.Request) -> web.StreamResponse:
    """GET, HEAD /objects/{key}"""
    signer = _signer(request)
    grant = _granted(request, "GET")
    info = await signer.store.head(grant.key)
    content_type = grant.content_type or info.content_type
    if not MEDIA_TYPE.fullmatch(content_type):
        content_type = UNKNOWN_TYPE
    shown = SHOWN.fullmatch(content_type.partition(";")[0].strip().lower())
    name = grant.file_name or grant.key.rpartition("/")[2]
    return FileAnswer(
        signer.store.path(grant.key),
        headers={
            "Content-Type": content_type,
            "Content-Disposition": content_disposition(
                name, download=bool(grant.download) or not shown
            ),
            "Content-Security-Policy": OBJECT_POLICY,
            "X-Content-Type-Options": "nosniff",
            "Cross-Origin-Resource-Policy": "cross-origin",
            "Cache-Control": "private, no-cache",
        },
    )


async def put_object(request: web.Request) -> web.Response:
    """PUT /objects/{key}: a whole object, or a part of one. The answer's ETag is what it became."""
    signer = _signer(request)
    grant = _granted(request, "PUT")
    _check_head(request, grant)
    with request.app[LINK_TURNS].turn(f"{grant.key}\n{grant.part}", COPIES_AT_ONCE):
        body = _while_there_is_room(request, received(request.content.readany, grant))
        if grant.part:
            try:
                etag = await signer.receive_part(grant, body)
            except UploadGone as gone:
                raise NotFound(str(gone), code=gone.code) from None
        else:
            etag = await _store(signer, grant, body)
    return web.Response(headers={"ETag": f'"{etag}"'})


async def post_object(request: web.Request) -> web.Response:
    """POST /objects: a form as `LocalSigner.sign_post` describes it."""
    signer = _signer(request)
    fields, read = await received_form(request)
    grant = _or_forbidden(lambda: signer.verify_form(fields))
    uploads = services_of(request).uploads
    await uploads.expect_form(grant.key)
    with request.app[LINK_TURNS].turn(grant.key, COPIES_AT_ONCE):
        body = _told(received(read, grant), lambda size: signer.on_arrival(grant.key, size))
        etag = await _store(signer, grant, _while_there_is_room(request, body))
        try:
            await uploads.expect_form(grant.key)
        except UploadOver:  # it ended meanwhile, and so did whoever would remove this
            await signer.store.delete(grant.key)
            raise
    return web.Response(status=204, headers={"ETag": f'"{etag}"'})


async def received_form(request: web.Request) -> tuple[list[tuple[str, str]], Read]:
    """The fields of a form, and what reads the file behind them. Raises InvalidRequest,
    HTTPUnsupportedMediaType, HTTPRequestTimeout.
    """
    async with readable():
        if request.content_type != "multipart/form-data" or is_packed(request):
            raise web.HTTPUnsupportedMediaType
        fields, file = await _fields_and_file(await request.multipart())

    async def read() -> bytes:
        while not file.at_eof():
            if block := await file.read_chunk(CHUNK_BYTES):
                return bytes(block)
        return b""

    return fields, read


async def received(
    read: Read, grant: Grant, patience: float = STALL_SECONDS
) -> AsyncIterator[bytes]:
    """A body as it arrives, held to the sizes that were signed. `read` gives b"" at the end.

    Raises InvalidRequest when it is shorter or breaks off, HTTPRequestEntityTooLarge at the first
    byte too many, HTTPRequestTimeout after `patience` seconds without a byte, or when it is slower
    than `Pace` allows.
    """
    size, pace = 0, Pace(patience)
    while block := await pace.next(read):
        size += len(block)
        if size > grant.largest:
            raise web.HTTPRequestEntityTooLarge(max_size=grant.largest, actual_size=size)
        yield block
    if size < grant.smallest:
        raise _too_short(size, grant)


class Pace:
    """Reads a body whose sender may be slow, but not so slow that it only holds its place for ever:
    after `patience` seconds of waiting for bytes, SLOWEST of them have to have come for every more.
    """

    def __init__(self, patience: float = STALL_SECONDS) -> None:
        self._patience = patience
        self._waited = 0.0
        self._size = 0

    async def next(self, read: Read) -> bytes:
        """Raises InvalidRequest when the body breaks off, HTTPRequestTimeout."""
        began = time.monotonic()
        async with readable(self._patience):
            block = await read()
        self._waited += time.monotonic() - began  # what we do with it is not the sender's fault
        self._size += len(block)
        if block and self._size < SLOWEST * (self._waited - self._patience):
            raise web.HTTPRequestTimeout
        return block


async def _while_there_is_room(
    request: web.Request, blocks: AsyncIterator[bytes]
) -> AsyncIterator[bytes]:
    """The same blocks. Raises DiskLow before there is no room for what comes."""
    space = services_of(request).space
    await asyncio.to_thread(space.check_arrival, request.content_length or 0)
    size, looked_at = 0, 0
    async for block in blocks:
        size += len(block)
        if size - looked_at >= ROOM_EVERY:
            looked_at = size
            await asyncio.to_thread(space.check_arrival)
        yield block


async def _told(blocks: AsyncIterator[bytes], tell: Callable[[int], None]) -> AsyncIterator[bytes]:
    """The same blocks; `tell` hears how many bytes have passed."""
    size = 0
    async for block in blocks:
        size += len(block)
        tell(size)
        yield block


async def _store(signer: LocalSigner, grant: Grant, body: AsyncIterator[bytes]) -> str:
    await signer.store.put_stream(grant.key, body, grant.content_type or UNKNOWN_TYPE)
    return (await entity_tag(signer.store.path(grant.key))).strip('"')


def _check_head(request: web.Request, grant: Grant) -> None:
    """What can be refused before the body. Raises Forbidden, InvalidRequest, HTTPException."""
    if not grant.part and request.headers.get(hdrs.CONTENT_TYPE, "") != grant.content_type:
        raise Forbidden(
            f"the link is for an object of type {grant.content_type}", code="content_type_refused"
        )
    if is_packed(request):
        raise web.HTTPUnsupportedMediaType  # aiohttp would unpack it: other bytes than signed
    size = request.content_length
    if size is not None and size > grant.largest:
        raise web.HTTPRequestEntityTooLarge(max_size=grant.largest, actual_size=size)
    if size is not None and size < grant.smallest:
        raise _too_short(size, grant)


def is_packed(request: web.Request) -> bool:
    """Would aiohttp unpack the body? Of several such headers it believes the last."""
    encodings = request.headers.getall(hdrs.CONTENT_ENCODING, ())
    return any(each.strip().lower() != "identity" for each in encodings)


async def _fields_and_file(
    reader: MultipartReader,
) -> tuple[list[tuple[str, str]], BodyPartReader]:
    """The fields before the file, and the file unread. Raises InvalidRequest."""
    fields: list[tuple[str, str]] = []
    while isinstance(part := await reader.next(), BodyPartReader):
        if part.name == "file":
            return fields, part
        fields.append((part.name or "", await _field(part)))
        if len(fields) > MOST_FIELDS:
            break
    raise InvalidRequest("the form has no field `file` behind the signed fields")


async def _field(part: BodyPartReader) -> str:
    value = b""
    while not part.at_eof():
        value += await part.read_chunk(CHUNK_BYTES)
        if len(value) > LARGEST_FIELD:
            raise InvalidRequest(f"a field of the form is longer than {LARGEST_FIELD} bytes")
    return value.decode()


@asynccontextmanager
async def readable(patience: float = STALL_SECONDS) -> AsyncIterator[None]:
    """Turn what goes wrong while a body is read into the client's fault, which it is.

    Raises InvalidRequest, and HTTPRequestTimeout after `patience` seconds.
    """
    try:
        async with asyncio.timeout(patience):
            yield
    except TimeoutError:
        raise web.HTTPRequestTimeout from None
    except (OSError, ValueError, web.RequestPayloadError, HttpProcessingError):
        raise InvalidRequest("the body broke off or could not be read", code="bad_body") from None


def _signer(request: web.Request) -> LocalSigner:
    return services_of(request).local_objects


def _granted(request: web.Request, method: str) -> Grant:
    """Raises Forbidden: link_invalid, link_expired."""
    signer, key = _signer(request), request.match_info["key"]
    pairs: Iterable[tuple[str, str]] = request.query.items()
    return _or_forbidden(lambda: signer.verify(method, key, pairs))


def _or_forbidden(verify: Callable[[], Result]) -> Result:
    try:
        return verify()
    except (LinkInvalid, LinkExpired) as refused:
        raise Forbidden(str(refused), code=refused.code) from None


def _too_short(size: int, grant: Grant) -> InvalidRequest:
    return InvalidRequest(
        f"{size} bytes are fewer than the {grant.smallest} that were signed", code="body_too_short"
    )
