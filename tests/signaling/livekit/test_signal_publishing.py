"""Tracks from announcement to end, as the publisher and the others see them."""

from __future__ import annotations

from typing import Any

import pytest
from livekit.protocol import models, rtc

from mediaserver.messages import SectionsNeeded, TrackId
from signaling.livekit.effects import (
    Answer,
    ExpectTrack,
    MediaPublished,
    MuteTrack,
    Subscribe,
)
from signaling.livekit.responses import DisconnectReason, Reason
from tests.signaling.livekit.script import Actor, Stage


@pytest.fixture
def stage() -> Stage:
    return Stage()


@pytest.fixture
def alice(stage: Stage) -> Actor:
    return stage.connect("alice", name="Alice")


def add_track(**fields: Any) -> rtc.AddTrackRequest:
    fields = {"cid": "c", "type": models.VIDEO, "source": models.CAMERA, **fields}
    return rtc.AddTrackRequest(**fields)


# --- announcing -----------------------------------------------------------------------------------


def test_an_announced_track_is_expected_with_all_a_recording_needs(alice: Actor) -> None:
    codec = rtc.SimulcastCodec(codec="vp9", cid="cam")
    sid = alice.add_track("cam", name="front", simulcast_codecs=[codec])
    (expected,) = alice.stage.of(ExpectTrack)
    intent = expected.intent
    assert (expected.peer, intent.track_id, intent.client_id) == (alice.sid, sid, "cam")
    assert (intent.kind, intent.mime_type) == ("video", "video/VP9")
    assert intent.stream_id == f"{alice.sid}|{sid}"
    assert intent.labels == {
        "room": "green",
        "participantId": "alice",
        "participantName": "Alice",
        "source": "camera",
        "trackName": "front",
    }


@pytest.mark.parametrize(
    ("source", "kind", "label", "stream"),
    [
        (models.CAMERA, models.VIDEO, "camera", "camera"),
        (models.MICROPHONE, models.AUDIO, "microphone", "camera"),
        (models.SCREEN_SHARE, models.VIDEO, "screen_share", "screen"),
        (models.SCREEN_SHARE_AUDIO, models.AUDIO, "screen_share_audio", "screen"),
        (models.TrackSource.UNKNOWN, models.VIDEO, "camera", "camera"),
        (models.TrackSource.UNKNOWN, models.AUDIO, "microphone", "camera"),
    ],
)
def test_sources(
    alice: Actor, source: models.TrackSource, kind: models.TrackType, label: str, stream: str
) -> None:
    sid = alice.add_track("c", source, type=kind)
    info = alice.last("track_published").track
    assert sid.startswith("TR_")
    assert (info.source, info.type, info.stream) == (source, kind, stream)
    assert alice.stage.of(ExpectTrack)[-1].intent.labels["source"] == label


def test_track_info_keeps_what_subscribers_need(alice: Actor) -> None:
    layers = [models.VideoLayer(quality=models.VideoQuality.HIGH, width=1280, height=720)]
    alice.add_track(
        "c",
        name="n",
        width=1280,
        height=720,
        muted=True,
        encryption=models.Encryption.GCM,
        layers=layers,
        stream="mine",
        packet_trailer_features=[models.PacketTrailerFeature.values()[0]],
    )
    info = alice.last("track_published").track
    assert (info.name, info.width, info.height, info.muted) == ("n", 1280, 720, True)
    assert info.encryption == models.Encryption.GCM
    assert info.stream == "mine"
    assert list(info.layers) == layers
    assert info.disable_red
    assert not info.simulcast
    assert len(info.packet_trailer_features) == 1


def test_audio_switches_become_features(alice: Actor) -> None:
    alice.add_track("m", models.MICROPHONE, stereo=True, disable_dtx=True)
    features = list(alice.last("track_published").track.audio_features)
    assert features == [models.TF_STEREO, models.TF_NO_DTX]


