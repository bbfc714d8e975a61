"""Who may do what, decided from a verified token and plain facts. Pure.

server       a token without identity: everything
host         identity + `roomAdmin` for a room: controls that room and its recordings
participant  identity + `roomJoin` for a room: joins, sees the recordings of calls they took part in
audience     the same with `canPublish: false`
user         an identity and nothing else: may ask who it is

A host's `roomRecord` may be absent, which means yes, or `false`, which takes recording away.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final, Literal

from signaling.auth import AccessToken, VideoGrants
from signaling.errors import Forbidden, Unauthorized

Role = Literal["server", "host", "participant", "audience", "user"]
RoomRole = Literal["host", "participant", "audience"]

LONGEST_NAME: Final = 256  # characters of a room's or a person's name


@dataclass(frozen=True, slots=True)
class Principal:
    """Who is asking. `room` is the one room the token is about; "" for servers and users."""

    role: Role
    identity: str = ""
    room: str = ""
    name: str = ""
    may_record: bool = False


def principal_of(token: AccessToken) -> Principal:
    """Raises Unauthorized for a guest's token that forgot the guest: it is no server's."""
    if not token.identity and token.grants.room_join:
        raise Unauthorized("the token lets nobody in: it has no identity", code="token_no_identity")
    if not token.identity:
        return Principal("server", may_record=True)
    grants = token.grants
    record_denied = _denies_recording(token)
    role: Role = "user"
    if grants.room and grants.room_admin:
        role = "host"
    elif grants.room and grants.room_join:
        role = "participant" if grants.can_publish else "audience"
    return Principal(
        role=role,
        identity=token.identity,
        room=grants.room if role != "user" else "",
        name=token.name,
        may_record=role == "host" and not record_denied,
    )


def _denies_recording(token: AccessToken) -> bool:
    claim = token.claims.get("video") or {}
    return claim.get("roomRecord") is False


def room_grants(role: RoomRole, room: str) -> VideoGrants:
    """What a room token of this role carries."""
    host = role == "host"
    speaks = role != "audience"
    return VideoGrants(
        room_join=True,
        room=room,
        room_admin=host,
        room_record=host,
        can_publish=speaks,
        can_subscribe=True,
        can_publish_data=speaks,
        can_update_own_metadata=speaks,
    )


def require_server(principal: Principal) -> None:
    """Raises Forbidden."""
    if principal.role != "server":
        raise Forbidden("only a server token (without `sub`) may do this", code="not_server")


def require_host(principal: Principal, room: str) -> None:
    """Raises Forbidden for everybody but servers and hosts of this very room."""
    if not hosts(principal, room):
        raise Forbidden("only a host of the room may do this", code="not_host")


def require_recorder(principal: Principal, room: str) -> None:
    """Raises Forbidden for everybody who may not record this room."""
    require_host(principal, room)
    if not principal.may_record:
        raise Forbidden("the token takes the right to record away", code="not_allowed_to_record")


def require_member(principal: Principal, room: str) -> None:
    """Raises Forbidden for everybody whose token is not about this room."""
    if principal.role != "server" and principal.room != room:
        raise Forbidden("the token is not for this room", code="not_member")


def hosts(principal: Principal, room: str) -> bool:
    return principal.role == "server" or (principal.role == "host" and principal.room == room)


def may_see_recording(principal: Principal, room: str, took_part: Collection[str]) -> bool:
    """`took_part` are the identities that were in the recorded call."""
    if hosts(principal, room):
        return True
    return principal.room == room and principal.identity in took_part
