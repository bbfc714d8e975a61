"""What users may upload, told before they choose a file."""

from __future__ import annotations

from aiohttp import web

from signaling.rest.envelope import ok
from signaling.rest.services import services_of
from signaling.rest.uploads import uploader


async def show(request: web.Request) -> web.Response:
    """GET /api/v1/media/upload/limits"""
    uploader(request)
    limits = services_of(request).uploads.limits
    return ok(
        {
            "largestBytes": limits.largest,
            "formats": list(limits.formats),
            "atOnce": limits.at_once,
            "timeoutSeconds": int(limits.timeout.total_seconds()),
        }
    )
