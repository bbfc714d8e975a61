"""The envelope every JSON answer travels in, and the one table from errors to HTTP statuses."""

from __future__ import annotations

import logging
import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import web

from mediaserver.errors import MediaError
from recorder import errors as recorder_errors
from signaling import errors
from storage import errors as storage_errors

log: Final = logging.getLogger(__name__)

API_PREFIXES: Final = ("/api/", "/video-calls/", "/objects")

# The first class that fits decides, so the particular stands before the general.
STATUS_OF: Final[tuple[tuple[type[Exception], int], ...]] = (
    (errors.InvalidRequest, 400),
    (errors.Unauthorized, 401),
    (errors.Forbidden, 403),
    (errors.NotFound, 404),
    (errors.Conflict, 409),
    (errors.Expired, 410),
    (errors.TooMany, 429),
    (errors.Unavailable, 503),
    (recorder_errors.AlreadyRecording, 409),
    (recorder_errors.RecordingActive, 409),
    (recorder_errors.UnknownRecording, 404),
    (recorder_errors.UnknownRender, 404),
    (recorder_errors.BadRenderOptions, 400),
    (recorder_errors.RecordingEnded, 409),
    (recorder_errors.SetComplete, 409),
    (recorder_errors.ChunksMissing, 409),
    (recorder_errors.BadChunkNumber, 400),
    (recorder_errors.ChunkConflict, 409),
    (recorder_errors.DigestMismatch, 422),
    (recorder_errors.ChunkRefused, 413),
    (recorder_errors.BadUpload, 400),
    (recorder_errors.FileTooLarge, 413),
    (recorder_errors.FormatRefused, 415),
    (recorder_errors.TooManyUploads, 429),
    (recorder_errors.UnknownUpload, 404),
    (recorder_errors.NotYourUpload, 403),
    (recorder_errors.UploadOver, 410),
    (recorder_errors.UploadBusy, 409),
    (recorder_errors.UploadIncomplete, 409),
    (recorder_errors.UploadDiffers, 409),
    (recorder_errors.OffsetConflict, 409),
    (recorder_errors.WrongChecksum, 460),  # tus has a status of its own for it
    (recorder_errors.FileRefused, 415),  # its own status counts
    (recorder_errors.NothingToRender, 409),
    (recorder_errors.TooManyRenders, 429),
    (recorder_errors.UnknownMedia, 404),
    (recorder_errors.NotYourMedia, 403),
    (recorder_errors.MediaDeleted, 410),
    (recorder_errors.BadRendition, 400),
    (recorder_errors.TooManyRenditions, 429),
    (recorder_errors.BadCaptions, 400),
    (recorder_errors.TooManyEntries, 409),
    (recorder_errors.StorageFailed, 503),
    (recorder_errors.JobPostponed, 503),
    (recorder_errors.MediaRefused, 503),
    (recorder_errors.JournalsUnwritable, 503),
    (recorder_errors.DiskLow, 507),
    (storage_errors.BadValue, 400),
    (storage_errors.BadKey, 404),
    (storage_errors.BadMetadata, 400),
    (storage_errors.BadParts, 400),
    (storage_errors.LinkInvalid, 403),
    (storage_errors.LinkExpired, 403),
    (storage_errors.UploadGone, 404),
    (storage_errors.ObjectNotFound, 404),
    (storage_errors.RowNotFound, 404),
    (storage_errors.InviteUnknown, 404),
    (storage_errors.InviteExpired, 410),
    (storage_errors.InviteUsedUp, 410),
    (storage_errors.StatusConflict, 409),
    (storage_errors.StoreFull, 507),
    (storage_errors.StoreUnavailable, 503),
    (storage_errors.CatalogUnavailable, 503),
    (MediaError, 503),
)
HTTP_CODES: Final = {
    404: "not_found",
    405: "method_not_allowed",
    408: "request_timeout",
    413: "payload_too_large",
    415: "unsupported_media_type",
}
RETRY_AFTER_SECONDS: Final = 5

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def ok(data: Any, status: int = 200) -> web.Response:
    return web.json_response({"success": True, "data": data}, status=status)


def page(items: list[Any], *, page: int, limit: int, total: int) -> web.Response:
    return ok({"items": items, "page": page, "limit": limit, "total": total})


def failure(
    status: int, code: str, message: str, details: Mapping[str, Any] | None = None
) -> web.Response:
    error: dict[str, Any] = {"code": code, "message": message}
    if details:
        error["details"] = dict(details)
    headers = {}
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    elif status in (429, 503):
        headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    return web.json_response({"success": False, "error": error}, status=status, headers=headers)


@dataclass(frozen=True, slots=True)
class Refusal:
    """What a client is told of an error of one of our trees."""

    status: int
    code: str
    message: str
    details: Mapping[str, Any] | None


def refusal_of(error: Exception) -> Refusal | None:
    """None for a bug of our own."""
    status = next((status for kind, status in STATUS_OF if isinstance(error, kind)), None)
    if status is None:
        return None
    details = getattr(error, "details", None)
    if isinstance(error, recorder_errors.AlreadyRecording):
        details = {"recordingId": error.recording_id}
    if isinstance(error, recorder_errors.BadRenderOptions):
        details = {"fields": [{"field": error.field, "problem": str(error)}]}
    if isinstance(error, recorder_errors.FileRefused):
        status = error.status
    return Refusal(status, getattr(error, "code", "error"), str(error), details)


def failure_of(error: Exception) -> web.Response | None:
    """The answer to an error of one of our trees; None for a bug of our own."""
    refusal = refusal_of(error)
    if refusal is None:
        return None
    answer = failure(refusal.status, refusal.code, refusal.message, refusal.details)
    if isinstance(error, recorder_errors.TooManyUploads):
        answer.headers["Retry-After"] = str(math.ceil(error.retry_after))
    return answer


@web.middleware
async def enveloped(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Errors of the API become envelopes; elsewhere plain HTTP errors stay what they are."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        if not request.path.startswith(API_PREFIXES) or error.status < 400:
            raise
        code = HTTP_CODES.get(error.status, "http_error")
        # aiohttp's text of a body that is too large says how large it may be
        message = error.text if error.status == 413 and error.text else error.reason.lower()
        answer = failure(error.status, code, message)
        if "Allow" in error.headers:
            answer.headers["Allow"] = error.headers["Allow"]
        return answer
    except ConnectionResetError:  # whoever asked hung up; nobody hears the answer
        return failure(400, "connection_lost", "the connection was closed")
    except Exception as error:  # the supervisor of all handlers
        answer_to_error = failure_of(error)
        if answer_to_error is not None:
            return answer_to_error
        log.exception("%s %s failed", request.method, request.path)
        return failure(500, "internal_error", "the server made a mistake; its log says more")
