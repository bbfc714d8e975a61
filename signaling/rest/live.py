"""Watching a recording while it runs: what there is, the growing media, and where to begin in it."""

from __future__ import annotations

import asyncio
import math
import os
import re
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from aiohttp import hdrs, web

from recorder.lifecycle import ACTIVE, Status
from recorder.live.places import place_before
from signaling.errors import Conflict, Expired, InvalidRequest, NotFound
from signaling.rest.envelope import ok
from signaling.rest.library import known_row, visible_row
from signaling.rest.sending import FileAnswer
from signaling.rest.services import Services, services_of
from storage.catalog import RecordingRow

MOST_AT_ONCE: Final = 4 * 1024 * 1024  # bytes of an answer; the next one goes on from there
LOOK_AGAIN_SECONDS: Final = 1

_FROM: Final = re.compile(r"bytes=(\d{1,15})-(\d{0,15})", re.ASCII | re.IGNORECASE)


async def list_streams(request: web.Request) -> web.Response:
    """GET /api/v1/recordings/{id}/live: the streams so far; the first request begins to make them."""
    services, row = services_of(request), await visible_row(request)
    _require_running(row)
    state = services.live.state(row.id)
    return ok(
        {
            "live": True,
            "elapsedSeconds": state["elapsedSeconds"],
            "streams": [_stream(services, row, stream) for stream in state["streams"]],
        }
    )


async def read_stream(request: web.Request) -> web.StreamResponse:
    """GET /api/v1/recordings/{id}/live/{streamId}: by policy or signed link.

    With `Range: bytes=N-` (or `N-M`) what is there now, 4 MiB at most; 204 when that is nothing.
    """
    services, row, path = await _stream_file(request)
    content_type = "video/mp4" if path.suffix == ".mp4" else "video/webm"
    headers = {"Content-Type": content_type, "Cache-Control": "no-store"}
    asked = _FROM.fullmatch(request.headers.get(hdrs.RANGE, "").strip())
    if asked is None:
        return FileAnswer(
            path, headers, lambda count: services.traffic.add("local", row.room, count)
        )
    start = int(asked[1])
    most = int(asked[2]) - start + 1 if asked[2] else MOST_AT_ONCE
    data = await asyncio.to_thread(_read, path, start, min(most, MOST_AT_ONCE))
    if not data:
        headers["Retry-After"] = str(LOOK_AGAIN_SECONDS)
        del headers["Content-Type"]
        return web.Response(status=204, headers=headers)
    services.traffic.add("local", row.room, len(data))
    headers["Content-Range"] = f"bytes {start}-{start + len(data) - 1}/*"
    return web.Response(status=206, body=data, headers=headers)


async def find_place(request: web.Request) -> web.Response:
    """GET /api/v1/recordings/{id}/live/{streamId}/place?at=SECONDS: where playing may begin.

    That is the last place at or before `at` seconds of the stream.
    """
    try:
        at = float(request.query.get("at", ""))
    except ValueError:
        at = math.nan
    if not 0 <= at < math.inf:
        raise InvalidRequest("`at`: seconds of the stream, 0 or more")
    _, _, path = await _stream_file(request)
    place = await asyncio.to_thread(place_before, path, at)
    return ok({"offset": place.offset, "seconds": place.seconds})


def stream_path(recording_id: str, stream_id: str) -> str:
    """The path under which a stream is served, and which a signed link is about."""
    return f"/api/v1/recordings/{quote(recording_id, safe='')}/live/{quote(stream_id, safe='')}"


def _stream(services: Services, row: RecordingRow, stream: dict[str, Any]) -> dict[str, Any]:
    """All that the follower says, but where the file is."""
    said = {name: value for name, value in stream.items() if name != "file"}
    return {**said, "url": services.links.sign(stream_path(row.id, stream["streamId"]))}


async def _stream_file(request: web.Request) -> tuple[Services, RecordingRow, Path]:
    """Raises Unauthorized, NotFound, Forbidden, Conflict, Expired, in this order."""
    services = services_of(request)
    recording_id, stream_id = request.match_info["id"], request.match_info["streamId"]
    signature = request.query.get("sig")
    if signature is not None:
        services.links.verify(stream_path(recording_id, stream_id), signature)
        row = await known_row(services, recording_id)
    else:
        row = await visible_row(request)
    _require_running(row)
    # the id is looked up among those that were given out: it never becomes part of a path
    path = services.live.file(row.id, stream_id)
    if path is None:
        raise NotFound("the recording has no such stream", code="stream_not_found")
    return services, row, path


def _require_running(row: RecordingRow) -> None:
    if row.status == Status.STARTING:
        raise Conflict("nothing is recorded yet", code="not_recording_yet")
    if row.status not in ACTIVE:
        raise Expired("the recording is over: its files are played", code="recording_over")


def _read(path: Path, start: int, most: int) -> bytes:
    """Raises NotFound when the stream went while it was asked for."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        raise NotFound("the stream is gone", code="stream_not_found") from None
    try:
        return os.pread(descriptor, max(most, 0), start)
    finally:
        os.close(descriptor)
