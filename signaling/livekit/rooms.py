"""The LiveKit client protocol's front door: its routes, and the rooms behind them.

Every refusal happens before the upgrade, as an HTTP response: clients retry, fall back or give up
by its status. Their `validate` twins answer the same without opening anything.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from mediaserver.errors import MediaError
from mediaserver.facade import MediaPlane
from mediaserver.messages import (
    DataReceived,
    MediaEvent,
    PeerConnected,
    PeerId,
    PeerLost,
    RoomId,
    WorkerLost,
)
from signaling.auth import TokenAuthority, bearer
from signaling.errors import InvalidRequest, SignalingError, Unauthorized, Unavailable
from signaling.livekit import responses
from signaling.livekit.admission import Admission, admit
from signaling.livekit.calls import CallNotices, CallObserver
from signaling.livekit.ids import new_node_id, new_participant_sid
from signaling.livekit.limits import MAX_SIGNAL_BYTES, ConferenceLimits
from signaling.livekit.live_room import LiveRoom
from signaling.livekit.participant import Moment, State
from signaling.livekit.responses import Action, DisconnectReason
from signaling.livekit.room_state import RoomState
from signaling.livekit.session import SignalSession
from signaling.logs import shown

log: Final = logging.getLogger(__name__)

# Browsers read the status of `validate` from pages of any origin.
_CORS: Final = {"Access-Control-Allow-Origin": "*"}
_STATUS: Final[dict[type[SignalingError], int]] = {
    Unauthorized: 401,
    InvalidRequest: 400,
    Unavailable: 503,
}
_SOCKET_CLOSE_SECONDS: Final = 2.0
_SHUTDOWN_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class ParticipantSnapshot:
    """A participant at one moment, for people and REST. `joined_at` is unix time in seconds."""

    sid: str
    identity: str
    name: str
    joined_at: float
    active: bool  # its media is connected
    publishing: bool
    hidden: bool


def read_clocks() -> Moment:
    return Moment(time.monotonic(), int(time.time() * 1000))


class Conferences:
    """All rooms of this server. `ice_servers` are STUN or TURN URLs handed to clients."""

    def __init__(
        self,
        media: MediaPlane,
        authority: TokenAuthority,
        *,
        observer: CallObserver | None = None,
        ice_servers: Iterable[str] = (),
        limits: ConferenceLimits | None = None,
        clock: Callable[[], Moment] = read_clocks,
    ) -> None:
        self._media = media
        self._authority = authority
        self._notices = CallNotices(observer)
        self._ice_servers = responses.ice_servers(ice_servers)
        self._limits = limits or ConferenceLimits()
        self._clock = clock
        self._node_id = new_node_id()
        self._rooms: dict[str, LiveRoom] = {}
        self._by_peer: dict[PeerId, LiveRoom] = {}
        self._recording: set[str] = set()
        self._sessions: set[SignalSession] = set()
        self._stopping: set[asyncio.Task[None]] = set()
        self._closed = False

    # --- for the composition root ----------------------------------------------------------------

    def routes(self) -> Sequence[web.RouteDef]:
        return [
            web.get("/rtc/v1", self._open),
            web.get("/rtc/v1/validate", self._validate),
            # Two-connection sessions: not spoken yet, and clients understand a plain 404.
            web.get("/rtc", self._not_spoken),
            web.get("/rtc/validate", self._not_spoken),
        ]

    def handle(self, event: MediaEvent) -> None:
        """Take an event of the media plane; those that concern recordings are not for us."""
        match event:
            case DataReceived(peer_id, label, payload):
                if room := self._by_peer.get(peer_id):
                    room.data_received(peer_id, label, payload)
            case PeerConnected(peer_id):
                if room := self._by_peer.get(peer_id):
                    room.connected(peer_id)
            case PeerLost(peer_id, reason):
                if room := self._by_peer.get(peer_id):
                    room.media_lost(peer_id, reason)
            case WorkerLost(peer_ids):
                for peer_id in peer_ids:
                    if room := self._by_peer.get(peer_id):
                        room.media_lost(peer_id, "the media worker died")
            case _:
                pass

    def tell(self, room: str, topic: str, payload: bytes) -> None:
        """Says something to everybody in `room`, if anybody is there."""
        if live := self._rooms.get(room):
            live.tell(topic, payload)

    def set_recording(self, room: str, active: bool) -> None:
        """Whether `room` is being recorded; clients in it see it at once, later ones on joining."""
        if active:
            self._recording.add(room)
        else:
            self._recording.discard(room)
        if live := self._rooms.get(room):
            live.set_recording(active)

    def rooms(self) -> list[str]:
        """Names of the rooms that exist now."""
        return list(self._rooms)

    def participants(self, room: str) -> list[ParticipantSnapshot]:
        """Everybody in a room, hidden ones too; empty for a room that doesn't exist."""
        live = self._rooms.get(room)
        if live is None:
            return []
        return [
            ParticipantSnapshot(
                sid=one.sid,
                identity=one.identity,
                name=one.name,
                joined_at=one.joined.unix_ms / 1000,
                active=one.state == State.ACTIVE,
                publishing=one.is_publisher,
                hidden=one.hidden,
            )
            for one in live.state.participants.values()
        ]

    async def close(self) -> None:
        """Send everybody away (SERVER_SHUTDOWN) and refuse newcomers."""
        self._closed = True
        for room in list(self._rooms.values()):
            room.shut_down()
        leaving = [asyncio.create_task(one.finished.wait()) for one in self._sessions]
        if waiting := {*leaving, *self._stopping}:
            _, late = await asyncio.wait(waiting, timeout=_SHUTDOWN_SECONDS)
            for task in late:
                task.cancel()
        await self._notices.drained(_SHUTDOWN_SECONDS)

    # --- routes ----------------------------------------------------------------------------------

    async def _validate(self, request: web.Request) -> web.Response:
        try:
            self._admit(request)
        except SignalingError as error:
            return _refusal(error)
        return web.Response(text="success", headers=_CORS)

    async def _not_spoken(self, _request: web.Request) -> web.Response:
        return web.Response(status=404, text="not found", headers=_CORS)

    async def _open(self, request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse(
            timeout=_SOCKET_CLOSE_SECONDS, max_msg_size=MAX_SIGNAL_BYTES, compress=False
        )
        if not socket.can_prepare(request):
            return await self._not_spoken(request)
        try:
            admission = self._admit(request)
            if admission.wants_resume:
                return await self._refuse_resume(request, socket)
            return await self._begin(request, socket, admission)
        except SignalingError as error:
            log.info("a session is refused: %s (%s)", error.message, error.code)
            return _refusal(error)

    def _admit(self, request: web.Request) -> Admission:
        token = self._authority.verify(bearer(request))
        admission = admit(token, request.query.get("join_request"))
        if self._closed:
            raise Unavailable("the server is shutting down")
        return admission

    async def _refuse_resume(
        self, request: web.Request, socket: web.WebSocketResponse
    ) -> web.StreamResponse:
        """Sessions can't be resumed yet; told so first thing, clients join anew at once."""
        await socket.prepare(request)
        message = responses.leave(Action.RECONNECT, DisconnectReason.STATE_MISMATCH)
        await socket.send_bytes(message.SerializeToString())
        await socket.close()
        return socket

    async def _begin(
        self, request: web.Request, socket: web.WebSocketResponse, admission: Admission
    ) -> web.StreamResponse:
        """The peer exists in the media plane before anybody can hear of the participant."""
        sid = new_participant_sid()
        try:
            async with asyncio.timeout(self._limits.media_timeout):
                await self._media.add_peer(RoomId(admission.room), sid)
            await socket.prepare(request)
            if self._closed:
                raise Unavailable("the server is shutting down")
            room = self._room(admission.room)
        except (MediaError, TimeoutError) as error:
            self._abandon(sid)
            names = shown(admission.room), shown(admission.identity)
            log.error("room %s: no media for %s: %r", *names, error)
            raise Unavailable("the media plane takes nobody in") from error
        except BaseException:
            self._abandon(sid)
            raise
        name = f"{shown(admission.room)}/{sid}"
        session = SignalSession(socket, request.transport, self._limits, name)
        await self._run(room, sid, admission, session)
        return socket

    def _abandon(self, sid: PeerId) -> None:
        """Nobody in a room stands for this peer: the media plane must not keep it.

        Also when adding it failed: a worker that was late with its answer has it all the same.
        """
        self._by_peer.pop(sid, None)

        async def remove() -> None:
            try:
                await self._media.remove_peer(sid)
            except MediaError as error:
                log.debug("%s could not be removed: %r", sid, error)

        self._look_after(asyncio.create_task(remove(), name=f"{sid} is removed"))

    def _look_after(self, task: asyncio.Task[None]) -> None:
        self._stopping.add(task)
        task.add_done_callback(self._stopping.discard)

    async def _run(
        self, room: LiveRoom, sid: PeerId, admission: Admission, session: SignalSession
    ) -> None:
        self._by_peer[sid] = room
        self._sessions.add(session)
        try:
            async with session:
                room.enter(sid, admission, session, self._ice_servers)
                await room.serve(sid, session)
        finally:
            self._sessions.discard(session)
            try:
                room.socket_ended(sid)
            finally:
                if sid in self._by_peer and sid not in room.state.participants:
                    self._abandon(sid)  # it never came to be in the room

    # --- rooms -----------------------------------------------------------------------------------

    def _room(self, name: str) -> LiveRoom:
        if name not in self._rooms:
            state = RoomState(
                name=name,
                created=self._clock(),
                node_id=self._node_id,
                limits=self._limits,
                recording=name in self._recording,
            )
            self._rooms[name] = LiveRoom(
                state,
                self._media,
                self._authority,
                self._notices,
                self._clock,
                on_removed=self._forget_peer,
                on_closed=self._forget_room,
            )
            self._rooms[name].start()
        return self._rooms[name]

    def _forget_peer(self, sid: PeerId) -> None:
        self._by_peer.pop(sid, None)

    def _forget_room(self, room: LiveRoom) -> None:
        if self._rooms.get(room.state.name) is room:
            del self._rooms[room.state.name]
        self._look_after(asyncio.create_task(room.stop(), name=f"room {room.state.name} stops"))


def _refusal(error: SignalingError) -> web.Response:
    status = _STATUS.get(type(error), 500)
    return web.Response(status=status, text=error.message, headers=_CORS)
