"""One room's commands to the media plane: one queue, one at a time.

An offer's result is in the state, and its messages are on their way, before the next command
starts. Commands wait, so whom and what they concern may be gone when their turn comes: each looks
at the state again before it goes out.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import Final, assert_never

from mediaserver.errors import BadOffer, MediaError, UnknownPeer, UnknownTrack
from mediaserver.facade import MediaPlane
from signaling.livekit import publishing
from signaling.livekit.effects import (
    Answer,
    Effect,
    ExpectTrack,
    MediaCommand,
    MuteTrack,
    PauseSubscription,
    RemovePeer,
    Subscribe,
    Unsubscribe,
)
from signaling.livekit.participant import Moment, Participant
from signaling.livekit.responses import Action, DisconnectReason
from signaling.livekit.room_state import Origin, RoomState
from signaling.logs import shown

log: Final = logging.getLogger(__name__)

# Requirements wait for the queue to run empty, so that many new tracks cost one; in a busy room
# they wait no longer than this many commands.
_COMMANDS_PER_REQUIREMENT: Final = 16


class MediaCommands:
    """`has_room` is set while the queue is short enough for whoever feeds it to go on."""

    def __init__(
        self,
        state: RoomState,
        media: MediaPlane,
        clock: Callable[[], Moment],
        apply: Callable[[list[Effect]], None],
    ) -> None:
        self._state = state
        self._media = media
        self._clock = clock
        self._apply = apply
        self._waiting: deque[MediaCommand] = deque()
        self._offer_bytes = 0
        self._wake = asyncio.Event()
        self._finishing = False
        self.has_room = asyncio.Event()
        self.has_room.set()

    def put(self, command: MediaCommand) -> None:
        self._waiting.append(command)
        self._offer_bytes += _offer_size(command)
        self._weigh()
        self._wake.set()

    def finish(self) -> None:
        """Let `run` return once the queue is empty."""
        self._finishing = True
        self._wake.set()

    async def run(self) -> None:
        performed = 0
        while True:
            if not self._waiting:
                self._apply(self._state.ask_for_sections())
                if self._finishing:
                    return
                self._wake.clear()
                await self._wake.wait()
                continue
            command = self._waiting.popleft()
            self._offer_bytes -= _offer_size(command)
            self._weigh()
            await self._supervised(command)
            performed += 1
            if performed % _COMMANDS_PER_REQUIREMENT == 0:
                self._apply(self._state.ask_for_sections())

    def _weigh(self) -> None:
        limits = self._state.limits
        few = len(self._waiting) < limits.room_commands
        if few and self._offer_bytes < limits.room_offer_bytes:
            self.has_room.set()
        else:
            self.has_room.clear()

    # --- failure ---------------------------------------------------------------------------------

    async def _supervised(self, command: MediaCommand) -> None:
        """Carry out one command; what fails ends at most the peer it concerns."""
        name = shown(self._state.name)
        try:
            async with asyncio.timeout(self._state.limits.media_timeout):
                await self._perform(command)
        except (UnknownPeer, UnknownTrack) as error:
            log.debug("room %s: %s came too late: %r", name, type(command).__name__, error)
        except BadOffer as error:
            log.warning("room %s: an offer can't be used: %s", name, error)
            if one := self._peer_of(command):
                self._apply(publishing.unanswerable(Origin(self._state, one, self._clock())))
        except (MediaError, TimeoutError) as error:
            log.error("room %s: %s failed: %r", name, type(command).__name__, error)
            self._start_over(command)
        except Exception:
            log.exception("room %s: %s failed", name, type(command).__name__)
            self._start_over(command)

    def _start_over(self, command: MediaCommand) -> None:
        """After a failure of ours the client's and our view differ: it must join anew."""
        if one := self._peer_of(command):
            reason = DisconnectReason.MEDIA_FAILURE
            self._apply(self._state.expel(one, Action.RECONNECT, reason))

    def _peer_of(self, command: MediaCommand) -> Participant | None:
        if isinstance(command, MuteTrack):
            return self._state.owner(command.track)
        return self._state.participants.get(command.peer)

    # --- the commands ----------------------------------------------------------------------------

    async def _perform(self, command: MediaCommand) -> None:
        match command:
            case Answer():
                await self._answer(command)
            case ExpectTrack():
                await self._expect_track(command)
            case Subscribe():
                await self._subscribe(command)
            case Unsubscribe():
                await self._unsubscribe(command)
            case MuteTrack():
                if self._state.owner(command.track) is not None:
                    await self._media.set_track_muted(command.track, command.muted)
            case PauseSubscription():
                await self._pause(command)
            case RemovePeer():
                for peer, needed in (await self._media.remove_peer(command.peer)).items():
                    self._state.need_sections(peer, needed)
            case _:
                assert_never(command)

    async def _answer(self, command: Answer) -> None:
        if command.peer not in self._state.participants:
            return
        result = await self._media.answer(command.peer, command.offer_sdp)
        one = self._state.participants.get(command.peer)
        if one is None:
            return
        if result.published or result.unpublished:
            started, ended = len(result.published), len(result.unpublished)
            text = "room %s: %s publishes %d tracks, ends %d"
            log.info(text, shown(self._state.name), shown(one.identity), started, ended)
        origin = Origin(self._state, one, self._clock())
        self._apply(publishing.answered(origin, command.offer_id, result))

    async def _expect_track(self, command: ExpectTrack) -> None:
        if command.peer in self._state.participants:
            needed = await self._media.expect_track(command.peer, command.intent)
            self._state.need_sections(command.peer, needed)

    async def _subscribe(self, command: Subscribe) -> None:
        one = self._state.participants.get(command.peer)
        if one is None:
            return
        tracks = [track for track in command.tracks if track in one.subscribed]
        if tracks:
            needed = await self._media.subscribe(command.peer, tracks)
            self._state.need_sections(command.peer, needed)

    async def _unsubscribe(self, command: Unsubscribe) -> None:
        """Also when the client has changed its mind meanwhile: then a Subscribe follows."""
        tracks = [track for track in command.tracks if self._state.owner(track) is not None]
        if tracks and command.peer in self._state.participants:
            needed = await self._media.unsubscribe(command.peer, tracks)
            self._state.need_sections(command.peer, needed)

    async def _pause(self, command: PauseSubscription) -> None:
        one = self._state.participants.get(command.peer)
        if one is not None and command.track in one.subscribed:
            await self._media.set_subscription_paused(command.peer, command.track, command.paused)


def _offer_size(command: MediaCommand) -> int:
    return len(command.offer_sdp) if isinstance(command, Answer) else 0
