"""Uploads of users' own files: announced here, sent straight into the store wherever it lets them.

`uploadUrl` and the links to parts lead to the bucket; where it takes no forms, and with the local
provider, to this server, signed likewise. Those addresses need no token, and pages of any origin may use
them, as with a bucket.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Final

from aiohttp import hdrs, web
from pydantic import Field, StrictInt, StringConstraints

from recorder.errors import NotYourUpload, UnknownUpload
from recorder.uploads.service import Parts, SignedPart
from signaling.clock import iso
from signaling.errors import Forbidden
from signaling.rest.bodies import Body, Name, read_body
from signaling.rest.envelope import ok
from signaling.rest.media import answer
from signaling.rest.objects import received, received_form
from signaling.rest.origin import origin_of
from signaling.rest.services import principal, services_of
from storage.catalog import UploadRow
from storage.errors import StorageError
from storage.objects import Part, SignedForm
from storage.objects.local_grants import Grant
from storage.objects.part_sizes import MAX_PARTS

FORM_PATH: Final = "/api/v1/media/upload/form/"
# What a session's status is called outside.
STATUS: Final = {"open": "uploading", "finishing": "processing", "done": "completed"}

SessionKey = Annotated[str, StringConstraints(min_length=1, max_length=64)]
Key = Annotated[str, StringConstraints(min_length=1, max_length=950)]


class Announcement(Body):
    own_codes: ClassVar[bool] = True

    filename: Annotated[str, StringConstraints(min_length=1, max_length=1024)]
    file_size: StrictInt
    content_type: Annotated[str, StringConstraints(max_length=256)] = ""
    course_id: Name | None = None


class PartsWanted(Body):
    own_codes: ClassVar[bool] = True

    session_key: SessionKey
    part_numbers: list[StrictInt] = Field(min_length=1, max_length=MAX_PARTS)


class SentPart(Body):
    part_number: StrictInt = Field(ge=1, le=MAX_PARTS)
    etag: Annotated[str, StringConstraints(max_length=256)] = ""


class Completion(Body):
    own_codes: ClassVar[bool] = True

    session_key: SessionKey
    storage_key: Key
    parts: list[SentPart] | None = Field(default=None, max_length=MAX_PARTS)


class Told(Body):
    own_codes: ClassVar[bool] = True

    bytes_uploaded: StrictInt


async def initiate(request: web.Request) -> web.Response:
    """POST /api/v1/media/upload/initiate"""
    services, user = services_of(request), uploader(request)
    wanted = await read_body(request, Announcement)
    row = await services.uploads.initiate(
        user,
        wanted.filename,
        wanted.file_size,
        wanted.content_type,
        wanted.course_id,
        room=shared_room(request),
    )
    answer: dict[str, Any] = {
        "sessionKey": row.id,
        "storageKey": row.storage_key,
        "expiresIn": int(services.uploads.limits.timeout.total_seconds()),
        "contentType": row.content_type,
    }
    try:
        ticket = await services.uploads.ticket(row)
    except StorageError:  # nobody got the key of this session
        await services.uploads.abort(row)
        raise
    match ticket:
        case SignedForm() as form:
            answer |= {"uploadUrl": _absolute(request, form.url), "fields": dict(form.fields)}
        case Parts() as parts:
            answer |= {"partSize": parts.size, "parts": parts.count}
        case through:
            link = services.links.sign(FORM_PATH + row.id, services.uploads.limits.timeout)
            answer |= {"uploadUrl": _absolute(request, link), "fields": dict(through.fields)}
    return ok(answer)


async def sign_parts(request: web.Request) -> web.Response:
    """POST /api/v1/media/upload/parts"""
    principal(request)  # who may not ask hears nothing of what is wrong with the body
    wanted = await read_body(request, PartsWanted)
    row = await own_upload(request, wanted.session_key)
    signed = await services_of(request).uploads.sign_parts(row, wanted.part_numbers)
    return ok({"urls": [_signed_part(request, each) for each in signed]})


async def complete(request: web.Request) -> web.Response:
    """POST /api/v1/media/upload/complete: the media file."""
    services = services_of(request)
    principal(request)
    wanted = await read_body(request, Completion)
    row = await own_upload(request, wanted.session_key)
    parts = None
    if wanted.parts is not None:
        parts = [Part(part.part_number, part.etag) for part in wanted.parts]
    media = await services.uploads.complete(row, wanted.storage_key, parts)
    return ok(answer(request, media))


async def show_progress(request: web.Request) -> web.Response:
    """GET /api/v1/media/upload/progress/{sessionKey}"""
    return ok(await _progress(request, await own_upload(request, request.match_info["sessionKey"])))


async def tell_progress(request: web.Request) -> web.Response:
    """PUT /api/v1/media/upload/progress/{sessionKey}: by clients whose bytes pass by this server."""
    principal(request)
    told = await read_body(request, Told)
    row = await own_upload(request, request.match_info["sessionKey"])
    row = await services_of(request).uploads.tell(row, told.bytes_uploaded)
    return ok(await _progress(request, row))


async def abort(request: web.Request) -> web.Response:
    """DELETE /api/v1/media/upload/{sessionKey}"""
    row = await own_upload(request, request.match_info["sessionKey"])
    row = await services_of(request).uploads.abort(row)
    return ok({"sessionKey": row.id, "status": row.status})


async def post_form(request: web.Request) -> web.Response:
    """POST /api/v1/media/upload/form/{sessionKey}: the file, where its store takes no forms."""
    services = services_of(request)
    session_key = request.match_info["sessionKey"]
    services.links.verify(FORM_PATH + session_key, request.query.get("sig", ""))
    row = await services.uploads.own(session_key, None)
    fields, read = await received_form(request)
    expected = [("key", row.storage_key), ("Content-Type", row.content_type)]
    if sorted(fields) != sorted(expected):
        raise NotYourUpload("the fields of the form are not those that were signed")
    grant = Grant("POST", row.storage_key, 0, smallest=row.size, largest=row.size)
    await services.uploads.take_stream(row, received(read, grant))
    return web.Response(status=204)


async def _progress(request: web.Request, row: UploadRow) -> dict[str, Any]:
    progress = await services_of(request).uploads.progress(row)
    eta = progress.eta_seconds if row.status == "open" else 0.0
    return {
        "sessionKey": row.id,
        "status": STATUS.get(row.status, row.status),
        "uploadProgress": round(progress.percent, 2),
        "bytesUploaded": progress.received,
        "fileSize": row.size,
        "etaSeconds": eta and max(round(eta, 1), 0.1),
        "uploadSpeedMbps": round(progress.speed, 3),
        "expiresAt": iso(row.expires_at),
        "mediaId": row.media_id,
        "error": row.error and {"code": row.error["code"], "message": row.error["message"]},
    }


def _signed_part(request: web.Request, part: SignedPart) -> dict[str, Any]:
    # a browser sets the length of a body itself, and lets no page do so
    headers = {
        name: value for name, value in part.request.headers.items() if name != hdrs.CONTENT_LENGTH
    }
    return {
        "partNumber": part.number,
        "method": part.request.method,
        "url": _absolute(request, part.request.url),
        "headers": headers,
        "expiresAt": iso(part.request.expires_at),
    }


async def own_upload(
    request: web.Request, session_key: str, *, method: str | None = None
) -> UploadRow:
    """The caller's session, any for a server; one of this method if that is said.

    Raises Unauthorized, UnknownUpload, NotYourUpload.
    """
    who = principal(request)
    user = None if who.role == "server" else who.identity
    row = await services_of(request).uploads.own(session_key, user)
    if method not in (None, row.method):
        raise UnknownUpload(f"the upload with this key is not sent by {method}")
    return row


def uploader(request: web.Request) -> str:
    """Raises Unauthorized, and Forbidden for a server's own token: files belong to users."""
    who = principal(request)
    if not who.identity:
        raise Forbidden(
            "files belong to users: use a token with an identity (`sub`)", code="identity_needed"
        )
    return who.identity


def shared_room(request: web.Request) -> str | None:
    """The room whose people share a limit with the caller; hosts are not made up by guests."""
    who = principal(request)
    return who.room if who.role in ("participant", "audience") else None


def _absolute(request: web.Request, url: str) -> str:
    """Links of the local provider have no host: it is the one under which we were asked."""
    return origin_of(request) + url if url.startswith("/") else url
