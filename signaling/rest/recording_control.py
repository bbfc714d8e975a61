"""Starting and stopping a recording, by room and by call."""

from __future__ import annotations

from aiohttp import web

from signaling import policy
from signaling.errors import Conflict, Forbidden, NotFound, Unavailable
from signaling.policy import Principal
from signaling.recording_wishes import wishes
from signaling.rest import represent
from signaling.rest.bodies import RecordingStart, read_body, room_of
from signaling.rest.envelope import ok
from signaling.rest.services import Services, principal, services_of
from storage.catalog import CallRow, RecordingRow


async def start_in_room(request: web.Request) -> web.Response:
    """POST /api/v1/rooms/{room}/recording/start"""
    services, room, who = services_of(request), room_of(request), principal(request)
    policy.require_recorder(who, room)
    wanted = await read_body(request, RecordingStart)
    if not services.attendance.participants(room):
        raise Conflict("nobody is in the room", code="no_call")
    return ok(represent.started_or_stopped(await _start(services, room, who, wanted)))


async def stop_in_room(request: web.Request) -> web.Response:
    """POST /api/v1/rooms/{room}/recording/stop"""
    services, room = services_of(request), room_of(request)
    policy.require_recorder(principal(request), room)
    row = await services.recordings.stop_room(room)
    if row is None:
        raise NotFound("nothing was recorded in this room", code="recording_not_found")
    return ok(represent.started_or_stopped(row))


async def start_in_call(request: web.Request) -> web.Response:
    """POST /video-calls/{callId}/recording/start"""
    services, who = services_of(request), principal(request)
    call = await _call(services, request.match_info["callId"])
    policy.require_recorder(who, call.room)
    wanted = await read_body(request, RecordingStart)
    if call.ended_at is not None or not services.attendance.participants(call.room):
        raise Conflict("the call has ended", code="no_call")
    return ok(represent.started_or_stopped(await _start(services, call.room, who, wanted)))


async def stop_in_call(request: web.Request) -> web.Response:
    """POST /video-calls/{callId}/recording/stop"""
    services, who = services_of(request), principal(request)
    call = await _call(services, request.match_info["callId"])
    policy.require_recorder(who, call.room)
    active = services.recordings.active(call.room)
    if active is not None and active.call_id == call.id:
        return ok(represent.started_or_stopped(await services.recordings.stop(active.id)))
    found = await services.catalog.recordings.find(call_id=call.id, page=1, limit=1)
    if not found.items:
        raise NotFound("nothing was recorded in this call", code="recording_not_found")
    return ok(represent.started_or_stopped(found.items[0]))


async def _start(
    services: Services, room: str, who: Principal, wanted: RecordingStart
) -> RecordingRow:
    if services.lifecycle.draining:
        raise Unavailable("the server is stopping", code="stopping")
    settings = await services.room_book.of(room)
    if not settings.recording_enabled:
        raise Forbidden("the room's settings forbid recording", code="recording_disabled")
    mode, options = wishes(wanted, settings)
    return await services.calls.record(room, who.identity or who.role, mode, options)


async def _call(services: Services, call_id: str) -> CallRow:
    """By its id; a room's name stands for the call that runs in it. Raises NotFound."""
    call = await services.catalog.calls.get(call_id) or await services.calls.running(call_id)
    if call is None:
        raise NotFound("there is no such call", code="call_not_found")
    return call
