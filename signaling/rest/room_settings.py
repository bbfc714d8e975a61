"""What hosts set for their rooms."""

from __future__ import annotations

import json
from typing import Any, Final

from aiohttp import web

from signaling import policy
from signaling.errors import InvalidRequest
from signaling.rest.bodies import RoomQuery, read_query, room_of
from signaling.rest.envelope import ok
from signaling.rest.services import principal, services_of

ADMISSION: Final = frozenset({"access", "waitingRoom"})
"""Settings that have nothing to do with recording."""


async def show(request: web.Request) -> web.Response:
    """GET /api/v1/rooms/{room}/settings, /api/video-call/settings?room="""
    room, who = _room(request), principal(request)
    policy.require_host(who, room)
    return ok((await services_of(request).room_book.of(room)).to_json())


async def change(request: web.Request) -> web.Response:
    """PUT of the same: what is not said stays as it is. Counts for what runs, too."""
    services, room, who = services_of(request), _room(request), principal(request)
    policy.require_host(who, room)
    wanted = await _object(request)
    if wanted.keys() - ADMISSION:
        policy.require_recorder(who, room)
    changed = await services.room_book.change(room, wanted)
    if services.attendance.participants(room):
        services.automatic.media_in(room)
    return ok(changed.to_json())


def _room(request: web.Request) -> str:
    return room_of(request) if "room" in request.match_info else read_query(request, RoomQuery).room


async def _object(request: web.Request) -> dict[str, Any]:
    try:
        value = json.loads(await request.read() or b"{}")
    except (ValueError, RecursionError):
        raise InvalidRequest("the body is no JSON") from None
    if not isinstance(value, dict):
        raise InvalidRequest("the body is no JSON object")
    return value
