"""Who may do what, as a table."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from signaling import policy
from signaling.auth import AccessToken, VideoGrants
from signaling.errors import Forbidden, Unauthorized
from signaling.policy import Principal, may_see_recording, principal_of, room_grants


def token(identity: str, **video: Any) -> AccessToken:
    return AccessToken(
        key="k",
        identity=identity,
        name="",
        metadata="",
        attributes={},
        kind="standard",
        grants=VideoGrants.from_claim(video),
        expires_at=datetime(2030, 1, 1, tzinfo=UTC),
        claims={"video": video},
    )


SERVER = principal_of(token(""))
HOST = principal_of(token("h", room="r", roomJoin=True, roomAdmin=True))
PARTICIPANT = principal_of(token("p", room="r", roomJoin=True))


@pytest.mark.parametrize(
    ("grants", "role"),
    [
        ({"room": "r", "roomJoin": True, "roomAdmin": True}, "host"),
        ({"room": "r", "roomAdmin": True}, "host"),
        ({"room": "r", "roomJoin": True}, "participant"),
        ({"room": "r", "roomJoin": True, "canPublish": False}, "audience"),
        ({"room": "r"}, "user"),
        ({"roomAdmin": True}, "user"),
        ({}, "user"),
    ],
)
def test_roles_follow_from_grants(grants: dict[str, Any], role: str) -> None:
    assert principal_of(token("x", **grants)).role == role


@pytest.mark.parametrize("role", ["host", "participant", "audience"])
def test_a_room_token_gives_back_its_role(role: policy.RoomRole) -> None:
    claim = room_grants(role, "r").to_claim()
    assert principal_of(token("x", **claim)) == Principal(role, "x", "r", may_record=role == "host")


@pytest.mark.parametrize(
    ("who", "room", "fine"),
    [
        (SERVER, "r", True),
        (HOST, "r", True),
        (HOST, "other", False),
        (PARTICIPANT, "r", False),
    ],
)
def test_who_may_record(who: Principal, room: str, fine: bool) -> None:
    if fine:
        policy.require_recorder(who, room)
    else:
        with pytest.raises(Forbidden):
            policy.require_recorder(who, room)


def test_a_host_whose_token_denies_recording() -> None:
    who = principal_of(token("h", room="r", roomJoin=True, roomAdmin=True, roomRecord=False))
    policy.require_host(who, "r")
    with pytest.raises(Forbidden):
        policy.require_recorder(who, "r")


@pytest.mark.parametrize(
    ("who", "took_part", "seen"),
    [
        (SERVER, (), True),
        (HOST, (), True),
        (PARTICIPANT, ("p",), True),
        (PARTICIPANT, ("h",), False),
        (Principal("participant", "p", "other"), ("p",), False),
        (Principal("user", "p"), ("p",), False),
    ],
)
def test_who_sees_a_recording(who: Principal, took_part: tuple[str, ...], seen: bool) -> None:
    assert may_see_recording(who, "r", took_part) is seen


def test_attack_a_room_token_without_an_identity_is_no_servers() -> None:
    with pytest.raises(Unauthorized):
        principal_of(token("", room="r", roomJoin=True))
