"""Composites of a recording: asked for, looked at, cancelled."""

from __future__ import annotations

import json
from typing import Any

from aiohttp import web

from signaling import policy
from signaling.errors import InvalidRequest, NotFound, Unavailable
from signaling.rest import represent
from signaling.rest.envelope import ok
from signaling.rest.services import principal, services_of
from storage.catalog import RecordingRow


async def request_render(request: web.Request) -> web.Response:
    """POST /api/v1/recordings/{id}/render: 202, and the render goes on by itself."""
    services, row = services_of(request), await _row(request)
    who = principal(request)
    policy.require_recorder(who, row.room)
    if services.lifecycle.draining:
        raise Unavailable("the server is stopping", code="stopping")
    wanted = await _options(request)
    render = await services.renderer.request(row.id, wanted, who.identity or who.role)
    return ok({"renderId": render.id, **represent.render(render)}, status=202)


async def list_renders(request: web.Request) -> web.Response:
    """GET /api/v1/recordings/{id}/renders: oldest first."""
    services, row = services_of(request), await _row(request)
    policy.require_host(principal(request), row.room)
    renders = await services.catalog.renders.of(row.id)
    return ok({"items": [represent.render(each) for each in renders]})


async def cancel_render(request: web.Request) -> web.Response:
    """DELETE /api/v1/recordings/{id}/renders/{renderId}: again, it changes nothing."""
    services, row = services_of(request), await _row(request)
    policy.require_recorder(principal(request), row.room)
    render = await services.renderer.cancel(row.id, request.match_info["renderId"])
    return ok(represent.render(render))


async def _row(request: web.Request) -> RecordingRow:
    """The path's recording. Raises Unauthorized before NotFound."""
    services, _ = services_of(request), principal(request)
    row = await services.catalog.recordings.get(request.match_info["id"])
    if row is None:
        raise NotFound("there is no such recording", code="recording_not_found")
    return row


async def _options(request: web.Request) -> dict[str, Any]:
    """The JSON object in the body, none when it is empty; `recorder` says what may be in it."""
    raw = await request.read()
    try:
        body = json.loads(raw) if raw.strip() else {}
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict):
        raise InvalidRequest("the body must be a JSON object")
    return body
