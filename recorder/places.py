"""Whether two providers are really two places.

The same bucket can be reached by two names (a B2 bucket as `s3` and as `b2`, say). What is removed at
one is then removed at the other, so nothing may be moved between them.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import suppress

from recorder.object_keys import KEY_ROOT
from storage.errors import ObjectNotFound, StorageError, StoreMisconfigured
from storage.objects import ObjectStore


async def require_apart(name: str, store: ObjectStore, other_name: str, other: ObjectStore) -> None:
    """Raises StoreMisconfigured when both are one place, and what the stores raise."""
    key = f"{KEY_ROOT}.check-{secrets.token_hex(8)}/place"

    async def marker() -> AsyncIterator[bytes]:
        yield b"here?"

    try:
        await store.put_stream(key, marker(), "text/plain")
        with suppress(ObjectNotFound):
            await other.head(key)
            raise StoreMisconfigured(
                f"{other_name} and {name} are the same place: nothing has to be moved, and nothing"
                " can"
            )
    finally:
        with suppress(StorageError):
            await store.delete(key)
