"""Stored files on their way to a player: from where `signaling.playback` says, counted if from here."""

from __future__ import annotations

from aiohttp import web

from signaling.rest.sending import send_object, send_text
from signaling.rest.services import services_of
from storage.catalog import FileRow
from storage.objects.disposition import content_disposition


async def play(request: web.Request, file: FileRow, name: str, account: str) -> web.StreamResponse:
    """The file, or a redirect to it; `?download=1` has it saved as `name`. What is sent from here counts
    for `account`, a room. Raises what the store raises.
    """
    services, download = services_of(request), _saves(request)
    # a link is signed for GET only, so HEAD is answered from here
    if request.method != "HEAD" and (
        link := await services.playback.link(file, name, download=download)
    ):
        # the link is younger than this answer may grow
        return web.Response(status=302, headers={"Location": link, "Cache-Control": "no-store"})
    return await send_object(
        request,
        services.depots.store(file.provider),
        file,
        {
            "Content-Type": file.content_type,
            "Content-Disposition": content_disposition(name, download=download),
            "Cache-Control": "private, max-age=3600",
        },
        lambda count: services.traffic.add(file.provider, account, count),
    )


async def play_text(
    request: web.Request, file: FileRow, text: str, name: str, account: str
) -> web.StreamResponse:
    """`text` in place of the file. Never a redirect: names in it are relative to this address."""
    services = services_of(request)
    return await send_text(
        request,
        text,
        {
            "Content-Type": f"{file.content_type}; charset=utf-8",
            "Content-Disposition": content_disposition(name, download=_saves(request)),
            "Cache-Control": "private, no-cache",
        },
        lambda count: services.traffic.add(file.provider, account, count),
    )


def _saves(request: web.Request) -> bool:
    return request.query.get("download") == "1"
