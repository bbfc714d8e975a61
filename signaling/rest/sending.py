"""Sending an object through this server: whole, or the range that was asked for (RFC 9110, 14)."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from aiohttp import hdrs, web
from aiohttp.abc import AbstractStreamWriter

from storage.catalog import FileRow
from storage.objects import LocalFiles, ObjectStore

# All that a file response hears of a request; see FileAnswer.
CONDITIONS: Final = (
    hdrs.RANGE,
    hdrs.IF_RANGE,
    hdrs.IF_MATCH,
    hdrs.IF_NONE_MATCH,
    hdrs.IF_MODIFIED_SINCE,
    hdrs.IF_UNMODIFIED_SINCE,
    hdrs.ORIGIN,
)

_RANGE: Final = re.compile(r"bytes=(?!-$)(\d*)-(\d*)", re.ASCII | re.IGNORECASE)

OnSent = Callable[[int], None]
"""Hears how many bytes of body went out, once, at the end."""


async def send_object(
    request: web.Request,
    store: ObjectStore,
    file: FileRow,
    headers: Mapping[str, str],
    on_sent: OnSent,
) -> web.StreamResponse:
    """Raises ObjectNotFound, StoreUnavailable before the first byte; later the connection is cut."""
    await store.head(file.key)  # ObjectNotFound rather than a bare 404
    if isinstance(store, LocalFiles):
        return FileAnswer(store.path(file.key), headers, on_sent)
    return await _relay(request, store, file, headers, on_sent)


async def read_text(store: ObjectStore, key: str) -> str:
    """A small object's text (UTF-8). Raises ObjectNotFound, StoreUnavailable."""
    return b"".join([block async for block in store.open(key)]).decode("utf-8", "replace")


async def send_text(
    request: web.Request, text: str, headers: Mapping[str, str], on_sent: OnSent
) -> web.StreamResponse:
    """Whole and compressed: texts repeat themselves."""
    response = web.Response(body=text.encode(), headers=dict(headers), zlib_executor_size=8192)
    response.enable_compression()
    await response.prepare(request)
    await response.write_eof()
    if request.method != hdrs.METH_HEAD:
        on_sent(response.body_length)
    return response


class FileAnswer(web.FileResponse):
    """A file response to a request of which it hears only the range and the conditions.

    Not what encodings the client accepts: it would send the file "<name>.gz", which here is another
    object, in place of the one asked for. And not the range when `If-Range` (RFC 9110, 13.1.5)
    names another version by its ETag: aiohttp understands dates only, and would mix the two. Nor what
    is no range of bytes, which aiohttp refuses rather than ignores.
    """

    def __init__(
        self, path: Path, headers: Mapping[str, str], on_sent: OnSent | None = None
    ) -> None:
        super().__init__(path, headers=dict(headers))
        self._place = path
        self._on_sent = on_sent

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        said = {name: request.headers.get(name, "") for name in CONDITIONS}
        kept = {str(name): value for name, value in said.items() if value and value.isascii()}
        version = kept.get(hdrs.IF_RANGE)
        if version and request.if_range is None and version != await entity_tag(self._place):
            kept.pop(hdrs.RANGE, None)
        _put_right(kept)
        writer = await super().prepare(request.clone(headers=kept))
        if self._on_sent is not None and request.method != hdrs.METH_HEAD:
            self._on_sent(self.content_length or 0)
        return writer


async def entity_tag(path: Path) -> str:
    """The ETag that a FileResponse gives (pinned by a test); empty when there is no file."""
    with suppress(OSError):
        status = await asyncio.to_thread(os.stat, path)
        return f'"{status.st_mtime_ns:x}-{status.st_size:x}"'
    return ""


async def _relay(
    request: web.Request,
    store: ObjectStore,
    file: FileRow,
    headers: Mapping[str, str],
    on_sent: OnSent,
) -> web.StreamResponse:
    etag = f'"{file.sha256}"'
    given = {**headers, "Accept-Ranges": "bytes", "ETag": etag}
    if _is_known(etag, request.headers.get(hdrs.IF_NONE_MATCH, "")):
        return web.Response(status=304, headers=given)
    start, end, status = 0, file.size, 200
    if request.headers.get(hdrs.IF_RANGE, etag) == etag:
        try:
            asked = _range(request.headers.get(hdrs.RANGE, ""), file.size)
        except ValueError:
            refusal = {"Content-Range": f"bytes */{file.size}"}
            return web.Response(status=416, headers={**headers, **refusal})
        if asked is not None:
            (start, end), status = asked, 206
            given["Content-Range"] = f"bytes {start}-{end - 1}/{file.size}"
    response = web.StreamResponse(status=status, headers=given)
    response.content_length = end - start
    await response.prepare(request)
    if request.method != hdrs.METH_HEAD:
        await _send(request, response, store.open(file.key, start, end), on_sent)
    return response


async def _send(
    request: web.Request,
    response: web.StreamResponse,
    blocks: AsyncIterator[bytes],
    on_sent: OnSent,
) -> None:
    """The body. When it can't be sent to its end, the connection is closed: the status and length
    are out, and nothing else would tell the client, which would take what comes next for the rest.
    """
    sent = 0
    try:
        async for block in blocks:
            await response.write(block)
            sent += len(block)
    finally:
        on_sent(sent)
        if sent != response.content_length and request.transport is not None:
            request.transport.close()


def _put_right(conditions: dict[str, str]) -> None:
    """Leaves a range that aiohttp reads as `_range` does, or none."""
    asked = conditions.pop(hdrs.RANGE, "").strip().lower()
    try:
        if _range(asked, sys.maxsize) is not None:
            conditions[hdrs.RANGE] = asked
    except ValueError:  # the last 0 bytes, which aiohttp takes for all of them
        conditions[hdrs.RANGE] = f"bytes={sys.maxsize}-"


def _is_known(etag: str, known: str) -> bool:
    """`If-None-Match` (RFC 9110, 13.1.2), by weak comparison: our ETags have no quote in them."""
    return known.strip() == "*" or etag in known


def _range(asked: str, size: int) -> tuple[int, int] | None:
    """The bytes `[start:end]`; None for what is not one range of bytes, which may be ignored.

    Raises ValueError when it is not there.
    """
    found = _RANGE.fullmatch(asked.strip())
    if found is None:
        return None
    first, last = found.groups()
    if not first:
        start, end = max(0, size - int(last)), size
    elif last and int(last) < int(first):
        return None
    else:
        start, end = int(first), min(int(last) + 1, size) if last else size
    if start >= end:
        raise ValueError("no such range")
    return start, end
