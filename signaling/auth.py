"""Access tokens: JWTs that every LiveKit server SDK can mint.

HS256 and nothing else. The API key travels in `iss`; it is read unverified only to find the secret,
which is used as raw UTF-8. `exp` is required, `nbf` is honoured, both with 60 seconds of leeway.
Nothing here knows a room or a role; what a token's holder may do is decided in `signaling.policy`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import jwt

from signaling.errors import Unauthorized

if TYPE_CHECKING:
    from aiohttp import web

LEEWAY_SECONDS: Final = 60
ALGORITHM: Final = "HS256"
BEARER_PREFIX: Final = "Bearer "
SIGN_IN_LIFE: Final = timedelta(hours=24)

# Our field -> the claim's name, for grants whose absence means false.
_PLAIN_GRANTS: Final = {
    "room_join": "roomJoin",
    "room_create": "roomCreate",
    "room_list": "roomList",
    "room_record": "roomRecord",
    "room_admin": "roomAdmin",
    "can_update_own_metadata": "canUpdateOwnMetadata",
    "hidden": "hidden",
    "recorder": "recorder",
}


@dataclass(frozen=True, slots=True)
class VideoGrants:
    """The `video` claim with its defaults applied: effective values, never "absent".

    `can_publish_sources` empty means every source.
    """

    room_join: bool = False
    room: str = ""
    room_create: bool = False
    room_list: bool = False
    room_record: bool = False
    room_admin: bool = False
    can_publish: bool = True
    can_publish_sources: tuple[str, ...] = ()
    can_subscribe: bool = True
    can_publish_data: bool = True
    can_update_own_metadata: bool = False
    hidden: bool = False
    recorder: bool = False
    # Grants that are false by default and that the claim takes away in so many words.
    denied: frozenset[str] = frozenset()

    @classmethod
    def from_claim(cls, claim: Mapping[str, Any]) -> VideoGrants:
        """Raises Unauthorized(token_malformed) when a grant has the wrong type."""
        can_publish = _flag(claim, "canPublish", True)
        return cls(
            room=_text(claim, "room"),
            can_publish=can_publish,
            can_publish_sources=_texts(claim, "canPublishSources"),
            can_subscribe=_flag(claim, "canSubscribe", True),
            can_publish_data=_flag(claim, "canPublishData", can_publish),
            denied=frozenset(
                ours for ours, name in _PLAIN_GRANTS.items() if claim.get(name) is False
            ),
            **{ours: _flag(claim, theirs, False) for ours, theirs in _PLAIN_GRANTS.items()},
        )

    def to_claim(self) -> dict[str, Any]:
        """The claim to sign: `from_claim` of it is this very value.

        What is false by default is left out unless it was denied, the rest is explicit.
        """
        claim: dict[str, Any] = {
            theirs: getattr(self, ours)
            for ours, theirs in _PLAIN_GRANTS.items()
            if getattr(self, ours) or ours in self.denied
        }
        if self.room:
            claim["room"] = self.room
        if self.room_join or not (
            self.can_publish and self.can_subscribe and self.can_publish_data
        ):
            claim["canPublish"] = self.can_publish
            claim["canSubscribe"] = self.can_subscribe
            claim["canPublishData"] = self.can_publish_data
        if self.can_publish_sources:
            claim["canPublishSources"] = list(self.can_publish_sources)
        return claim


@dataclass(frozen=True, slots=True)
class AccessToken:
    """A verified token. `identity` is "" for a server's own token (no `sub`)."""

    key: str
    identity: str
    name: str
    metadata: str
    attributes: Mapping[str, str]
    kind: str
    grants: VideoGrants
    expires_at: datetime
    claims: Mapping[str, Any] = field(repr=False)


