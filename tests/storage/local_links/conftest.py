"""A local store whose signer's time stands still."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from storage.objects import LocalStore, Part
from storage.objects.local_signing import LocalSigner
from tests.storage.local_links.holding import LIFE, SECRET, Clock, Send, opened
from tests.storage.streams import blocks_of


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest_asyncio.fixture
async def local(root: Path) -> AsyncIterator[LocalStore]:
    store = LocalStore(root)
    await store.prepare()
    yield store
    await store.close()


@pytest.fixture
def signer(local: LocalStore, clock: Clock) -> LocalSigner:
    return LocalSigner(local, "https://calls.example.com/", SECRET, clock=clock)


@pytest.fixture
def send(signer: LocalSigner) -> Send:
    """Send one part; what to name it by at the end."""

    async def send(upload_id: str, number: int, content: bytes, key: str = "a.webm") -> Part:
        request = await signer.sign_part(key, upload_id, number, LIFE)
        etag = await signer.receive_part(opened(signer, request), blocks_of(content))
        return Part(number, etag, len(content))

    return send
