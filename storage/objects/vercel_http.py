"""Requests that the SDK can't make, over one aiohttp session: bodies in blocks, ranges, signed tokens.

Redirects are not followed: they would take the token to whoever is named in them. A request is given
up when nothing at all moved for a minute, however long the whole of it takes.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final, TypeVar

import aiohttp
from aiohttp.abc import AbstractStreamWriter
from yarl import URL

from storage.errors import StorageError
from storage.objects.ranges import BLOCK_BYTES
from storage.objects.retry import retry_after_seconds
from storage.objects.vercel_address import API_VERSION, BlobAddress
from storage.objects.vercel_bodies import Body, Bytes
from storage.objects.vercel_errors import error_code, misunderstood, refusal, unreachable
from storage.objects.vercel_sdk import CONNECT_SECONDS, SILENCE_SECONDS

POOL_SECONDS: Final = 60.0  # how long a request waits for one of the connections
MOST_ERROR_BYTES: Final = 64 << 10

Result = TypeVar("Result")
Value = TypeVar("Value")


class Answer:
    """The JSON of a successful answer. `at` is the store's clock at the time (unix time)."""

    def __init__(self, doing: str, value: object, at: float) -> None:
        self.at = at
        self._doing = doing
        self._value = value

    def get(self, name: str, kind: type[Value]) -> Value:
        """A field of the object. Raises EndpointWrong when there is none of this type."""
        found = self._value.get(name) if isinstance(self._value, dict) else None
        if not isinstance(found, kind):
            raise misunderstood(self._doing)
        return found

    def moment(self, name: str) -> datetime:
        """A field that says when (ISO 8601)."""
        try:
            return datetime.fromisoformat(self.get(name, str)).astimezone(UTC)
        except ValueError:
            raise misunderstood(self._doing) from None

    def each(self, name: str) -> list[Answer]:
        """The objects of a list that is a field of the object."""
        return [Answer(self._doing, value, self.at) for value in self.get(name, list)]


class BlobHttp:
    """`call` speaks to the API, `download` to the host that delivers. Connections are kept.

    `doing` completes the sentence "could not ..." of the StorageErrors that both raise.
    """

    def __init__(self, address: BlobAddress) -> None:
        self.address = address
        self._authorization = {"authorization": f"Bearer {address.token}"}
        self._session: aiohttp.ClientSession | None = None

    async def call(
        self,
        doing: str,
        method: str,
        path: str,
        query: Mapping[str, str],
        *,
        headers: Mapping[str, str] | None = None,
        body: Body | None = None,
        fields: object = None,
    ) -> Answer:
        """One request to the API, with the bytes of `body` or with `fields` as JSON."""
        sent = {**self._authorization, "x-api-version": API_VERSION, **(headers or {})}
        if fields is not None:
            body = Bytes(json.dumps(fields).encode())
            sent["content-type"] = "application/json"
        url = self.address.api(path, query)
        response = await self._send(doing, method, url, sent, body)
        try:
            text = await self.heard(doing, response, response.read())
        finally:
            response.release()
        try:
            return Answer(doing, json.loads(text), _unix_time(response.headers.get("date")))
        except ValueError:
            raise misunderstood(doing) from None

    async def download(
        self, doing: str, key: str, headers: Mapping[str, str]
    ) -> aiohttp.ClientResponse:
        """An answer with (some of) an object's bytes, unread, to be closed; or one of status 416.

        Private objects come from the store itself: its CDN would give out what was replaced for up
        to a minute. Public ones can only be had from the CDN.
        """
        private = self.address.access == "private"
        sent = {
            "host": self.address.delivery_host,
            "accept-encoding": "identity",  # a compressed answer's ETag is not the object's
            **(self._authorization if private else {}),
            **headers,
        }
        url = self.address.reachable_object_url(key, {"cache": "0"} if private else {})
        return await self._send(doing, "GET", url, sent, None, nameless_404="not_found")

    async def heard(
        self, doing: str, response: aiohttp.ClientResponse, reading: Awaitable[Result]
    ) -> Result:
        """What reading from an answer's body gives."""
        try:
            return await reading
        except (aiohttp.ClientError, OSError) as error:
            raise unreachable(doing, response.url.authority, error) from None

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def _send(
        self,
        doing: str,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: Body | None,
        *,
        nameless_404: str = "",
    ) -> aiohttp.ClientResponse:
        """A success, unread. `nameless_404` is the code of a 404 that has none of its own: a host
        that delivers may say so in plain text, the API may not."""
        target = URL(url, encoded=True)
        failures: list[StorageError] = []
        try:
            async with asyncio.timeout(None) as silence:
                data = body and _Payload(body, silence, failures)
                response = await self._opened().request(
                    method, target, headers=headers, data=data, allow_redirects=False
                )
        except (aiohttp.ClientError, OSError) as error:
            if failures:
                raise failures[0] from None
            raise unreachable(doing, target.authority, error) from None
        if 200 <= response.status < 300 or response.status == 416:
            return response
        try:
            code = await _code_of(response) or (nameless_404 if response.status == 404 else "")
        finally:
            response.close()
        pause = retry_after_seconds(response.headers.get("retry-after"), time.time())
        raise refusal(doing, response.status, code, pause)

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                cookie_jar=aiohttp.DummyCookieJar(),
                read_bufsize=BLOCK_BYTES,
                timeout=aiohttp.ClientTimeout(
                    total=None,
                    connect=POOL_SECONDS,
                    sock_connect=CONNECT_SECONDS,
                    sock_read=SILENCE_SECONDS,
                ),
            )
        return self._session


class _Payload(aiohttp.Payload):
    """A body on its way: every block that the network takes puts the end of patience off.

    aiohttp reports what goes wrong in here as a broken connection; `failures` keeps what it was.
    """

    def __init__(self, body: Body, silence: asyncio.Timeout, failures: list[StorageError]) -> None:
        super().__init__(body, content_type="application/octet-stream")
        self._body = body
        self._silence = silence
        self._failures = failures

    @property
    def size(self) -> int:
        return self._body.size

    @property
    def autoclose(self) -> bool:
        return True

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:  # noqa: ARG002 aiohttp's
        raise TypeError("a body of blocks is no text")

    async def write(self, writer: AbstractStreamWriter) -> None:
        await self.write_with_length(writer, None)

    async def write_with_length(
        self,
        writer: AbstractStreamWriter,
        content_length: int | None,  # noqa: ARG002 aiohttp's; it is `size`
    ) -> None:
        loop = asyncio.get_running_loop()
        for offset in range(0, self.size, BLOCK_BYTES):
            with suppress(RuntimeError):  # answered already: then nobody is waiting any more
                self._silence.reschedule(loop.time() + SILENCE_SECONDS)
            try:
                block = await self._body.read(offset, min(BLOCK_BYTES, self.size - offset))
            except StorageError as error:
                self._failures.append(error)
                raise
            await writer.write(block)


async def _code_of(response: aiohttp.ClientResponse) -> str:
    """What the API calls the error; "" when that can't be read: it is an error all the same."""
    said = b""
    try:
        while len(said) < MOST_ERROR_BYTES and (block := await response.content.readany()):
            said += block
        return error_code(json.loads(said))
    except (aiohttp.ClientError, OSError, ValueError):
        return ""


def _unix_time(date: str | None) -> float:
    """Of a header `Date`; this machine's clock when there is none."""
    try:
        return parsedate_to_datetime(date or "").timestamp()
    except ValueError:
        return time.time()
