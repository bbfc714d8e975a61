"""What browsers need beside the answer: CORS for other origins, and headers that narrow harm."""

from __future__ import annotations

import functools
from collections.abc import Collection
from typing import Final

from aiohttp import hdrs, web

from signaling.rest.envelope import Handler
from signaling.rest.services import services_of

# LiveKit clients run on pages of any origin, and so do holders of signed links to objects; tokens
# and signatures travel in the request, never in cookies.
OPEN_PREFIXES: Final = ("/rtc", "/twirp/", "/objects", "/api/v1/media/upload/form/")

CONTENT_SECURITY_POLICY: Final = "; ".join(
    (
        "default-src 'self'",
        # the signalling WebSocket (old Safari needs the schemes), segments of HLS, and uploads
        "connect-src 'self' ws: wss:{connect}",
        "img-src 'self' data: blob:{media}",
        "media-src 'self' blob: mediastream:{media}",
        "worker-src 'self' blob:",
        "style-src 'self' 'unsafe-inline'",  # the LiveKit components set style attributes
        "font-src 'self' data:",
        "object-src 'none'",
        "base-uri 'none'",
        "form-action 'self'{uploads}",
        "frame-ancestors 'self'",
    )
)
SECURITY_HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "camera=(self), microphone=(self), display-capture=(self)",
}
CORS_ALLOW: Final = {
    "Access-Control-Allow-Methods": "OPTIONS, HEAD, GET, POST, PUT, PATCH, DELETE",
    "Access-Control-Max-Age": "86400",
}
CORS_EXPOSE: Final = (
    "Accept-Ranges, Content-Disposition, Content-Length, Content-Range, ETag, Retry-After"
    # of tus: where an upload is, and how far
    ", Location, Tus-Checksum-Algorithm, Tus-Extension, Tus-Max-Size, Tus-Resumable, Tus-Version"
    ", Upload-Expires, Upload-Length, Upload-Media-Id, Upload-Metadata, Upload-Offset"
)


@web.middleware
async def preflighted(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Preflights of any path end here; the permission itself is added by `add_headers`."""
    asked = request.headers.get(hdrs.ACCESS_CONTROL_REQUEST_METHOD)
    if request.method != hdrs.METH_OPTIONS or not asked:
        return await handler(request)
    response = web.Response(status=204)
    if _allowed_origin(request):
        wanted = request.headers.get(hdrs.ACCESS_CONTROL_REQUEST_HEADERS, "*")
        response.headers.update(CORS_ALLOW)
        response.headers["Access-Control-Allow-Headers"] = wanted
    return response


async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Signal `on_response_prepare`: every answer, errors and files included."""
    for name, value in SECURITY_HEADERS.items():
        response.headers.setdefault(name, value)
    services = services_of(request)
    response.headers.setdefault(
        "Content-Security-Policy",
        content_security_policy(services.playback.origins, services.upload_origins),
    )
    if request.path.startswith("/api/"):
        response.headers.setdefault("Cache-Control", "no-store")
    origin = _allowed_origin(request)
    if origin:
        response.headers.setdefault("Access-Control-Allow-Origin", origin)
        response.headers.setdefault("Access-Control-Expose-Headers", CORS_EXPOSE)
    if origin != "*" and hdrs.ORIGIN in request.headers:
        response.headers.setdefault("Vary", "Origin")


@functools.cache
def content_security_policy(
    media_origins: tuple[str, ...] = (), upload_origins: tuple[str, ...] = ()
) -> str:
    """What our pages may do; recordings and their pictures may come from `media_origins` too, and
    files be sent to `upload_origins`.
    """
    both = tuple(dict.fromkeys((*media_origins, *upload_origins)))
    return CONTENT_SECURITY_POLICY.format(
        media=_listed(media_origins), uploads=_listed(upload_origins), connect=_listed(both)
    )


def _listed(origins: tuple[str, ...]) -> str:
    return "".join(f" {each}" for each in origins)


def _allowed_origin(request: web.Request) -> str | None:
    if request.path.startswith(OPEN_PREFIXES):
        return "*"
    return allowed_origin(
        request.headers.get(hdrs.ORIGIN), services_of(request).settings.allowed_origins
    )


def allowed_origin(origin: str | None, allowed: Collection[str]) -> str | None:
    """What `Access-Control-Allow-Origin` says to a page of `origin`; None says nothing."""
    if "*" in allowed:
        return "*"
    if origin is not None and origin.lower() in allowed:
        return origin
    return None
