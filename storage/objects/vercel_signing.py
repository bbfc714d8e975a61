"""Vercel's signed URLs, as its npm package @vercel/blob makes them.

The API issues a delegation: what may be done, with which object, until when, and a key to sign with.
A URL then carries the delegation and a signature (HMAC-SHA-256 with that key, base64url) over a
canonical string: a line for the operation, one for the pathname and one for each limit in the
query, sorted by their bytes. The store verifies both.
"""

from __future__ import annotations

import base64
import hmac
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final, Literal

from storage.objects.keys import check_key
from storage.objects.signing import SignedRequest
from storage.objects.vercel_address import API_VERSION
from storage.objects.vercel_client import CACHE_SECONDS, BlobClient

Operation = Literal["get", "put"]

LONGEST_LIFE: Final = timedelta(days=7)  # of a delegation, says Vercel's documentation
PUT_LIMITS: Final = {
    "allow-overwrite": "true",
    "add-random-suffix": "false",
    "cache-control-max-age": str(CACHE_SECONDS),
}


@dataclass(frozen=True, slots=True)
class Delegation:
    """`key` signs. `valid_until` is unix time in milliseconds."""

    token: str = field(repr=False)
    key: str = field(repr=False)
    valid_until: int

    @property
    def expires_at(self) -> datetime:
        return datetime.fromtimestamp(self.valid_until / 1000, UTC)


def delegation_request(
    operation: Operation, pathname: str, life: timedelta, now: float, limits: Mapping[str, object]
) -> dict[str, object]:
    """The fields of `POST /signed-token`. `now` is unix time; `life` is cut to seven days."""
    until = int(now * 1000) + int(min(life, LONGEST_LIFE) / timedelta(milliseconds=1))
    return {"pathname": pathname, "operations": [operation], "validUntil": until, **limits}


def signed_query(
    delegation: Delegation, operation: Operation, pathname: str, limits: Mapping[str, str]
) -> dict[str, str]:
    """The query parameters that make a URL a permission; limits are named without their prefix."""
    query = {f"vercel-blob-{name}": value for name, value in limits.items()}
    lines = [f"operation={operation}", f"pathname={pathname}"]
    lines += [f"{name}={value}" for name, value in query.items()]
    canonical = "\n".join(sorted(lines, key=str.encode))
    digest = hmac.digest(delegation.key.encode(), canonical.encode(), "sha256")
    signature = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
    return {
        **query,
        "vercel-blob-delegation": delegation.token,
        "vercel-blob-signature": signature,
    }


def allowed_type(content_type: str) -> str:
    """What a delegation may say of a content type, of which it knows type and subtype only.

    One with parameters ("video/webm;codecs=...") would match nothing but itself, and may hold the
    comma that separates such types; "video/*" stands in for it.
    """
    kind, separator, _ = content_type.partition(";")
    return f"{kind.partition('/')[0]}/*" if separator else kind


class VercelSigning:
    """A Signer. The store is asked for a delegation for each URL, which lasts seven days at most.

    What can't be bound: a file name (a browser saves the last component of the key) and a content
    type for reading, which are ignored; a size for writing, which becomes an upper limit. Whoever
    may put an object may do so in parts as well. URLs for reading are of the host that delivers,
    also where this process reaches it elsewhere; its CDN may give out what was replaced for a
    minute. A public object can be read by everyone who knows its key, with or without a signature.
    """

    def __init__(self, client: BlobClient) -> None:
        self._client = client

    async def sign_get(
        self,
        key: str,
        life: timedelta,
        *,
        file_name: str | None = None,  # noqa: ARG002 can't be bound
        content_type: str | None = None,  # noqa: ARG002 can't be bound
        download: bool = False,
    ) -> SignedRequest:
        check_key(key)
        query, expires_at = await self._signed("get", key, life, {}, {})
        if download:
            query["download"] = "1"
        return SignedRequest("GET", self._client.address.object_url(key, query), expires_at)

    async def sign_put(
        self, key: str, life: timedelta, content_type: str, size: int | None = None
    ) -> SignedRequest:
        check_key(key)
        kind = allowed_type(content_type)
        scope: dict[str, object] = {"allowedContentTypes": [kind]}
        limits = {"allowed-content-types": kind, **PUT_LIMITS}
        if size is not None:
            scope["maximumSizeInBytes"] = size
            limits["maximum-size-in-bytes"] = str(size)
        query, expires_at = await self._signed("put", key, life, scope, limits)
        return SignedRequest(
            "PUT",
            self._client.address.api("/", {"pathname": key, **query}),
            expires_at,
            self._headers({"x-content-type": content_type}),
        )

    async def _signed(
        self,
        operation: Operation,
        key: str,
        life: timedelta,
        scope: Mapping[str, object],
        limits: Mapping[str, str],
    ) -> tuple[dict[str, str], datetime]:
        """The query of a signed URL, and when it expires."""
        asked = delegation_request(operation, key, life, time.time(), scope)
        answer = await self._client.call(
            f"sign a URL of {key!r}", "POST", "/signed-token", {}, fields=asked
        )
        delegation = Delegation(
            answer.get("delegationToken", str),
            answer.get("clientSigningToken", str),
            answer.get("validUntil", int),
        )
        return signed_query(delegation, operation, key, limits), delegation.expires_at

    def _headers(self, more: Mapping[str, str]) -> dict[str, str]:
        access = self._client.address.access
        return {"x-api-version": API_VERSION, "x-vercel-blob-access": access, **more}
