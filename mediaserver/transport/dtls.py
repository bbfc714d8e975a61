"""DTLS, SRTP keys and data channels of one peer, on aiortc's ORTC-level objects.

The one module that touches aiortc's private names: an ICE transport is replaced by a queue and a send
function, keys are read after the handshake, SCTP runs on top. `tests/media/test_seams.py` pins each
private name. The server is always the DTLS server (answers `a=setup:passive`): then its preference
decides the SRTP profile, and browsers negotiate AES-GCM (RFC 5764, RFC 7714).
"""

from __future__ import annotations

import asyncio
import logging
import struct
import time
from collections.abc import Callable
from typing import Any, Protocol, cast

from aiortc import (
    RTCCertificate,
    RTCDtlsFingerprint,
    RTCDtlsParameters,
    RTCDtlsTransport,
    RTCIceTransport,
    RTCSctpCapabilities,
    RTCSctpTransport,
)

from mediaserver.forwarding.budget import Budget
from mediaserver.sdp.model import Fingerprint
from mediaserver.sdp.render import MAX_MESSAGE_SIZE
from mediaserver.transport import srtp
from mediaserver.transport.sctp_guard import acceptable

logger = logging.getLogger(__name__)

QUEUE_LIMIT = 256
"""DTLS datagrams waiting for one peer; more are dropped, as the network would."""

LOSSY_BACKLOG = 256 * 1024
"""Bytes queued towards a peer beyond which unreliable messages are dropped."""

RELIABLE_BACKLOG = 8 * 1024 * 1024
"""Bytes queued towards a peer beyond which it is given up: it does not read."""

PENDING_LIMIT = 1024
"""Reliable messages kept for a peer whose channel is not open yet."""

DATAGRAMS_PER_SECOND = 1000
DATAGRAM_BURST = 500
"""What one peer's DTLS may ask of the loop; beyond it SCTP sees loss and slows down."""

WINDOW_SLACK = 128 * 1024
"""Bytes beyond the advertised SCTP window that honest peers may have in flight."""

CHANNELS = ("_reliable", "_lossy", "_data_track")
MAX_STRAY_CHANNELS = 8

GOODBYE_PATIENCE = 1.0
"""Seconds between a peer's DTLS close and its being reported as lost."""

SCTP_PORT = 5000


def new_certificate() -> RTCCertificate:
    """The one certificate of a worker; its fingerprint is in every answer."""
    return RTCCertificate.generateCertificate()


def fingerprint(certificate: RTCCertificate) -> Fingerprint:
    """The SHA-256 fingerprint (RFC 8122)."""
    found = next(f for f in certificate.getFingerprints() if f.algorithm == "sha-256")
    return Fingerprint(found.algorithm, found.value)


class _QueueTransport:
    """Stands in for an RTCIceTransport: only what RTCDtlsTransport and RTCSctpTransport touch."""

    role = "controlled"
    state = "completed"

    def __init__(self, send: Callable[[bytes], None]) -> None:
        self._send_datagram = send
        self._queue: asyncio.Queue[bytes | None] = asyncio.Queue()

    def feed(self, data: bytes | None) -> None:
        if data is None or self._queue.qsize() < QUEUE_LIMIT:
            self._queue.put_nowait(data)

    async def _recv(self) -> bytes:
        data = await self._queue.get()
        if data is None:
            raise ConnectionError("the peer is gone")
        return data

    async def _send(self, data: bytes) -> None:
        self._send_datagram(data)


class _GuardedSctp(RTCSctpTransport):
    """aiortc's SCTP behind a check of what comes in; a peer that breaks the rules is given up."""

    def __init__(self, dtls: RTCDtlsTransport, give_up: Callable[[str], None]) -> None:
        super().__init__(dtls, SCTP_PORT)
        self._give_up = give_up

    async def _handle_data(self, data: bytes) -> None:
        if not acceptable(data, len(self._sent_queue)):
            return
        try:
            await super()._handle_data(data)
        except (ValueError, AssertionError, IndexError, KeyError, struct.error):
            self._give_up("the peer breaks the SCTP protocol")
        if self._advertised_rwnd < -WINDOW_SLACK:
            self._give_up("the peer sends more than the SCTP window allows")


class DtlsOwner(Protocol):
    """Who is told what happens; calls are made on the media loop."""

    def on_secure(self, rx: srtp.Session, tx: srtp.Session, trailer: int) -> None: ...

    def on_message(self, label: str, payload: bytes) -> None: ...

    def on_failed(self, reason: str) -> None: ...


