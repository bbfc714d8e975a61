"""What hostile clients try, and that it costs only themselves."""

from __future__ import annotations

import asyncio
import base64
import zlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
from aiohttp import web
from livekit.protocol import models, rtc

from mediaserver.errors import WorkerGone
from mediaserver.messages import DataReceived, PeerId, RoomId
from signaling.auth import TokenAuthority, VideoGrants
from signaling.livekit import ConferenceLimits
from signaling.livekit.participant import Moment
from signaling.livekit.responses import Action, Reason
from signaling.livekit.rooms import read_clocks
from signaling.livekit.session import RequestBudget, SignalSession
from signaling.policy import principal_of
from tests.signaling.livekit.front_door import KEYS, FrontDoor, front_door, until
from tests.signaling.livekit.script import ROOM


@pytest.fixture
async def door() -> AsyncIterator[FrontDoor]:
    async with front_door() as opened:
        yield opened


# --- tokens ---------------------------------------------------------------------------------------


def forged(secret: str = KEYS["key"], **claims: Any) -> str:
    video = {"roomJoin": True, "room": ROOM}
    base = {"iss": "key", "sub": "mallory", "exp": 4_000_000_000, "video": video}
    return jwt.encode({**base, **claims}, secret, algorithm="HS256")


UNSIGNED = jwt.encode(
    {"iss": "key", "sub": "mallory", "exp": 4_000_000_000, "video": {"roomJoin": True}},
    key=None,
    algorithm="none",
)


@pytest.mark.parametrize(
    ("token", "status"),
    [
        (None, 401),
        ("", 401),
        ("nonsense", 401),
        (UNSIGNED, 401),
        (forged("another secret of more than thirty-two bytes"), 401),
        (forged(iss="nobody"), 401),
        (forged(exp=1), 401),
        (forged(nbf=4_000_000_000 - 1), 401),
        (forged(video=None), 401),
        (forged(video={"roomJoin": False, "room": ROOM}), 401),
        (forged(video={"roomJoin": True}), 400),
        (forged(video={"roomJoin": True, "room": "x" * 257}), 400),
        (forged(sub=""), 400),
        (forged(sub="x" * 257), 400),
    ],
    ids=[
        "no token", "empty", "nonsense", "unsigned", "wrong secret", "unknown key", "expired",
        "not yet valid", "no grant", "no roomJoin", "no room", "long room", "no identity",
        "long identity",
    ],
)  # fmt: skip
async def test_a_bad_token_opens_nothing(door: FrontDoor, token: str | None, status: int) -> None:
    assert await door.status(door.query(token)) == status
    async with door.http.get(f"{door.url}/rtc/v1/validate", params=door.query(token)) as response:
        assert response.status == status
    assert door.media.peers == {}
    assert door.conferences.rooms() == []


async def test_a_header_of_another_scheme_hides_the_query(door: FrontDoor) -> None:
    assert await door.status(door.query(door.token()), Authorization="Basic eDp5") == 401


async def test_a_token_for_another_room_opens_only_that_room(door: FrontDoor) -> None:
    alice = await door.join("alice")
    stranger = await door.open("mallory", door.token("mallory", room="other"))
    assert list((await stranger.hear("join")).other_participants) == []
    packet = models.DataPacket(
        destination_identities=["alice"], user=models.UserPacket(payload=b"x")
    )
    door.media.emit(DataReceived(stranger.sid, "_reliable", packet.SerializeToString()))
    track = await alice.publish()
    await stranger.say(subscription=rtc.UpdateSubscription(track_sids=[track], subscribe=True))
    await stranger.offer(2)
    assert door.media.sent == []
    assert door.media.peers[stranger.sid].subscribed == []


# --- join requests --------------------------------------------------------------------------------


def gzip_bomb() -> str:
    packer = zlib.compressobj(wbits=31)
    packed = packer.compress(bytes(30 * 1024 * 1024)) + packer.flush()
    wrapped = rtc.WrappedJoinRequest(
        compression=rtc.WrappedJoinRequest.Compression.GZIP, join_request=packed
    )
    return base64.urlsafe_b64encode(wrapped.SerializeToString()).decode()


