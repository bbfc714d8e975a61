"""A room in motion: carries out what its state asks for, and brings back what came of it.

Messages go to the sessions' queues at once, in the order of the effects. Commands to the media
plane go through one queue, one at a time: an offer's result is in the state, and its messages are
on their way, before the next command starts. That is what makes the orders promised in
`room_state` hold across participants. Data packets have a queue of their own.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Any, Final

from livekit.protocol import rtc

from mediaserver.errors import MediaError
from mediaserver.facade import MediaPlane
from mediaserver.messages import DataLabel, PeerId
from signaling.auth import TokenAuthority
from signaling.livekit import requests, responses
from signaling.livekit.admission import (
    KIND_DETAIL_NAMES,
    KIND_NAMES,
    Admission,
    claims_size,
)
from signaling.livekit.calls import CallNotices
from signaling.livekit.data import from_server, relay
from signaling.livekit.effects import (
    Close,
    Effect,
    MediaCommand,
    MediaPublished,
    ParticipantActive,
    RefreshToken,
    RemovePeer,
    RoomClosed,
    Send,
    SendData,
)
from signaling.livekit.limits import MAX_REFRESHED_CLAIMS_BYTES
from signaling.livekit.media_commands import MediaCommands
from signaling.livekit.participant import Moment
from signaling.livekit.responses import Action, DisconnectReason
from signaling.livekit.room_state import Origin, RoomState
from signaling.livekit.session import SignalSession
from signaling.logs import shown

log: Final = logging.getLogger(__name__)

_DRAIN_SECONDS: Final = 5.0


class LiveRoom:
    """Owns the state, the sessions and three tasks: media commands, data packets, deadlines."""

    def __init__(
        self,
        state: RoomState,
        media: MediaPlane,
        authority: TokenAuthority,
        notices: CallNotices,
        clock: Callable[[], Moment],
        on_removed: Callable[[PeerId], None],
        on_closed: Callable[[LiveRoom], None],
    ) -> None:
        self.state = state
        self._media = media
        self._authority = authority
        self._notices = notices
        self._clock = clock
        self._on_removed = on_removed
        self._on_closed = on_closed
        self._sessions: dict[PeerId, SignalSession] = {}
        self._commands = MediaCommands(state, media, clock, self.apply)
        self._data: deque[SendData] = deque()
        self._data_bytes = 0
        self._data_wake = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._announcing: asyncio.TimerHandle | None = None
        self._shown = shown(state.name)

    # --- life ------------------------------------------------------------------------------------

    def start(self) -> None:
        self._notices.room_started(self.state.name)
        loops: dict[str, Callable[[], Coroutine[Any, Any, None]]] = {
            "commands": self._commands.run,
            "data": self._run_data,
            "clock": self._run_clock,
        }
        self._tasks = [
            asyncio.create_task(loop(), name=f"room {self.state.name} {what}")
            for what, loop in loops.items()
        ]

    async def stop(self) -> None:
        """End the tasks; commands that wait are carried out first, for a bounded time."""
        if self._announcing is not None:
            self._announcing.cancel()
        self._commands.finish()
        commands, *others = self._tasks
        for task in others:
            task.cancel()
        await asyncio.wait([commands], timeout=_DRAIN_SECONDS)
        commands.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # --- what happens ----------------------------------------------------------------------------

    def enter(
        self,
        sid: PeerId,
        admission: Admission,
        session: SignalSession,
        ice_servers: list[rtc.ICEServer],
    ) -> None:
        self._sessions[sid] = session
        log.info("room %s: %s joins as %s", self._shown, shown(admission.identity), sid)
        now = self._clock()
        self.apply(requests.enter(self.state, sid, admission, now, ice_servers))

    async def serve(self, sid: PeerId, session: SignalSession) -> None:
        """Take a session's requests until it ends. Waits while the room has too much to do."""
        async for request in session.requests():
            one = self.state.participants.get(sid)
            if one is None:
                continue
            try:
                self.apply(requests.handle(Origin(self.state, one, self._clock()), request))
            except Exception:
                log.exception("%s: a request could not be handled", sid)
                session.fault()
            await self._commands.has_room.wait()
        one = self.state.participants.get(sid)
        if one is not None and session.too_many_faults:
            log.warning("room %s: %s sends nonsense and is sent away", self._shown, sid)
            reason = DisconnectReason.STATE_MISMATCH
            self.apply(self.state.expel(one, Action.DISCONNECT, reason))

    def socket_ended(self, sid: PeerId) -> None:
        self._sessions.pop(sid, None)
        self.apply(self.state.socket_lost(sid, self._clock()))

    def connected(self, sid: PeerId) -> None:
        self.apply(self.state.connected(sid, self._clock()))

    def media_lost(self, sid: PeerId, why: str) -> None:
        log.info("room %s: the media of %s is lost: %s", self._shown, sid, why)
        self.apply(self.state.media_lost(sid))

    def data_received(self, sid: PeerId, label: DataLabel, payload: bytes) -> None:
        self.apply(relay(self.state, sid, label, payload))

    def set_recording(self, active: bool) -> None:
        self.apply(self.state.set_recording(active, self._clock()))

    def tell(self, topic: str, payload: bytes) -> None:
        """A reliable data packet of the server to everybody whose media is connected."""
        self.apply(from_server(self.state, topic, payload))

    def shut_down(self) -> None:
        reason = DisconnectReason.SERVER_SHUTDOWN
        self.apply(self.state.shut_down(Action.DISCONNECT, reason))

    # --- effects ---------------------------------------------------------------------------------

    def apply(self, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case Send():
                    self._send(effect)
                case Close():
                    self._close(effect)
                case RefreshToken():
                    self._refresh_token(effect.peer)
                case SendData():
                    self._queue_data(effect)
                case ParticipantActive():
                    self._notices.participant_joined(self.state.name, effect.identity)
                case MediaPublished():
                    self._notices.media_published(self.state.name)
                case RoomClosed():
                    log.info("room %s is closed", self._shown)
                    self._notices.room_emptied(self.state.name)
                    self._on_closed(self)
                case _:
                    self._queue_command(effect)
        self._plan_announcements()

    def _plan_announcements(self) -> None:
        """What could not be told at once is told when its turn comes."""
        if self._announcing is not None or self.state.closed:
            return
        at = self.state.next_announcement()
        if at is not None:
            delay = max(0.0, at - self._clock().at)
            self._announcing = asyncio.get_running_loop().call_later(delay, self._announce_due)

    def _announce_due(self) -> None:
        self._announcing = None
        try:
            self.apply(self.state.announce_due(self._clock()))
        except Exception:
            log.exception("room %s: changes could not be told", self._shown)

    def _send(self, effect: Send) -> None:
        sessions = [self._sessions[peer] for peer in effect.to if peer in self._sessions]
        if not sessions:
            return
        payload = effect.message.SerializeToString()
        for session in sessions:
            session.send(payload)

    def _close(self, effect: Close) -> None:
        session = self._sessions.pop(effect.peer, None)
        if session is None:
            return
        if effect.silently:
            session.drop()
        else:
            session.close()

    def _refresh_token(self, peer: PeerId) -> None:
        """A token as good as the one the client came with, for its reconnects."""
        one = self.state.participants.get(peer)
        if one is None or peer not in self._sessions:
            return
        if claims_size(one.metadata, one.attributes) > MAX_REFRESHED_CLAIMS_BYTES:
            return
        rest = (one.token_expires_unix_ms - self._clock().unix_ms) / 1000
        if rest <= 0:
            return  # let in by the leeway, or here for long: what has ended is not made longer
        token = self._authority.mint(
            one.identity,
            one.grants,
            timedelta(seconds=max(rest, self.state.limits.token_min_life)),
            name=one.name,
            metadata=one.metadata,
            attributes=one.attributes,
            kind=KIND_NAMES[one.kind],
            kind_details=[KIND_DETAIL_NAMES[detail] for detail in one.kind_details],
        )
        self._send(Send((peer,), responses.refresh_token(token)))

    def _queue_data(self, packet: SendData) -> None:
        """Full: a lossy packet is dropped, a reliable one costs its sender the session."""
        if self._data_bytes + len(packet.payload) <= self.state.limits.data_bytes:
            self._data.append(packet)
            self._data_bytes += len(packet.payload)
            self._data_wake.set()
            return
        one = self.state.participants.get(packet.sender)
        if packet.label == "_reliable" and one is not None:
            log.warning("room %s: %s sends data faster than it leaves", self._shown, one.sid)
            reason = DisconnectReason.STATE_MISMATCH
            self.apply(self.state.expel(one, Action.RECONNECT, reason))

    def _queue_command(self, command: MediaCommand) -> None:
        if isinstance(command, RemovePeer):
            log.info("room %s: %s is gone", self._shown, command.peer)
            self._on_removed(command.peer)
        self._commands.put(command)

    # --- loops -------------------------------------------------------------------------

    async def _run_data(self) -> None:
        while True:
            while self._data:
                packet = self._data.popleft()
                self._data_bytes -= len(packet.payload)
                try:
                    async with asyncio.timeout(self.state.limits.media_timeout):
                        await self._media.send_data(packet.to, packet.label, packet.payload)
                except (MediaError, TimeoutError) as error:
                    log.debug("room %s: a data packet is lost: %r", self._shown, error)
                except Exception:
                    log.exception("room %s: a data packet is lost", self._shown)
            self._data_wake.clear()
            await self._data_wake.wait()

    async def _run_clock(self) -> None:
        while not self.state.closed:
            await asyncio.sleep(self.state.limits.tick)
            try:
                self.apply(self.state.tick(self._clock()))
            except Exception:
                log.exception("room %s: a deadline failed", self._shown)
