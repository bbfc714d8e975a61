"""A range of an object from the host that delivers it, as `storage.objects.reading` wants it."""

from __future__ import annotations

import aiohttp

from storage.errors import EndpointWrong, ObjectChanged, ObjectNotFound, StoreUnavailable
from storage.objects.ranges import BLOCK_BYTES
from storage.objects.reading import Opened, range_header, stop_of
from storage.objects.vercel_http import BlobHttp


class Download:
    """An answer that is being read."""

    def __init__(self, http: BlobHttp, doing: str, response: aiohttp.ClientResponse) -> None:
        self._http = http
        self._doing = doing
        self._response = response

    async def read(self) -> bytes:
        """A whole block as long as there is one; where the answer is cut, what came before."""
        parts: list[bytes] = []
        left = BLOCK_BYTES
        while left:
            reading = self._response.content.read(left)
            try:
                part = await self._http.heard(self._doing, self._response, reading)
            except StoreUnavailable:
                if not parts:
                    raise
                break  # the next call raises it again
            if not part:
                break
            parts.append(part)
            left -= len(part)
        return b"".join(parts)

    async def close(self) -> None:
        self._response.release()  # keeps the connection when all was read


async def opened_at(
    http: BlobHttp, key: str, start: int, end: int | None, version: str | None
) -> Opened | None:
    """The bytes `[start:end]` of a version, an ETag, or of any; None when they are past the end.

    Raises ObjectNotFound, StoreUnavailable and, when there is another version, ObjectChanged.
    """
    doing = f"read {key!r}"
    headers = {"range": range_header(start, end)}
    if version and not version.startswith("W/"):  # a weak one never matches (RFC 9110, 13.1.1)
        headers["if-match"] = version
    try:
        response = await http.download(doing, key, headers)
    except ObjectNotFound:
        if version is None:
            raise
        raise _changed(key) from None
    try:
        found = response.headers.get("etag", "")
        if response.status == 416:
            if version is not None:
                raise _changed(key)
            return None
        if not found:
            raise EndpointWrong(f"could not {doing}: what answers is not Vercel Blob", passing=True)
        if version is not None and not same_version(found, version):
            raise _changed(key)
        stop = _stop(response, start, end)
    except BaseException:
        response.close()
        raise
    return Opened(Download(http, doing, response), found, stop)


def same_version(etag: str, other: str) -> bool:
    """Do two ETags name the same bytes? A CDN may have made one of them weak."""
    return etag.removeprefix("W/").strip('"') == other.removeprefix("W/").strip('"') != ""


def _stop(response: aiohttp.ClientResponse, start: int, end: int | None) -> int:
    length = response.content_length
    if response.status == 200 and start == 0 and length is not None:
        return length if end is None else min(end, length)  # a range may be ignored
    return stop_of(response.headers.get("content-range"), start, end)


def _changed(key: str) -> ObjectChanged:
    return ObjectChanged(f"{key!r} was replaced or deleted while it was read")
