"""LiveKit's public Python SDK, unmodified, against the server: join, media, data, reconnect."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from livekit import rtc

from tests.rig.sdk import Participant, colour, hears, joined, picture, running, tone
from tests.rig.server import MediaserverProcess

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.usefixtures("server_unharmed"),
]

AUDIO = rtc.TrackKind.KIND_AUDIO
VIDEO = rtc.TrackKind.KIND_VIDEO
Server = MediaserverProcess
RED, BLUE = (76, 84, 255), (29, 255, 107)  # as (Y, Cb, Cr)


def camera_options(**more: Any) -> rtc.TrackPublishOptions:
    return rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_CAMERA, simulcast=False, **more)


async def show(source: rtc.VideoSource, frame: rtc.VideoFrame) -> None:
    """A still picture at 15 frames a second, until cancelled."""
    while True:
        source.capture_frame(frame)
        await asyncio.sleep(1 / 15)


# --- joining and leaving --------------------------------------------------------------------------


async def test_connection_states_of_joining_and_leaving(server: Server, room: str) -> None:
    states = rtc.ConnectionState
    async with joined(server, room, "alice") as alice:
        assert alice.room.connection_state == states.CONN_CONNECTED
        assert alice.room.name == room
        assert (await alice.room.sid).startswith("RM_")
        assert alice.local.sid.startswith("PA_")
        assert alice.local.identity == "alice"
    assert alice.room.connection_state == states.CONN_DISCONNECTED
    changes = [e.arguments[0] for e in alice.events if e.name == "connection_state_changed"]
    assert changes[-1] == states.CONN_DISCONNECTED
    assert not alice.names("reconnecting")


async def test_answers_come_from_the_address_that_was_asked(tmp_path: Path) -> None:
    """HTTP listens on every address, and the one for media is not what the system would answer from."""
    settings = {"MEDIASERVER_HOST": "0.0.0.0", "MEDIASERVER_PUBLIC_IP": "127.0.0.1"}
    async with (
        MediaserverProcess(tmp_path / "data", settings) as server,
        joined(server, "r", "ann") as ann,
        joined(server, "r", "bob") as bob,
        tone(ann, 440),
    ):
        await hears(await bob.subscribed("ann", AUDIO), 440)


async def test_others_hear_of_a_join_and_a_leave(server: Server, room: str) -> None:
    async with joined(server, room, "alice") as alice:
        async with joined(server, room, "bob", name="Bob B.") as bob:
            (arrived,) = await alice.heard("participant_connected")
            assert (arrived.identity, arrived.name) == ("bob", "Bob B.")
            assert set(bob.room.remote_participants) == {"alice"}
        (gone,) = await alice.heard("participant_disconnected")
        assert gone.identity == "bob"
        assert gone.disconnect_reason == rtc.DisconnectReason.CLIENT_INITIATED
        assert not alice.room.remote_participants


async def test_joining_again_as_the_same_identity_ends_the_first(server: Server, room: str) -> None:
    async with (
        joined(server, room, "alice") as first,
        joined(server, room, "bob") as bob,
        joined(server, room, "alice") as second,
    ):
        (reason,) = await first.heard("disconnected")
        assert reason == rtc.DisconnectReason.DUPLICATE_IDENTITY
        await bob.heard("participant_connected", lambda who: who.sid == second.local.sid)
        assert [who.sid for who in bob.room.remote_participants.values()] == [second.local.sid]


async def test_the_sdk_learns_what_its_token_allows(server: Server, room: str) -> None:
    async with joined(server, room, "watcher", can_publish=False) as watcher:
        assert not watcher.local.permissions.can_publish
        assert watcher.local.permissions.can_subscribe


# --- tracks ---------------------------------------------------------------------------------------


async def test_a_track_is_announced_subscribed_and_taken_back(server: Server, room: str) -> None:
    async with joined(server, room, "alice") as alice, joined(server, room, "bob") as bob:
        async with tone(alice, 440) as publication:
            announced, who = await bob.heard("track_published")
            assert (announced.sid, who.identity) == (publication.sid, "alice")
            assert announced.kind == AUDIO
            assert announced.source == rtc.TrackSource.SOURCE_MICROPHONE
            await bob.subscribed("alice", AUDIO)
            await alice.local.unpublish_track(publication.sid)
        taken_back, _ = await bob.heard("track_unpublished")
        assert taken_back.sid == publication.sid
        order = ("track_published", "track_subscribed", "track_unsubscribed", "track_unpublished")
        assert bob.names(*order) == list(order)
        assert not bob.room.remote_participants["alice"].track_publications


async def test_who_comes_late_gets_what_is_there(server: Server, room: str) -> None:
    async with (
        joined(server, room, "alice") as alice,
        tone(alice, 600),
        joined(server, room, "late") as late,
    ):
        await hears(await late.subscribed("alice", AUDIO), 600)


async def test_mute_is_told_to_others(server: Server, room: str) -> None:
    async with (
        joined(server, room, "alice") as alice,
        joined(server, room, "bob") as bob,
        tone(alice, 500) as publication,
    ):
        await bob.subscribed("alice", AUDIO)
        assert isinstance(publication.track, rtc.LocalAudioTrack)
        publication.track.mute()
        _, muted = await bob.heard("track_muted")
        assert (muted.sid, muted.muted) == (publication.sid, True)
        publication.track.unmute()
        track = await bob.subscribed("alice", AUDIO)
        await bob.heard("track_unmuted")
        await hears(track, 500)


async def test_tones_arrive_as_the_tones_that_were_sent(server: Server, room: str) -> None:
    async with (
        joined(server, room, "alice") as alice,
        joined(server, room, "bob") as bob,
        tone(alice, 440),
        tone(bob, 1000),
    ):
        at_bob, at_alice = await asyncio.gather(
            bob.subscribed("alice", AUDIO), alice.subscribed("bob", AUDIO)
        )
        await asyncio.gather(hears(at_bob, 440), hears(at_alice, 1000))


@pytest.mark.parametrize("codec", ["VP8", "H264", "VP9", "AV1"])
async def test_pictures_arrive_in_their_colours(server: Server, room: str, codec: str) -> None:
    async with joined(server, room, "alice") as alice, joined(server, room, "bob") as bob:
        source = rtc.VideoSource(320, 240)
        track = rtc.LocalVideoTrack.create_video_track("camera", source)
        options = camera_options(video_codec=getattr(rtc.VideoCodec, codec))
        publication = await alice.local.publish_track(track, options)
        async with running(show(source, picture(320, 240, *RED))):
            await sees(await bob.subscribed("alice", VIDEO), RED)
        async with running(show(source, picture(320, 240, *BLUE))):
            await sees(await bob.subscribed("alice", VIDEO), BLUE)
        announced = bob.room.remote_participants["alice"].track_publications[publication.sid]
        assert announced.mime_type.lower() == f"video/{codec.lower()}"


async def sees(track: rtc.Track, wanted: tuple[int, int, int]) -> None:
    stream = rtc.VideoStream(track)
    seen: list[tuple[int, int, int]] = []
    try:
        async with asyncio.timeout(8):
            async for event in stream:
                seen.append(await colour(event))
                if all(abs(a - b) <= 12 for a, b in zip(seen[-1], wanted, strict=True)):
                    assert (event.frame.width, event.frame.height) == (320, 240)
                    return
    except TimeoutError:
        raise AssertionError(f"never saw {wanted}; saw {seen[-3:]} of {len(seen)}") from None
    finally:
        await stream.aclose()


async def test_frame_trailers_arrive_bit_exact(server: Server, room: str) -> None:
    """A trailer rides in the last bytes of a frame's payload: payloads were not touched."""
    features = rtc.FrameMetadataFeature
    wanted_features = [features.FMF_USER_TIMESTAMP, features.FMF_FRAME_ID, features.FMF_USER_DATA]
    sent: dict[int, tuple[int, bytes]] = {}

    async def film(source: rtc.VideoSource) -> None:
        number = 0
        while True:
            number += 1
            mark = (1_700_000_000_000_000 + number * 33_333, bytes([number % 256, 0, 255]) * 20)
            sent[number] = mark
            metadata = rtc.FrameMetadata(frame_id=number, user_timestamp=mark[0], user_data=mark[1])
            source.capture_frame(picture(320, 240, number % 200 + 20, 128, 128), metadata=metadata)
            await asyncio.sleep(1 / 15)

    async with joined(server, room, "alice") as alice, joined(server, room, "bob") as bob:
        source = rtc.VideoSource(320, 240)
        track = rtc.LocalVideoTrack.create_video_track("camera", source)
        options = camera_options(
            video_codec=rtc.VideoCodec.VP8, frame_metadata_features=wanted_features
        )
        publication = await alice.local.publish_track(track, options)
        async with running(film(source)):
            remote = await bob.subscribed("alice", VIDEO)
            announced = bob.room.remote_participants["alice"].track_publications[publication.sid]
            assert set(announced.frame_metadata_features) == set(wanted_features)
            stream = rtc.VideoStream(remote)
            got: dict[int, tuple[int, bytes]] = {}
            async with asyncio.timeout(8):
                async for event in stream:
                    assert event.metadata is not None, "a frame came without its trailer"
                    data = event.metadata
                    got[data.frame_id] = (data.user_timestamp, data.user_data)
                    if len(got) == 30:
                        break
            await stream.aclose()
    assert got == {number: sent[number] for number in got}


