"""The library of recordings: list, show, follow, delete, and the files themselves."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from aiohttp import web

from recorder.errors import RecordingActive
from recorder.lifecycle import FINAL
from signaling import policy
from signaling.errors import Forbidden, NotFound
from signaling.links import LIFE
from signaling.policy import Principal
from signaling.rest import relinking, represent
from signaling.rest.bodies import RecordingQuery, read_query
from signaling.rest.envelope import ok, page
from signaling.rest.playing import play, play_text
from signaling.rest.sending import read_text
from signaling.rest.services import Services, principal, services_of
from storage.catalog import FileRow, RecordingRow

ROWS_AT_ONCE: Final = 200

# Texts that name files beside them: of which role, and how the names become links.
NAMED_IN: Final = {
    "playlist": ("media", relinking.playlist),
    "cues": ("strip", relinking.cues),
}


async def list_recordings(request: web.Request) -> web.Response:
    """GET /api/v1/recordings"""
    services, who = services_of(request), principal(request)
    query = read_query(request, RecordingQuery)
    room = _listed_room(who, query.room or query.mentorship_id)
    if who.role in ("server", "host"):
        found = await services.catalog.recordings.find(
            rooms=None if room is None else {room},
            call_id=query.call_id,
            status=query.status,
            since=query.since,
            until=query.until,
            page=query.page,
            limit=query.limit,
        )
        rows, total = list(found.items), found.total
    else:
        seen = await _attended(services, who, query)
        first = (query.page - 1) * query.limit
        rows, total = seen[first : first + query.limit], len(seen)
    links = services.links if query.include_signed_url else None
    items = [represent.recording(row, links) for row in rows]
    return page(items, page=query.page, limit=query.limit, total=total)


async def show_recording(request: web.Request) -> web.Response:
    """GET /api/v1/recordings/{id}"""
    services, row = services_of(request), await visible_row(request)
    signed = read_query(request, RecordingQuery).include_signed_url
    renders = await services.catalog.renders.of(row.id)
    return ok(represent.recording(row, services.links if signed else None, renders))


async def delete_recording(request: web.Request) -> web.Response:
    """DELETE /api/v1/recordings/{id}: the row and the stored objects."""
    services, who = services_of(request), principal(request)
    row = await known_row(services, request.match_info["id"])
    policy.require_host(who, row.room)
    if row.status not in FINAL:
        raise RecordingActive(f"recording {row.id} is {row.status}")
    await services.renderer.forget(row.id)
    await services.recordings.delete(row.id)
    return ok({"id": row.id, "deleted": True})


async def recording_file(request: web.Request) -> web.StreamResponse:
    """GET, HEAD /api/v1/recordings/{id}/files/{fileId}: by policy or signed link."""
    services = services_of(request)
    recording_id, file_id = request.match_info["id"], request.match_info["fileId"]
    signature = request.query.get("sig")
    if signature is not None:
        services.links.verify(represent.file_path(recording_id, file_id), signature)
        row = await known_row(services, recording_id)
    else:
        row = await visible_row(request)
    file = _file(row, file_id)
    name = represent.file_name(row, file)
    if file.role in NAMED_IN and file.size <= relinking.LARGEST_TEXT:
        text = await _naming_text(services, row, file)
        return await play_text(request, file, text, name, row.room)
    return await play(request, file, name, row.room)


async def _naming_text(services: Services, row: RecordingRow, file: FileRow) -> str:
    """A playlist or cues, with signed links where the text names files beside it."""
    role, relinked = NAMED_IN[file.role]
    text = await read_text(services.depots.store(file.provider), file.key)
    if (named := represent.companion(row, file, role)) is not None:
        # a player asks for a playlist once, and then plays for as long as it lasts
        life = LIFE + timedelta(seconds=file.duration_seconds)
        link = services.links.sign(represent.file_path(row.id, named.id), life)
        text = relinked(text, link.rpartition("/")[2])
    return text


async def known_row(services: Services, recording_id: str) -> RecordingRow:
    row = await services.catalog.recordings.get(recording_id)
    if row is None:
        raise NotFound("there is no such recording", code="recording_not_found")
    return row


async def visible_row(request: web.Request) -> RecordingRow:
    """The path's recording. Raises Unauthorized, NotFound, Forbidden, in this order."""
    services, who = services_of(request), principal(request)
    row = await known_row(services, request.match_info["id"])
    if not policy.may_see_recording(who, row.room, await _took_part(services, row.call_id)):
        raise Forbidden("the recording is not yours to see", code="not_member")
    return row


async def _took_part(services: Services, call_id: str | None) -> tuple[str, ...]:
    call = await services.catalog.calls.get(call_id) if call_id else None
    return call.participants if call else ()


def _listed_room(who: Principal, wanted: str | None) -> str | None:
    """The one room to list; None for all, which only a server may. Raises Forbidden."""
    if who.role == "server":
        return wanted
    if not who.room or wanted not in (None, who.room):
        raise Forbidden("the token is not for this room", code="not_member")
    return who.room


async def _attended(
    services: Services, who: Principal, query: RecordingQuery
) -> list[RecordingRow]:
    """The recordings of the participant's room whose calls they took part in, newest first."""
    rows: list[RecordingRow] = []
    attended: dict[str | None, bool] = {}
    page_number = 1
    while True:
        found = await services.catalog.recordings.find(
            rooms={who.room},
            call_id=query.call_id,
            status=query.status,
            since=query.since,
            until=query.until,
            page=page_number,
            limit=ROWS_AT_ONCE,
        )
        for row in found.items:
            if row.call_id not in attended:
                attended[row.call_id] = who.identity in await _took_part(services, row.call_id)
            if attended[row.call_id]:
                rows.append(row)
        if page_number * ROWS_AT_ONCE >= found.total:
            return rows
        page_number += 1


def _file(row: RecordingRow, file_id: str) -> FileRow:
    for file in row.files:
        if file.id == file_id:
            return file
    raise NotFound("the recording has no such file", code="file_not_found")
