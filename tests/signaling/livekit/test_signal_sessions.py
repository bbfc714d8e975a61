"""Sessions over real sockets: the protocol's conversations, end to end but for media."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from livekit.protocol import models, rtc

from mediaserver.errors import BadOffer, WorkerGone
from mediaserver.messages import (
    DataReceived,
    OfferResult,
    PeerLost,
    RecordingId,
    RecordingStarted,
    SectionsNeeded,
    TrackId,
    WorkerLost,
)
from signaling.livekit import ConferenceLimits
from signaling.livekit.responses import Action, DisconnectReason
from tests.signaling.livekit.front_door import FrontDoor, front_door, until
from tests.signaling.livekit.script import ROOM, State


@pytest.fixture
async def door() -> AsyncIterator[FrontDoor]:
    async with front_door() as opened:
        yield opened


# --- joining --------------------------------------------------------------------------------------


async def test_join_answer_and_token(door: FrontDoor) -> None:
    alice = await door.open("alice")
    await alice.hear("answer")
    kinds = [message.WhichOneof("message") for message in alice.heard]
    assert kinds == ["join", "refresh_token", "answer"]
    answer = alice.heard[-1].answer
    assert (answer.type, answer.id) == ("answer", 1)
    assert door.media.peers[alice.sid].room == ROOM
    fresh = door.authority.verify(alice.heard[1].refresh_token)
    assert (fresh.identity, fresh.grants.room, fresh.grants.room_join) == ("alice", ROOM, True)


async def test_a_client_that_offers_after_joining(door: FrontDoor) -> None:
    bob = await door.join("bob")
    await bob.publish()
    firefox = await door.open("firefox", publisher_offer=rtc.SessionDescription())
    await firefox.hear("refresh_token")
    answer = await firefox.offer()
    assert answer.id == 1
    assert len(answer.mid_to_track_id) == 1
    kinds = [message.WhichOneof("message") for message in firefox.heard]
    assert "media_sections_requirement" not in kinds[: kinds.index("answer")]


async def test_the_token_travels_in_the_header_too(door: FrontDoor) -> None:
    headers = {"Authorization": f"Bearer {door.token()}"}
    socket = await door.http.ws_connect(
        f"{door.url}/rtc/v1", params=door.query(None), headers=headers
    )
    assert (await socket.receive()).type.name == "BINARY"


async def test_validate_says_what_opening_would(door: FrontDoor) -> None:
    for query, status in ((door.query(door.token()), 200), (door.query("nonsense"), 401)):
        async with door.http.get(f"{door.url}/rtc/v1/validate", params=query) as response:
            assert response.status == status
            assert response.headers["Access-Control-Allow-Origin"] == "*"
            assert await response.text()
    assert door.conferences.rooms() == []


@pytest.mark.parametrize("path", ["/rtc", "/rtc/validate", "/rtc/v1"])
async def test_what_is_not_spoken_is_not_found(door: FrontDoor, path: str) -> None:
    async with door.http.get(door.url + path, params=door.query(door.token())) as response:
        assert response.status == 404
        assert response.headers["Access-Control-Allow-Origin"] == "*"
        assert "requested room does not exist" not in await response.text()


async def test_a_resume_is_answered_with_join_anew(door: FrontDoor) -> None:
    alice = await door.join("alice")
    again = await door.open("alice", reconnect=True, participant_sid=alice.sid)
    assert await again.ended() == ["leave"]
    leave = again.heard[0].leave
    assert (leave.action, leave.reason) == (Action.RECONNECT, DisconnectReason.STATE_MISMATCH)
    assert again.socket.close_code == 1000


async def test_a_full_reconnect_replaces_the_old_session(door: FrontDoor) -> None:
    bob, old = await door.join("bob"), await door.join("alice")
    new = await door.join("alice")
    assert "leave" in await old.ended()
    assert old.heard[-1].leave.reason == DisconnectReason.DUPLICATE_IDENTITY
    states: list[tuple[str, int]] = []
    while (new.sid, State.ACTIVE) not in states:
        update = await bob.hear("update")
        states += [(info.sid, info.state) for info in update.participants]
    assert states.index((old.sid, State.DISCONNECTED)) < states.index((new.sid, State.JOINED))
    await until(lambda: set(door.media.peers) == {bob.sid, new.sid})


async def test_no_media_no_session(door: FrontDoor) -> None:
    async def gone(*_: object) -> None:
        raise WorkerGone("dead")

    door.media.add_peer = gone  # type: ignore[method-assign]
    assert await door.status(door.query(door.token())) == 503


# --- publishing and subscribing -------------------------------------------------------------------


async def test_publishing_reaches_the_others(door: FrontDoor) -> None:
    alice, bob = await door.join("alice"), await door.join("bob")
    track = await alice.publish()
    while not (update := await bob.hear("update")).participants[0].tracks:
        pass
    assert update.participants[0].tracks[0].sid == track
    needed = await bob.hear("media_sections_requirement")
    assert (needed.num_audios, needed.num_videos) == (0, 1)
    answer = await bob.offer(2)
    assert list(answer.mid_to_track_id.values()) == [track]
    subscribed = await alice.hear("track_subscribed")
    assert subscribed.track_sid == track


async def test_many_tracks_at_once_cost_one_requirement(door: FrontDoor) -> None:
    alice, bob = await door.join("alice"), await door.join("bob")
    for number in range(6):
        source = models.CAMERA if number % 2 else models.MICROPHONE
        kind = models.VIDEO if number % 2 else models.AUDIO
        request = rtc.AddTrackRequest(cid=f"c{number}", type=kind, source=source)
        await alice.say(add_track=request)
    await alice.offer(2)
    needed = await bob.hear("media_sections_requirement")
    assert (needed.num_audios, needed.num_videos) == (3, 3)


async def test_tracks_that_exist_are_in_the_first_answer(door: FrontDoor) -> None:
    track = await (await door.join("alice")).publish()
    bob = await door.open("bob")
    assert list((await bob.hear("answer")).mid_to_track_id.values()) == [track]


async def test_offers_are_answered_in_order(door: FrontDoor) -> None:
    alice = await door.join("alice")
    for number in range(2, 30):
        offer = rtc.SessionDescription(type="offer", sdp=str(number), id=number)
        await alice.say(offer=offer)
    ids = [(await alice.hear("answer")).id for _ in range(2, 30)]
    assert ids == list(range(2, 30))


async def test_muting_and_pausing_reach_the_media_plane(door: FrontDoor) -> None:
    alice, bob = await door.join("alice"), await door.join("bob")
    track = TrackId(await alice.publish())
    await bob.hear("media_sections_requirement")
    await alice.say(mute=rtc.MuteTrackRequest(sid=track, muted=True))
    await bob.say(track_setting=rtc.UpdateTrackSettings(track_sids=[track], disabled=True))
    await until(lambda: door.media.muted.get(track) and door.media.paused.get((bob.sid, track)))


async def test_leaving_asks_subscribers_for_a_new_offer(door: FrontDoor) -> None:
    alice, bob = await door.join("alice"), await door.join("bob")
    await alice.publish()
    await bob.hear("media_sections_requirement")
    await bob.offer(2)
    await alice.say(leave=rtc.LeaveRequest())
    assert await bob.hear("media_sections_requirement") == rtc.MediaSectionsRequirement()
    assert await alice.ended() is not None
    assert alice.socket.close_code == 1000


async def test_an_unusable_offer_ends_only_its_session(door: FrontDoor) -> None:
    alice, bob = await door.join("alice"), await door.join("bob")
    door.media.answers.append(BadOffer("no ICE"))
    await bob.say(offer=rtc.SessionDescription(type="offer", sdp="garbage", id=2))
    leave = await bob.hear("leave")
    assert (leave.action, leave.reason) == (Action.DISCONNECT, DisconnectReason.MEDIA_FAILURE)
    assert (await alice.offer(5)).id == 5


@pytest.mark.parametrize("fault", [WorkerGone("dead"), ZeroDivisionError()])
async def test_a_failure_of_ours_lets_the_client_join_anew(
    door: FrontDoor, fault: Exception
) -> None:
    alice = await door.join("alice")
    door.media.answers.append(fault)
    await alice.say(offer=rtc.SessionDescription(type="offer", sdp="fine", id=2))
    assert (await alice.hear("leave")).action == Action.RECONNECT


# --- data -----------------------------------------------------------------------------------------


async def test_data_is_relayed_in_order(door: FrontDoor) -> None:
    alice, bob = await door.join("alice"), await door.join("bob")
    for number in range(100):
        user = models.UserPacket(payload=str(number).encode())
        packet = models.DataPacket(sequence=number + 1, user=user)
        door.media.emit(DataReceived(alice.sid, "_reliable", packet.SerializeToString()))
    await until(lambda: len(door.media.sent) == 100)
    payloads = [models.DataPacket.FromString(sent.payload) for sent in door.media.sent]
    assert [int(packet.user.payload) for packet in payloads] == list(range(100))
    assert {packet.participant_identity for packet in payloads} == {"alice"}
    assert {sent.peers for sent in door.media.sent} == {(bob.sid,)}


async def test_data_faster_than_it_leaves_costs_the_sender_its_session() -> None:
    async with front_door(ConferenceLimits(data_bytes=10_000)) as door:
        alice, bob = await door.join("alice"), await door.join("bob")
        packet = models.DataPacket(user=models.UserPacket(payload=bytes(6_000)))
        for label in ("_lossy", "_lossy", "_reliable"):
            door.media.emit(DataReceived(alice.sid, label, packet.SerializeToString()))
        assert (await alice.hear("leave")).action == Action.RECONNECT
        await until(lambda: len(door.media.sent) == 1)
        assert (await bob.offer(2)).id == 2


# --- time, and ends -------------------------------------------------------------------------------


async def test_media_that_fails(door: FrontDoor) -> None:
    alice = await door.join("alice")
    door.media.emit(PeerLost(alice.sid, "consent expired"))
    leave = await alice.hear("leave")
    assert (leave.action, leave.reason) == (Action.RECONNECT, DisconnectReason.CONNECTION_TIMEOUT)


async def test_a_worker_that_dies_takes_nobody_else_along(door: FrontDoor) -> None:
    alice, bob = await door.join("alice"), await door.join("bob")
    door.media.emit(WorkerLost((alice.sid,)))
    assert (await alice.hear("leave")).action == Action.RECONNECT
    assert (await bob.offer(2)).id == 2


async def test_a_silent_socket_is_closed() -> None:
    async with front_door(ConferenceLimits(silence_timeout=0.2)) as door:
        alice = await door.join("alice")
        for _ in range(4):
            await asyncio.sleep(0.1)  # not waiting for anything: this is the client's heartbeat
            await alice.say(ping=1)
        assert len([one for one in alice.heard if one.HasField("join")]) == 1
        assert set(await alice.ended()) <= {"pong", "room_update"}


async def test_a_lost_socket_leaves_a_connected_participant_for_a_while() -> None:
    limits = ConferenceLimits(signal_grace=0.3, tick=0.05)
    async with front_door(limits) as door:
        alice, bob = await door.join("alice"), await door.join("bob")
        await bob.socket.close()
        await alice.offer(2)
        assert len(door.conferences.participants(ROOM)) == 2
        while (update := await alice.hear("update")).participants[0].state != State.DISCONNECTED:
            pass
        assert update.participants[0].sid == bob.sid


async def test_calls_are_noted_from_the_first_session_to_the_empty_room() -> None:
    limits = ConferenceLimits(departure_timeout=0.1, tick=0.05)
    async with front_door(limits) as door:
        alice = await door.join("alice")
        await alice.say(leave=rtc.LeaveRequest())
        await until(lambda: ("emptied", ROOM) in door.diary.entries)
        assert door.diary.entries == [("started", ROOM), ("joined", ROOM, "alice"),
                                      ("emptied", ROOM)]  # fmt: skip
        assert door.conferences.rooms() == []
        await until(lambda: not door.media.peers)
        await door.join("alice")
        assert door.diary.entries[-2:] == [("started", ROOM), ("joined", ROOM, "alice")]


async def test_recording_is_seen_at_once_and_by_those_who_join_later(door: FrontDoor) -> None:
    alice = await door.join("alice")
    door.conferences.set_recording(ROOM, True)
    while not (await alice.hear("room_update")).room.active_recording:
        pass
    bob = await door.open("bob")
    assert (await bob.hear("join")).room.active_recording
    door.conferences.handle(RecordingStarted(RecordingId("RC_x"), 0))


async def test_what_the_server_says_reaches_everybody(door: FrontDoor) -> None:
    alice, bob = await door.join("alice"), await door.join("bob")
    door.conferences.tell(ROOM, "recording", b"{}")
    door.conferences.tell("nowhere", "recording", b"{}")
    await until(lambda: door.media.sent)
    (sent,) = door.media.sent
    assert set(sent.peers) == {alice.sid, bob.sid}


async def test_published_media_is_noticed(door: FrontDoor) -> None:
    alice = await door.join("alice")
    await alice.publish()
    await until(lambda: door.diary.published == [ROOM])


async def test_a_recording_that_began_before_the_room(door: FrontDoor) -> None:
    door.conferences.set_recording(ROOM, True)
    alice = await door.open("alice")
    assert (await alice.hear("join")).room.active_recording


async def test_snapshots_of_participants(door: FrontDoor) -> None:
    alice = await door.join("alice")
    await door.open("bob")
    await alice.publish()
    first, second = door.conferences.participants(ROOM)
    assert (first.identity, first.active, first.publishing) == ("alice", True, True)
    assert (second.identity, second.active, second.publishing) == ("bob", False, False)
    assert door.conferences.participants("nowhere") == []


async def test_closing_says_goodbye_and_refuses_newcomers() -> None:
    async with front_door() as door:
        alice = await door.join("alice")
        closing = asyncio.create_task(door.conferences.close())
        leave = await alice.hear("leave")
        assert (leave.action, leave.reason) == (Action.DISCONNECT, DisconnectReason.SERVER_SHUTDOWN)
        assert await alice.ended() == []
        await closing
        assert door.media.peers == {}
        assert door.diary.entries[-1] == ("emptied", ROOM)
        assert await door.status(door.query(door.token())) == 503


async def test_requirements_of_others_reach_them(door: FrontDoor) -> None:
    alice, bob = await door.join("alice"), await door.join("bob")
    result = OfferResult("v=0", {}, requirements={bob.sid: SectionsNeeded(2, 1)})
    door.media.answers.append(result)
    await alice.offer(2)
    needed = await bob.hear("media_sections_requirement")
    assert (needed.num_audios, needed.num_videos) == (2, 1)
