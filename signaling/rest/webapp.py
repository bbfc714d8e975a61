"""The built web application: its one page, and hashed assets that may be kept for ever."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from aiohttp import web

WEBROOT: Final = Path(__file__).resolve().parent.parent / "webroot"
NOT_BUILT: Final = (
    "mediaserver is running. The web application is not built: run `make web`, then start again.\n"
)


def routes(webroot: Path = WEBROOT) -> list[web.AbstractRouteDef]:
    """`/`, `/room/{room}`, `/recordings`, `/upload`, `/media` and what is below: one page for all, which
    tells them apart.
    """

    async def index(_request: web.Request) -> web.StreamResponse:
        page = webroot / "index.html"
        if not page.is_file():
            return web.Response(text=NOT_BUILT)
        return web.FileResponse(page, headers={"Cache-Control": "no-cache"})

    async def asset(request: web.Request) -> web.StreamResponse:
        folder = (webroot / "assets").resolve()
        try:
            path = (folder / request.match_info["name"]).resolve()
            found = path.is_relative_to(folder) and path.is_file()
        except (OSError, ValueError):  # a name too long, or with a zero byte
            found = False
        if not found:
            raise web.HTTPNotFound
        return web.FileResponse(
            path, headers={"Cache-Control": "public, max-age=31536000, immutable"}
        )

    return [
        web.get("/", index),
        web.get("/room/{room}", index),
        web.get("/recordings", index),
        web.get("/recordings/{id}", index),
        web.get("/upload", index),
        web.get("/media", index),
        web.get("/media/{id}", index),
        web.get("/assets/{name:.+}", asset),
    ]
