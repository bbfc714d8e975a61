"""Who receives which track: wishes, settings, permissions of both sides."""

from __future__ import annotations

import pytest
from livekit.protocol import models, rtc

from mediaserver.messages import TrackId
from signaling.livekit.effects import PauseSubscription, RemovePeer, Subscribe, Unsubscribe
from signaling.livekit.limits import MAX_WISHES
from tests.signaling.livekit.script import Actor, Stage

MANUAL = {"connection_settings": rtc.ConnectionSettings(auto_subscribe=False)}


@pytest.fixture
def stage() -> Stage:
    return Stage()


@pytest.fixture
def alice(stage: Stage) -> Actor:
    return stage.connect("alice")


def wish(*sids: str, subscribe: bool = True) -> rtc.UpdateSubscription:
    return rtc.UpdateSubscription(track_sids=sids, subscribe=subscribe)


def only(*sids: str, identity: str = "", sid: str = "", everything: bool = False) -> object:
    permission = rtc.TrackPermission(
        participant_identity=identity, participant_sid=sid, all_tracks=everything, track_sids=sids
    )
    return rtc.SubscriptionPermission(all_participants=False, track_permissions=[permission])


# --- wishes ---------------------------------------------------------------------------------------


def test_everybody_is_subscribed_to_everything_with_one_command(stage: Stage) -> None:
    tracks = [stage.connect(name).publish() for name in ("alice", "carol")]
    stage.commands.clear()
    bob = stage.join("bob")
    assert stage.of(Subscribe) == [Subscribe(bob.sid, tuple(tracks))]


def test_without_auto_subscribe_only_what_was_asked_for(stage: Stage, alice: Actor) -> None:
    camera, microphone = alice.publish(), alice.publish("mic", models.MICROPHONE)
    bob = stage.join("bob", MANUAL)
    assert bob.one.subscribed == set()
    effects = bob.say(subscription=wish(camera))
    assert effects == [Subscribe(bob.sid, (camera,))]
    assert bob.say(subscription=wish(camera)) == []
    effects = bob.say(subscription=wish(camera, microphone, subscribe=False))
    assert effects == [Unsubscribe(bob.sid, (camera,))]


def test_several_tracks_of_several_participants_cost_one_command(stage: Stage) -> None:
    tracks = [stage.connect(name).publish() for name in ("alice", "carol")]
    bob = stage.join("bob", MANUAL)
    request = rtc.UpdateSubscription(
        subscribe=True,
        track_sids=[tracks[0]],
        participant_tracks=[
            models.ParticipantTracks(participant_sid="PA_any", track_sids=[tracks[1], tracks[0]])
        ],
    )
    assert bob.say(subscription=request) == [Subscribe(bob.sid, tuple(tracks))]


def test_unsubscribing_from_one_track_of_an_automatic_subscription(
    stage: Stage, alice: Actor
) -> None:
    camera, bob = alice.publish(), stage.connect("bob")
    effects = bob.say(subscription=wish(camera, subscribe=False))
    assert effects == [Unsubscribe(bob.sid, (camera,))]
    assert alice.publish("mic", models.MICROPHONE) in bob.one.subscribed
    assert bob.say(subscription=wish(camera)) == [Subscribe(bob.sid, (camera,))]


def test_a_wish_for_a_track_that_comes_later_is_kept(stage: Stage, alice: Actor) -> None:
    bob, track = stage.join("bob", MANUAL), alice.add_track()
    assert bob.say(subscription=wish(track)) == []
    stage.after(59)
    assert Subscribe(bob.sid, (track,)) in alice.answered({track: "video/VP8"})
    stage.after(2)
    assert bob.all("subscription_response") == []


def test_a_wish_for_a_track_that_never_comes_fails_after_a_minute(stage: Stage) -> None:
    bob = stage.connect("bob")
    bob.say(subscription=wish("TR_never"))
    bob.say(subscription=wish("TR_not_wanted", subscribe=False))
    stage.after(60)
    (said,) = bob.all("subscription_response")
    assert (said.track_sid, said.err) == ("TR_never", models.SE_TRACK_NOTFOUND)
    assert bob.one.wishes == {}


