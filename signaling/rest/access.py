"""Tokens and invites: who gets into a room, and as what."""

from __future__ import annotations

import hashlib
import re
import secrets
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import quote

from aiohttp import web

from signaling import policy
from signaling.clock import iso
from signaling.policy import RoomRole
from signaling.rest.bodies import (
    AcceptRequest,
    InviteRequest,
    Name,
    TokenRequest,
    read_body,
    room_of,
)
from signaling.rest.envelope import ok
from signaling.rest.origin import origin_of, websocket_origin_of
from signaling.rest.services import principal, services_of

GUEST_TOKEN_LIFE: Final = timedelta(hours=6)
ROLES: Final[dict[str, RoomRole]] = {
    "host": "host",
    "participant": "participant",
    "audience": "audience",
}


async def issue_token(request: web.Request) -> web.Response:
    """POST /api/v1/token: a room token, for an application's own server."""
    policy.require_server(principal(request))
    wanted = await read_body(request, TokenRequest)
    identity = wanted.identity or new_identity(wanted.name or wanted.role)
    return ok(
        _room_token(
            request,
            room=wanted.room,
            identity=identity,
            name=wanted.name or identity,
            role=wanted.role,
            life=timedelta(seconds=wanted.ttl_seconds),
        )
    )


async def create_invite(request: web.Request) -> web.Response:
    """POST /api/v1/rooms/{room}/invites: a link that lets its holders in."""
    room, who = room_of(request), principal(request)
    policy.require_host(who, room)
    wanted = await read_body(request, InviteRequest)
    code = secrets.token_urlsafe(16)
    expires_at = datetime.now(UTC) + timedelta(seconds=wanted.expires_in_seconds)
    await services_of(request).catalog.invites.create(
        code_hash=_code_hash(code),
        room=room,
        role=wanted.role,
        expires_at=expires_at,
        max_uses=wanted.max_uses,
        created_by=who.identity or who.role,
    )
    link = f"{origin_of(request)}/#invite={code}&room={quote(room, safe='')}"
    return ok({"url": link, "code": code, "role": wanted.role, "expiresAt": iso(expires_at)})


async def accept_invite(request: web.Request) -> web.Response:
    """POST /api/v1/invites/{code}/accept: no token needed, the code is the secret."""
    wanted = await read_body(request, AcceptRequest)
    invite = await services_of(request).catalog.invites.redeem(
        _code_hash(request.match_info["code"]), datetime.now(UTC)
    )
    return ok(
        _room_token(
            request,
            room=invite.room,
            # Never the name alone: whoever calls themselves Bob must not become Bob.
            identity=new_identity(wanted.name),
            name=wanted.name,
            role=ROLES[invite.role],
            life=GUEST_TOKEN_LIFE,
        )
    )


async def session(request: web.Request) -> web.Response:
    """GET /api/v1/session: who am I?"""
    who = principal(request)
    return ok(
        {
            "role": who.role,
            "identity": who.identity or None,
            "name": who.name or None,
            "room": who.room or None,
        }
    )


def new_identity(name: str) -> str:
    """`ada-lovelace-3f9c...`: readable in lists, and nobody else's."""
    readable = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40]
    return f"{readable or 'guest'}-{secrets.token_hex(6)}"


def _room_token(
    request: web.Request, *, room: Name, identity: str, name: str, role: RoomRole, life: timedelta
) -> dict[str, Any]:
    grants = policy.room_grants(role, room)
    expires_at = datetime.now(UTC) + life
    return {
        "token": services_of(request).authority.mint(identity, grants, life, name=name),
        "url": websocket_origin_of(request),
        "room": room,
        "identity": identity,
        "role": role,
        "expiresAt": iso(expires_at),
    }


def _code_hash(code: str) -> str:
    return hashlib.sha256(code.encode("utf-8", "surrogatepass")).hexdigest()
