"""Joining, being seen, leaving: what everybody in the room is told, and in which order."""

from __future__ import annotations

import pytest
from livekit.protocol import models, rtc

from signaling.livekit.effects import (
    Answer,
    ExpectTrack,
    ParticipantActive,
    RemovePeer,
    RoomClosed,
    Subscribe,
)
from signaling.livekit.responses import Action, DisconnectReason
from tests.signaling.livekit.script import ROOM, Stage, State


@pytest.fixture
def stage() -> Stage:
    return Stage()


# --- coming ---------------------------------------------------------------------------------------


def test_the_join_response_has_all_that_clients_need(stage: Stage) -> None:
    stage.connect("bob")
    join = stage.join("alice", name="Alice", metadata="m", attributes={"a": "b"}).last("join")
    assert (join.ping_interval, join.ping_timeout) == (5, 15)
    assert (join.server_info.version, join.server_version) == ("1.13.5", "1.13.5")
    assert join.server_info.protocol == 17
    assert join.fast_publish
    assert not join.subscriber_primary
    codecs = [codec.mime for codec in join.enabled_publish_codecs]
    assert codecs == ["video/VP8", "video/H264", "video/VP9", "video/AV1", "audio/opus"]
    assert join.room.sid.startswith("RM_")
    assert (join.room.name, join.room.num_participants) == (ROOM, 2)
    me = join.participant
    assert me.sid.startswith("PA_")
    assert (me.identity, me.name, me.metadata) == ("alice", "Alice", "m")
    assert dict(me.attributes) == {"a": "b"}
    assert me.permission.can_publish
    assert me.permission.can_subscribe
    assert me.permission.can_publish_data
    assert (me.state, me.joined_at_ms) == (State.JOINED, stage.now.unix_ms)
    assert [one.identity for one in join.other_participants] == ["bob"]


def test_permissions_mirror_the_token(stage: Stage) -> None:
    who = stage.join("a", can_publish_sources=("camera", "screen_share"), can_subscribe=False)
    permission = who.last("join").participant.permission
    assert list(permission.can_publish_sources) == [models.CAMERA, models.SCREEN_SHARE]
    assert not permission.can_subscribe


def test_others_see_a_newcomer_join_and_become_active(stage: Stage) -> None:
    alice = stage.connect("alice")
    bob = stage.join("bob")
    assert alice.seen(bob).state == State.JOINED
    notices = stage.perform(stage.room.connected(bob.sid, stage.now))
    assert alice.seen(bob).state == State.ACTIVE
    assert bob.seen(bob).state == State.ACTIVE
    assert notices == [ParticipantActive("bob")]
    assert stage.perform(stage.room.connected(bob.sid, stage.now)) == []


def test_what_the_join_request_carries_is_done_in_order(stage: Stage) -> None:
    bob = stage.connect("bob")
    camera = bob.publish()
    stage.commands.clear()
    track = rtc.AddTrackRequest(cid="mic", type=models.AUDIO, source=models.MICROPHONE)
    offer = rtc.SessionDescription(type="offer", sdp="offer", id=1)
    alice = stage.join("alice", {"add_track_requests": [track], "publisher_offer": offer})
    assert alice.heard[:2] == ["join", "track_published"]
    assert [type(command) for command in stage.commands] == [ExpectTrack, Subscribe, Answer]
    assert stage.of(Subscribe) == [Subscribe(alice.sid, (camera,))]
    assert stage.of(Answer) == [Answer(alice.sid, "offer", 1)]


def test_a_token_is_sent_on_joining_and_again_every_five_minutes(stage: Stage) -> None:
    alice = stage.connect("alice")
    assert stage.tokens == [alice.sid]
    stage.after(299)
    assert stage.tokens == [alice.sid]
    stage.after(1)
    stage.after(300)
    assert stage.tokens == [alice.sid] * 3


# --- one identity, once ---------------------------------------------------------------------------


def test_a_duplicate_identity_replaces_the_old_session(stage: Stage) -> None:
    bob = stage.connect("bob")
    old = stage.connect("alice")
    bob.forget()
    new = stage.join("alice")
    leave = old.last("leave")
    assert (leave.action, leave.reason) == (Action.DISCONNECT, DisconnectReason.DUPLICATE_IDENTITY)
    assert old.closed
    infos = [info for update in bob.all("update") for info in update.participants]
    assert [(info.sid, info.state) for info in infos] == [
        (old.sid, State.DISCONNECTED),
        (new.sid, State.JOINED),
    ]
    assert infos[0].disconnect_reason == DisconnectReason.DUPLICATE_IDENTITY
    assert [one.sid for one in new.last("join").other_participants] == [bob.sid]
    assert stage.of(RemovePeer) == [RemovePeer(old.sid)]


# --- going ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (DisconnectReason.CLIENT_INITIATED, DisconnectReason.CLIENT_INITIATED),
        (DisconnectReason.USER_REJECTED, DisconnectReason.USER_REJECTED),
        (DisconnectReason.ROOM_DELETED, DisconnectReason.CLIENT_INITIATED),
    ],
)
def test_leaving(stage: Stage, said: DisconnectReason, told: DisconnectReason) -> None:
    alice, bob = stage.connect("alice"), stage.connect("bob")
    commands = bob.say(leave=rtc.LeaveRequest(reason=said))
    assert bob.closed
    assert alice.seen(bob).state == State.DISCONNECTED
    assert alice.seen(bob).disconnect_reason == told
    assert commands == [RemovePeer(bob.sid)]