@pytest.mark.parametrize(
    ("grants", "fields", "reason"),
    [
        ({"can_publish": False}, {}, Reason.NOT_ALLOWED),
        ({"can_publish_sources": ("microphone",)}, {}, Reason.NOT_ALLOWED),
        ({"can_publish_sources": ("camera",)}, {"source": 0}, Reason.NOT_ALLOWED),
        ({}, {"type": models.TrackType.DATA}, Reason.UNSUPPORTED_TYPE),
        ({}, {"sid": "TR_none"}, Reason.NOT_FOUND),
        ({}, {"cid": ""}, Reason.INVALID_REQUEST),
        ({}, {"cid": "x" * 257}, Reason.INVALID_REQUEST),
        ({}, {"name": "x" * 257}, Reason.INVALID_REQUEST),
    ],
)
def test_refusals(
    stage: Stage, grants: dict[str, Any], fields: dict[str, Any], reason: Reason
) -> None:
    who = stage.connect("mallory", **grants)
    request = add_track(**fields)
    assert who.say(add_track=request) == []
    assert who.last("request_response").reason == reason
    assert who.last("request_response").add_track == request


def test_a_camera_disguised_as_microphone_is_refused(stage: Stage) -> None:
    mallory = stage.connect("mallory", can_publish_sources=("microphone",))
    mallory.say(add_track=add_track(source=models.MICROPHONE, type=models.VIDEO))
    assert mallory.last("request_response").reason == Reason.NOT_ALLOWED
    assert stage.of(ExpectTrack) == []


def test_no_second_codec_for_a_track(alice: Actor) -> None:
    sid = alice.publish()
    alice.say(add_track=add_track(cid="other", sid=sid))
    assert alice.last("request_response").reason == Reason.UNSUPPORTED_TYPE


def test_twenty_tracks_may_wait_for_their_offer(alice: Actor) -> None:
    tracks = [alice.add_track(f"c{number}") for number in range(20)]
    alice.say(add_track=add_track(cid="one too many"))
    assert alice.last("request_response").reason == Reason.LIMIT_EXCEEDED
    alice.answered(dict.fromkeys(tracks, "video/VP8"))
    alice.add_track("now there is room")


# --- offers ---------------------------------------------------------------------------------------


def test_an_offer_goes_to_the_media_plane_with_its_id(alice: Actor) -> None:
    effects = alice.say(offer=rtc.SessionDescription(type="offer", sdp="sdp", id=7))
    assert effects == [Answer(alice.sid, "sdp", 7)]


def test_an_answer_echoes_the_id_and_maps_every_section(stage: Stage, alice: Actor) -> None:
    bob = stage.connect("bob")
    track = alice.publish()
    bob.answered(offer_id=9, mid_to_track={"3": track})
    answer = bob.last("answer")
    assert (answer.type, answer.sdp, answer.id) == ("answer", "v=0", 9)
    assert dict(answer.mid_to_track_id) == {"3": track}


def test_published_media_is_noticed_once_for_each_offer_that_brings_any(stage: Stage) -> None:
    alice = stage.connect("alice")
    tracks = [alice.add_track("mic"), alice.add_track("cam")]
    effects = alice.answered({tracks[0]: "audio/opus", tracks[1]: "video/VP8"})
    assert effects.count(MediaPublished()) == 1
    assert MediaPublished() not in alice.answered({})


def test_others_hear_of_a_track_before_they_are_subscribed_to_it(stage: Stage) -> None:
    alice, bob = stage.connect("alice"), stage.connect("bob")
    track = alice.add_track("cam", simulcast_codecs=[rtc.SimulcastCodec(codec="h264", cid="cam")])
    assert bob.seen(alice).tracks == []
    bob.forget()
    effects = alice.answered({track: "video/VP8"})
    assert Subscribe(bob.sid, (track,)) in effects
    (info,) = bob.seen(alice).tracks
    assert (info.sid, info.mime_type, info.mid) == (track, "video/VP8", "7")
    (codec,) = info.codecs
    assert (codec.mime_type, codec.mid, codec.cid) == ("video/VP8", "7", "cam")
    assert bob.seen(alice).is_publisher


def test_an_offer_without_the_announced_track_is_no_error(alice: Actor) -> None:
    track = alice.add_track()
    alice.answered({})
    assert track in alice.one.pending
    alice.answered({track: "video/VP8"})
    assert track in alice.one.tracks