def test_wishes_are_bounded(stage: Stage) -> None:
    bob = stage.connect("bob")
    for start in range(0, 3 * MAX_WISHES, 500):
        bob.say(subscription=wish(*(f"TR_{start + number}" for number in range(500))))
    assert len(bob.one.wishes) == MAX_WISHES


def test_nobody_subscribes_to_themselves(alice: Actor) -> None:
    track = alice.publish()
    assert alice.say(subscription=wish(track)) == []


def test_tracks_of_somebody_who_left_are_forgotten(stage: Stage, alice: Actor) -> None:
    track, bob = alice.publish(), stage.connect("bob")
    bob.say(track_setting=rtc.UpdateTrackSettings(track_sids=[track], disabled=True))
    assert alice.say(leave=rtc.LeaveRequest()) == [RemovePeer(alice.sid)]
    assert bob.one.subscribed == set()
    assert bob.one.wishes == {}


def test_tracks_of_a_hidden_participant_reach_nobody(stage: Stage, alice: Actor) -> None:
    track = stage.connect("ghost", hidden=True).publish()
    assert alice.say(subscription=wish(track)) == []
    assert stage.of(Subscribe) == []


# --- settings -------------------------------------------------------------------------------------


def test_a_disabled_track_is_paused_until_it_is_enabled(stage: Stage, alice: Actor) -> None:
    track, bob = alice.publish(), stage.connect("bob")
    for disabled in (True, False):
        setting = rtc.UpdateTrackSettings(track_sids=[track], disabled=disabled, width=320)
        assert bob.say(track_setting=setting) == [PauseSubscription(bob.sid, track, disabled)]
        assert bob.say(track_setting=setting) == []


def test_a_setting_before_the_subscription_is_kept(stage: Stage, alice: Actor) -> None:
    bob, track = stage.connect("bob"), alice.add_track()
    setting = rtc.UpdateTrackSettings(track_sids=[track], disabled=True)
    assert bob.say(track_setting=setting) == []
    effects = alice.answered({track: "video/VP8"})
    subscribed, paused = effects[-2:]
    assert subscribed == Subscribe(bob.sid, (track,))
    assert paused == PauseSubscription(bob.sid, track, True)


# --- rights ---------------------------------------------------------------------------------------


def test_without_the_right_to_subscribe_nothing_arrives(stage: Stage, alice: Actor) -> None:
    track = alice.publish()
    mallory = stage.connect("mallory", can_subscribe=False)
    assert mallory.say(subscription=wish(track)) == []
    alice.publish("mic", models.MICROPHONE)
    assert stage.of(Subscribe) == []
    said = mallory.all("subscription_permission_update")
    assert [one.allowed for one in said] == [False, False]
    assert said[0].track_sid == track


def test_a_publisher_takes_a_permission_back_and_gives_it_again(stage: Stage, alice: Actor) -> None:
    track, bob, carol = alice.publish(), stage.connect("bob"), stage.connect("carol")
    effects = alice.say(subscription_permission=only(identity="carol", everything=True))
    assert effects == [Unsubscribe(bob.sid, (track,))]
    said = bob.last("subscription_permission_update")
    assert (said.participant_sid, said.track_sid, said.allowed) == (alice.sid, track, False)
    assert carol.all("subscription_permission_update") == []
    everybody = rtc.SubscriptionPermission(all_participants=True)
    assert alice.say(subscription_permission=everybody) == [Subscribe(bob.sid, (track,))]
    assert bob.last("subscription_permission_update").allowed


def test_permission_for_single_tracks_and_by_sid(stage: Stage, alice: Actor) -> None:
    camera, microphone = alice.publish(), alice.publish("mic", models.MICROPHONE)
    bob = stage.connect("bob")
    alice.say(subscription_permission=only(microphone, sid=bob.sid))
    assert bob.one.subscribed == {microphone}
    assert bob.say(subscription=wish(camera)) == []
    assert bob.one.subscribed == {microphone}


def test_a_permission_holds_for_tracks_and_people_that_come_later(
    stage: Stage, alice: Actor
) -> None:
    alice.say(subscription_permission=only(identity="carol", everything=True))
    bob = stage.connect("bob")
    track = alice.publish()
    carol = stage.connect("carol")
    assert bob.one.subscribed == set()
    assert carol.one.subscribed == {TrackId(track)}
