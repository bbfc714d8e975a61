"""Pages with a build step: made with the web application's own tools, served on loopback."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

from aiohttp import web

MODULES = Path(__file__).parents[2] / "web/node_modules"


async def built(source: Path, folder: Path) -> Path:
    """What Vite makes of the page in `source` (its `index.html`); the work is done in `folder`."""
    assert MODULES.exists(), "the web application's packages are missing: run `make test`"
    page = folder / "page"
    await asyncio.to_thread(shutil.copytree, source, page)
    (folder / "node_modules").symlink_to(MODULES)
    process = await asyncio.create_subprocess_exec(
        "node",
        str(MODULES / "vite/bin/vite.js"),
        "build",
        "--logLevel=warn",
        cwd=page,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    assert process.returncode == 0, said.decode()
    return page / "dist"


@contextlib.asynccontextmanager
async def site(folder: Path) -> AsyncIterator[str]:
    """The files of a folder, `index.html` at the root; yields the origin."""

    async def index(_request: web.Request) -> web.FileResponse:
        return web.FileResponse(folder / "index.html")

    app = web.Application()
    app.router.add_get("/", index)
    app.router.add_static("/", folder)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    try:
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()
