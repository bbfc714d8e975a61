"""Access tokens: what is accepted, and each forgery by its name."""

from __future__ import annotations

import base64
import json
from datetime import timedelta
from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from livekit import api

from signaling.auth import TokenAuthority, VideoGrants
from signaling.errors import Unauthorized

KEY, SECRET = "key", "the only secret that counts, 32+ long"
NOW = 1_800_000_000.0
HOUR = timedelta(hours=1)

authority = TokenAuthority({KEY: SECRET}, clock=lambda: NOW)


def signed(secret: str = SECRET, algorithm: str = "HS256", **changes: Any) -> str:
    claims = {"iss": KEY, "sub": "ada", "exp": NOW + 60, "video": {"roomJoin": True, "room": "r"}}
    kept = {name: value for name, value in {**claims, **changes}.items() if value is not None}
    return jwt.encode(kept, secret, algorithm=algorithm)


def refusal(token: str | None) -> str:
    with pytest.raises(Unauthorized) as refused:
        authority.verify(token)
    return refused.value.code


def test_what_is_minted_is_verified() -> None:
    grants = VideoGrants(room_join=True, room="r", room_admin=True, can_publish_sources=("camera",))
    token = authority.verify(authority.mint("ada", grants, HOUR, name="Ada", metadata="m"))
    assert (token.identity, token.name, token.metadata, token.grants) == ("ada", "Ada", "m", grants)
    assert token.expires_at.timestamp() == NOW + 3600


def test_a_token_of_the_livekit_server_sdk() -> None:
    grants = api.VideoGrants(room_join=True, room="r", can_publish=False)
    text = api.AccessToken(KEY, SECRET).with_identity("bob").with_grants(grants).to_jwt()
    token = TokenAuthority({KEY: SECRET}).verify(text)
    assert (token.identity, token.grants.room, token.grants.can_publish) == ("bob", "r", False)


def test_absent_grants_have_their_defaults() -> None:
    grants = authority.verify(signed(video={"roomJoin": True, "canPublish": False})).grants
    assert (grants.can_publish, grants.can_publish_data, grants.can_subscribe) == (
        False,
        False,
        True,
    )
    assert not grants.can_update_own_metadata


def test_identity_falls_back_to_jti() -> None:
    assert authority.verify(signed(sub=None, jti="old sdk")).identity == "old sdk"


def test_attack_algorithm_none() -> None:
    header, body = (
        base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")
        for part in ({"alg": "none", "typ": "JWT"}, {"iss": KEY, "exp": NOW + 60})
    )
    assert refusal(f"{header}.{body}.") == "token_bad_signature"


def test_attack_another_algorithm_with_the_right_secret() -> None:
    assert refusal(signed(SECRET * 2, algorithm="HS512")) == "token_bad_signature"


def test_attack_wrong_secret() -> None:
    assert refusal(signed("x" * 40)) == "token_bad_signature"


def test_attack_unknown_key() -> None:
    assert refusal(signed(iss="nobody")) == "token_unknown_key"


def test_attack_changed_claims() -> None:
    head, body, signature = signed().split(".")
    claims = json.loads(base64.urlsafe_b64decode(body + "==")) | {"sub": "eve"}
    forged = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    assert refusal(f"{head}.{forged}.{signature}") == "token_bad_signature"


@pytest.mark.parametrize(
    ("claim", "offset", "code"),
    [
        ("exp", -59, None),
        ("exp", -60, "token_expired"),
        ("nbf", 60, None),
        ("nbf", 61, "token_not_yet_valid"),
    ],
)
def test_times_have_a_minute_of_leeway(claim: str, offset: int, code: str | None) -> None:
    token = signed(**{claim: NOW + offset})
    if code is None:
        assert authority.verify(token).identity == "ada"
    else:
        assert refusal(token) == code


@pytest.mark.parametrize(
    "changes",
    [
        {"exp": None},
        {"exp": "soon"},
        {"exp": 1e300},
        {"exp": True},
        {"video": ["roomJoin"]},
        {"video": {"roomJoin": "yes"}},
        {"video": {"canPublishSources": "camera"}},
        {"sub": 5},
        {"attributes": {"a": 1}},
    ],
)
def test_claims_of_the_wrong_type(changes: dict[str, Any]) -> None:
    assert refusal(signed(**changes)) in {"token_malformed"}


@pytest.mark.parametrize("token", [None, ""])
def test_no_token(token: str | None) -> None:
    assert refusal(token) == "token_missing"


def test_attack_deeply_nested_claims() -> None:
    body = base64.urlsafe_b64encode(b"[" * 40_000).decode().rstrip("=")
    assert refusal(f"{signed().split('.')[0]}.{body}.x") == "token_malformed"


@given(st.text(min_size=1))
def test_any_text_is_refused_by_our_own_error(text: str) -> None:
    assert refusal(text).startswith("token_")


@pytest.mark.parametrize(
    "claim",
    [
        {"room": "r", "roomAdmin": True, "roomRecord": False},
        {"roomJoin": True, "room": "r", "canPublish": False, "canSubscribe": False},
        {"room": "r", "canPublish": False},
        {"roomJoin": True, "room": "r", "canPublishData": False, "canUpdateOwnMetadata": False},
        {"room": "r", "roomAdmin": False, "roomJoin": False, "hidden": True},
    ],
)
def test_attack_what_is_denied_stays_denied(claim: dict[str, Any]) -> None:
    grants = VideoGrants.from_claim(claim)
    again = grants.to_claim()
    assert {name: again.get(name) for name in claim} == claim
    assert VideoGrants.from_claim(again) == grants


def test_kinds_are_minted() -> None:
    text = authority.mint("bot", VideoGrants(), HOUR, kind="agent", kind_details=["cloud_agent"])
    token = authority.verify(text)
    assert (token.kind, token.claims["kindDetails"]) == ("agent", ["cloud_agent"])


def test_attack_the_token_of_a_webhook_is_no_server() -> None:
    claims = {"iss": KEY, "nbf": NOW, "exp": NOW + 300, "sha256": "q" * 43 + "="}
    assert refusal(jwt.encode(claims, SECRET, algorithm="HS256")) == "token_of_webhook"
    assert refusal(signed(sha256="")) == "token_of_webhook"