def test_a_track_that_was_never_announced_is_not_published(stage: Stage, alice: Actor) -> None:
    bob = stage.connect("bob")
    bob.forget()
    alice.answered({TrackId("TR_smuggled"): "video/VP8"})
    assert alice.one.tracks == {}
    assert bob.heard == ["join"]


def test_a_track_ends_when_its_section_is_gone(stage: Stage, alice: Actor) -> None:
    bob = stage.connect("bob")
    camera, microphone = alice.publish(), alice.publish("mic", models.MICROPHONE)
    alice.answered(unpublished=(camera,), requirements={bob.sid: SectionsNeeded()})
    assert [track.sid for track in bob.seen(alice).tracks] == [microphone]
    assert bob.last("media_sections_requirement") == rtc.MediaSectionsRequirement()
    assert bob.one.subscribed == {microphone}


def test_the_same_media_published_again_waits_for_the_end_of_the_old_track(alice: Actor) -> None:
    old = alice.publish("cam")
    assert alice.say(add_track=add_track(cid="cam")) == []
    assert alice.last("request_response").reason == Reason.QUEUED
    alice.answered({})
    assert len(alice.all("track_published")) == 1
    effects = alice.answered(unpublished=(old,))
    new = alice.last("track_published")
    assert new.cid == "cam"
    assert new.track.sid != old
    assert any(isinstance(effect, ExpectTrack) for effect in effects)


@pytest.mark.parametrize(
    ("answered_before", "reason"),
    [(False, DisconnectReason.JOIN_FAILURE), (True, DisconnectReason.MEDIA_FAILURE)],
)
def test_an_unusable_offer_ends_the_session(
    stage: Stage, answered_before: bool, reason: DisconnectReason
) -> None:
    from signaling.livekit.publishing import unanswerable
    from signaling.livekit.room_state import Origin

    alice = stage.connect("alice") if answered_before else stage.join("alice")
    stage.perform(unanswerable(Origin(stage.room, alice.one, stage.now)))
    assert alice.last("leave").reason == reason


# --- who is told what ----------------------------------------------------------------------------


def test_the_publisher_hears_once_that_somebody_is_subscribed(stage: Stage, alice: Actor) -> None:
    track = alice.publish()
    for name in ("bob", "carol"):
        stage.connect(name).answered(mid_to_track={"3": track}, attached=(track,))
    assert [said.track_sid for said in alice.all("track_subscribed")] == [track]


def test_a_subscriber_hears_once_of_a_track_it_has_no_codec_for(stage: Stage, alice: Actor) -> None:
    track, bob = alice.publish(), stage.connect("bob")
    for _ in range(2):
        bob.answered(unsupported=(track,))
    (said,) = bob.all("subscription_response")
    assert (said.track_sid, said.err) == (track, models.SE_CODEC_UNSUPPORTED)


def test_requirements_add_up_into_one_message(stage: Stage, alice: Actor) -> None:
    for needed in (SectionsNeeded(1, 0), SectionsNeeded(0, 1), SectionsNeeded()):
        stage.room.need_sections(alice.sid, needed)
    stage.perform(stage.room.ask_for_sections())
    stage.perform(stage.room.ask_for_sections())
    (said,) = alice.all("media_sections_requirement")
    assert (said.num_audios, said.num_videos) == (1, 1)


def test_nobody_is_asked_for_sections_before_the_first_answer(stage: Stage) -> None:
    bob = stage.join("bob")
    stage.room.need_sections(bob.sid, SectionsNeeded(1, 1))
    stage.perform(stage.room.ask_for_sections())
    assert bob.all("media_sections_requirement") == []
    bob.answered(requirements={bob.sid: SectionsNeeded(1, 0)})
    assert bob.last("media_sections_requirement").num_audios == 1


def test_an_answer_replaces_what_was_not_asked_for_yet(stage: Stage, alice: Actor) -> None:
    stage.room.need_sections(alice.sid, SectionsNeeded(3, 3))
    alice.answered(requirements={alice.sid: SectionsNeeded(0, 1)})
    said = alice.last("media_sections_requirement")
    assert (said.num_audios, said.num_videos) == (0, 1)


def test_publishers_are_counted(stage: Stage, alice: Actor) -> None:
    stage.after(0)
    alice.publish()
    stage.after(5)
    assert alice.last("room_update").room.num_publishers == 1


