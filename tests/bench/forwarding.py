"""What forwarding a packet costs, beside aiortc's own transports in the same run.

    python -m tests.bench.forwarding [--packets 1000] [--subscribers 20] [--seconds 8] [--rounds 2]

One publisher sends RTP of 1,100 bytes at a fixed rate, each packet goes to every subscriber. Two
servers take turns, each in a process of its own pinned to one core, under uvloop, over real ICE and
DTLS with AES-GCM; the load runs on another core:

* `mediaserver`: the Sfu and plane of this project as a worker runs them (reports, timers, history);
* `aiortc`: RTCIceTransport and RTCDtlsTransport with a hook that forwards decrypted bytes, its
  header patched with struct, without building RtpPacket objects.

Prints microseconds of server CPU (user + system) per forwarded packet, packets lost, and the ratio.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing as mp
import os
import resource
import secrets
import select
import statistics
import struct
import sys
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import aioice.ice
import uvloop
from aioice import Candidate
from aioice import Connection as IceConnection
from aiortc import (
    RTCCertificate,
    RTCDtlsFingerprint,
    RTCDtlsParameters,
    RTCDtlsTransport,
    RTCIceCandidate,
    RTCIceGatherer,
    RTCIceParameters,
    RTCIceTransport,
)

HOST = "127.0.0.1"
PACKET = 1100
PAYLOAD_TYPE = 96
SSRC = 0x1234
OPUS_LIKE = struct.Struct("!BBHLL")


@dataclass(frozen=True)
class Transport:
    """What each side tells the other."""

    ufrag: str
    password: str
    fingerprint: str
    port: int


def cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def loopback_only() -> None:
    """aioice leaves loopback out of its host candidates; a benchmark wants nothing else."""
    aioice.ice.get_host_addresses = lambda use_ipv4, use_ipv6: [HOST]  # type: ignore[assignment]


# --- server: mediaserver --------------------------------------------------------------------------


class OurServer:
    """The Sfu as `mediaserver.worker` runs it, without the pipe."""

    def __init__(self) -> None:
        from mediaserver.plane.libc import open_socket
        from mediaserver.plane.python import PyPlane
        from mediaserver.sfu import REPAIR_INTERVAL, REPORT_INTERVAL, Sfu

        self.sock = open_socket(HOST, 0)
        self.port = self.sock.getsockname()[1]
        self.sfu = Sfu([(HOST, self.port)], lambda _event: None)
        plane = PyPlane(self.sock, self.sfu)
        self.sfu.bind(plane)
        loop = asyncio.get_running_loop()
        loop.add_reader(self.sock.fileno(), plane.poll)
        for seconds, work in (
            (REPAIR_INTERVAL, self.sfu.repair),
            (REPORT_INTERVAL, self.sfu.report),
        ):
            self._every(loop, seconds, work)

    def _every(self, loop: asyncio.AbstractEventLoop, seconds: float, work: Any) -> None:
        def tick() -> None:
            loop.call_later(seconds, tick)
            work()

        loop.call_later(seconds, tick)

    async def add(self, index: int, remote: Transport) -> Transport:
        from mediaserver.messages import PeerId, RoomId, TrackId, TrackIntent
        from mediaserver.sdp.model import Codec, Fingerprint, IceCredentials, Offer, Section

        peer_id, track = PeerId(f"p{index}"), TrackId("track")
        self.sfu.add_peer(RoomId("bench"), peer_id)
        if index == 0:
            self.sfu.expect_track(peer_id, TrackIntent(track, "cid", "audio", "bench"))
        else:
            self.sfu.subscribe(peer_id, [track])
        section = Section(
            mid="0",
            kind="audio",
            protocol="UDP/TLS/RTP/SAVPF",
            formats=(str(PAYLOAD_TYPE),),
            direction="sendonly" if index == 0 else "recvonly",
            msid=("bench", "cid"),
            codecs=(Codec(PAYLOAD_TYPE, "opus", 48000, 2),),
            ssrcs=(SSRC,) if index == 0 else (),
        )
        offer = Offer(
            sections=(section,),
            ice=IceCredentials(remote.ufrag, remote.password),
            fingerprints=(Fingerprint("sha-256", remote.fingerprint),),
            bundled=frozenset({"0"}),
        )
        answer = self.sfu.apply_offer(peer_id, offer).answer
        return Transport(answer.ice.ufrag, answer.ice.password, answer.fingerprint.value, self.port)

    def forwarded(self) -> int:
        return self.sfu.plane.counters.forwarded


# --- server: aiortc -------------------------------------------------------------------------------


class HookedDtls(RTCDtlsTransport):
    """Forwards decrypted RTP as bytes to the subscribers' transports."""

    subscribers: list[tuple[RTCDtlsTransport, int]]
    count = 0

    async def _handle_rtp_data(self, data: bytes, arrival_time_ms: int) -> None:
        b0, b1, sequence, timestamp, _ = OPUS_LIKE.unpack_from(data)
        payload = data[12:]
        for subscriber, ssrc in self.subscribers:
            header = OPUS_LIKE.pack(b0, b1, sequence, timestamp, ssrc)
            await subscriber._send_rtp(header + payload)
        self.count += len(self.subscribers)


