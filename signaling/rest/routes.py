"""Every route of the REST interface, on one screen."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from aiohttp import web

from signaling.rest import (
    access,
    events,
    health,
    library,
    live,
    objects,
    recording_control,
    renders,
    room_settings,
    rooms,
    usage,
    webapp,
)
from signaling.rest.browsers import add_headers, preflighted
from signaling.rest.envelope import Handler, enveloped
from signaling.rest.services import SERVICES, Services, services_of

LARGEST_BODY: Final = 1024 * 1024  # bytes; what is larger than JSON has routes of its own
METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

API: Final[tuple[web.RouteDef, ...]] = (
    web.post("/api/v1/token", access.issue_token),
    web.post("/api/video-call/token", access.issue_token),
    web.get("/api/v1/session", access.session),
    web.get("/api/v1/rooms", rooms.list_rooms),
    web.get("/api/v1/rooms/{room}/call", rooms.current_call),
    web.get("/api/v1/rooms/{room}/settings", room_settings.show),
    web.put("/api/v1/rooms/{room}/settings", room_settings.change),
    web.get("/api/video-call/settings", room_settings.show),
    web.put("/api/video-call/settings", room_settings.change),
    web.post("/api/v1/rooms/{room}/invites", access.create_invite),
    web.post("/api/v1/invites/{code}/accept", access.accept_invite),
    web.post("/api/v1/rooms/{room}/recording/start", recording_control.start_in_room),
    web.post("/api/v1/rooms/{room}/recording/stop", recording_control.stop_in_room),
    web.post("/video-calls/{callId}/recording/start", recording_control.start_in_call),
    web.post("/video-calls/{callId}/recording/stop", recording_control.stop_in_call),
    web.get("/api/v1/recordings", library.list_recordings),
    web.get("/api/video-call/recordings", library.list_recordings),
    web.get("/api/v1/recordings/{id}", library.show_recording),
    web.delete("/api/v1/recordings/{id}", library.delete_recording),
    web.get("/api/v1/recordings/{id}/status", events.recording_status),
    web.get("/video-calls/recording/{id}/status", events.recording_status),
    web.get("/api/v1/recordings/{id}/events", events.recording_events),
    web.get("/api/v1/recordings/{id}/files/{fileId}", library.recording_file),
    web.get("/api/v1/recordings/{id}/live", live.list_streams),
    web.get("/api/v1/recordings/{id}/live/{streamId}", live.read_stream),
    web.get("/api/v1/recordings/{id}/live/{streamId}/place", live.find_place),
    web.post("/api/v1/recordings/{id}/render", renders.request_render),
    web.get("/api/v1/recordings/{id}/renders", renders.list_renders),
    web.delete("/api/v1/recordings/{id}/renders/{renderId}", renders.cancel_render),
    web.get("/api/v1/usage", usage.show_usage),
    web.get("/objects/{key:.+}", objects.read_object),
    web.put("/objects/{key:.+}", objects.put_object),
    web.post("/objects", objects.post_object),
    web.get("/healthz", health.healthz),
    web.get("/readyz", health.readyz),
    web.get("/metrics", health.metrics),
)


def build_application(
    services: Services,
    livekit: Iterable[web.AbstractRouteDef],
    webroot: Path = webapp.WEBROOT,
) -> web.Application:
    """The whole HTTP side: `livekit` are the routes of the client protocol."""
    app = web.Application(
        client_max_size=LARGEST_BODY, middlewares=[counted, preflighted, enveloped]
    )
    app[SERVICES] = services
    app.add_routes([*API, *livekit, *webapp.routes(webroot)])
    app.on_response_prepare.append(add_headers)
    return app


@web.middleware
async def counted(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Counts answers by route pattern, never by path: patterns are few."""
    status = 500
    try:
        response = await handler(request)
        status = response.status
        return response
    except web.HTTPException as error:
        status = error.status
        raise
    finally:
        resource = request.match_info.route.resource
        route = resource.canonical if resource else "unmatched"
        method = request.method if request.method in METHODS else "other"
        services_of(request).counters.requests[method, route, status] += 1
