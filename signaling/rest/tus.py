"""tus 1.0: resumable uploads in pieces, for Uppy, tus-js-client and whoever else speaks it.

Core protocol, creation, creation-with-upload, expiration, checksum, termination. Every request carries
its token, and an upload is that identity's own. The answer to a piece tells the offset that is on the
disk; the answer to the last piece comes when the file is in the media library, or with the reason why
it was refused. `Upload-Media-Id` is then the id of the media file.
"""

from __future__ import annotations

import functools
from datetime import datetime
from email.utils import format_datetime
from typing import Final

from aiohttp import hdrs, web

from recorder.errors import BadUpload, RecorderError
from recorder.uploads.tus import Piece, Read
from signaling.errors import InvalidRequest
from signaling.rest.envelope import Handler, failure, failure_of
from signaling.rest.incoming import body_blocks
from signaling.rest.objects import is_packed
from signaling.rest.services import services_of
from signaling.rest.tus_headers import (
    BODY_TYPE,
    DIGEST_BYTES,
    EXTENSIONS,
    VERSION,
    read_checksum,
    read_number,
    read_wish,
)
from signaling.rest.uploads import own_upload, shared_room, uploader
from storage.catalog import UploadRow
from storage.errors import StorageError

COLLECTION: Final = "/api/v1/media/tus"
WAITING: Final = (409, 503, 507)  # statuses of what is right a little later
OVERRIDE: Final = "X-HTTP-Method-Override"  # for clients behind proxies that know GET and POST only


def tus(handler: Handler) -> Handler:
    """What every request and every answer has: the version."""

    @functools.wraps(handler)
    async def answer(request: web.Request) -> web.StreamResponse:
        if request.headers.get("Tus-Resumable") != VERSION:
            response: web.StreamResponse = failure(
                412, "unsupported_tus_version", f"Tus-Resumable has to be {VERSION}"
            )
            response.headers["Tus-Version"] = VERSION
        else:
            response = await _answer(handler, request)
        response.headers["Tus-Resumable"] = VERSION
        return response

    return answer


async def capabilities(request: web.Request) -> web.Response:
    """OPTIONS /api/v1/media/tus: what this server can do; no token needed."""
    largest = services_of(request).settings.max_video_size_mb << 20
    headers = {
        "Tus-Resumable": VERSION,
        "Tus-Version": VERSION,
        "Tus-Extension": EXTENSIONS,
        "Tus-Max-Size": str(largest),
        "Tus-Checksum-Algorithm": ",".join(DIGEST_BYTES),
    }
    return web.Response(status=204, headers=headers)


@tus
async def create(request: web.Request) -> web.StreamResponse:
    """POST /api/v1/media/tus: a new upload, with or without its first bytes."""
    user, wish = uploader(request), read_wish(request.headers)
    service = services_of(request).tus
    brings = request.headers.get(hdrs.CONTENT_TYPE) == BODY_TYPE and request.can_read_body
    piece = _piece(request, 0) if brings else None
    row = await service.create(
        user,
        wish.filename,
        wish.size,
        wish.content_type,
        wish.course_id,
        wish.metadata,
        shared_room(request),
    )
    headers = {"Location": f"{COLLECTION}/{row.id}"}
    if piece is not None:
        row = await service.append_first(row, piece)
        headers["Upload-Offset"] = str(row.received)
    return web.Response(status=201, headers=headers | _fate(row))


@tus
async def show(request: web.Request) -> web.StreamResponse:
    """HEAD /api/v1/media/tus/{id}: where to go on.

    A client to whom this is refused begins a new upload, except by 423; so that is what it hears
    while the file waits for its store, or another request has the turn.
    """
    row = await own_upload(request, request.match_info["id"], method="tus")
    try:
        row = await services_of(request).tus.look_up(row)
    except (RecorderError, StorageError) as error:
        answer = failure_of(error)
        if answer is None:
            raise
        if answer.status in WAITING:
            answer.set_status(423)
        return answer
    headers = {"Upload-Offset": str(row.received), "Upload-Length": str(row.size)}
    if told := row.metadata.get("tus"):
        headers["Upload-Metadata"] = str(told)
    return web.Response(headers=headers | _fate(row))


@tus
async def append(request: web.Request) -> web.StreamResponse:
    """PATCH /api/v1/media/tus/{id}: the next piece."""
    row = await own_upload(request, request.match_info["id"], method="tus")
    if request.headers.get(hdrs.CONTENT_TYPE) != BODY_TYPE:
        return failure(415, "unsupported_media_type", f"the body has to be {BODY_TYPE}")
    piece = _piece(request, read_number(request.headers, "Upload-Offset"))
    row = await services_of(request).tus.append(row, piece)
    return web.Response(status=204, headers={"Upload-Offset": str(row.received)} | _fate(row))


@tus
async def terminate(request: web.Request) -> web.StreamResponse:
    """DELETE /api/v1/media/tus/{id}: the upload is not wanted any more."""
    row = await own_upload(request, request.match_info["id"], method="tus")
    await services_of(request).tus.terminate(row)
    return web.Response(status=204)


async def overridden(request: web.Request) -> web.StreamResponse:
    """POST /api/v1/media/tus/{id}: another method, named in a header."""
    handlers = {"PATCH": append, "DELETE": terminate, "HEAD": show}
    handler = handlers.get(request.headers.get(OVERRIDE, "").upper())
    if handler is None:
        raise web.HTTPMethodNotAllowed(request.method, handlers)
    return await handler(request)


async def _answer(handler: Handler, request: web.Request) -> web.StreamResponse:
    try:
        return await handler(request)
    except Exception as error:  # of our trees; others go on to the supervisor of all handlers
        answer = failure_of(error)
        if answer is None:
            raise
        return answer


def _piece(request: web.Request, offset: int) -> Piece:
    """Raises InvalidRequest, BadUpload."""
    if is_packed(request):
        # it would be unpacked on the way: other bytes than those that the offset counts
        raise BadUpload("the body must not be encoded", code="bad_content_encoding")
    checksum = read_checksum(request.headers)
    return Piece(
        offset=offset,
        read=_reader(request),
        size=request.content_length,
        algorithm=checksum.algorithm if checksum else None,
        checksum=checksum.digest if checksum else b"",
    )


def _reader(request: web.Request) -> Read:
    blocks = body_blocks(request)

    async def read() -> bytes:
        try:
            return await anext(blocks, b"")
        except InvalidRequest as error:
            raise BadUpload(error.message, code=error.code) from None
        except web.HTTPRequestTimeout:
            raise BadUpload("the body comes too slowly", code="too_slow") from None

    return read


def _fate(row: UploadRow) -> dict[str, str]:
    """What becomes of the upload: when it expires, or which media file it is."""
    if row.status == "done":
        return {"Upload-Media-Id": row.media_id or ""}
    return {"Upload-Expires": _http_date(row.expires_at)}


def _http_date(moment: datetime) -> str:
    return format_datetime(moment, usegmt=True)