class AiortcServer:
    """One RTCIceTransport and RTCDtlsTransport for each peer, the library's own receive path."""

    def __init__(self) -> None:
        self.certificate = RTCCertificate.generateCertificate()
        self.publisher: HookedDtls | None = None
        self.tasks: list[asyncio.Task[None]] = []

    async def add(self, index: int, remote: Transport) -> Transport:
        gatherer = RTCIceGatherer(iceServers=[])
        await gatherer.gather()
        ice = RTCIceTransport(gatherer)
        if index == 0:
            dtls: RTCDtlsTransport = HookedDtls(ice, [self.certificate])
            self.publisher = dtls  # type: ignore[assignment]
            dtls.subscribers = []  # type: ignore[attr-defined]
        else:
            assert self.publisher is not None
            dtls = RTCDtlsTransport(ice, [self.certificate])
            self.publisher.subscribers.append((dtls, secrets.randbits(31)))
        dtls._set_role("server")
        ice._connection.ice_controlling = False
        self.tasks.append(asyncio.create_task(self._start(ice, dtls, remote)))
        local = gatherer.getLocalParameters()
        port = gatherer.getLocalCandidates()[0].port
        digest = self.certificate.getFingerprints()[0].value
        return Transport(local.usernameFragment, local.password, digest, port)

    async def _start(self, ice: RTCIceTransport, dtls: RTCDtlsTransport, remote: Transport) -> None:
        await ice.addRemoteCandidate(
            RTCIceCandidate(1, "1", HOST, remote.port, 2130706431, "udp", "host")
        )
        await ice.addRemoteCandidate(None)
        await ice.start(RTCIceParameters(remote.ufrag, remote.password))
        await dtls.start(RTCDtlsParameters([RTCDtlsFingerprint("sha-256", remote.fingerprint)]))

    def forwarded(self) -> int:
        return self.publisher.count if self.publisher is not None else 0


def serve(kind: str, pipe: Connection, core: int) -> None:
    """A server process: adds peers on request, reports CPU and packets forwarded."""
    os.sched_setaffinity(0, {core})
    loopback_only()
    uvloop.install()

    async def run() -> None:
        server = OurServer() if kind == "mediaserver" else AiortcServer()
        loop = asyncio.get_running_loop()
        requests: asyncio.Queue[Any] = asyncio.Queue()
        loop.add_reader(pipe.fileno(), lambda: requests.put_nowait(pipe.recv()))
        while (request := await requests.get()) is not None:
            if request == "mark":
                pipe.send((cpu_seconds(), server.forwarded()))
            else:
                pipe.send(await server.add(*request))
        loop.remove_reader(pipe.fileno())

    asyncio.run(run())
    os._exit(0)  # transports need no goodbye


# --- load -----------------------------------------------------------------------------------------


class LoadPeer:
    """A client: ICE and DTLS by aioice and aiortc, then its bare socket."""

    def __init__(self, index: int) -> None:
        self.index = index
        self.certificate = RTCCertificate.generateCertificate()

    async def connect(self, pipe: Connection) -> None:
        ice = self.ice = IceConnection(ice_controlling=True, components=1)
        await ice.gather_candidates()
        port = next(c.port for c in ice.local_candidates if c.host == HOST)
        digest = self.certificate.getFingerprints()[0].value
        pipe.send((self.index, Transport(ice.local_username, ice.local_password, digest, port)))
        remote: Transport = await asyncio.get_running_loop().run_in_executor(None, pipe.recv)
        ice.remote_username, ice.remote_password = remote.ufrag, remote.password
        await ice.add_remote_candidate(
            Candidate("1", 1, "udp", 2130706431, HOST, remote.port, "host")
        )
        await ice.add_remote_candidate(None)
        await ice.connect()
        self.dtls = RTCDtlsTransport(_Wire(ice), [self.certificate])  # type: ignore[arg-type]
        self.dtls._set_role("client")
        await self.dtls.start(
            RTCDtlsParameters([RTCDtlsFingerprint("sha-256", remote.fingerprint)])
        )
        assert self.dtls.state == "connected", self.dtls.state
        self.profile = self.dtls._ssl.get_selected_srtp_profile().decode()
        self.address = (HOST, remote.port)
        self.socket = ice._protocols[0].transport.get_extra_info("socket")


class _Wire:
    """aiortc's ICE transport seam on an aioice connection."""

    role = "controlling"
    state = "completed"

    def __init__(self, ice: IceConnection) -> None:
        self._ice = ice

    async def _recv(self) -> bytes:
        return await self._ice.recv()

    async def _send(self, data: bytes) -> None:
        await self._ice.send(data)


