"""One client's WebSocket: frames in, requests out; responses in, frames out.

A session never waits for its client when it sends. What does not leave in time piles up in a
bounded queue, and when that is full the socket is dropped: a stuck client hurts only itself.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

from aiohttp import WSMessage, WSMsgType, web
from google.protobuf.message import DecodeError
from livekit.protocol import rtc

from signaling.livekit.limits import MAX_MALFORMED_MESSAGES, REQUEST_COSTS, ConferenceLimits

log: Final = logging.getLogger(__name__)

_GOODBYE_SECONDS: Final = 3.0
_END_OF_FRAMES: Final = frozenset(
    {WSMsgType.CLOSE, WSMsgType.CLOSING, WSMsgType.CLOSED, WSMsgType.ERROR}
)


@dataclass(slots=True)
class RequestBudget:
    """A token bucket: `rate` requests a second, after a pause up to `burst` at once."""

    rate: float
    burst: float
    spent: float = 0.0  # of the burst
    updated: float = 0.0

    def charge(self, cost: float, now: float) -> float:
        """Take `cost` and say for how many seconds its sender has to wait then."""
        self.spent = max(0.0, self.spent - (now - self.updated) * self.rate) + cost
        self.updated = now
        return max(0.0, (self.spent - self.burst) / self.rate)


class SignalSession:
    """Owns one upgraded socket and its writer task. `name` is for the log."""

    def __init__(
        self,
        socket: web.WebSocketResponse,
        transport: asyncio.Transport | None,
        limits: ConferenceLimits,
        name: str,
    ) -> None:
        self._socket = socket
        self._transport = transport
        self._limits = limits
        self._name = name
        self._outgoing: deque[bytes] = deque()
        self._outgoing_bytes = 0
        self._wake = asyncio.Event()
        self._closing = False
        self._dropped = False
        self._text_frames = 0
        self._faults = 0
        self._budget = RequestBudget(limits.requests_per_second, limits.request_burst)
        self.finished = asyncio.Event()

    # --- sending ---------------------------------------------------------------------------------

    def send(self, payload: bytes) -> None:
        """Queue one message. Never waits; a full queue ends the session.

        Into an empty queue any message fits, however large: it is no sign of a stuck client.
        """
        if self._closing or self._dropped:
            return
        full = bool(self._outgoing) and (
            len(self._outgoing) >= self._limits.outgoing_messages
            or self._outgoing_bytes + len(payload) > self._limits.outgoing_bytes
        )
        if full:
            log.warning("%s: takes no messages any more, its socket is closed", self._name)
            self.drop()
            return
        self._outgoing.append(payload)
        self._outgoing_bytes += len(payload)
        self._wake.set()

    def close(self) -> None:
        """Close the socket once everything queued has left."""
        self._closing = True
        self._wake.set()

    def drop(self) -> None:
        """Close the connection now, without a word."""
        self._dropped = True
        self._outgoing.clear()
        self._wake.set()
        if self._transport is not None:
            self._transport.abort()

    def fault(self) -> None:
        """Count a message that could not be used; too many end `requests`."""
        self._faults += 1

    @property
    def too_many_faults(self) -> bool:
        return self._faults > MAX_MALFORMED_MESSAGES

    # --- receiving -------------------------------------------------------------------------------

    async def requests(self) -> AsyncIterator[rtc.SignalRequest]:
        """Requests until the socket ends, goes silent, or has sent too much nonsense.

        Not faster than the budget allows: what comes above it waits in the socket.
        """
        while not self.too_many_faults:
            frame = await self._next_frame()
            if frame is None:
                return
            try:
                request = rtc.SignalRequest.FromString(frame)
            except DecodeError:
                log.warning("%s: a frame of %d bytes is no request", self._name, len(frame))
                self.fault()
            else:
                yield request
                extra = REQUEST_COSTS.get(request.WhichOneof("message") or "", 1) - 1
                if extra:
                    await self._spend(extra)

    async def _next_frame(self) -> bytes | None:
        """The next binary frame; text frames (the protocol's JSON mode) are not spoken here."""
        while True:
            try:
                message: WSMessage = await self._socket.receive(self._limits.silence_timeout)
            except TimeoutError:
                log.info("%s: silent for %.0f s", self._name, self._limits.silence_timeout)
                self.drop()
                return None
            await self._spend(1)
            if message.type == WSMsgType.BINARY:
                return bytes(message.data)
            if message.type in _END_OF_FRAMES:
                return None
            if message.type == WSMsgType.TEXT:
                self._count_text_frame()

    async def _spend(self, cost: float) -> None:
        """Wait for the budget; at least let others run, a buffer may hold thousands of frames."""
        await asyncio.sleep(self._budget.charge(cost, asyncio.get_running_loop().time()))

    def _count_text_frame(self) -> None:
        self._text_frames += 1
        if self._text_frames == 1:
            log.warning("%s: text frames are ignored", self._name)

    # --- the writer ------------------------------------------------------------------------------

    async def __aenter__(self) -> SignalSession:
        self._writer = asyncio.create_task(self._write(), name=f"signal writer {self._name}")
        return self

    async def __aexit__(self, *_: object) -> None:
        """Let a goodbye leave, then end the writer and the socket."""
        try:
            if self._closing and not self._dropped:
                await asyncio.wait([self._writer], timeout=_GOODBYE_SECONDS)
            self._writer.cancel()
            await asyncio.gather(self._writer, return_exceptions=True)
            if not self._socket.closed:
                self.drop()
            if self._text_frames > 1:
                log.info("%s: %d text frames were ignored", self._name, self._text_frames)
        finally:
            self.finished.set()

    async def _write(self) -> None:
        try:
            while not self._dropped:
                while self._outgoing:
                    payload = self._outgoing.popleft()
                    self._outgoing_bytes -= len(payload)
                    await self._socket.send_bytes(payload)
                if self._closing:
                    await self._socket.close()
                    return
                self._wake.clear()
                await self._wake.wait()
        except (ConnectionError, RuntimeError):
            # The socket ended under us; the reader sees the same and says what it means.
            log.debug("%s: the socket ended while writing", self._name)
