"""Signed requests and forms of the S3 interface: signature version 4, made here, nobody is asked."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from storage.errors import BadKey
from storage.objects.disposition import content_disposition
from storage.objects.keys import check_key
from storage.objects.s3_bucket import Bucket
from storage.objects.signing import SignedForm, SignedRequest

LONGEST_LIFE: Final = timedelta(days=7)  # signature version 4


class S3Signing:
    """A Signer of a bucket."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket

    async def sign_get(
        self,
        key: str,
        life: timedelta,
        *,
        file_name: str | None = None,
        content_type: str | None = None,
        download: bool = False,
    ) -> SignedRequest:
        check_key(key)
        asked = {"Key": key}
        if file_name or download:
            name = file_name or key.rpartition("/")[2]
            asked["ResponseContentDisposition"] = content_disposition(name, download=download)
        if content_type:
            asked["ResponseContentType"] = content_type
        return await self._sign("get_object", "GET", life, {}, **asked)

    async def sign_put(
        self, key: str, life: timedelta, content_type: str, size: int | None = None
    ) -> SignedRequest:
        check_key(key)
        headers = {"Content-Type": content_type}
        asked: dict[str, Any] = {"Key": key, "ContentType": content_type}
        if size is not None:
            headers["Content-Length"] = str(size)
            asked["ContentLength"] = size
        return await self._sign("put_object", "PUT", life, headers, **asked)

    async def _sign(
        self,
        operation: str,
        method: str,
        life: timedelta,
        headers: Mapping[str, str],
        **asked: Any,
    ) -> SignedRequest:
        seconds, expires_at = _times(life)

        def sign(client: Any) -> str:
            return str(
                client.generate_presigned_url(
                    operation,
                    Params={"Bucket": self._bucket.name, **asked},
                    ExpiresIn=seconds,
                    HttpMethod=method,
                )
            )

        url = await self._bucket.run(sign, "sign a link")
        return SignedRequest(method, url, expires_at, headers)


class S3FormSigning:
    """A FormSigner of a bucket."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket

    async def sign_post(
        self, key: str, life: timedelta, content_type: str, *, largest: int, smallest: int = 0
    ) -> SignedForm:
        check_key(key)
        if "${filename}" in key:  # S3 puts the file's own name there: the form could write any key
            raise BadKey("a form can't be signed for a key with ${filename} in it")
        seconds, expires_at = _times(life)
        conditions = [
            {"Content-Type": content_type},
            ["content-length-range", smallest, largest],
        ]

        def sign(client: Any) -> Mapping[str, Any]:
            form: Mapping[str, Any] = client.generate_presigned_post(
                self._bucket.name,
                key,
                Fields={"Content-Type": content_type},
                Conditions=conditions,
                ExpiresIn=seconds,
            )
            return form

        form = await self._bucket.run(sign, "sign a form")
        return SignedForm(form["url"], form["fields"], expires_at)


def _times(life: timedelta) -> tuple[int, datetime]:
    """How many seconds to sign for, at least one, and when that is over."""
    seconds = max(1, int(min(life, LONGEST_LIFE).total_seconds()))
    return seconds, datetime.now(UTC) + timedelta(seconds=seconds)
