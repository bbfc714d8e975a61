"""The media library: a user's own files, found, described, processed, deleted and brought back.

Every file is its owner's alone; a token without an identity is a server's, and may do everything.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Final, Literal

from aiohttp import web
from pydantic import Field, StringConstraints, model_validator

from recorder.media.captions import LARGEST as LARGEST_CAPTIONS
from recorder.media.library import MOST_TAGS, Outcome
from signaling.errors import InvalidRequest
from signaling.rest import media_represent as represent
from signaling.rest.bodies import LARGEST_PAGE, Body, Name, read_body, read_query
from signaling.rest.envelope import ok, page, refusal_of
from signaling.rest.services import principal, services_of
from storage.catalog import MediaRow

LARGEST_BATCH: Final = 200
LONGEST_VIEW: Final = 86_400.0  # seconds

Tag = Annotated[Name, StringConstraints(max_length=64)]
Tags = Annotated[list[Tag], Field(max_length=MOST_TAGS)]
RenditionNames = Annotated[list[Name], Field(max_length=10)]


class Query(Body):
    """What a form leaves empty is not asked for. But nobody's files are not everybody's: an empty
    `userId` is refused.
    """

    @model_validator(mode="before")
    @classmethod
    def _without_empty(cls, given: Any) -> Any:
        return {name: value for name, value in given.items() if value or name == "userId"}


class CaptionsQuery(Query):
    label: Tag | None = None


class MediaQuery(Query):
    page: int = Field(default=1, ge=1, le=1_000_000)
    limit: int = Field(default=20, ge=1, le=LARGEST_PAGE)
    type: Literal["video", "audio"] | None = None
    status: Literal["processing", "ready", "failed"] | None = None
    tag: Tag | None = None
    q: Name | None = None
    deleted: bool = False
    sort: Literal["newest", "oldest", "name", "largest", "longest"] = "newest"
    user_id: Name | None = None


class MediaDescription(Body):
    own_codes: ClassVar[bool] = True

    filename: Name | None = None
    tags: Tags | None = None


class ProcessRequest(Body):
    renditions: RenditionNames = Field(default_factory=list)


class AttachRequest(Body):
    course_id: Name
    video_id: Name | None = None


class ViewRequest(Body):
    """`continued` is for players that tell more than once while they play. A report that is sent
    again under the same `reportId` counts once.
    """

    seconds: float = Field(default=0.0, ge=0, le=LONGEST_VIEW)
    continued: bool = False
    report_id: Name | None = None


class BatchRequest(Body):
    ids: Annotated[list[Name], Field(min_length=1, max_length=LARGEST_BATCH)]
    action: Literal["delete", "process", "tag", "restore"]
    tags: Tags = Field(default_factory=list)
    renditions: RenditionNames = Field(default_factory=list)


def owner(request: web.Request) -> str | None:
    """Whose files the token is good for; None for all, which only a server's is.

    Raises Unauthorized.
    """
    who = principal(request)
    return None if who.role == "server" else who.identity


def answer(request: web.Request, row: MediaRow) -> dict[str, Any]:
    services = services_of(request)
    return represent.media_file(row, services.links, services.playback)


def _id(request: web.Request) -> str:
    return request.match_info["id"]


async def list_own(request: web.Request) -> web.Response:
    """GET /api/v1/media/user/media: one's own; of a server's token `userId`'s, or everybody's."""
    user, query = owner(request), read_query(request, MediaQuery)
    found = await services_of(request).library.find(
        query.user_id if user is None else user,
        file_type=query.type,
        status=query.status,
        tag=query.tag,
        text=query.q,
        deleted=query.deleted,
        order=query.sort,
        page=query.page,
        limit=query.limit,
    )
    items = [answer(request, row) for row in found.items]
    return page(items, page=query.page, limit=query.limit, total=found.total)


async def show(request: web.Request) -> web.Response:
    """GET /api/v1/media/media/{id}"""
    user = owner(request)
    return ok(answer(request, await services_of(request).library.get(_id(request), user)))


async def describe(request: web.Request) -> web.Response:
    """PATCH /api/v1/media/media/{id}"""
    user, wanted = owner(request), await read_body(request, MediaDescription)
    row = await services_of(request).library.describe(
        _id(request), user, filename=wanted.filename, tags=wanted.tags
    )
    return ok(answer(request, row))


async def delete(request: web.Request) -> web.Response:
    """DELETE /api/v1/media/media/{id}: into the trash."""
    user = owner(request)
    return ok(answer(request, await services_of(request).library.delete(_id(request), user)))


async def restore(request: web.Request) -> web.Response:
    """POST /api/v1/media/media/{id}/restore"""
    user = owner(request)
    return ok(answer(request, await services_of(request).library.restore(_id(request), user)))


async def process(request: web.Request) -> web.Response:
    """POST /api/v1/media/media/{id}/process: 202, and the work goes on."""
    user, wanted = owner(request), await read_body(request, ProcessRequest)
    row = await services_of(request).library.process(_id(request), user, wanted.renditions)
    return ok(answer(request, row), status=202)


async def remove_rendition(request: web.Request) -> web.Response:
    """DELETE /api/v1/media/media/{id}/renditions/{name}: cancels it, or removes what is there."""
    user, name = owner(request), request.match_info["name"]
    row = await services_of(request).library.remove_rendition(_id(request), user, name)
    return ok(answer(request, row))


async def attach(request: web.Request) -> web.Response:
    """POST, DELETE /api/v1/media/media/{id}/attach-video: to a video of a course, or from it."""
    user, to = owner(request), request.method == "POST"
    wanted = await read_body(request, AttachRequest) if to else read_query(request, AttachRequest)
    row = await services_of(request).library.attach(
        _id(request), user, wanted.course_id, wanted.video_id, to=to
    )
    return ok(answer(request, row))


async def viewed(request: web.Request) -> web.Response:
    """POST /api/v1/media/media/{id}/views: by the owner, or whoever holds a link to the file."""
    services, media_id = services_of(request), _id(request)
    signature = request.query.get("sig")
    user = None
    if signature is not None:
        services.links.verify(represent.original_path(media_id), signature)
    else:
        user = owner(request)
    seen = await read_body(request, ViewRequest)
    await services.library.watched(
        media_id, user, seen.seconds, begins=not seen.continued, report=seen.report_id
    )
    return ok({"id": media_id})


async def put_captions(request: web.Request) -> web.Response:
    """PUT /api/v1/media/media/{id}/captions/{language}: WebVTT as the body."""
    user, query = owner(request), read_query(request, CaptionsQuery)
    size = request.content_length
    if size is not None and size > LARGEST_CAPTIONS:
        raise web.HTTPRequestEntityTooLarge(max_size=LARGEST_CAPTIONS, actual_size=size)
    row = await services_of(request).library.captions.put(
        _id(request), user, request.match_info["language"], await request.read(), query.label or ""
    )
    return ok(answer(request, row))


async def remove_captions(request: web.Request) -> web.Response:
    """DELETE /api/v1/media/media/{id}/captions/{language}"""
    user, language = owner(request), request.match_info["language"]
    row = await services_of(request).library.captions.remove(_id(request), user, language)
    return ok(answer(request, row))


async def batch(request: web.Request) -> web.Response:
    """POST /api/v1/media/batch: one action on many files, with a result for each."""
    user, wanted = owner(request), await read_body(request, BatchRequest)
    options: dict[str, Any] = {}
    if wanted.action == "tag":
        if not wanted.tags:
            raise InvalidRequest("`tags`: there are none to add", code="bad_tags")
        options["tags"] = wanted.tags
    elif wanted.action == "process":
        options["renditions"] = wanted.renditions
    outcomes = await services_of(request).library.batch(wanted.ids, user, wanted.action, **options)
    results = [_result(request, outcome) for outcome in outcomes]
    done = sum(result["success"] for result in results)
    return ok({"results": results, "succeeded": done, "failed": len(results) - done})


def _result(request: web.Request, outcome: Outcome) -> dict[str, Any]:
    if outcome.row is not None:
        return {"id": outcome.id, "success": True, "media": answer(request, outcome.row)}
    assert outcome.error is not None
    refusal = refusal_of(outcome.error)
    if refusal is None:  # a bug of ours; the other files were done nevertheless
        raise outcome.error
    told: dict[str, Any] = {
        "code": refusal.code,
        "message": refusal.message,
        "status": refusal.status,
    }
    if refusal.details:
        told["details"] = dict(refusal.details)
    return {"id": outcome.id, "success": False, "error": told}