def measure(kind: str, rate: int, subscribers: int, seconds: float) -> dict[str, float]:
    """One run in processes of its own: microseconds per forwarded packet, and packets lost."""
    result, sink = mp.Pipe()
    context = mp.get_context("spawn")
    load = context.Process(target=_load, args=(sink, kind, rate, subscribers, seconds))
    load.start()
    sink.close()
    try:
        measured: dict[str, float] = result.recv()
    except EOFError:
        raise SystemExit(f"the load for {kind} failed") from None
    load.join(10)
    return measured


def _load(sink: Connection, kind: str, rate: int, subscribers: int, seconds: float) -> None:
    loopback_only()
    if (os.cpu_count() or 1) > 1:
        os.sched_setaffinity(0, set(range(1, os.cpu_count() or 2)))
    sink.send(_measure(kind, rate, subscribers, seconds))
    os._exit(0)  # transports need no goodbye


def _measure(kind: str, rate: int, subscribers: int, seconds: float) -> dict[str, float]:
    ours, theirs = mp.Pipe()
    process = mp.get_context("spawn").Process(target=serve, args=(kind, theirs, 0))
    process.start()
    loop = asyncio.new_event_loop()
    peers = [LoadPeer(index) for index in range(subscribers + 1)]

    async def connect() -> None:
        for peer in peers:
            await peer.connect(ours)

    try:
        loop.run_until_complete(asyncio.wait_for(connect(), 60))
        return _drive(ours, peers, rate, seconds)
    finally:
        ours.send(None)
        process.join(10)
        if process.is_alive():
            process.kill()


def _drive(pipe: Connection, peers: list[LoadPeer], rate: int, seconds: float) -> dict[str, float]:
    """Send at `rate` and count at the bare sockets; the load's event loop no longer runs."""
    publisher, *others = peers
    poller = select.epoll()
    sockets = {peer.socket.fileno(): peer for peer in others}
    raw = {fd: _duplicate(fd) for fd in sockets}
    out = _duplicate(publisher.socket.fileno())
    for fd in sockets:
        poller.register(fd, select.EPOLLIN)
    counts = dict.fromkeys(sockets, 0)
    checked = dict.fromkeys(sockets, False)

    def drain(timeout: float) -> None:
        for fd, _events in poller.poll(max(0.0, timeout)):
            try:
                while True:
                    data = raw[fd].recv(2048)
                    if 127 < data[0] < 192 and not 191 < data[1] < 224:
                        counts[fd] += 1
                        if not checked[fd]:
                            sockets[fd].dtls._rx_srtp.unprotect(data)  # raises if it is wrong
                            checked[fd] = True
            except BlockingIOError:
                pass

    protect = publisher.dtls._tx_srtp.protect
    body = secrets.token_bytes(PACKET - 12)

    def send(count: int, first: int) -> None:
        start = time.perf_counter()
        for number in range(count):
            due = start + number / rate
            while (left := due - time.perf_counter()) > 0:
                drain(left)
            header = OPUS_LIKE.pack(
                0x80, PAYLOAD_TYPE, (first + number) & 0xFFFF, 960 * (first + number), SSRC
            )
            out.sendto(protect(header + body), publisher.address)
        end = time.perf_counter() + 0.5
        while (left := end - time.perf_counter()) > 0:
            drain(left)

    warm = rate // 2
    send(warm, 0)
    before = sum(counts.values())
    pipe.send("mark")
    cpu0, forwarded0 = pipe.recv()
    total = int(rate * seconds)
    send(total, warm)
    pipe.send("mark")
    cpu1, forwarded1 = pipe.recv()
    received = sum(counts.values()) - before
    assert all(checked.values()), "a subscriber got nothing"
    return {
        "us_per_packet": (cpu1 - cpu0) / (forwarded1 - forwarded0) * 1e6,
        "core": (cpu1 - cpu0) / seconds,
        "forwarded": forwarded1 - forwarded0,
        "lost": total * len(others) - received,
    }


def _duplicate(fd: int) -> Any:
    import socket

    sock = socket.socket(fileno=os.dup(fd))
    sock.setblocking(False)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    return sock


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--packets", type=int, default=1000, help="packets/s the publisher sends")
    parser.add_argument("--subscribers", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=8.0, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=2, help="how often the two take turns")
    options = parser.parse_args()
    costs: dict[str, list[float]] = {"mediaserver": [], "aiortc": []}
    lost = 0
    print(f"1 publisher x {options.packets} packets/s -> {options.subscribers} subscribers")
    for _ in range(options.rounds):
        for kind, seen in costs.items():
            result = measure(kind, options.packets, options.subscribers, options.seconds)
            seen.append(result["us_per_packet"])
            lost += int(result["lost"]) if kind == "mediaserver" else 0
            print(
                f"{kind:12} {result['us_per_packet']:6.2f} us CPU/packet  "
                f"{result['core'] * 100:5.1f} % of a core  "
                f"forwarded {result['forwarded']:8.0f}  lost {result['lost']:.0f}"
            )
    ratio = statistics.median(costs["mediaserver"]) / statistics.median(costs["aiortc"])
    print(f"ratio mediaserver / aiortc: {ratio:.2f} (at most 0.85), lost by mediaserver: {lost}")
    return 0 if ratio <= 0.85 and lost == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
