"""Debian's Chromium under Playwright, and the pages the rig serves to it."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

from aiohttp import web
from playwright.async_api import Browser, BrowserContext, Page, async_playwright

PAGES = Path(__file__).parent / "pages"
LIVEKIT = Path(__file__).parents[2] / "web/node_modules/livekit-client/dist/livekit-client.umd.js"
FLAGS = (
    "--no-sandbox",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
    "--autoplay-policy=no-user-gesture-required",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # a hidden page must go on drawing and encoding at full speed
    "--disable-background-timer-throttling",
    "--disable-renderer-backgrounding",
    "--disable-backgrounding-occluded-windows",
    # tests run without a resolver for .local names
    "--disable-features=WebRtcHideLocalIpsWithMdns",
)


@contextlib.asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """A headless Chromium with an empty profile and fake devices."""
    program = shutil.which("chromium")
    assert program, "chromium is missing: run `make test`, which installs it"
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=program, args=list(FLAGS))
        try:
            yield browser
        finally:
            await browser.close()


@contextlib.asynccontextmanager
async def visitor(browser: Browser) -> AsyncIterator[BrowserContext]:
    """One person's browser: own storage, camera and microphone allowed, connections remembered."""
    context = await browser.new_context(
        permissions=["camera", "microphone", "clipboard-read", "clipboard-write"],
        viewport={"width": 1280, "height": 800},
    )
    await context.add_init_script(path=PAGES / "stats.js")
    try:
        yield context
    finally:
        await context.close()


@contextlib.asynccontextmanager
async def rig_pages() -> AsyncIterator[str]:
    """The rig's own pages on loopback (a secure context for browsers); yields their address."""
    assert LIVEKIT.exists(), "livekit-client is missing: run `make test`, which installs it"

    async def bundle(_request: web.Request) -> web.FileResponse:
        return web.FileResponse(LIVEKIT)

    app = web.Application()
    app.router.add_get("/livekit-client.umd.js", bundle)
    app.router.add_static("/", PAGES)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    try:
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()


def faults_of(page: Page) -> list[str]:
    """A list that fills with what the page throws."""
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    return faults
