"""What operators and their monitors ask: alive, ready, and numbers. Plain, without the envelope."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Final

from aiohttp import web

from mediaserver.errors import MediaError
from signaling.metrics import metrics_of, prometheus_text
from signaling.rest.services import Services, services_of
from storage.errors import StorageError
from storage.objects import Checkable

PATIENCE_SECONDS: Final = 3.0
PROBE_SECONDS: Final = 1.0


async def healthz(_request: web.Request) -> web.Response:
    """GET /healthz: the loop turns."""
    return web.Response(text="ok\n")


async def readyz(request: web.Request) -> web.Response:
    """GET /readyz: 503 naming the part that fails."""
    services = services_of(request)
    checks = dict(await _looked(services))
    if services.lifecycle.draining:
        checks["server"] = "stopping"
    failing = [name for name, result in checks.items() if result != "ok"]
    status = "ready" if not failing else f"not ready: {', '.join(failing)}"
    return web.json_response({"status": status, "checks": checks}, status=503 if failing else 200)


async def metrics(request: web.Request) -> web.Response:
    """GET /metrics: Prometheus text."""
    services = services_of(request)
    try:
        media = await asyncio.wait_for(services.media.stats(), PATIENCE_SECONDS)
    except (MediaError, TimeoutError):
        media = {}
    text = prometheus_text(metrics_of(services.counters, _gauges(services), media))
    return web.Response(
        body=text.encode(), headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"}
    )


def _gauges(services: Services) -> dict[str, int]:
    live = list(services.calls.live)
    return {
        "disk_free_bytes": services.space.free,
        "rooms": len(live),
        "participants": sum(len(services.attendance.participants(room)) for room in live),
        "active_recordings": sum(services.recordings.active(room) is not None for room in live),
    }


async def _looked(services: Services) -> dict[str, str]:
    """Look at the parts once a second at most, however many ask: anybody may."""
    lifecycle, now = services.lifecycle, asyncio.get_running_loop().time()
    if lifecycle.probe is None or (lifecycle.probe.done() and now >= lifecycle.probe_stale_at):
        lifecycle.probe = asyncio.create_task(_look(services), name="readiness")
        lifecycle.probe_stale_at = now + PROBE_SECONDS
    return await asyncio.shield(lifecycle.probe)


async def _look(services: Services) -> dict[str, str]:
    names = ("database", "storage", "media")
    results = await asyncio.gather(
        _checked(services.catalog.check()),
        _checked(_store(services)),
        _checked(services.media.stats()),
    )
    return dict(zip(names, results, strict=True))


async def _store(services: Services) -> None:
    """The main store, or, since recordings are kept then too, the fallback."""
    depots = services.depots
    problem: StorageError | None = None
    for provider in depots.targets:
        store = depots.store(provider)
        try:
            if isinstance(store, Checkable):
                await store.check()
            return
        except StorageError as error:
            problem = problem or error
    if problem is not None:
        raise problem


async def _checked(check: Awaitable[object]) -> str:
    try:
        await asyncio.wait_for(check, PATIENCE_SECONDS)
    except TimeoutError:
        return f"no answer within {PATIENCE_SECONDS:g} s"
    except (MediaError, StorageError) as error:
        return f"failed: {error}"
    return "ok"
