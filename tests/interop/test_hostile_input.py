"""Wrong tokens, broken offers, garbage on the wire: clear errors, and the server goes on."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import socket
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import aiohttp
import pytest
from livekit import rtc
from livekit.protocol import models
from livekit.protocol import rtc as signal

from tests.rig.probes import garbage
from tests.rig.rest import Refused, Rest
from tests.rig.sdk import hears, joined, tone
from tests.rig.server import MediaserverProcess
from tests.rig.tokens import participant_token, server_token

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.usefixtures("server_unharmed"),
]

Server = MediaserverProcess
AUDIO = rtc.TrackKind.KIND_AUDIO
EXPIRED = timedelta(minutes=-5)  # beyond the minute of leeway
OTHER_SECRET = "a-secret-that-the-server-was-never-told"

BROKEN_OFFERS = {
    "blank lines": "\r\n\r\n",
    "not SDP": "hello",
    "a torn line": "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\nm=audio",
    "no fingerprint": "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n"
    "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\na=recvonly\r\n"
    "a=ice-ufrag:abcd\r\na=ice-pwd:0123456789012345678901\r\na=rtpmap:111 opus/48000/2\r\n",
    "numbers out of range": "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n"
    "m=video 99999 UDP/TLS/RTP/SAVPF 4096\r\na=mid:0\r\na=rtpmap:4096 VP8/-1\r\n"
    "a=ssrc:-5 cname:x\r\n",
    "binary": "\x00\x01\x02\xff" * 300,
    "a thousand sections": "v=0\r\ns=-\r\nt=0 0\r\n" + "m=audio 9 UDP/TLS/RTP/SAVPF 0\r\n" * 1000,
}


async def assert_a_call_works(server: Server, room: str) -> None:
    async with joined(server, room, "x") as x, joined(server, room, "y") as y, tone(x, 900):
        await hears(await y.subscribed("x", AUDIO), 900)


# --- signalling -----------------------------------------------------------------------------------


def join_request(offer: str | None = None) -> str:
    request = signal.JoinRequest()
    request.client_info.sdk = models.ClientInfo.SDK.PYTHON
    request.client_info.protocol = 16
    request.connection_settings.auto_subscribe = True
    if offer is not None:
        request.publisher_offer.type = "offer"
        request.publisher_offer.sdp = offer
        request.publisher_offer.id = 1
    wrapped = signal.WrappedJoinRequest(join_request=request.SerializeToString())
    return base64.urlsafe_b64encode(wrapped.SerializeToString()).decode()


@contextlib.asynccontextmanager
async def raw_session(
    server: Server, token: str, offer: str | None = None
) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    """A signal connection without any SDK in between."""
    address = f"{server.base_url}/rtc/v1"
    query = {"access_token": token, "join_request": join_request(offer)}
    async with (
        aiohttp.ClientSession() as http,
        http.ws_connect(address, params=query, timeout=CLOSE_SOON) as ws,
    ):
        yield ws


CLOSE_SOON = aiohttp.ClientWSTimeout(ws_close=5)


async def next_response(ws: aiohttp.ClientWebSocketResponse) -> signal.SignalResponse | None:
    """The next message; None when the server closed."""
    async with asyncio.timeout(5):
        message = await ws.receive()
    if message.type != aiohttp.WSMsgType.BINARY:
        return None
    return signal.SignalResponse.FromString(message.data)


@pytest.mark.parametrize(
    ("token", "status"),
    [
        (None, 401),
        ("nonsense", 401),
        (participant_token("the room", "eve", secret=OTHER_SECRET), 401),
        (participant_token("the room", "eve", key="unknown"), 401),
        (participant_token("the room", "eve", ttl=EXPIRED), 401),
        (server_token(), 401),  # signed, but no grant to join
    ],
    ids=["none", "nonsense", "other secret", "unknown key", "expired", "no grant"],
)
async def test_who_may_not_join_is_told_so(server: Server, token: str | None, status: int) -> None:
    query = {"join_request": join_request(), **({"access_token": token} if token else {})}
    async with aiohttp.ClientSession() as http:
        for path in ("/rtc/v1/validate", "/rtc/v1"):
            headers = {} if path.endswith("validate") else UPGRADE
            async with http.get(server.base_url + path, params=query, headers=headers) as answer:
                text = await answer.text()
                assert answer.status == status, text
                assert 0 < len(text) < 500
                assert "Traceback" not in text


UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": base64.b64encode(bytes(16)).decode(),
}


async def test_the_sdk_reports_a_refusal(server: Server, room: str) -> None:
    token = participant_token(room, "eve", ttl=EXPIRED)
    with pytest.raises(rtc.ConnectError):
        async with asyncio.timeout(10):
            await rtc.Room().connect(server.ws_url, token)


@pytest.mark.parametrize("request_text", ["", "%%%", "AAAA", "a" * 5000])
async def test_a_join_request_that_is_none(server: Server, room: str, request_text: str) -> None:
    query = {"access_token": participant_token(room, "eve"), "join_request": request_text}
    async with (
        aiohttp.ClientSession() as http,
        http.get(f"{server.base_url}/rtc/v1", params=query, headers=UPGRADE) as answer,
    ):
        assert answer.status == 400, await answer.text()


@pytest.mark.parametrize("offer", BROKEN_OFFERS.values(), ids=BROKEN_OFFERS)
async def test_a_broken_offer_ends_its_own_session_only(
    server: Server, room: str, offer: str
) -> None:
    async with joined(server, room, "alice") as alice, tone(alice, 440):
        with contextlib.suppress(aiohttp.WSServerHandshakeError):  # refused at once is fine too
            async with raw_session(server, participant_token(room, "mallory"), offer) as ws:
                kinds = []
                while (response := await next_response(ws)) is not None:
                    kinds.append(response.WhichOneof("message"))
                    if kinds[-1] == "leave":
                        break
                assert kinds[-1] == "leave", f"closed without a reason after {kinds}"
        async with joined(server, room, "bob") as bob:
            await hears(await bob.subscribed("alice", AUDIO), 440)


async def test_frames_that_are_no_messages(server: Server, room: str) -> None:
    async with joined(server, room, "alice") as alice, tone(alice, 440):
        for frame in (b"", b"\xff" * 50, b"\x00", b"\x0a\x7f", bytes(100_000)):
            async with raw_session(server, participant_token(room, "mallory")) as ws:
                first = await next_response(ws)
                assert first is not None
                assert first.WhichOneof("message") == "join"
                await ws.send_bytes(frame)
                await ws.send_str("{not json")
                await ws.close()
        async with joined(server, room, "bob") as bob:
            await hears(await bob.subscribed("alice", AUDIO), 440)


async def test_who_may_not_publish_is_told_so(server: Server, room: str) -> None:
    token = participant_token(room, "watcher", can_publish=False)
    async with raw_session(server, token) as ws:
        request = signal.SignalRequest()
        request.add_track.cid = "forbidden"
        request.add_track.type = models.TrackType.AUDIO
        request.add_track.source = models.TrackSource.MICROPHONE
        await ws.send_bytes(request.SerializeToString())
        while (response := await next_response(ws)) is not None:
            assert response.WhichOneof("message") != "track_published"
            if response.WhichOneof("message") == "request_response":
                break
        assert response is not None, "closed without an answer"
        refusal = response.request_response
        assert refusal.reason == signal.RequestResponse.Reason.NOT_ALLOWED
        assert refusal.add_track.cid == "forbidden"


# --- the media port -------------------------------------------------------------------------------


async def test_a_megabyte_of_garbage_on_the_media_port(server: Server, room: str) -> None:
    """From strange addresses, while a call runs: the call goes on and new ones can be made."""
    async with (
        joined(server, room, "alice") as alice,
        joined(server, room, "bob") as bob,
        tone(alice, 440),
    ):
        track = await bob.subscribed("alice", AUDIO)
        await hears(track, 440)
        await flood(server.udp_port, 1_000_000)
        await hears(track, 440)
        assert alice.room.isconnected()
        assert bob.room.isconnected()
        assert not alice.names("reconnecting")
    await assert_a_call_works(server, f"{room} afterwards")


async def flood(port: int, total: int) -> None:
    loop = asyncio.get_running_loop()
    strangers = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(8)]
    try:
        for stranger in strangers:
            stranger.setblocking(False)
            stranger.bind(("127.0.0.1", 0))
        for number, datagram in enumerate(garbage(total, seed=7)):
            await loop.sock_sendto(strangers[number % 8], datagram, ("127.0.0.1", port))
            if number % 20 == 0:
                await asyncio.sleep(0)  # the callers live on this loop as well
    finally:
        for stranger in strangers:
            stranger.close()


# --- REST -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("token", "status", "code"),
    [
        (None, 401, "token_missing"),
        ("nonsense", 401, "token_malformed"),
        (participant_token("r", "eve", key="unknown"), 401, "token_unknown_key"),
        (participant_token("r", "eve", secret=OTHER_SECRET), 401, "token_bad_signature"),
        (participant_token("r", "eve", ttl=EXPIRED), 401, "token_expired"),
        (participant_token("r", "eve"), 403, None),  # no right to record
        (participant_token("other room", "eve", host=True), 403, None),
    ],
    ids=["none", "nonsense", "unknown key", "other secret", "expired", "no right", "other room"],
)
async def test_who_may_not_record_is_told_so(
    server: Server, token: str | None, status: int, code: str | None
) -> None:
    async with Rest(server.base_url, token) as rest:
        for verb in ("start", "stop"):
            with pytest.raises(Refused) as refused:
                await rest.post(f"/api/v1/rooms/r/recording/{verb}")
            assert refused.value.status == status
            assert code is None or refused.value.code == code
            assert refused.value.message


async def test_a_room_without_a_call_can_not_be_recorded(server: Server, room: str) -> None:
    async with Rest(server.base_url, server_token()) as rest:
        with pytest.raises(Refused) as refused:
            await rest.post(f"/api/v1/rooms/{room}/recording/start")
    assert refused.value.status == 409


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api/v1/recordings/RC_unknown", 404),
        ("DELETE", "/api/v1/recordings/RC_unknown", 404),
        ("GET", "/api/v1/recordings/RC_unknown/status", 404),
        ("GET", "/api/v1/no/such/route", 404),
        ("GET", "/api/v1/recordings?page=nonsense", 400),
        ("GET", "/api/v1/recordings?status=nonsense", 400),
        ("POST", "/api/v1/invites/unknown/accept", 404),
    ],
)
async def test_refusals_come_in_the_envelope(
    server: Server, method: str, path: str, status: int
) -> None:
    body: Any = {"name": "x"} if method == "POST" else None
    async with Rest(server.base_url, server_token()) as rest:
        with pytest.raises(Refused) as refused:
            await rest.call(method, path, body)
    assert refused.value.status == status
    assert refused.value.code.replace("_", "").isalpha()


@pytest.mark.parametrize("body", [b"{", b"[]", b"\xff\xfe", b'{"room": 5}', b"{}"])
async def test_bodies_that_are_none(server: Server, body: bytes) -> None:
    headers = {"Authorization": f"Bearer {server_token()}", "Content-Type": "application/json"}
    async with (
        aiohttp.ClientSession(headers=headers) as http,
        http.post(f"{server.base_url}/api/v1/token", data=body) as answer,
    ):
        envelope = await answer.json()
        assert (answer.status, envelope["success"]) == (400, False)
