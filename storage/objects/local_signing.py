"""Signed requests of the local store: they go through this server, which checks them itself.

What a provider does for its bucket is done here in two halves: this module signs, verifies and
keeps; `signaling.rest.objects` speaks HTTP. A link is checked once, when its request begins, as
the S3 interface does it: what is under way then may take as long as it needs.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final
from urllib.parse import quote, urlencode

from storage.objects import local_parts
from storage.objects.keys import check_key, check_metadata
from storage.objects.local import LocalStore
from storage.objects.local_arrivals import arriving, receive
from storage.objects.local_grants import Grant, secret_for_objects, signed, verified
from storage.objects.retry import Retrier, RetryPolicy
from storage.objects.signing import Part, SignedForm, SignedRequest, UnfinishedUpload
from storage.objects.store import ObjectInfo

PATH: Final = "/objects"
# Completing while an earlier call is still at it: looked at every second or so.
COMPLETING: Final = RetryPolicy(attempts=600, first_pause=0.1, longest_pause=1.0, total=300.0)


class LocalSigner:
    """A Signer, FormSigner and Multipart whose links are `<base_url>/objects/...`.

    `base_url` may be a function, for an address that is known only later. `secret` signs; links of
    `older_secrets` are good too. `clock` gives unix time in seconds. Raises ValueError for a secret
    that is too short.
    """

    def __init__(
        self,
        store: LocalStore,
        base_url: str | Callable[[], str],
        secret: bytes,
        *,
        older_secrets: Sequence[bytes] = (),
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.store = store
        self._base_url = base_url
        self._secrets = [secret_for_objects(each) for each in (secret, *older_secrets)]
        self._clock = clock
        self._retrier = Retrier(COMPLETING)
        # hears, of an object that comes by a form, its key and how many bytes are here so far
        self.on_arrival: Callable[[str, int], None] = _unheard

    # --- signing ----------------------------------------------------------------------------------

    async def sign_get(
        self,
        key: str,
        life: timedelta,
        *,
        file_name: str | None = None,
        content_type: str | None = None,
        download: bool = False,
    ) -> SignedRequest:
        return self._request(
            Grant(
                "GET",
                key,
                self._expiry(life),
                content_type=content_type or "",
                file_name=file_name or "",
                download=int(download),
            )
        )

    async def sign_put(
        self, key: str, life: timedelta, content_type: str, size: int | None = None
    ) -> SignedRequest:
        """`size` is at most 5 GiB, and so is what is sent when it is not said."""
        headers = {"Content-Type": content_type}
        grant = Grant("PUT", key, self._expiry(life), content_type)
        if size is not None:
            headers["Content-Length"] = str(size)
            grant = Grant("PUT", key, grant.expires, content_type, smallest=size, largest=size)
        return self._request(grant, headers)

    async def sign_post(
        self, key: str, life: timedelta, content_type: str, *, largest: int, smallest: int = 0
    ) -> SignedForm:
        check_key(key)
        grant = Grant("POST", key, self._expiry(life), content_type, smallest, largest)
        fields = signed(grant, self._secrets[0])
        fields = {"key": key, "Content-Type": fields.pop("type", ""), **fields}
        return SignedForm(f"{self._base()}{PATH}", fields, _moment(grant.expires))

    async def sign_part(
        self, key: str, upload_id: str, number: int, life: timedelta, size: int | None = None
    ) -> SignedRequest:
        """Raises BadParts, too, for a number that no part has."""
        check_key(key)
        local_parts.check_number(number)
        root = self.store.root
        await self.store.threads.run(lambda: local_parts.find(root, key, upload_id))
        expires = self._expiry(life)
        grant = Grant("PUT", key, expires, upload_id=upload_id, part=number)
        headers = {}
        if size is not None:
            headers["Content-Length"] = str(size)
            grant = replace(grant, smallest=size, largest=size)
        return self._request(grant, headers)

    # --- verifying --------------------------------------------------------------------------------

    def verify(self, method: str, key: str, query: Iterable[tuple[str, str]]) -> Grant:
        """What a request to `<base_url>/objects/<key>?<query>` may do.

        `method` is GET or PUT. Raises LinkInvalid, LinkExpired.
        """
        return verified(method, key, query, self._secrets, self._clock())

    def verify_form(self, fields: Iterable[tuple[str, str]]) -> Grant:
        """What a form may do by its fields before the file. Raises LinkInvalid, LinkExpired."""
        key, parameters = "", []
        for name, value in fields:
            if name == "key":
                key = value
            elif name == "Content-Type":
                parameters += [("type", value)] if value else []
            else:
                parameters.append((name, value))
        return verified("POST", key, parameters, self._secrets, self._clock())

    # --- uploads in parts -------------------------------------------------------------------------

    async def begin(
        self, key: str, content_type: str, metadata: Mapping[str, str] | None = None
    ) -> str:
        check_key(key)
        pairs, now = check_metadata(metadata), _moment(self._clock())
        root = self.store.root
        return await self.store.threads.run(
            lambda: local_parts.begin(root, key, content_type, pairs, now)
        )

    async def receive_part(self, grant: Grant, blocks: AsyncIterator[bytes]) -> str:
        """Keep a part, durably; its ETag. What `blocks` raises leaves nothing, and comes out.

        Raises UploadGone, StoreUnavailable, StoreFull.
        """
        threads, root = self.store.threads, self.store.root
        key, upload_id = grant.key, grant.upload_id
        await threads.run(lambda: local_parts.find(root, key, upload_id))
        async with arriving(threads, root) as arrival:
            await receive(threads, arrival, blocks)
            return await threads.run(
                lambda: local_parts.keep(root, key, upload_id, grant.part, arrival)
            )

    async def parts(self, key: str, upload_id: str) -> tuple[Part, ...]:
        check_key(key)
        root = self.store.root
        return await self.store.threads.run(lambda: local_parts.listed(root, key, upload_id))

    async def complete(self, key: str, upload_id: str, parts: Sequence[Part]) -> ObjectInfo:
        """Raises BadParts, too, when the parts make no object."""
        check_key(key)
        root = self.store.root

        async def complete() -> ObjectInfo:
            return await self.store.threads.run_cancellable(
                lambda cancelled: local_parts.complete(root, key, upload_id, parts, cancelled)
            )

        return await self._retrier(complete)

    async def abort(self, key: str, upload_id: str) -> None:
        check_key(key)
        root = self.store.root
        await self.store.threads.run(lambda: local_parts.abort(root, key, upload_id))

    async def unfinished(self, prefix: str = "") -> AsyncIterator[UnfinishedUpload]:
        root = self.store.root
        for upload in await self.store.threads.run(lambda: local_parts.unfinished(root, prefix)):
            yield upload

    # --- inside -----------------------------------------------------------------------------------

    def _request(self, grant: Grant, headers: Mapping[str, str] | None = None) -> SignedRequest:
        check_key(grant.key)
        query = urlencode(signed(grant, self._secrets[0]), quote_via=quote)
        url = f"{self._base()}{PATH}/{quote(grant.key)}?{query}"
        return SignedRequest(grant.method, url, _moment(grant.expires), dict(headers or {}))

    def _expiry(self, life: timedelta) -> int:
        return int(self._clock() + life.total_seconds())

    def _base(self) -> str:
        base = self._base_url if isinstance(self._base_url, str) else self._base_url()
        return base.rstrip("/")


def _unheard(key: str, size: int) -> None:
    """Nobody wants to know."""
    del key, size


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