class TokenAuthority:
    """Verifies and mints tokens for a fixed set of API keys; the first key mints.

    `clock` gives unix time in seconds.
    """

    def __init__(self, keys: Mapping[str, str], *, clock: Callable[[], float] = time.time) -> None:
        if not keys:
            raise ValueError("at least one API key is needed")
        self._keys = dict(keys)
        self._clock = clock

    @property
    def keys(self) -> Mapping[str, str]:
        return self._keys

    def verify(self, token: str | None) -> AccessToken:
        """Raises Unauthorized with the code that says why."""
        if not token:
            raise Unauthorized("an access token is needed", code="token_missing")
        if not token.isascii():
            raise _malformed("the access token is not a JWT")
        key = self._issuer(token)
        claims = self._signed_claims(token, self._keys[key])
        if "sha256" in claims:  # its receiver, and whoever sees it on its way, is no server
            raise Unauthorized(
                "the token signs a webhook, it opens nothing", code="token_of_webhook"
            )
        expires_at = self._check_times(claims)
        # Older SDKs put the identity into `jti` and leave `sub` empty.
        identity = _text(claims, "sub") or _text(claims, "jti")
        return AccessToken(
            key=key,
            identity=identity,
            name=_text(claims, "name"),
            metadata=_text(claims, "metadata"),
            attributes=_text_map(claims, "attributes"),
            kind=_text(claims, "kind") or "standard",
            grants=VideoGrants.from_claim(_mapping(claims, "video")),
            expires_at=datetime.fromtimestamp(expires_at, UTC),
            claims=claims,
        )

    def mint(
        self,
        identity: str | None,
        grants: VideoGrants,
        ttl: timedelta,
        *,
        name: str = "",
        metadata: str = "",
        attributes: Mapping[str, str] | None = None,
        kind: str = "",
        kind_details: Sequence[str] = (),
    ) -> str:
        """A signed token; without an identity it is a server's own, which may do everything."""
        now = int(self._clock())
        key, secret = next(iter(self._keys.items()))
        claims: dict[str, Any] = {
            "iss": key,
            "nbf": now,
            "exp": now + int(ttl.total_seconds()),
            "video": grants.to_claim(),
        }
        optional = {
            "sub": identity,
            "name": name,
            "metadata": metadata,
            "attributes": attributes,
            "kind": kind,
            "kindDetails": list(kind_details),
        }
        claims.update({claim: value for claim, value in optional.items() if value})
        return jwt.encode(claims, secret.encode(), algorithm=ALGORITHM)

    def _issuer(self, token: str) -> str:
        try:
            claims = jwt.decode(token, options={"verify_signature": False})
        except (jwt.InvalidTokenError, RecursionError) as error:
            raise _malformed("the access token is not a JWT") from error
        key = claims.get("iss")
        if not isinstance(key, str) or key not in self._keys:
            raise Unauthorized("the access token's API key is unknown", code="token_unknown_key")
        return key

    def _signed_claims(self, token: str, secret: str) -> dict[str, Any]:
        # Times are checked against our own clock below; audiences mean nothing here.
        options: dict[str, Any] = {
            f"verify_{claim}": False for claim in ("exp", "nbf", "iat", "aud", "sub", "jti")
        }
        try:
            return dict(
                jwt.decode(token, secret.encode(), algorithms=[ALGORITHM], options=options)  # type: ignore[arg-type]
            )
        except (jwt.InvalidSignatureError, jwt.InvalidAlgorithmError) as error:
            raise Unauthorized(
                "the access token's signature is wrong", code="token_bad_signature"
            ) from error
        except jwt.InvalidTokenError as error:
            raise _malformed("the access token can't be read") from error

    def _check_times(self, claims: Mapping[str, Any]) -> float:
        now = self._clock()
        expires_at = _seconds(claims, "exp")
        if expires_at is None:
            raise _malformed("the access token has no expiry")
        if now >= expires_at + LEEWAY_SECONDS:
            raise Unauthorized("the access token has expired", code="token_expired")
        not_before = _seconds(claims, "nbf")
        if not_before is not None and now < not_before - LEEWAY_SECONDS:
            raise Unauthorized("the access token is not valid yet", code="token_not_yet_valid")
        return expires_at


def sign_in_link(port: int, keys: Mapping[str, str]) -> str:
    """A link whose token is a server's own: it may do everything, for 24 hours."""
    token = TokenAuthority(keys).mint(
        None, VideoGrants(room_create=True, room_list=True, room_record=True), SIGN_IN_LIFE
    )
    return f"http://localhost:{port}/#token={token}"


def bearer(request: web.BaseRequest) -> str | None:
    """The request's token: the Authorization header, else the `access_token` query parameter.

    None without either. Raises Unauthorized for a header of another scheme.
    """
    header = request.headers.get("Authorization")
    if header is None:
        return request.query.get("access_token")
    if not header.startswith(BEARER_PREFIX):
        raise _malformed("the Authorization header must be `Bearer <token>`")
    return header.removeprefix(BEARER_PREFIX).strip()


# --- typed reading of claims ----------------------------------------------------------------------

_LATEST_SECONDS: Final = 253_402_300_799  # the end of year 9999, the last that datetime can hold


def _malformed(message: str) -> Unauthorized:
    return Unauthorized(message, code="token_malformed")


def _flag(claims: Mapping[str, Any], name: str, default: bool) -> bool:
    value = claims.get(name)
    if value is None:
        return default
    if not isinstance(value, bool):
        raise _malformed(f"the access token's `{name}` must be true or false")
    return value


def _text(claims: Mapping[str, Any], name: str) -> str:
    value = claims.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise _malformed(f"the access token's `{name}` must be text")
    return value


def _texts(claims: Mapping[str, Any], name: str) -> tuple[str, ...]:
    value = claims.get(name) or []
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise _malformed(f"the access token's `{name}` must be a list of texts")
    return tuple(value)


def _mapping(claims: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = claims.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise _malformed(f"the access token's `{name}` must be an object")
    return value


def _text_map(claims: Mapping[str, Any], name: str) -> Mapping[str, str]:
    value = _mapping(claims, name)
    if not all(isinstance(item, str) for item in value.values()):
        raise _malformed(f"the access token's `{name}` must map texts to texts")
    return value


def _seconds(claims: Mapping[str, Any], name: str) -> float | None:
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _malformed(f"the access token's `{name}` must be a number of seconds")
    if not 0 <= value <= _LATEST_SECONDS:
        raise _malformed(f"the access token's `{name}` is out of range")
    return value
