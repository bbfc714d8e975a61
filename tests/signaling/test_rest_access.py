"""Tokens, invites, sessions: who gets in, and as what."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from signaling.auth import TokenAuthority, VideoGrants
from tests.signaling.house import HOUR, House


@pytest.mark.parametrize("path", ["/api/v1/token", "/api/video-call/token"])
async def test_a_server_mints_room_tokens(home: House, path: str) -> None:
    wanted = {"room": "standup", "identity": "ada", "name": "Ada", "role": "host"}
    answer = await home.post(path, home.server(), json=wanted)
    data = answer.data
    token = home.services.authority.verify(data["token"])
    assert (token.identity, token.name, token.grants.room) == ("ada", "Ada", "standup")
    assert token.grants.room_admin
    assert token.grants.room_record
    assert data["url"] == f"ws://127.0.0.1:{home.client.port}"
    assert (data["room"], data["identity"], data["role"]) == ("standup", "ada", "host")
    assert datetime.fromisoformat(data["expiresAt"]) > datetime.now(UTC)


async def test_only_the_room_is_needed(home: House) -> None:
    first, second = [
        (await home.post("/api/v1/token", home.server(), json={"room": "r"})).data for _ in range(2)
    ]
    assert first["role"] == "participant"
    assert first["identity"] != second["identity"]


async def test_audience_may_not_publish(home: House) -> None:
    wanted = {"room": "r", "role": "audience", "ttlSeconds": 60}
    data = (await home.post("/api/v1/token", home.server(), json=wanted)).data
    token = home.services.authority.verify(data["token"])
    assert not token.grants.can_publish
    assert token.expires_at - datetime.now(UTC) <= timedelta(seconds=60)


@pytest.mark.parametrize("role", ["host", "participant"])
async def test_attack_a_room_token_mints_another(home: House, role: Any) -> None:
    answer = await home.post("/api/v1/token", home.token(role, "r", "eve"), json={"room": "r"})
    assert (answer.status, answer.code) == (403, "not_server")


@pytest.mark.parametrize(
    ("body", "name"),
    [
        ({}, "room"),
        ({"room": ""}, "room"),
        ({"room": "x" * 257}, "room"),
        ({"room": "a\u0000b"}, "room"),
        ({"room": "r", "identity": "a\nb"}, "identity"),
        ({"room": "r", "role": "king"}, "role"),
        ({"room": "r", "ttlSeconds": 0}, "ttlSeconds"),
        ({"room": "r", "ttlSeconds": 10**12}, "ttlSeconds"),
    ],
)
async def test_wrong_fields_are_named(home: House, body: dict[str, Any], name: str) -> None:
    answer = await home.post("/api/v1/token", home.server(), json=body)
    assert (answer.status, answer.code) == (400, "invalid_request")
    assert [field["field"] for field in answer.details["fields"]] == [name]


@pytest.mark.parametrize("body", [b"{", b"[]", b"\xff\xfe", b'"text"', b"[" * 100_000])
async def test_bodies_that_are_no_object(home: House, body: bytes) -> None:
    answer = await home.post("/api/v1/token", home.server(), data=body)
    assert (answer.status, answer.code) == (400, "invalid_request")


async def test_a_body_that_is_too_large(home: House) -> None:
    answer = await home.post("/api/v1/token", home.server(), data=b" " * 2_000_000)
    assert (answer.status, answer.code) == (413, "payload_too_large")


# --- refused tokens -------------------------------------------------------------------------------


async def test_no_token_is_401(home: House) -> None:
    answer = await home.get("/api/v1/recordings")
    assert (answer.status, answer.code) == (401, "token_missing")
    assert answer.headers["WWW-Authenticate"] == "Bearer"


async def test_attack_a_token_of_another_server(home: House) -> None:
    forged = TokenAuthority({"key": "guessed" * 8}).mint(None, VideoGrants(), HOUR)
    answer = await home.get("/api/v1/recordings", forged)
    assert (answer.status, answer.code) == (401, "token_bad_signature")


async def test_an_expired_token(home: House) -> None:
    old = home.services.authority.mint(None, VideoGrants(), -HOUR)
    answer = await home.get("/api/v1/recordings", old)
    assert (answer.status, answer.code) == (401, "token_expired")


async def test_another_scheme_than_bearer(home: House) -> None:
    answer = await home.get("/api/v1/session", headers={"Authorization": "Basic eDp5"})
    assert (answer.status, answer.code) == (401, "token_malformed")


async def test_a_token_in_the_query(home: House) -> None:
    answer = await home.get("/api/v1/session", params={"access_token": home.host("r")})
    assert answer.data["role"] == "host"


# --- sessions -------------------------------------------------------------------------------------


async def test_who_am_i(home: House) -> None:
    async def session(token: str) -> Any:
        data = (await home.get("/api/v1/session", token)).data
        return data["role"], data["identity"], data["room"]

    assert await session(home.server()) == ("server", None, None)
    assert await session(home.host("r")) == ("host", "hanna", "r")
    assert await session(home.participant("r")) == ("participant", "paul", "r")
    assert await session(home.token("audience", "r", "x")) == ("audience", "x", "r")
    nobody = home.services.authority.mint("nobody", VideoGrants(), HOUR)
    assert await session(nobody) == ("user", "nobody", None)


# --- invites --------------------------------------------------------------------------------------


async def invite(home: House, room: str = "r", **wanted: Any) -> str:
    answer = await home.post(f"/api/v1/rooms/{room}/invites", home.host(room), json=wanted)
    origin, _, fragment = answer.data["url"].partition("/#")
    assert origin == f"http://127.0.0.1:{home.client.port}"
    code, _, room_part = fragment.removeprefix("invite=").partition("&room=")
    assert room_part == room
    return str(code)


async def accept(home: House, code: str, name: str = "Bob") -> Any:
    return await home.post(f"/api/v1/invites/{code}/accept", json={"name": name})


async def test_an_invite_lets_in_whoever_holds_it(home: House) -> None:
    data = (await accept(home, await invite(home, role="audience"))).data
    token = home.services.authority.verify(data["token"])
    assert (token.grants.room, token.grants.can_publish, token.name) == ("r", False, "Bob")
    assert (data["room"], data["role"], data["identity"]) == ("r", "audience", token.identity)
    assert data["url"].startswith("ws://")


async def test_attack_taking_a_known_identity_by_name(home: House) -> None:
    code = await invite(home)
    identities = {(await accept(home, code, "hanna")).data["identity"] for _ in range(2)}
    assert len(identities) == 2
    assert "hanna" not in identities


async def test_an_invite_is_used_as_often_as_it_may_be(home: House) -> None:
    code = await invite(home, maxUses=2)
    answers = await asyncio.gather(*(accept(home, code) for _ in range(5)))
    assert sorted(answer.status for answer in answers) == [200, 200, 410, 410, 410]


async def test_an_unknown_invite(home: House) -> None:
    answer = await accept(home, "guessed")
    assert (answer.status, answer.code) == (404, "invite_unknown")


@pytest.mark.parametrize("name", ["", "  ", "a\x07", "x" * 257])
async def test_names_of_invited_people(home: House, name: str) -> None:
    assert (await accept(home, await invite(home), name)).status == 400


@pytest.mark.parametrize(
    ("role", "room"), [("participant", "r"), ("audience", "r"), ("host", "another")]
)
async def test_attack_inviting_without_being_host(home: House, role: Any, room: str) -> None:
    answer = await home.post("/api/v1/rooms/r/invites", home.token(role, room, "eve"), json={})
    assert (answer.status, answer.code) == (403, "not_host")


async def test_codes_are_not_kept(home: House, tmp_path: Any) -> None:
    code = await invite(home)
    files = list(tmp_path.glob("mediaserver.db*"))
    assert files
    assert not any(code.encode() in path.read_bytes() for path in files)
