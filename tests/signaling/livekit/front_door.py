"""A real server of the routes on loopback, and clients that speak to it as SDKs do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import aiohttp
from aiohttp import web
from livekit.protocol import models, rtc

from mediaserver.messages import PeerConnected, PeerId
from signaling.auth import TokenAuthority, VideoGrants
from signaling.livekit import ConferenceLimits, Conferences
from signaling.livekit.join_request import encode_join_request
from tests.signaling.fake_media import FakeMediaPlane
from tests.signaling.livekit.script import ROOM, join_request

KEYS = {"key": "a secret of more than thirty-two bytes"}
PATIENCE = 5.0  # seconds that a test waits for what must come


@dataclass(slots=True)
class Diary:
    """A CallObserver that writes down what it hears."""

    entries: list[tuple[str, ...]] = field(default_factory=list)
    published: list[str] = field(default_factory=list)

    async def room_started(self, room: str) -> None:
        self.entries.append(("started", room))

    async def participant_joined(self, room: str, identity: str) -> None:
        self.entries.append(("joined", room, identity))

    async def media_published(self, room: str) -> None:
        self.published.append(room)

    async def room_emptied(self, room: str) -> None:
        self.entries.append(("emptied", room))


@dataclass(slots=True)
class Client:
    """One WebSocket. Messages are read only when a test asks for one."""

    door: FrontDoor
    socket: aiohttp.ClientWebSocketResponse
    heard: list[rtc.SignalResponse] = field(default_factory=list)

    @property
    def sid(self) -> PeerId:
        return PeerId(self.heard[0].join.participant.sid)

    async def hear(self, kind: str) -> Any:
        """The next message of a kind; those before it stay in `heard`."""
        async with asyncio.timeout(PATIENCE):
            while True:
                message = await self.socket.receive()
                if message.type != aiohttp.WSMsgType.BINARY:
                    raise AssertionError(f"the socket ended ({message}) before a {kind}")
                response = rtc.SignalResponse.FromString(message.data)
                self.heard.append(response)
                if response.HasField(kind):  # type: ignore[arg-type]
                    return getattr(response, kind)

    async def ended(self) -> list[str]:
        """Read to the end of the socket; the kinds of what came."""
        kinds: list[str] = []
        async with asyncio.timeout(PATIENCE):
            while (message := await self.socket.receive()).type == aiohttp.WSMsgType.BINARY:
                response = rtc.SignalResponse.FromString(message.data)
                self.heard.append(response)
                kinds.append(response.WhichOneof("message") or "")
        return kinds

    async def say(self, **message: Any) -> None:
        await self.socket.send_bytes(rtc.SignalRequest(**message).SerializeToString())

    def stop_reading(self) -> None:
        """From now on the kernel's buffers fill, then the server's."""
        connection = self.socket._response.connection
        assert connection is not None
        assert connection.transport is not None
        connection.transport.pause_reading()  # type: ignore[attr-defined]

    async def offer(self, offer_id: int = 1) -> rtc.SessionDescription:
        offer = rtc.SessionDescription(type="offer", sdp=f"offer {offer_id}", id=offer_id)
        await self.say(offer=offer)
        return await self.hear("answer")

    async def connected(self) -> None:
        self.door.media.emit(PeerConnected(self.sid))
        while True:
            update = await self.hear("update")
            if any(one.sid == self.sid for one in update.participants):
                return

    async def publish(self, cid: str = "cam", source: models.TrackSource = models.CAMERA) -> str:
        video = source in {models.CAMERA, models.SCREEN_SHARE}
        kind = models.VIDEO if video else models.AUDIO
        await self.say(add_track=rtc.AddTrackRequest(cid=cid, type=kind, source=source))
        published = await self.hear("track_published")
        await self.offer(2)
        return str(published.track.sid)


@dataclass(slots=True)
class FrontDoor:
    conferences: Conferences
    media: FakeMediaPlane
    diary: Diary
    http: aiohttp.ClientSession
    url: str
    authority: TokenAuthority = field(default_factory=lambda: TokenAuthority(KEYS))
    clients: list[Client] = field(default_factory=list)

    def token(self, identity: str = "alice", ttl: int = 3600, **grants: Any) -> str:
        video = VideoGrants(**{"room_join": True, "room": ROOM, **grants})
        return self.authority.mint(identity, video, timedelta(seconds=ttl))

    def query(self, token: str | None, **fields: Any) -> dict[str, str]:
        fields.setdefault("publisher_offer", rtc.SessionDescription(type="offer", sdp="o", id=1))
        query = {"join_request": encode_join_request(join_request(**fields))}
        return query if token is None else {**query, "access_token": token}

    async def open(self, identity: str = "alice", token: str = "", **fields: Any) -> Client:
        query = self.query(token or self.token(identity), **fields)
        socket = await self.http.ws_connect(f"{self.url}/rtc/v1", params=query)
        client = Client(self, socket)
        self.clients.append(client)  # a socket that nobody holds would be closed
        return client

    async def join(self, identity: str = "alice", **grants: Any) -> Client:
        """A client whose first offer is answered and whose media is connected."""
        client = await self.open(identity, self.token(identity, **grants))
        await client.hear("answer")
        await client.connected()
        return client

    async def status(self, query: dict[str, str], path: str = "/rtc/v1", **headers: str) -> int:
        """What the upgrade is refused with."""
        try:
            await self.http.ws_connect(self.url + path, params=query, headers=headers)
        except aiohttp.WSServerHandshakeError as refusal:
            return refusal.status
        raise AssertionError("the session was opened")


@asynccontextmanager
async def front_door(
    limits: ConferenceLimits | None = None, **options: Any
) -> AsyncIterator[FrontDoor]:
    media, diary = FakeMediaPlane(), Diary()
    conferences = Conferences(media, TokenAuthority(KEYS), observer=diary, limits=limits, **options)
    media.set_event_handler(conferences.handle)
    app = web.Application()
    app.add_routes(conferences.routes())
    runner = web.AppRunner(app, max_line_size=65536, max_field_size=65536, shutdown_timeout=1.0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    try:
        async with aiohttp.ClientSession() as http:
            yield FrontDoor(conferences, media, diary, http, f"http://127.0.0.1:{port}")
    finally:
        await conferences.close()
        await runner.cleanup()


async def until(condition: Any) -> None:
    """Let the loop turn until something holds."""
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0)
