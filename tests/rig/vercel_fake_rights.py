"""Who may do what at the fake Vercel Blob: the store's token, and signed URLs made from it.

A delegation is a scope (JSON, base64url) and the store's signature of it. It comes with a key, from
which the holder makes signed URLs (`storage.objects.vercel_signing` says how); the store makes the
same key again from its own secret and the delegation.
"""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.rig.vercel_fake_blobs import Refusal

PREFIX = "vercel-blob-"
SIGNED = (
    "add-random-suffix",
    "allow-overwrite",
    "allowed-content-types",
    "cache-control-max-age",
    "if-match",
    "maximum-size-in-bytes",
    "valid-until",
)
OPERATIONS = {"get", "head", "put", "delete"}
LONGEST_LIFE = 7 * 24 * 3600 * 1000  # milliseconds
USUAL_LIFE = 3600 * 1000


@dataclass(frozen=True, slots=True)
class Rights:
    """What a request that may be made is bound to beyond its operation and pathname."""

    largest: int | None = None
    content_types: Sequence[Collection[str]] = ()  # each of them has to have it
    overwrite: bool | None = None
    max_age: int | None = None

    def check_type(self, content_type: str) -> None:
        names = {content_type, content_type.partition("/")[0] + "/*"}
        if any(names.isdisjoint(allowed) for allowed in self.content_types):
            raise Refusal(400, "bad_request", f'"contentType" {content_type} is not allowed')


class Authority:
    """Knows the store's token and, from `now`, the time (unix time in milliseconds)."""

    def __init__(self, token: str) -> None:
        self._token = token
        self._store = token.split("_")[3]

    @property
    def store(self) -> str:
        return self._store.lower()

    def check_token(self, authorization: str) -> None:
        """Raises Refusal unless it is the store's own."""
        token = authorization.removeprefix("Bearer ")
        if hmac.compare_digest(token.encode(), self._token.encode()):
            return
        parts = token.split("_")
        if len(parts) > 4 and parts[:3] == ["vercel", "blob", "rw"] and parts[3] != self._store:
            raise Refusal(404, "store_not_found", "This store does not exist.")
        raise Refusal(403, "forbidden", "Access denied, please provide a valid token")

    def delegate(self, asked: Mapping[str, Any], now: int) -> dict[str, Any]:
        operations = asked.get("operations", ["get"])
        until = asked.get("validUntil", now + USUAL_LIFE)
        if not set(operations) <= OPERATIONS or not now < until <= now + LONGEST_LIFE:
            raise Refusal(400, "bad_request", "operations or validUntil")
        scope = {
            "storeId": self._store,
            "pathname": asked.get("pathname", "*"),
            "operations": operations,
            "validUntil": until,
        }
        for name in ("maximumSizeInBytes", "allowedContentTypes"):
            if name in asked:
                scope[name] = asked[name]
        payload = _encoded(json.dumps(scope).encode())
        token = f"{payload}.{self._signature(payload)}"
        return {
            "delegationToken": token,
            "clientSigningToken": self._key(token),
            "validUntil": until,
        }

    def signed(self, query: Mapping[str, str], operation: str, pathname: str, now: int) -> Rights:
        """What a signed URL allows. Raises Refusal when it does not allow this."""
        token = query[PREFIX + "delegation"]
        payload, _, signature = token.partition(".")
        if not hmac.compare_digest(signature.encode(), self._signature(payload).encode()):
            raise Refusal(403, "forbidden", "the delegation is not of this store")
        limits = {name: query[PREFIX + name] for name in SIGNED if query.get(PREFIX + name)}
        lines = [f"operation={operation}", f"pathname={pathname}"]
        lines += [f"{PREFIX}{name}={value}" for name, value in limits.items()]
        wanted = _mac(self._key(token), "\n".join(sorted(lines, key=str.encode)))
        if not hmac.compare_digest(query.get(PREFIX + "signature", "").encode(), wanted.encode()):
            raise Refusal(403, "forbidden", "the signature is not of this request")
        scope = json.loads(base64.urlsafe_b64decode(payload + "=="))
        if operation not in scope["operations"] or scope["pathname"] not in ("*", pathname):
            raise Refusal(403, "forbidden", "the delegation is for something else")
        if now >= min(scope["validUntil"], int(limits.get("valid-until", scope["validUntil"]))):
            raise Refusal(403, "forbidden", "the URL has expired")
        return _rights(scope, limits)

    def _signature(self, payload: str) -> str:
        return _mac(self._token, f"delegation:{payload}")

    def _key(self, delegation: str) -> str:
        return _mac(self._token, f"key:{delegation}")


def _rights(scope: Mapping[str, Any], limits: Mapping[str, str]) -> Rights:
    sizes = [scope.get("maximumSizeInBytes"), limits.get("maximum-size-in-bytes")]
    types = [scope.get("allowedContentTypes"), _split(limits.get("allowed-content-types"))]
    age = limits.get("cache-control-max-age")
    overwrite = limits.get("allow-overwrite")
    return Rights(
        largest=min((int(size) for size in sizes if size is not None), default=None),
        content_types=[each for each in types if each is not None],
        overwrite=None if overwrite is None else overwrite == "true",
        max_age=None if age is None else int(age),
    )


def _split(types: str | None) -> list[str] | None:
    return None if types is None else types.split(",")


def _mac(key: str, text: str) -> str:
    return _encoded(hmac.digest(key.encode(), text.encode(), "sha256"))


def _encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()