async def test_three_participants_hear_each_other(server: Server, room: str) -> None:
    tones = {"alice": 400, "bob": 800, "carol": 1600}
    async with (
        joined(server, room, "alice") as alice,
        joined(server, room, "bob") as bob,
        joined(server, room, "carol") as carol,
        tone(alice, tones["alice"]),
        tone(bob, tones["bob"]),
        tone(carol, tones["carol"]),
    ):

        async def check(listener: Participant, speaker: str) -> None:
            await hears(await listener.subscribed(speaker, AUDIO), tones[speaker])

        await asyncio.gather(
            *(
                check(listener, speaker)
                for listener in (alice, bob, carol)
                for speaker in tones
                if speaker != listener.identity
            )
        )


# --- reconnecting ---------------------------------------------------------------------------------


async def test_a_full_reconnect_keeps_the_local_publication(server: Server, room: str) -> None:
    async with (
        joined(server, room, "alice") as alice,
        joined(server, room, "bob") as bob,
        tone(alice, 700) as publication,
    ):
        await hears(await bob.subscribed("alice", AUDIO), 700)
        first_sid, first_participant = publication.sid, alice.local.sid
        await alice.room.simulate_scenario(rtc.SimulateScenarioKind.SIMULATE_FULL_RECONNECT)
        again, previous = await alice.heard("local_track_republished", within=10)
        assert again is publication
        assert previous == first_sid != publication.sid
        await alice.heard("reconnected", within=10)
        assert alice.local.track_publications[publication.sid] is publication
        assert alice.room.connection_state == rtc.ConnectionState.CONN_CONNECTED
        track, _, who = await bob.heard(
            "track_subscribed", lambda _t, pub, _w: pub.sid == publication.sid
        )
        assert who.sid != first_participant
        await hears(track, 700)


