"""Who may open a session, and which refusal comes first."""

from __future__ import annotations

from typing import Any

import pytest
from livekit.protocol import models, rtc

from signaling.auth import AccessToken
from signaling.errors import InvalidRequest, SignalingError, Unauthorized
from signaling.livekit.admission import admit
from signaling.livekit.join_request import encode_join_request
from tests.signaling.livekit.script import ROOM, admission, join_request, token

GOOD = encode_join_request(join_request())
NO_GRANT = AccessToken(**{**{f: getattr(token(), f) for f in AccessToken.__slots__}, "claims": {}})


@pytest.mark.parametrize(
    ("who", "request_text", "refusal"),
    [
        # Several things are wrong in each; the first of the list that applies decides.
        (NO_GRANT, None, Unauthorized),
        (token("", room_join=False), None, InvalidRequest),
        (token("", room_join=False), "%%%", InvalidRequest),
        (token("", room_join=False), GOOD, Unauthorized),
        (token(""), GOOD, InvalidRequest),
        (token("x" * 257), GOOD, InvalidRequest),
        (token(room=""), GOOD, InvalidRequest),
        (token(room="x" * 257), GOOD, InvalidRequest),
    ],
)
def test_the_first_failing_check_decides(
    who: AccessToken, request_text: str | None, refusal: type[SignalingError]
) -> None:
    with pytest.raises(refusal):
        admit(who, request_text)


@pytest.mark.parametrize("fields", [{"metadata": "m"}, {"participant_attributes": {"a": "b"}}])
def test_changing_metadata_on_joining_needs_the_right(fields: dict[str, Any]) -> None:
    with pytest.raises(Unauthorized):
        admission(token(), **fields)
    admission(token(can_update_own_metadata=True), **fields)


def test_metadata_of_the_request_replaces_and_attributes_merge() -> None:
    who = token(metadata="old", attributes={"a": "1", "b": "2"}, can_update_own_metadata=True)
    got = admission(who, metadata="new", participant_attributes={"b": "", "c": "3"})
    assert got.metadata == "new"
    assert got.attributes == {"a": "1", "c": "3"}


def test_metadata_too_large_is_refused() -> None:
    with pytest.raises(InvalidRequest):
        admission(token(metadata="x" * (64 * 1024 + 1)))
    with pytest.raises(InvalidRequest):
        admission(token(attributes={"k": "x" * 64 * 1024}))


def test_the_identity_room_and_kind_come_from_the_token() -> None:
    got = admission(token("bob", kind="agent", claims={"kindDetails": ["forwarded", "no", 7]}))
    assert (got.identity, got.room) == ("bob", ROOM)
    assert got.kind == models.ParticipantInfo.Kind.AGENT
    assert got.kind_details == (models.ParticipantInfo.KindDetail.FORWARDED,)


def test_an_unknown_kind_is_a_standard_participant() -> None:
    assert admission(token(kind="robot")).kind == models.ParticipantInfo.Kind.STANDARD


def test_a_resume_is_recognised() -> None:
    assert admission(token(), reconnect=True, participant_sid="PA_x").wants_resume
    assert not admission(token(), publisher_offer=rtc.SessionDescription(sdp="v=0")).wants_resume
