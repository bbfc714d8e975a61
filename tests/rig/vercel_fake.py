"""A fake of Vercel Blob (its HTTP protocol, version 12), as both official SDKs see it.

`python -m tests.rig.vercel_fake FOLDER` serves on a free port of this machine, which it prints, until
its standard input ends. The token comes in `VERCEL_FAKE_TOKEN`. One port is everything: the control
API and, by the Host header `<store>.<access>.blob.vercel-storage.com`, the hosts that deliver.

It is strict where the real one is: tokens, signatures, expiry, sizes of parts, replacing, bodies of a
known length. Its CDN can be made to lag, and its clock to run ahead (`/rig/...`).
"""

from __future__ import annotations

import asyncio
import os
import re
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from mimetypes import MimeTypes
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from aiohttp import web
from multidict import CIMultiDict

from tests.rig.vercel_fake_blobs import BLOCK, Blob, Blobs, Refusal, Wanted
from tests.rig.vercel_fake_rights import PREFIX, Authority, Rights

TOKEN_VARIABLE = "VERCEL_FAKE_TOKEN"
READY = "the fake Vercel Blob is ready on port "
DOMAIN = "blob.vercel-storage.com"
LONGEST_PATHNAME = 950
MONTH = 30 * 24 * 3600

_RANGE = re.compile(r"bytes=(\d+)-(\d*)")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Fake:
    def __init__(self, token: str, folder: Path) -> None:
        self.authority = Authority(token)
        self.blobs = Blobs(folder)
        self.ahead = 0.0  # seconds that its clock is ahead

    def application(self) -> web.Application:
        app = web.Application(middlewares=[self.answered], client_max_size=1 << 20)
        app.router.add_put("/", self.put)
        app.router.add_get("/", self.look, allow_head=False)
        app.router.add_post("/delete", self.delete)
        app.router.add_post("/mpu", self.multipart)
        app.router.add_post("/signed-token", self.delegate)
        app.router.add_post("/rig/empty", self.empty)
        app.router.add_post("/rig/clock", self.set_clock)
        app.router.add_post("/rig/cdn", self.set_cdn)
        return app

    @web.middleware
    async def answered(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Requests to a host that delivers are for `deliver`; refusals become answers."""
        host = re.fullmatch(
            rf"{self.authority.store}\.(public|private)\.{re.escape(DOMAIN)}", request.host
        )
        try:
            if host:
                return await self.deliver(request, host[1])
            return await handler(request)
        except ConnectionError:  # the client went away; nobody hears of it
            return web.Response(status=499)
        except Refusal as refusal:
            error = {"code": refusal.code, "message": str(refusal)}
            return web.json_response({"error": error}, status=refusal.status)

    @property
    def now(self) -> int:
        """Unix time in milliseconds."""
        return int((time.time() + self.ahead) * 1000)

    # --- the control API --------------------------------------------------------------------------

    async def put(self, request: web.Request) -> web.Response:
        pathname = _pathname(request)
        rights = self._may(request, "put", pathname)
        wanted = _wanted(request, pathname, rights)
        if "fromUrl" in request.query:
            blob = self.blobs.copy(self._named(request.query["fromUrl"]), wanted)
        else:
            _length(request)
            blob = await self.blobs.put(wanted, _body(request), rights.largest)
        return web.json_response(self._result(blob))

    async def look(self, request: web.Request) -> web.Response:
        """One object by `url`, or a list."""
        self.authority.check_token(request.headers.get("authorization", ""))
        if "url" in request.query:
            blob = self.blobs.find(self._named(request.query["url"]))
            return web.json_response(self._result(blob) | _more(blob) | _caching(blob))
        limit = int(request.query.get("limit", "1000"))
        if not 1 <= limit <= 1000:
            raise Refusal(400, "bad_request", "limit")
        query = request.query
        found = self.blobs.listed(query.get("prefix", ""), query.get("cursor", ""))
        page = found[:limit]
        more = {"cursor": page[-1].pathname} if len(found) > limit else {}
        blobs = [self._result(blob) | _more(blob) for blob in page]
        return web.json_response({"blobs": blobs, "hasMore": bool(more), **more})

    async def delete(self, request: web.Request) -> web.Response:
        self.authority.check_token(request.headers.get("authorization", ""))
        urls = (await request.json())["urls"]
        if not 1 <= len(urls) <= 1000:
            raise Refusal(400, "bad_request", "urls")
        for url in urls:
            self.blobs.delete(self._named(url), request.headers.get("x-if-match"))
        return web.json_response(None)

    async def delegate(self, request: web.Request) -> web.Response:
        self.authority.check_token(request.headers.get("authorization", ""))
        return web.json_response(self.authority.delegate(await request.json(), self.now))

    async def multipart(self, request: web.Request) -> web.Response:
        pathname = _pathname(request)
        rights = self._may(request, "put", pathname)
        action = request.headers.get("x-mpu-action")
        if action == "create":
            upload_id = self.blobs.begin(pathname)
            return web.json_response({"uploadId": upload_id, "key": self._api_key(pathname)})
        upload_id = request.headers.get("x-mpu-upload-id", "")
        upload = self.blobs.upload(upload_id, pathname)
        if unquote(request.headers.get("x-mpu-key", "")) != self._api_key(pathname):
            raise Refusal(400, "bad_request", "x-mpu-key")
        if action == "upload":
            number = int(request.headers["x-mpu-part-number"])
            place = await self.blobs.add_part(upload, number, _length(request), _body(request))
            return web.json_response({"etag": place.etag})
        if action == "complete":
            listed = [(part["partNumber"], part["etag"]) for part in await request.json()]
            wanted = _wanted(request, pathname, rights)
            return web.json_response(self._result(self.blobs.complete(upload_id, wanted, listed)))
        raise Refusal(400, "bad_request", "x-mpu-action")

    def _may(self, request: web.Request, operation: str, pathname: str) -> Rights:
        if PREFIX + "delegation" in request.query:
            return self.authority.signed(request.query, operation, pathname, self.now)
        self.authority.check_token(request.headers.get("authorization", ""))
        return Rights()

    def _api_key(self, pathname: str) -> str:
        """What the API calls an object that is uploaded: not just its pathname."""
        return f"{self.authority.store}/{pathname}"

    def _named(self, url_or_pathname: str) -> str:
        found = re.fullmatch(
            rf"https://{self.authority.store}\.(?:public|private)\.{re.escape(DOMAIN)}/([^?#]+).*",
            url_or_pathname,
        )
        return unquote(found[1]) if found else url_or_pathname

    def _result(self, blob: Blob) -> dict[str, Any]:
        url = f"https://{self.authority.store}.{blob.access}.{DOMAIN}/{quote(blob.pathname)}"
        return {
            "url": url,
            "downloadUrl": url + "?download=1",
            "pathname": blob.pathname,
            "contentType": blob.content_type,
            "contentDisposition": _disposition(blob, download=False),
            "etag": blob.etag,
        }

    # --- delivery ---------------------------------------------------------------------------------

    async def deliver(self, request: web.Request, access: str) -> web.StreamResponse:
        pathname = unquote(request.rel_url.raw_path).removeprefix("/")
        if request.method not in ("GET", "HEAD"):
            raise Refusal(405, "method_not_allowed")
        if access == "private":
            self._may(request, request.method.lower(), pathname)
        blob = self.blobs.find(pathname)
        past_the_cdn = access == "private" and request.query.get("cache") == "0"
        if not past_the_cdn:
            blob = self.blobs.replaced.get(pathname, blob)
        if blob.access != access:
            raise Refusal(404, "not_found")
        return await _delivered(request, blob)

    # --- what only the rig may ask for ------------------------------------------------------------

    async def empty(self, request: web.Request) -> web.Response:
        self.blobs.empty()
        self.ahead = 0.0
        return web.Response()

    async def set_clock(self, request: web.Request) -> web.Response:
        self.ahead = (await request.json())["ahead"]
        return web.Response()

    async def set_cdn(self, request: web.Request) -> web.Response:
        self.blobs.cdn_lags = (await request.json())["lags"]
        self.blobs.replaced.clear()
        return web.Response()


async def _delivered(request: web.Request, blob: Blob) -> web.StreamResponse:
    headers = CIMultiDict(
        {
            "ETag": blob.etag,
            "Content-Type": blob.content_type,
            "Accept-Ranges": "bytes",
            "Cache-Control": f"max-age={blob.max_age}",
            "Content-Disposition": _disposition(blob, download="download" in request.query),
        }
    )
    if request.headers.get("if-match", blob.etag) != blob.etag:
        return web.Response(status=412, headers=headers)
    if request.headers.get("if-none-match") == blob.etag:
        return web.Response(status=304, headers=headers)
    status, start, end = 200, 0, blob.size
    if wanted := _RANGE.fullmatch(request.headers.get("range", "")):
        start = int(wanted[1])
        end = min(int(wanted[2]) + 1, blob.size) if wanted[2] else blob.size
        if start >= end:
            headers["Content-Range"] = f"bytes */{blob.size}"
            return web.Response(status=416, headers=headers)
        status = 206
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{blob.size}"
    response = web.StreamResponse(status=status, headers=headers)
    response.content_length = end - start
    with blob.path.open("rb") as file:
        await response.prepare(request)
        if request.method == "GET":
            for block in blob.blocks(file, start, end):
                await response.write(block)
    await response.write_eof()
    return response


def _pathname(request: web.Request) -> str:
    pathname = request.query.get("pathname", "")
    if not pathname or len(pathname) > LONGEST_PATHNAME or "//" in pathname:
        raise Refusal(400, "bad_request", "pathname")
    return pathname


def _wanted(request: web.Request, pathname: str, rights: Rights) -> Wanted:
    headers = request.headers
    guess = MimeTypes().guess_type(pathname)[0] or "application/octet-stream"
    content_type = headers.get("x-content-type", guess)
    rights.check_type(content_type)
    if headers.get("x-add-random-suffix") == "1":
        raise Refusal(400, "bad_request", "this fake gives no random suffixes")
    access = headers.get("x-vercel-blob-access", "")
    if access not in ("public", "private"):
        raise Refusal(400, "bad_request", "access")
    overwrite = headers.get("x-allow-overwrite") == "1"
    max_age = int(headers.get("x-cache-control-max-age", MONTH))
    return Wanted(
        pathname,
        access,
        content_type,
        max(60, max_age if rights.max_age is None else rights.max_age),
        overwrite if rights.overwrite is None else rights.overwrite,
        headers.get("x-if-match"),
    )


def _length(request: web.Request) -> int:
    if request.content_length is None:
        raise Refusal(411, "bad_request", "Content-Length")
    return request.content_length


async def _body(request: web.Request) -> AsyncIterator[bytes]:
    try:
        async for block in request.content.iter_chunked(BLOCK):
            yield block
    except ConnectionError:  # nobody hears it, and what came is not kept
        raise Refusal(400, "bad_request", "the body was cut") from None


def _more(blob: Blob) -> Mapping[str, Any]:
    at = blob.uploaded_at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {"size": blob.size, "uploadedAt": at}


def _caching(blob: Blob) -> Mapping[str, Any]:
    return {"cacheControl": f"public, max-age={blob.max_age}"}


def _disposition(blob: Blob, *, download: bool) -> str:
    name = quote(blob.pathname.rpartition("/")[2])
    return f'{"attachment" if download else "inline"}; filename="{name}"'


async def serve(token: str, folder: Path) -> None:
    runner = web.AppRunner(Fake(token, folder).application(), access_log=None, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(f"{READY}{runner.addresses[0][1]}", flush=True)
    await asyncio.to_thread(sys.stdin.buffer.read)  # its end is that of whoever started this
    await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(serve(os.environ[TOKEN_VARIABLE], Path(sys.argv[1])))
