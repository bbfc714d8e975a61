"""Any sequence of events keeps the orders that clients rely on (`script.Ear` holds them)."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from livekit.protocol import models, rtc

from mediaserver.messages import TrackId
from signaling.livekit.effects import RemovePeer, Subscribe, Unsubscribe
from signaling.livekit.participant import Moment
from signaling.livekit.responses import Action
from tests.signaling.livekit.script import Actor, Stage

NAMES = ("alice", "bob", "carol")
STEPS = (
    "join",
    "connect",
    "add_track",
    "publish_pending",
    "publish",
    "publish",
    "unpublish",
    "mute",
    "unsubscribe",
    "subscribe",
    "forbid",
    "allow",
    "metadata",
    "offer",
    "leave",
    "socket_lost",
    "media_lost",
    "reconnect",
    "time",
)


def present(stage: Stage, identity: str) -> Actor | None:
    one = stage.room.by_identity(identity)
    return stage.actors[one.sid] if one is not None else None


def step(stage: Stage, what: str, identity: str, number: int) -> None:
    actor = present(stage, identity)
    if what == "time":
        stage.after(number * 7)
    elif stage.room.closed:
        return
    elif what == "join" or actor is None:
        if actor is None or number == 0:
            stage.join(identity, can_update_own_metadata=True, hidden=identity == "carol")
    elif what == "connect":
        stage.perform(stage.room.connected(actor.sid, stage.now))
    elif what == "socket_lost":
        stage.perform(stage.room.socket_lost(actor.sid, stage.now))
        actor.closed = True
    elif what == "media_lost":
        stage.perform(stage.room.media_lost(actor.sid))
    else:
        say(stage, actor, what, number)


def say(stage: Stage, actor: Actor, what: str, number: int) -> None:
    if actor.closed:
        return
    published = sorted(actor.one.tracks)
    others = sorted(t for one in stage.room.others(actor.one) if not one.hidden for t in one.tracks)
    mine, theirs = (tracks[number % len(tracks)] if tracks else TrackId("TR_none")
                    for tracks in (published, others))  # fmt: skip
    match what:
        case "add_track":
            request = rtc.AddTrackRequest(cid=f"c{number}", type=models.VIDEO, source=models.CAMERA)
            actor.say(add_track=request)
        case "publish" if not actor.one.cids():
            actor.publish(f"c{number}")
        case "publish_pending":
            actor.answered(dict.fromkeys(actor.one.pending, "video/VP8"))
        case "unpublish":
            actor.answered(unpublished=(mine,))
        case "mute":
            actor.say(mute=rtc.MuteTrackRequest(sid=mine, muted=bool(number % 2)))
        case "subscribe" | "unsubscribe":
            wish = rtc.UpdateSubscription(track_sids=[theirs], subscribe=what == "subscribe")
            actor.say(subscription=wish)
        case "forbid" | "allow":
            rule = rtc.SubscriptionPermission(all_participants=what == "allow")
            actor.say(subscription_permission=rule)
        case "metadata":
            actor.say(update_metadata=rtc.UpdateParticipantMetadata(metadata=str(number)))
        case "offer":
            placed = {str(mid): track for mid, track in enumerate(sorted(actor.one.subscribed))}
            actor.answered(mid_to_track=placed, attached=tuple(actor.one.subscribed))
        case "leave":
            actor.say(leave=rtc.LeaveRequest(action=Action.DISCONNECT))
        case "reconnect":
            actor.say(simulate=rtc.SimulateScenario(leave_request_full_reconnect=True))


def check_commands(stage: Stage) -> None:
    """What the media plane was told agrees with the state, and names nobody who is gone."""
    told: dict[str, set[str]] = {}
    for command in stage.commands:
        match command:
            case Subscribe(peer, tracks):
                assert not told.setdefault(peer, set()) & set(tracks), "subscribed once"
                told[peer] |= set(tracks)
            case Unsubscribe(peer, tracks):
                assert set(tracks) <= told.setdefault(peer, set()), "unsubscribed what was"
                told[peer] -= set(tracks)
            case RemovePeer(peer):
                told.pop(peer, None)
    live = {track for one in stage.room.participants.values() for track in one.tracks}
    for sid, one in stage.room.participants.items():
        assert one.subscribed == told.get(sid, set()) & live
        assert one.subscribed <= live


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(STEPS), st.sampled_from(NAMES), st.integers(0, 4)), max_size=60
    ),
    st.booleans(),
)
def test_any_sequence_keeps_the_orders(steps: list[tuple[str, str, int]], at_once: bool) -> None:
    stage = Stage(at_once=at_once)
    for name in NAMES[:2]:
        stage.connect(name, can_update_own_metadata=True).publish("c0")
    for what, identity, number in steps:
        step(stage, what, identity, number)
    check_commands(stage)
    stage.after(1.0)
    assert stage.room.next_announcement() is None
    for actor in (stage.actors[sid] for sid in stage.room.participants):
        for one in stage.room.others(actor.one):
            if not actor.closed and not one.hidden:
                assert actor.ear.tracks[one.sid] == set(one.tracks), "in the end all know all"


# --- merged changes -------------------------------------------------------------------------------


def test_changes_are_merged_until_their_turn_comes() -> None:
    stage = Stage(at_once=False)
    alice, bob = stage.connect("alice", can_update_own_metadata=True), stage.connect("bob")
    stage.after(1.0)
    bob.forget()
    for number in range(40):
        alice.say(update_metadata=rtc.UpdateParticipantMetadata(metadata=str(number)))
    assert [update.participants[0].metadata for update in bob.all("update")] == ["0"]
    due = stage.room.next_announcement()
    assert due == pytest.approx(stage.now.at + 0.05)
    stage.perform(stage.room.announce_due(Moment(due, 0)))
    assert [update.participants[0].metadata for update in bob.all("update")] == ["0", "39"]
    assert stage.room.next_announcement() is None


def test_large_changes_wait_longer() -> None:
    stage = Stage(at_once=False)
    alice = stage.connect("alice", can_update_own_metadata=True)
    stage.connect("bob")
    stage.after(1.0)
    for letter in "ab":
        alice.say(update_metadata=rtc.UpdateParticipantMetadata(metadata=letter * 64 * 1024))
    due = stage.room.next_announcement()
    assert due is not None
    assert due > stage.now.at + 0.25


def test_an_answer_waits_for_no_announcement() -> None:
    """Bob hears of a track before the answer that carries it, though its turn has not come."""
    stage = Stage(at_once=False)
    alice, bob = stage.connect("alice"), stage.connect("bob")
    carol = stage.connect("carol")
    track = alice.add_track()
    alice.answered({track: "video/VP8"})
    assert not bob.seen(alice).tracks
    bob.answered(offer_id=2, mid_to_track={"7": track})  # the ear checks that it is known
    assert [one.sid for one in bob.seen(alice).tracks] == [track]
    assert not carol.seen(alice).tracks
    stage.after(1.0)
    assert [one.sid for one in carol.seen(alice).tracks] == [track]
    assert stage.room.next_announcement() is None
