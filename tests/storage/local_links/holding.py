"""What tests of the local store's links have at hand."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from storage.objects import LocalStore, Part, SignedRequest
from storage.objects.local_grants import Grant
from storage.objects.local_signing import LocalSigner

SECRET = b"the secret of the house"
LIFE = timedelta(minutes=10)
SMALLEST = 5 << 20
WEBM = "video/webm"


class Clock:
    """Unix time that stands still until a test moves it."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


Send = Callable[..., Awaitable[Part]]


async def read(store: LocalStore, key: str) -> bytes:
    return b"".join([block async for block in store.open(key)])


def opened(signer: LocalSigner, request: SignedRequest, method: str | None = None) -> Grant:
    """What this server makes of a link."""
    url = urlsplit(request.url)
    key = unquote(url.path).removeprefix("/objects/")
    return signer.verify(method or request.method, key, parse_qsl(url.query))


def part(fill: bytes, size: int = SMALLEST) -> bytes:
    return fill * size


def incoming(root: Path) -> list[str]:
    return sorted(os.listdir(root / ".incoming"))


async def unfinished(signer: LocalSigner, prefix: str = "") -> list[str]:
    return [upload.key async for upload in signer.unfinished(prefix)]
