"""Signed requests and forms of Google Cloud Storage ("V4 signing process" in its documentation).

google-cloud-storage makes them, with the service account's key; nobody is asked. Google holds a client
to all that was signed: method, address, expiry, type and, by `x-goog-content-length-range`, the size.
An expired signature is answered with 400 ExpiredToken, a wrong one with 403.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from google.cloud import storage

from storage.objects.disposition import content_disposition
from storage.objects.gcs_bucket import Bucket
from storage.objects.keys import check_key
from storage.objects.signing import SignedForm, SignedRequest

LONGEST_LIFE: Final = timedelta(days=7)
SHORTEST_LIFE: Final = timedelta(seconds=1)


class GcsSigning:
    """A Signer and FormSigner of a bucket. Lives are cut to between a second and seven days."""

    def __init__(self, bucket: Bucket, project: str | None) -> None:
        self._bucket = bucket
        self._project = project
        self._making = threading.Lock()
        self._made: storage.Client | None = None

    async def sign_get(
        self,
        key: str,
        life: timedelta,
        *,
        file_name: str | None = None,
        content_type: str | None = None,
        download: bool = False,
    ) -> SignedRequest:
        query = {}
        if file_name or download:
            name = file_name or key.rpartition("/")[2]
            query["response-content-disposition"] = content_disposition(name, download=download)
        if content_type:
            query["response-content-type"] = content_type
        return await self._sign("GET", key, life, query=query)

    async def sign_put(
        self, key: str, life: timedelta, content_type: str, size: int | None = None
    ) -> SignedRequest:
        headers = {"Content-Type": content_type}
        if size is not None:
            headers["x-goog-content-length-range"] = f"{size},{size}"
        return await self._sign("PUT", key, life, headers=headers)

    async def sign_post(
        self, key: str, life: timedelta, content_type: str, *, largest: int, smallest: int = 0
    ) -> SignedForm:
        check_key(key)
        allowed, expires_at = _lifetime(life)

        def work() -> dict[str, Any]:
            form: dict[str, Any] = self._client().generate_signed_post_policy_v4(
                self._bucket.name,
                key,
                expiration=allowed,
                conditions=[["content-length-range", smallest, largest]],
                fields={"Content-Type": content_type},
            )
            return form

        form = await self._bucket.run(work, f"sign a form for {key!r}")
        return SignedForm(form["url"], form["fields"], expires_at)

    async def _sign(
        self,
        method: str,
        key: str,
        life: timedelta,
        *,
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
    ) -> SignedRequest:
        check_key(key)
        allowed, expires_at = _lifetime(life)

        def work() -> str:
            blob = self._client().bucket(self._bucket.name).blob(key)
            url: str = blob.generate_signed_url(
                version="v4",
                method=method,
                expiration=allowed,
                headers=dict(headers or {}),
                query_parameters=dict(query or {}),
            )
            return url

        url = await self._bucket.run(work, f"sign a request for {key!r}")
        return SignedRequest(method, url, expires_at, headers or {})

    def _client(self) -> storage.Client:
        """For signing only: it sends nothing."""
        with self._making:
            if self._made is None:
                self._made = storage.Client(
                    project=self._project,
                    credentials=self._bucket.account.for_signing(),
                    client_options={"api_endpoint": self._bucket.base},
                )
            return self._made


def _lifetime(life: timedelta) -> tuple[timedelta, datetime]:
    """A life that can be signed, and the end of it at the earliest."""
    allowed = min(max(life, SHORTEST_LIFE), LONGEST_LIFE)
    whole = timedelta(seconds=int(allowed.total_seconds()))
    return whole, datetime.now(UTC).replace(microsecond=0) + whole
