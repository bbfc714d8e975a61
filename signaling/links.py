"""Signed links: whoever holds one may fetch that one path until it expires, without a token.

`sig` is `<expiry, unix seconds>.<HMAC-SHA256 over path and expiry, hex>`. The HMAC keys are derived
from the API secrets, so a link is no use as a token nor the other way round. The first key signs,
every key verifies.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Final

from signaling.errors import Unauthorized

PURPOSE: Final = b"mediaserver signed link, version 1"
LIFE: Final = timedelta(hours=2)


class LinkSigner:
    """`clock` gives unix time in seconds."""

    def __init__(self, keys: Mapping[str, str], *, clock: Callable[[], float] = time.time) -> None:
        self._keys = [
            hmac.digest(secret.encode(), PURPOSE, hashlib.sha256) for secret in keys.values()
        ]
        self._clock = clock

    def sign(self, path: str, life: timedelta = LIFE) -> str:
        """The path with its signature."""
        expires = int(self._clock() + life.total_seconds())
        return f"{path}?sig={expires}.{_mac(self._keys[0], path, expires)}"

    def verify(self, path: str, signature: str) -> None:
        """Raises Unauthorized: link_invalid, link_expired."""
        expiry, _, mac = signature.partition(".")
        if not (expiry.isascii() and expiry.isdigit() and len(expiry) <= 12 and mac.isascii()):
            raise _invalid()
        expires = int(expiry)
        if not any(hmac.compare_digest(_mac(key, path, expires), mac) for key in self._keys):
            raise _invalid()
        if self._clock() >= expires:
            raise Unauthorized("the link has expired", code="link_expired")


def _mac(key: bytes, path: str, expires: int) -> str:
    return hmac.new(key, f"{expires}\n{path}".encode(), hashlib.sha256).hexdigest()


def _invalid() -> Unauthorized:
    return Unauthorized("the link's signature is wrong", code="link_invalid")
