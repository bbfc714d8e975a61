"""Server-sent events: a recording's status, live (HTML Living Standard, 9.2)."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any, Final

from aiohttp import web

from recorder.journals import journal_bytes, journals_root
from signaling.auth import bearer
from signaling.errors import Unavailable
from signaling.rest import represent
from signaling.rest.envelope import ok
from signaling.rest.library import visible_row
from signaling.rest.services import Services, principal, services_of
from signaling.watching import Watch
from storage.catalog import RecordingRow

PING_SECONDS: Final = 15.0
WRITE_SECONDS: Final = 30.0  # for a reader that takes nothing any more
HEADERS: Final = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",  # proxies that collect answers would hold events back
}


async def recording_status(request: web.Request) -> web.Response:
    """GET /api/v1/recordings/{id}/status"""
    return ok(await status_of(services_of(request), await visible_row(request)))


async def recording_events(request: web.Request) -> web.StreamResponse:
    """GET /api/v1/recordings/{id}/events: ends after a final status, or with the token's life."""
    services, row = services_of(request), await visible_row(request)
    expires_at = services.authority.verify(bearer(request)).expires_at
    who = principal(request).identity
    if services.watching.full or services.watching.crowded(who):
        raise Unavailable("too many watch recordings now", code="too_many_watchers")
    watch = services.watching.watch(row.id, who)  # before anything is awaited: its place is taken
    response = web.StreamResponse(headers=HEADERS)
    try:
        await response.prepare(request)
        if request.method == "HEAD":
            return response
        await _stream(response, watch, (expires_at - datetime.now(UTC)).total_seconds())
    except (ConnectionError, TimeoutError):
        pass  # the reader is gone, asleep, or may not read on
    finally:
        services.watching.leave(row.id, watch)
    return response


async def status_by_id(services: Services, recording_id: str) -> dict[str, Any] | None:
    """None when there is no such recording. Raises what the catalog raises."""
    row = await services.catalog.recordings.get(recording_id)
    return None if row is None else await status_of(services, row)


async def status_of(services: Services, row: RecordingRow) -> dict[str, Any]:
    """What is said of a recording on its way. Raises what the catalog raises."""
    progress = 1.0 if row.status == "recorded" else services.recordings.progress(row.id)
    on_disk = 0
    if row.size is None:
        journals = journals_root(services.settings.data_dir) / row.id
        on_disk = await asyncio.to_thread(journal_bytes, journals)
        on_disk += services.copies.bytes_of(row.id)
    renders = await services.catalog.renders.of(row.id)
    chunks = await services.copies.chunk_states(row.id)
    return represent.status(row, progress, on_disk, renders, chunks)


async def _stream(response: web.StreamResponse, watch: Watch, seconds: float) -> None:
    """Raises TimeoutError after `seconds`, and when nothing can be written for a while."""
    async with asyncio.timeout(max(0.0, seconds)):
        waiting = asyncio.ensure_future(watch.next())
        try:
            while True:
                done, _ = await asyncio.wait({waiting}, timeout=PING_SECONDS)
                if not done:
                    await _write(response, ": ping\n\n")
                    continue
                state = waiting.result()
                if state is None:
                    return
                await _write(response, f"event: status\ndata: {state}\n\n")
                waiting = asyncio.ensure_future(watch.next())
        finally:
            waiting.cancel()


async def _write(response: web.StreamResponse, text: str) -> None:
    async with asyncio.timeout(WRITE_SECONDS):
        await response.write(text.encode())
