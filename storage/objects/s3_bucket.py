"""One bucket behind boto3: the client, the threads it blocks in, and how often it is asked again.

boto3's own retries are off; each request is repeated by `Retrier`. Payloads are not hashed for the
signature: whoever has to be sure reads back what was stored. On Amazon's own endpoints boto3 adds
checksums that S3 verifies; other stores get one only where the interface demands it
("when_required"), and Content-MD5 with DeleteObjects, which some answer with 400 when it is missing.
"""

from __future__ import annotations

import base64
import hashlib
import io
import threading
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal, TypeVar
from urllib.parse import urlsplit

import boto3
from botocore.config import Config

from storage.objects.retry import Retrier
from storage.objects.s3_errors import Place, translated
from storage.objects.sources import FileSlice
from storage.objects.threads import Threads

THREADS: Final = 12
CONNECT_SECONDS: Final = 10
IDLE_SECONDS: Final = 60
DEFAULT_REGION: Final = "us-east-1"

Result = TypeVar("Result")


class Bucket:
    """Nothing is sent, and boto3 makes no client, before the first call.

    `endpoint` of None is Amazon's in `region`. `path_style` puts the bucket into the path rather
    than the host name; None does so with every endpoint that is not Amazon's. Without keys boto3
    looks where it always looks (instance roles, shared files).
    """

    def __init__(
        self,
        name: str,
        *,
        region: str | None = None,
        access_key_id: str | None = None,
        secret_access_key: str | None = None,
        session_token: str | None = None,
        endpoint: str | None = None,
        path_style: bool | None = None,
        retrier: Retrier | None = None,
    ) -> None:
        self.name = name
        self.place = Place(name, urlsplit(endpoint).netloc if endpoint else "Amazon S3")
        self.retrier = retrier or Retrier()
        self.threads = Threads("s3", THREADS)
        self._keys = (access_key_id, secret_access_key, session_token)
        self._region = region or DEFAULT_REGION
        self._endpoint = endpoint
        self._path_style = bool(endpoint) if path_style is None else path_style
        self._making = threading.Lock()
        self._made: Any = None

    async def ask(
        self,
        operation: str,
        doing: str,
        key: str = "",
        *,
        idempotent: bool = True,
        **parameters: Any,
    ) -> Mapping[str, Any]:
        """One operation on the bucket, repeated as far as that may help.

        `doing` completes "could not ..."; `key` is the object that a 404 would be about.
        """
        return await self.retrier(
            lambda: self.once(operation, doing, key, **parameters), idempotent=idempotent
        )

    async def once(
        self, operation: str, doing: str, key: str = "", **parameters: Any
    ) -> Mapping[str, Any]:
        def call(client: Any) -> Mapping[str, Any]:
            body = parameters.get("Body")
            if isinstance(body, io.IOBase):
                body.seek(0)  # where an attempt before this one left it
            answer: Mapping[str, Any] = getattr(client, operation)(Bucket=self.name, **parameters)
            return answer

        return await self.run(call, doing, key)

    async def run(self, call: Callable[[Any], Result], doing: str, key: str = "") -> Result:
        """Blocking work with the client, in a thread, its errors in our words."""

        def work() -> Result:
            with translated(self.place, doing, key):
                return call(self._client())

        return await self.threads.run(work)

    def close(self) -> None:
        self.threads.close()
        if self._made is not None:
            self._made.close()

    def _client(self) -> Any:
        """In a thread at the first use: boto3 reads its models from the disk for it."""
        with self._making:
            if self._made is None:
                self._made = self._make_client()
            return self._made

    def _make_client(self) -> Any:
        key_id, secret, token = self._keys
        checksums: Literal["when_required", "when_supported"]
        checksums = "when_required" if self._endpoint else "when_supported"
        # a session of its own: what other code sets up for boto3 is not ours
        client = boto3.session.Session().client(
            "s3",
            region_name=self._region,
            endpoint_url=self._endpoint,
            aws_access_key_id=key_id,
            aws_secret_access_key=secret,
            aws_session_token=token,
            config=Config(
                signature_version="s3v4",
                s3={
                    "addressing_style": "path" if self._path_style else "virtual",
                    "payload_signing_enabled": False,
                },
                retries={"total_max_attempts": 1, "mode": "standard"},
                connect_timeout=CONNECT_SECONDS,
                read_timeout=IDLE_SECONDS,
                max_pool_connections=THREADS,
                request_checksum_calculation=checksums,
                response_checksum_validation=checksums,
            ),
        )
        client.meta.events.register("before-sign.s3.DeleteObjects", _add_content_md5)
        client.meta.events.register("before-send.s3", _send_in_blocks)
        return client


def _add_content_md5(request: Any, **_event: Any) -> None:
    digest = hashlib.md5(request.body, usedforsecurity=False).digest()
    request.headers["Content-MD5"] = base64.b64encode(digest).decode()


def _send_in_blocks(request: Any, **_event: Any) -> None:
    """Of a file the HTTP client would read 16 KiB at a time, which costs more than sending them."""
    if isinstance(request.body, FileSlice):
        request.body = request.body.blocks()