# --- mute -----------------------------------------------------------------------------------------


def test_mute_and_unmute(stage: Stage, alice: Actor) -> None:
    bob, track = stage.connect("bob"), alice.publish()
    for muted in (True, False):
        effects = alice.say(mute=rtc.MuteTrackRequest(sid=track, muted=muted))
        assert effects == [MuteTrack(track, muted)]
        assert bob.seen(alice).tracks[0].muted == muted
        bob.forget()
        assert alice.say(mute=rtc.MuteTrackRequest(sid=track, muted=muted)) == []
        assert bob.heard == ["join"]


def test_a_track_muted_before_its_offer_is_published_muted(stage: Stage, alice: Actor) -> None:
    bob, track = stage.connect("bob"), alice.add_track()
    assert alice.say(mute=rtc.MuteTrackRequest(sid=track, muted=True)) == []
    effects = alice.answered({track: "video/VP8"})
    assert effects[0] == MuteTrack(track, True)
    assert bob.seen(alice).tracks[0].muted


def test_nobody_mutes_what_is_not_theirs(stage: Stage, alice: Actor) -> None:
    track, mallory = alice.publish(), stage.connect("mallory")
    request = rtc.MuteTrackRequest(sid=track, muted=True)
    assert mallory.say(mute=request) == []
    response = mallory.last("request_response")
    assert (response.reason, response.mute) == (Reason.NOT_FOUND, request)


# --- what others must not be made to carry --------------------------------------------------------

LONG = "s" * 257


@pytest.mark.parametrize(
    "fields",
    [
        {"cid": LONG},
        {"name": LONG},
        {"stream": LONG},
        {"stream": "s" * 1_900_000},
        {"simulcast_codecs": [rtc.SimulcastCodec(cid=LONG)]},
        {"simulcast_codecs": [rtc.SimulcastCodec(codec=LONG)]},
        {"simulcast_codecs": [rtc.SimulcastCodec(layers=[models.VideoLayer(rid=LONG)])]},
        {"layers": [models.VideoLayer(rid=LONG)]},
        {"layers": [models.VideoLayer(rid="\U0001f600" * 250)] * 9},
    ],
)
def test_attack_long_texts_in_add_track(alice: Actor, fields: dict[str, Any]) -> None:
    alice.say(add_track=add_track(**fields))
    refused = alice.last("request_response")
    assert refused.reason == Reason.INVALID_REQUEST
    assert refused.ByteSize() < 10_000
    assert refused.add_track.cid == fields.get("cid", "c")
    assert alice.one.pending == {}


def test_attack_long_lists_in_add_track(alice: Actor) -> None:
    codec = rtc.SimulcastCodec(codec="vp8", layers=[models.VideoLayer(width=1)] * 100_000)
    codec.MergeFromString(b"\xfa\x7f\x03new")
    alice.say(
        add_track=add_track(
            simulcast_codecs=[codec] * 3,
            layers=[models.VideoLayer()] * 100_000,
            audio_features=[models.AudioTrackFeature.TF_STEREO] * 100_000,
            packet_trailer_features=[1] * 100_000,
        )
    )
    info = alice.last("track_published").track
    assert info.ByteSize() < 1000
    assert b"new" not in info.SerializeToString()


def test_attack_many_tracks_that_say_much(alice: Actor) -> None:
    number = 0
    while alice.heard[-1] != "request_response":
        alice.say(add_track=add_track(cid=f"c{number}", name="n" * 256, stream="\U0001f600" * 256))
        if alice.heard[-1] == "track_published":
            sid = TrackId(alice.last("track_published").track.sid)
            alice.answered({sid: "video/VP8"})
        number += 1
    assert alice.last("request_response").reason == Reason.LIMIT_EXCEEDED
    assert number > 30
    assert alice.one.info().ByteSize() < 66_000


def test_attack_capabilities_without_end(stage: Stage, alice: Actor) -> None:
    client = models.ClientInfo(protocol=16, capabilities=[1] * 100_000, os="o" * 100_000)
    mallory = stage.join("mallory", {"client_info": client})
    assert list(alice.seen(mallory).capabilities) == [1]
    assert mallory.one.client.ByteSize() < 100
