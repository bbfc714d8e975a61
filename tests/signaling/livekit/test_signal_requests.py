"""The smaller requests: heartbeats, metadata, simulation, and what is not spoken."""

from __future__ import annotations

import pytest
from livekit.protocol import rtc

from signaling.livekit.effects import RemovePeer
from signaling.livekit.responses import Action, DisconnectReason, Reason
from tests.signaling.livekit.script import Actor, Stage


@pytest.fixture
def stage() -> Stage:
    return Stage()


@pytest.fixture
def alice(stage: Stage) -> Actor:
    return stage.connect(
        "alice", can_update_own_metadata=True, metadata="old", attributes={"a": "1"}
    )


# --- heartbeats -----------------------------------------------------------------------------------


def test_both_kinds_of_ping(stage: Stage, alice: Actor) -> None:
    alice.say(ping=123)
    assert alice.last("pong") == stage.now.unix_ms
    alice.say(ping_req=rtc.Ping(timestamp=456, rtt=7))
    pong = alice.last("pong_resp")
    assert (pong.last_ping_timestamp, pong.timestamp) == (456, stage.now.unix_ms)


# --- metadata -------------------------------------------------------------------------------------


def test_metadata_reaches_everybody_the_sender_too(stage: Stage, alice: Actor) -> None:
    bob = stage.connect("bob")
    alice.forget()
    change = rtc.UpdateParticipantMetadata(
        metadata="new", name="Al", attributes={"a": "", "b": "2"}, request_id=9
    )
    alice.say(update_metadata=change)
    assert alice.heard == ["join", "request_response", "update"]
    response = alice.last("request_response")
    assert (response.request_id, response.reason) == (9, Reason.OK)
    for seer in (alice, bob):
        info = seer.seen(alice)
        assert (info.metadata, info.name, dict(info.attributes)) == ("new", "Al", {"b": "2"})
    assert stage.tokens.count(alice.sid) == 2


def test_empty_fields_change_nothing(alice: Actor) -> None:
    alice.say(update_metadata=rtc.UpdateParticipantMetadata(attributes={"b": "2"}))
    info = alice.seen(alice)
    assert (info.metadata, dict(info.attributes)) == ("old", {"a": "1", "b": "2"})


def test_old_clients_get_no_ok(stage: Stage) -> None:
    old = {"client_info": {"protocol": 14}}
    bob = stage.join("bob", old, can_update_own_metadata=True)
    bob.say(update_metadata=rtc.UpdateParticipantMetadata(metadata="m", request_id=1))
    assert bob.all("request_response") == []
    assert bob.seen(bob).metadata == "m"


def test_metadata_without_the_right(stage: Stage, alice: Actor) -> None:
    mallory = stage.connect("mallory")
    alice.forget()
    mallory.say(update_metadata=rtc.UpdateParticipantMetadata(metadata="m", request_id=3))
    response = mallory.last("request_response")
    assert (response.reason, response.request_id) == (Reason.NOT_ALLOWED, 3)
    assert alice.heard == ["join"]


@pytest.mark.parametrize(
    "change",
    [
        {"metadata": "x" * (64 * 1024 + 1)},
        {"attributes": {"k": "x" * 64 * 1024}},
        {"name": "x" * 257},
    ],
)
def test_metadata_too_large(alice: Actor, change: dict[str, object]) -> None:
    alice.say(update_metadata=rtc.UpdateParticipantMetadata(request_id=4, **change))  # type: ignore[arg-type]
    response = alice.last("request_response")
    assert (response.reason, response.request_id) == (Reason.LIMIT_EXCEEDED, 4)
    assert response.ByteSize() < 1000
    assert alice.one.metadata == "old"


def test_attributes_can_not_be_grown_beyond_the_limit_piece_by_piece(alice: Actor) -> None:
    for number in range(10):
        attributes = {f"k{number}": "x" * 10_000}
        alice.say(update_metadata=rtc.UpdateParticipantMetadata(attributes=attributes))
    assert alice.last("request_response").reason == Reason.LIMIT_EXCEEDED
    assert sum(len(key) + len(value) for key, value in alice.one.attributes.items()) <= 64 * 1024


# --- data tracks ----------------------------------------------------------------------------------


def test_data_tracks_are_refused(alice: Actor) -> None:
    wanted = rtc.PublishDataTrackRequest(pub_handle=1, name="n")
    alice.say(publish_data_track_request=wanted)
    response = alice.last("request_response")
    assert (response.reason, response.publish_data_track) == (Reason.NOT_ALLOWED, wanted)
    alice.say(unpublish_data_track_request=rtc.UnpublishDataTrackRequest(pub_handle=1))
    assert alice.last("request_response").reason == Reason.NOT_FOUND


# --- simulate -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scenario", "action", "reason"),
    [
        ("leave_request_full_reconnect", Action.RECONNECT, DisconnectReason.CLIENT_INITIATED),
        ("server_leave", Action.DISCONNECT, DisconnectReason.SERVER_SHUTDOWN),
    ],
)
def test_simulated_goodbyes(
    alice: Actor, scenario: str, action: Action, reason: DisconnectReason
) -> None:
    commands = alice.say(simulate=rtc.SimulateScenario(**{scenario: True}))
    leave = alice.last("leave")
    assert (leave.action, leave.reason) == (action, reason)
    assert alice.closed
    assert commands == [RemovePeer(alice.sid)]


@pytest.mark.parametrize("scenario", ["node_failure", "migration"])
def test_a_simulated_failure_says_nothing(alice: Actor, scenario: str) -> None:
    alice.forget()
    alice.say(simulate=rtc.SimulateScenario(**{scenario: True}))
    assert alice.heard == ["join"]
    assert alice.closed


# --- not spoken -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "message",
    [
        {},
        {"answer": rtc.SessionDescription(type="answer", sdp="v=0")},
        {"trickle": rtc.TrickleRequest(candidateInit="{}")},
        {"trickle": rtc.TrickleRequest(candidateInit='{"candidate": ""}')},
        {"sync_state": rtc.SyncState()},
        {"update_layers": rtc.UpdateVideoLayers(track_sid="TR_x")},
        {"update_data_subscription": rtc.UpdateDataSubscription()},
        {"simulate": rtc.SimulateScenario(speaker_update=3)},
        {"simulate": rtc.SimulateScenario()},
    ],
)
def test_other_requests_are_ignored(alice: Actor, message: dict[str, object]) -> None:
    alice.forget()
    assert alice.say(**message) == []
    assert alice.heard == ["join"]


def test_a_request_of_a_newer_client_is_ignored(stage: Stage, alice: Actor) -> None:
    newer = rtc.SignalRequest.FromString(b"\xfa\x7f\x03new")
    alice.forget()
    assert alice.say(ping_req=None) == []
    assert newer.WhichOneof("message") is None