# --- data -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("reliable", [True, False])
async def test_data_from_one_to_one(server: Server, room: str, reliable: bool) -> None:
    payload = bytes(range(256)) * 4
    async with joined(server, room, "alice") as alice, joined(server, room, "bob") as bob:
        await alice.heard("participant_connected")
        async with running(repeat(alice, payload, reliable)):
            (packet,) = await bob.heard("data_received")
    assert packet.data == payload
    assert packet.participant.identity == "alice"
    wanted = rtc.DataPacketKind.KIND_RELIABLE if reliable else rtc.DataPacketKind.KIND_LOSSY
    assert packet.kind == wanted


async def repeat(who: Participant, payload: bytes, reliable: bool) -> None:
    """Lossy data may be lost while the far channel is opening, so it is said again."""
    while True:
        await who.local.publish_data(payload, reliable=reliable)
        if reliable:
            return
        await asyncio.sleep(0.2)


async def test_reliable_data_keeps_its_order(server: Server, room: str) -> None:
    async with joined(server, room, "alice") as alice, joined(server, room, "bob") as bob:
        for number in range(200):
            await alice.local.publish_data(str(number))
        await bob.heard("data_received", lambda packet: packet.data == b"199")
        got = [int(e.arguments[0].data) for e in bob.events if e.name == "data_received"]
    assert got == list(range(200))


async def test_data_to_everybody_else(server: Server, room: str) -> None:
    async with (
        joined(server, room, "alice") as alice,
        joined(server, room, "bob") as bob,
        joined(server, room, "carol") as carol,
    ):
        await alice.local.publish_data(b"to all", topic="news")
        for listener in (bob, carol):
            (packet,) = await listener.heard("data_received")
            assert (packet.data, packet.topic) == (b"to all", "news")
        assert not alice.names("data_received")


async def test_data_to_named_ones_only(server: Server, room: str) -> None:
    async with (
        joined(server, room, "alice") as alice,
        joined(server, room, "bob") as bob,
        joined(server, room, "carol") as carol,
    ):
        await alice.local.publish_data(b"for carol", destination_identities=["carol"])
        await alice.local.publish_data(b"for both")  # the same ordered channel: bob's proof
        await carol.heard("data_received", lambda packet: packet.data == b"for carol")
        await bob.heard("data_received", lambda packet: packet.data == b"for both")
        at_bob = [e.arguments[0].data for e in bob.events if e.name == "data_received"]
        assert at_bob == [b"for both"]


async def test_topics_are_kept_apart(server: Server, room: str) -> None:
    async with joined(server, room, "alice") as alice, joined(server, room, "bob") as bob:
        for topic in ("chat", "cursor", ""):
            await alice.local.publish_data(topic.upper(), topic=topic)
        await bob.heard("data_received", lambda packet: not packet.data)
        got = [e.arguments[0] for e in bob.events if e.name == "data_received"]
        assert [(p.topic or "", p.data) for p in got] == [
            ("chat", b"CHAT"),
            ("cursor", b"CURSOR"),
            ("", b""),
        ]
