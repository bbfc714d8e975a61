"""Every route of the REST interface, on one screen."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from aiohttp import web

from signaling.rest import (
    access,
    chunks,
    events,
    health,
    library,
    live,
    media,
    media_files,
    objects,
    recording_control,
    renders,
    room_settings,
    rooms,
    tus,
    upload_limits,
    uploads,
    usage,
    webapp,
)
from signaling.rest.browsers import add_headers, preflighted
from signaling.rest.envelope import Handler, enveloped
from signaling.rest.incoming import end_unread, expect_later
from signaling.rest.services import SERVICES, Services, services_of
from signaling.rest.turns import LINK_TURNS, LINKS_AT_ONCE, TURNS, Turns

LARGEST_BODY: Final = 1024 * 1024  # bytes; what is larger than JSON has routes of its own
METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
MEDIA: Final = "/api/v1/media/media/{id}"
CHUNKS: Final = "/api/v1/recordings/{id}/chunks/{participantId}"

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
    web.get(CHUNKS, chunks.show_state),
    web.post(CHUNKS, chunks.begin),
    web.put(CHUNKS + "/{part}/{sequence}", chunks.put_chunk, expect_handler=expect_later),
    web.post(CHUNKS + "/complete", chunks.complete),
    web.post("/video-calls/chunks/upload", chunks.post_chunk, expect_handler=expect_later),
    web.get("/api/v1/recordings/{id}/live", live.list_streams),
    web.get("/api/v1/recordings/{id}/live/{streamId}", live.read_stream),
    web.get("/api/v1/recordings/{id}/live/{streamId}/place", live.find_place),
    web.post("/api/v1/recordings/{id}/render", renders.request_render),
    web.get("/api/v1/recordings/{id}/renders", renders.list_renders),
    web.delete("/api/v1/recordings/{id}/renders/{renderId}", renders.cancel_render),
    web.get("/api/v1/media/upload/limits", upload_limits.show),
    web.post("/api/v1/media/upload/initiate", uploads.initiate),
    web.post("/api/v1/media/upload/parts", uploads.sign_parts),
    web.post("/api/v1/media/upload/complete", uploads.complete),
    web.get("/api/v1/media/upload/progress/{sessionKey}", uploads.show_progress),
    web.put("/api/v1/media/upload/progress/{sessionKey}", uploads.tell_progress),
    web.post("/api/v1/media/upload/form/{sessionKey}", uploads.post_form),
    web.delete("/api/v1/media/upload/{sessionKey}", uploads.abort),
    web.options("/api/v1/media/tus", tus.capabilities),
    web.post("/api/v1/media/tus", tus.create, expect_handler=expect_later),
    web.post("/api/v1/media/tus/", tus.create, expect_handler=expect_later),
    web.head("/api/v1/media/tus/{id}", tus.show),
    web.patch("/api/v1/media/tus/{id}", tus.append, expect_handler=expect_later),
    web.delete("/api/v1/media/tus/{id}", tus.terminate),
    web.post("/api/v1/media/tus/{id}", tus.overridden, expect_handler=expect_later),
    web.get("/api/v1/media/user/media", media.list_own),
    web.post("/api/v1/media/batch", media.batch),
    web.get(MEDIA, media.show),
    web.patch(MEDIA, media.describe),
    web.delete(MEDIA, media.delete),
    web.post(MEDIA + "/restore", media.restore),
    web.post(MEDIA + "/process", media.process),
    web.delete(MEDIA + "/renditions/{name}", media.remove_rendition),
    web.post(MEDIA + "/attach-video", media.attach),
    web.delete(MEDIA + "/attach-video", media.attach),
    web.post(MEDIA + "/views", media.viewed),
    web.get(MEDIA + "/captions/{language}", media_files.captions),
    web.put(MEDIA + "/captions/{language}", media.put_captions),
    web.delete(MEDIA + "/captions/{language}", media.remove_captions),
    web.get(MEDIA + "/file", media_files.original),
    web.get(MEDIA + "/files/{name}", media_files.made),
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
    turns = app[TURNS] = Turns()
    app[LINK_TURNS] = Turns(LINKS_AT_ONCE)
    services.copies.watch_senders(turns.taken.__contains__)
    app.add_routes([*API, *livekit, *webapp.routes(webroot)])
    app.on_response_prepare.extend((add_headers, end_unread))
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