class DtlsEndpoint:
    """The secure side of one peer: handshake, SRTP sessions, data channels by label."""

    def __init__(
        self,
        certificate: RTCCertificate,
        send: Callable[[bytes], None],
        owner: DtlsOwner,
    ) -> None:
        self._ice = _QueueTransport(send)
        self._dtls = RTCDtlsTransport(cast(RTCIceTransport, self._ice), [certificate])
        self._dtls._set_role("server")
        self._owner = owner
        self._sctp: RTCSctpTransport | None = None
        self._channels: dict[str, Any] = {}
        self._stray_channels = 0
        self._budget = Budget(DATAGRAMS_PER_SECOND, DATAGRAM_BURST)
        self._pending: list[bytes] = []
        self._task: asyncio.Task[None] | None = None
        self._sctp_task: asyncio.Task[None] | None = None
        self._closed = False
        self._want_sctp = False
        self.profile = ""

    def feed(self, data: bytes) -> None:
        """A DTLS record from the peer's verified address."""
        if self._budget.take(time.monotonic()):
            self._ice.feed(data)

    def start(self, fingerprints: tuple[Fingerprint, ...]) -> None:
        """Begin the handshake as server; the certificate must match one of `fingerprints`."""
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run(fingerprints))

    def accept_data(self) -> None:
        """The peer negotiated an application section: run SCTP once DTLS is up (RFC 8261)."""
        self._want_sctp = True
        if self._dtls.state == "connected":
            self._start_sctp()

    async def close(self) -> None:
        self._closed = True
        if self._sctp is not None:
            await self._sctp.stop()
        await self._dtls.stop()
        self._ice.feed(None)
        for task in (self._task, self._sctp_task):
            if task is not None:
                task.cancel()

    async def _run(self, fingerprints: tuple[Fingerprint, ...]) -> None:
        parameters = RTCDtlsParameters(
            fingerprints=[RTCDtlsFingerprint(f.algorithm, f.value) for f in fingerprints]
        )
        await self._dtls.start(parameters)
        if self._closed:
            return
        if self._dtls.state != "connected":
            self._owner.on_failed("the DTLS handshake failed")
            return
        assert self._dtls._ssl is not None
        self.profile = self._dtls._ssl.get_selected_srtp_profile().decode()
        trailer = srtp.GCM_TAG if "GCM" in self.profile else srtp.CM_TAG
        self._owner.on_secure(self._dtls._rx_srtp, self._dtls._tx_srtp, trailer)
        self._dtls.on("statechange", self._dtls_changed)
        if self._want_sctp:
            self._start_sctp()

    def _dtls_changed(self) -> None:
        """A peer that says goodbye by DTLS alert usually says it in signalling too, but on another
        connection: that word, which has a reason, gets a moment to arrive first."""
        if self._dtls.state in ("closed", "failed"):
            reason = "the peer closed its transport"
            asyncio.get_running_loop().call_later(GOODBYE_PATIENCE, self._owner.on_failed, reason)

    def _start_sctp(self) -> None:
        if self._sctp is not None or self._closed:
            return
        self._sctp = _GuardedSctp(self._dtls, self._owner.on_failed)
        self._sctp.on("datachannel", self._channel_opened)
        self._sctp_task = asyncio.get_running_loop().create_task(self._run_sctp(self._sctp))

    @staticmethod
    async def _run_sctp(sctp: RTCSctpTransport) -> None:
        try:
            await sctp.start(RTCSctpCapabilities(maxMessageSize=MAX_MESSAGE_SIZE), SCTP_PORT)
        except ConnectionError:
            logger.debug("the peer left before its data channels opened")

    def _channel_opened(self, channel: Any) -> None:
        label = channel.label
        if label not in CHANNELS:
            self._stray_channels += 1
            if self._stray_channels > MAX_STRAY_CHANNELS:
                self._owner.on_failed("the peer opens channels that nobody reads")
            return
        self._channels[label] = channel

        def received(message: bytes | str) -> None:
            if isinstance(message, bytes):
                self._owner.on_message(label, message)

        channel.on("message", received)
        if label == "_reliable":
            waiting, self._pending = self._pending, []
            for payload in waiting:
                channel.send(payload)

    def send(self, label: str, payload: bytes) -> None:
        """One user message on the channel of that label.

        Reliable ones wait for the channel to open; the others are dropped until then, and when the
        peer is slow. A peer that does not read its reliable channel is given up.
        """
        channel = self._channels.get(label)
        if channel is None or channel.readyState != "open":
            if label == "_reliable" and len(self._pending) < PENDING_LIMIT:
                self._pending.append(payload)
            return
        backlog = sum(each.bufferedAmount for each in self._channels.values())
        if label != "_reliable" and backlog > LOSSY_BACKLOG:
            return
        if backlog > RELIABLE_BACKLOG:
            self._owner.on_failed("the peer does not read its reliable channel")
            return
        channel.send(payload)
