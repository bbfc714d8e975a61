"""Rooms with somebody in them, and the call that runs there."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from signaling import policy
from signaling.clock import iso
from signaling.errors import Forbidden, NotFound
from signaling.rest import represent
from signaling.rest.bodies import PageQuery, read_query, room_of
from signaling.rest.envelope import ok, page
from signaling.rest.services import Services, principal, services_of


async def list_rooms(request: web.Request) -> web.Response:
    """GET /api/v1/rooms: live rooms, all for a server, their own for a host."""
    services, who = services_of(request), principal(request)
    if who.role not in ("server", "host"):
        raise Forbidden("only a server or a host may list rooms", code="not_host")
    query = read_query(request, PageQuery)
    names = sorted(room for room in services.calls.live if policy.hosts(who, room))
    first = (query.page - 1) * query.limit
    items = [_live_room(services, name) for name in names[first : first + query.limit]]
    return page(items, page=query.page, limit=query.limit, total=len(names))


async def current_call(request: web.Request) -> web.Response:
    """GET /api/v1/rooms/{room}/call: the call that runs in the room now."""
    services, room = services_of(request), room_of(request)
    policy.require_member(principal(request), room)
    call = services.calls.live.get(room)
    if call is None:
        raise NotFound("no call is running in the room", code="call_not_found")
    found = await services.catalog.recordings.find(call_id=call.id, page=1, limit=100)
    active = services.recordings.active(room)
    return ok(
        {
            "callId": call.id,
            "room": room,
            "startedAt": iso(call.started_at),
            "recordingId": active.id if active else None,
            "recordingStatus": represent.call_recording_status(row.status for row in found.items),
            "participants": represent.people(services.attendance.participants(room)),
        }
    )


def _live_room(services: Services, room: str) -> dict[str, Any]:
    active, call = services.recordings.active(room), services.calls.live[room]
    return {
        "name": room,
        "callId": call.id if call else None,
        "startedAt": iso(call.started_at) if call else None,
        "recordingStatus": represent.call_recording_status([active.status] if active else []),
        "participants": represent.people(services.attendance.participants(room)),
    }