@pytest.mark.parametrize(
    "text", [None, "", "%%%", "AAAA", gzip_bomb()], ids=["none", "empty", "text", "zero", "bomb"]
)
async def test_a_bad_join_request_is_refused(door: FrontDoor, text: str | None) -> None:
    query = {"access_token": door.token()}
    if text is not None:
        query["join_request"] = text
    assert await door.status(query) == 400
    assert door.media.peers == {}


async def test_metadata_smuggled_into_the_join_request(door: FrontDoor) -> None:
    query = door.query(door.token(), metadata="I am the host")
    assert await door.status(query) == 401
    query = door.query(door.token(), participant_attributes={"role": "host"})
    assert await door.status(query) == 401


async def test_recorder_and_hidden_come_from_the_token_only(door: FrontDoor) -> None:
    alice = await door.join("alice")
    claims = jwt.decode(door.token("mallory"), options={"verify_signature": False})
    claims["video"] |= {"hidden": True, "recorder": True}
    assert await door.status(door.query(jwt.encode(claims, "x" * 32, algorithm="HS256"))) == 401
    mallory = await door.join("mallory")
    permission = mallory.heard[0].join.participant.permission
    assert (permission.hidden, permission.recorder) == (False, False)
    assert mallory.sid in {info.sid for info in (await alice.hear("update")).participants}


# --- frames ---------------------------------------------------------------------------------------


async def test_an_oversized_frame_ends_the_session(door: FrontDoor) -> None:
    alice, mallory = await door.join("alice"), await door.join("mallory")
    await mallory.socket.send_bytes(bytes(2 * 1024 * 1024 + 1))
    await mallory.ended()
    assert mallory.socket.close_code == 1009
    assert (await alice.offer(2)).id == 2


async def test_a_malformed_frame_does_not_end_a_session_but_many_do(door: FrontDoor) -> None:
    mallory = await door.join("mallory")
    for _ in range(10):
        await mallory.socket.send_bytes(b"\xff\xff\xff")
    assert (await mallory.offer(2)).id == 2
    await mallory.socket.send_bytes(b"\xff\xff\xff")
    assert (await mallory.hear("leave")).action == Action.DISCONNECT
    await until(lambda: mallory.sid not in door.media.peers)


async def test_text_frames_are_ignored(door: FrontDoor) -> None:
    mallory = await door.join("mallory")
    for _ in range(50):
        await mallory.socket.send_str('{"leave": {}}')
    assert (await mallory.offer(2)).id == 2


async def test_requests_that_a_newer_client_knows_are_ignored(door: FrontDoor) -> None:
    alice = await door.join("alice")
    for _ in range(50):
        await alice.socket.send_bytes(b"\xfa\x7f\x03new")
    assert (await alice.offer(2)).id == 2


async def test_a_fault_of_ours_does_not_end_the_session() -> None:
    faults: list[Exception] = []

    def clock() -> Moment:
        if faults:
            raise faults.pop()
        return read_clocks()

    async with front_door(ConferenceLimits(tick=3600), clock=clock) as door:
        alice = await door.join("alice")
        faults.append(ZeroDivisionError())
        await alice.say(ping=1)
        assert (await alice.offer(3)).id == 3
        assert faults == []


async def test_a_client_that_never_reads_is_dropped_and_nobody_waits() -> None:
    limits = ConferenceLimits(
        outgoing_bytes=1_000_000,
        signal_grace=0.1,
        tick=0.05,
        announce_interval=0,
        announce_rate=1e9,
    )
    async with front_door(limits) as door:
        alice = await door.join("alice", can_update_own_metadata=True)
        stuck = await door.join("stuck")
        stuck.stop_reading()
        payload = "x" * 60_000
        number = 0
        while len(door.conferences.participants(ROOM)) == 2:
            change = rtc.UpdateParticipantMetadata(metadata=f"{number}{payload}")
            await alice.say(update_metadata=change)
            await alice.hear("update")
            number += 1
        assert (await alice.offer(9)).id == 9


# --- rights ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "grants", [{"can_publish": False}, {"can_publish_sources": ("microphone",)}]
)
async def test_publishing_what_is_not_allowed(door: FrontDoor, grants: dict[str, Any]) -> None:
    mallory = await door.join("mallory", **grants)
    request = rtc.AddTrackRequest(cid="c", type=models.VIDEO, source=models.CAMERA)
    await mallory.say(add_track=request)
    assert (await mallory.hear("request_response")).reason == Reason.NOT_ALLOWED
    await mallory.offer(2)
    assert door.media.peers[mallory.sid].intents == {}
    assert door.media.peers[mallory.sid].published == {}