def test_a_socket_that_dies_before_media_connects_drops_the_participant(stage: Stage) -> None:
    alice, bob = stage.connect("alice"), stage.join("bob")
    stage.perform(stage.room.socket_lost(bob.sid, stage.now))
    assert alice.seen(bob).state == State.DISCONNECTED
    assert alice.seen(bob).disconnect_reason == DisconnectReason.SIGNAL_CLOSE


def test_a_socket_that_dies_later_leaves_the_participant_for_twenty_seconds(stage: Stage) -> None:
    alice, bob = stage.connect("alice"), stage.connect("bob")
    stage.perform(stage.room.socket_lost(bob.sid, stage.now))
    stage.after(19)
    assert alice.seen(bob).state == State.ACTIVE
    stage.after(1)
    assert alice.seen(bob).state == State.DISCONNECTED


def test_a_participant_without_socket_goes_when_its_media_fails(stage: Stage) -> None:
    alice, bob = stage.connect("alice"), stage.connect("bob")
    stage.perform(stage.room.socket_lost(bob.sid, stage.now))
    stage.perform(stage.room.media_lost(bob.sid))
    assert alice.seen(bob).state == State.DISCONNECTED


def test_a_client_whose_media_fails_is_told_to_join_anew(stage: Stage) -> None:
    alice = stage.connect("alice")
    stage.perform(stage.room.media_lost(alice.sid))
    leave = alice.last("leave")
    assert (leave.action, leave.reason) == (Action.RECONNECT, DisconnectReason.CONNECTION_TIMEOUT)
    assert leave.can_reconnect


def test_a_participant_that_never_connects_is_removed_after_a_minute(stage: Stage) -> None:
    bob = stage.join("bob")
    stage.after(59)
    assert not bob.closed
    stage.after(1)
    assert bob.last("leave").reason == DisconnectReason.JOIN_FAILURE


# --- the room -------------------------------------------------------------------------------------


def test_an_empty_room_closes_after_the_departure_timeout(stage: Stage) -> None:
    alice = stage.connect("alice")
    alice.say(leave=rtc.LeaveRequest())
    stage.after(0)
    assert stage.after(19) == []
    assert stage.after(1) == [RoomClosed()]
    assert stage.after(100) == []


def test_somebody_who_comes_back_keeps_the_room(stage: Stage) -> None:
    stage.connect("alice").say(leave=rtc.LeaveRequest())
    stage.after(0)
    stage.after(19)
    stage.connect("alice")
    stage.after(19)
    assert not stage.room.closed


@pytest.mark.parametrize("claims", [{"recorder": True, "hidden": True}, {"kind": "agent"}])
def test_who_is_here_for_others_keeps_no_room(stage: Stage, claims: dict[str, object]) -> None:
    alice, helper = stage.connect("alice"), stage.connect("helper", **claims)
    alice.say(leave=rtc.LeaveRequest())
    stage.after(0)
    stage.after(20)
    assert helper.last("leave").reason == DisconnectReason.ROOM_CLOSED
    assert stage.room.closed


def test_a_shutdown_tells_everybody(stage: Stage) -> None:
    everybody = [stage.connect("alice"), stage.connect("bob")]
    effects = stage.room.shut_down(Action.DISCONNECT, DisconnectReason.SERVER_SHUTDOWN)
    commands = stage.perform(effects)
    assert {one.last("leave").reason for one in everybody} == {DisconnectReason.SERVER_SHUTDOWN}
    assert commands[-1] == RoomClosed()


def test_counts_are_told_to_all_at_most_every_five_seconds(stage: Stage) -> None:
    alice = stage.connect("alice")
    stage.after(0)
    assert alice.last("room_update").room.num_participants == 1
    stage.connect("bob")
    stage.after(4)
    assert len(alice.all("room_update")) == 1
    stage.after(1)
    assert alice.last("room_update").room.num_participants == 2
    stage.after(10)
    assert len(alice.all("room_update")) == 2


def test_a_recording_is_told_at_once_and_to_those_who_join_later(stage: Stage) -> None:
    alice = stage.connect("alice")
    stage.perform(stage.room.set_recording(True, stage.now))
    assert alice.last("room_update").room.active_recording
    assert stage.join("bob").last("join").room.active_recording
    stage.perform(stage.room.set_recording(False, stage.now))
    assert not alice.last("room_update").room.active_recording


def test_a_recorder_marks_the_room_as_recorded(stage: Stage) -> None:
    stage.connect("egress", recorder=True, hidden=True)
    assert stage.join("bob").last("join").room.active_recording


# --- hidden participants --------------------------------------------------------------------------


def test_a_hidden_participant_is_seen_by_nobody_but_itself(stage: Stage) -> None:
    alice = stage.connect("alice")
    ghost = stage.connect("ghost", hidden=True)
    bob = stage.join("bob")
    ghost.say(leave=rtc.LeaveRequest())
    for seer in (alice, bob):
        seen = {info.sid for update in seer.all("update") for info in update.participants}
        seen |= {one.sid for one in seer.last("join").other_participants}
        assert ghost.sid not in seen
    assert ghost.seen(ghost).state == State.ACTIVE
    assert bob.last("join").room.num_participants == 2


def test_a_hidden_participant_joins_no_call(stage: Stage) -> None:
    ghost = stage.join("ghost", hidden=True)
    assert stage.perform(stage.room.connected(ghost.sid, stage.now)) == []
