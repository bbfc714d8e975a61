"""Stores that sign requests, and a plain HTTP client that uses what they signed: no SDK, no store."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol, cast

import aiohttp
from yarl import URL

from storage.objects import FormSigner, Multipart, ObjectStore, SignedForm, SignedRequest, Signer
from storage.objects.gcs import GcsStore
from storage.objects.local_signing import LocalSigner
from storage.objects.s3 import S3Store
from storage.objects.s3_bucket import Bucket
from storage.objects.vercel_blob import VercelBlobStore
from tests.rig.gcs_signatures import ServiceAccount
from tests.rig.vercel import new_token
from tests.rig.waiting import until
from tests.signaling.house import house
from tests.storage.stores import Servers

SIGNERS = ("local", "s3", "b2", "gcs", "vercel")
FORM_SIGNERS = ("local", "s3", "gcs")
REFUSED = frozenset({400, 401, 403})  # what is wrong with a signature is said in different ways


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def done(self) -> bool:
        return 200 <= self.status < 300


class AnySigner(Signer, Multipart, Protocol):
    """What all of SIGNERS can do."""


Reach = Callable[[str], tuple[str, Mapping[str, str]]]
"""How a URL is reached on this machine: at which address, with which headers."""


@dataclass(frozen=True, slots=True)
class Signing:
    """A store, what signs for it, and a client. `liar` signs with a secret that is not the store's."""

    kind: str
    store: ObjectStore
    signer: AnySigner
    liar: AnySigner
    client: aiohttp.ClientSession
    reach: Reach

    @property
    def forms(self) -> FormSigner:
        return cast(FormSigner, self.signer)

    async def send(
        self,
        signed: SignedRequest,
        body: bytes | AsyncIterator[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Just what was signed; `headers` come on top."""
        url, reaching = self.reach(signed.url)
        # the length of a body is that of what is sent, not what was signed; a browser does it so
        signed_headers = {n: v for n, v in signed.headers.items() if n != "Content-Length"}
        sent = {**signed_headers, **reaching, **(headers or {})}
        async with self.client.request(
            signed.method, URL(url, encoded=True), data=body, headers=sent
        ) as answer:
            return Answer(answer.status, answer.headers, await answer.read())

    async def post(
        self, form: SignedForm, body: bytes, changes: Mapping[str, str] | None = None
    ) -> Answer:
        sent = aiohttp.FormData(quote_fields=False)
        for name, value in {**form.fields, **(changes or {})}.items():
            sent.add_field(name, value)
        sent.add_field("file", body, filename="upload.bin")
        url, reaching = self.reach(form.url)
        async with self.client.post(URL(url, encoded=True), data=sent, headers=reaching) as answer:
            return Answer(answer.status, answer.headers, await answer.read())


def with_url(signed: SignedRequest, old: str, new: str) -> SignedRequest:
    """The request to another URL, in which `old` was replaced."""
    assert old in signed.url
    return replace(signed, url=signed.url.replace(old, new))


async def expiry_of(signed: SignedRequest | SignedForm) -> None:
    """Back when it has expired; servers know whole seconds only."""
    left = (signed.expires_at - datetime.now(UTC)).total_seconds()
    await until(
        lambda: (datetime.now(UTC) - signed.expires_at).total_seconds() > 1.05,
        within=left + 5,
        what="the signature expires",
    )


@asynccontextmanager
async def signing_store(kind: str, servers: Servers, root: Path) -> AsyncIterator[Signing]:
    """An empty store of a kind that signs."""
    opened = _local(root) if kind == "local" else _remote(kind, servers, root)
    async with (
        opened as (store, signer, liar, reach),
        aiohttp.ClientSession(auto_decompress=False) as client,
    ):
        yield Signing(kind, store, signer, liar, client, reach)


Opened = tuple[ObjectStore, AnySigner, AnySigner, Reach]


@asynccontextmanager
async def _local(root: Path) -> AsyncIterator[Opened]:
    """The server's own store and signer, behind the server's routes."""
    root.mkdir()
    async with house(root) as served:
        signer = served.services.local_objects
        base = str(served.client.make_url("")).rstrip("/")
        liar = LocalSigner(signer.store, "", b"not the secret of the server, 32 and more")
        yield signer.store, signer, liar, lambda url: (base + url, {})


@asynccontextmanager
async def _remote(kind: str, servers: Servers, root: Path) -> AsyncIterator[Opened]:
    liar = _liar(kind, servers)
    async with servers.store(kind, root, 0) as store:
        reach = servers.vercel.reached if kind == "vercel" else lambda url: (url, {})
        yield store, cast(AnySigner, store), cast(AnySigner, liar), reach
    await liar.close()


def _liar(kind: str, servers: Servers) -> ObjectStore:
    match kind:
        case "s3" | "b2":
            bucket = Bucket(
                servers.buckets[kind],
                access_key_id=servers.s3.access_key_id,
                secret_access_key="not the secret of this key",
                endpoint=servers.s3.endpoint,
            )
            return S3Store(bucket)
        case "gcs":
            # the right account's name, and another one's key
            stranger = json.loads(ServiceAccount.made(f"{servers.gcs.endpoint}/token").credentials)
            account = json.loads(servers.gcs.credentials_json)
            account["private_key"] = stranger["private_key"]
            return GcsStore(
                servers.gcs.bucket, credentials=json.dumps(account), endpoint=servers.gcs.endpoint
            )
        case _:
            return VercelBlobStore(new_token(), api_url=servers.vercel.api_url)