async def test_publishing_through_the_join_request_needs_the_right_too(door: FrontDoor) -> None:
    request = rtc.AddTrackRequest(cid="c", type=models.VIDEO, source=models.CAMERA)
    token = door.token("mallory", can_publish=False)
    mallory = await door.open("mallory", token, add_track_requests=[request])
    assert (await mallory.hear("request_response")).reason == Reason.NOT_ALLOWED
    assert not mallory.heard[0].join.fast_publish


async def test_spoofing_the_sender_of_data(door: FrontDoor) -> None:
    alice, mallory = await door.join("alice"), await door.join("mallory")
    await door.join("victim")
    user = models.UserPacket(payload=b"send money", participant_identity="alice")
    packet = models.DataPacket(participant_identity="alice", participant_sid=alice.sid, user=user)
    door.media.emit(DataReceived(mallory.sid, "_reliable", packet.SerializeToString()))
    await until(lambda: door.media.sent)
    relayed = models.DataPacket.FromString(door.media.sent[0].payload)
    assert (relayed.participant_identity, relayed.participant_sid) == ("mallory", mallory.sid)
    assert relayed.user.participant_identity == "mallory"


async def test_data_without_the_right_goes_nowhere(door: FrontDoor) -> None:
    mallory, alice = await door.join("mallory", can_publish_data=False), await door.join("alice")
    packet = models.DataPacket(user=models.UserPacket(payload=b"x")).SerializeToString()
    door.media.emit(DataReceived(mallory.sid, "_reliable", packet))
    door.media.emit(DataReceived(alice.sid, "_reliable", packet))
    await until(lambda: door.media.sent)
    assert [sent.peers for sent in door.media.sent] == [(mallory.sid,)]


async def test_no_token_is_ever_logged(door: FrontDoor, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG", logger="signaling")
    alice = await door.join("alice")
    await alice.publish()
    await alice.say(leave=rtc.LeaveRequest())
    await alice.ended()
    assert await door.status(door.query(forged(exp=1))) == 401
    assert "alice" in caplog.text
    assert "eyJ" not in caplog.text


async def test_a_refreshed_token_grants_no_more(door: FrontDoor) -> None:
    alice = await door.open("alice", door.token("alice", can_publish=False, ttl=60))
    fresh = TokenAuthority(KEYS).verify(await alice.hear("refresh_token"))
    assert fresh.grants == VideoGrants(room_join=True, room=ROOM, can_publish=False)
    assert fresh.expires_at - datetime.now(UTC) > timedelta(minutes=9)


async def test_attack_a_refreshed_token_regains_a_denied_right(door: FrontDoor) -> None:
    video = {"roomJoin": True, "room": ROOM, "roomAdmin": True, "roomRecord": False}
    alice = await door.open("alice", forged(sub="alice", video=video, kind="agent"))
    fresh = TokenAuthority(KEYS).verify(await alice.hear("refresh_token"))
    who = principal_of(fresh)
    assert (who.role, who.may_record, fresh.kind) == ("host", False, "agent")


async def test_attack_a_token_lives_for_ever_by_refreshing(door: FrontDoor) -> None:
    alice = await door.open("alice", door.token("alice", ttl=-30))
    await alice.hear("answer")
    assert [message.WhichOneof("message") for message in alice.heard] == ["join", "answer"]


# --- room-wide harm -------------------------------------------------------------------------------


async def test_attack_mutes_in_one_write_with_large_metadata() -> None:
    async with front_door(ConferenceLimits(outgoing_bytes=200_000)) as door:
        victim = await door.join("victim")
        mallory = await door.join("mallory", can_update_own_metadata=True)
        metadata = rtc.UpdateParticipantMetadata(metadata="m" * 60_000)
        track = await mallory.publish()
        await mallory.say(update_metadata=metadata)
        frames = b""
        for number in range(40):
            mute = rtc.MuteTrackRequest(sid=track, muted=number % 2 == 0)
            frame = rtc.SignalRequest(mute=mute).SerializeToString()
            frames += bytes([0x82, 0x80 | len(frame)]) + bytes(4) + frame  # masked with zeros
        connection = mallory.socket._response.connection
        assert connection is not None
        assert connection.transport is not None
        connection.transport.write(frames)
        await mallory.offer(3)
        assert (await victim.offer(3)).id == 3
        updates = [message.update for message in victim.heard if message.HasField("update")]
        large = [update for update in updates if update.ByteSize() > 60_000]
        assert len(large) <= 2


async def test_attack_a_flood_of_requests_waits_in_its_socket() -> None:
    async with front_door(ConferenceLimits(request_burst=5, requests_per_second=1)) as door:
        alice, mallory = await door.join("alice"), await door.join("mallory")
        for _ in range(5):
            await mallory.say(ping=1)
        request = rtc.AddTrackRequest(cid="c", type=models.VIDEO, source=models.CAMERA)
        await mallory.say(add_track=request)
        for _ in range(5):
            await mallory.hear("pong")
        assert (await alice.offer(2)).id == 2
        assert door.media.peers[mallory.sid].intents == {}


def test_a_request_budget_refills() -> None:
    budget = RequestBudget(rate=100, burst=200)
    assert [budget.charge(1, 50.0) for _ in range(200)] == [0.0] * 200
    assert budget.charge(1, 50.0) == pytest.approx(0.01)
    assert budget.charge(5, 50.01) == pytest.approx(0.05)
    assert budget.charge(1, 60.0) == 0.0


def test_attack_a_large_message_is_no_sign_of_a_stuck_client() -> None:
    class Transport(asyncio.Transport):
        aborted = False

        def abort(self) -> None:
            self.aborted = True

    transport = Transport()
    limits = ConferenceLimits(outgoing_bytes=100)
    session = SignalSession(web.WebSocketResponse(), transport, limits, "x")
    session.send(bytes(1000))
    assert not transport.aborted
    session.send(b"x")
    assert transport.aborted


# --- texts in signed tokens -----------------------------------------------------------------------

SURROGATE, NEWLINE = "x\ud800", "x\n2026-11-21 10:00:00,000 INFO forged"


@pytest.mark.parametrize(
    "claims",
    [
        {"sub": SURROGATE},
        {"name": SURROGATE},
        {"metadata": SURROGATE},
        {"attributes": {"a": SURROGATE}},
        {"video": {"roomJoin": True, "room": SURROGATE}},
        {"sub": NEWLINE},
        {"name": NEWLINE},
        {"video": {"roomJoin": True, "room": NEWLINE}},
        {"name": "\u2028"},
    ],
)
async def test_attack_a_name_that_is_none(door: FrontDoor, claims: dict[str, Any]) -> None:
    assert await door.status(door.query(forged(**claims))) == 400
    assert door.media.peers == {}
    assert door.conferences.rooms() == []


async def test_attack_a_name_that_is_none_said_later(door: FrontDoor) -> None:
    mallory = await door.join("mallory", can_update_own_metadata=True)
    await mallory.say(update_metadata=rtc.UpdateParticipantMetadata(name=NEWLINE))
    assert (await mallory.hear("request_response")).reason == Reason.INVALID_REQUEST
    assert door.conferences.participants(ROOM)[0].name == ""


async def test_a_late_media_worker_keeps_nobody_who_was_refused(door: FrontDoor) -> None:
    add_peer = door.media.add_peer

    async def late(room: RoomId, peer: PeerId) -> None:
        await add_peer(room, peer)
        raise WorkerGone("no answer in time")

    door.media.add_peer = late  # type: ignore[method-assign]
    assert await door.status(door.query(door.token())) == 503
    await until(lambda: door.media.peers == {})


async def test_a_failing_entry_leaves_no_peer_behind() -> None:
    faults: list[Exception] = []

    def clock() -> Moment:
        if faults:
            raise faults.pop()
        return read_clocks()

    async with front_door(ConferenceLimits(tick=3600), clock=clock) as door:
        alice = await door.join("alice")
        faults.append(ZeroDivisionError())
        mallory = await door.open("mallory")
        await mallory.ended()
        await until(lambda: set(door.media.peers) == {alice.sid})
        assert faults == []
