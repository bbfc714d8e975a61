"""What recording costs a media worker beyond receiving and forwarding.

    python -m tests.bench.recording [--tracks 25] [--kilobits 2000] [--seconds 5] [--rounds 3]

Publishers send video of so many kilobits a second each, 30 pictures a second, over real ICE, DTLS and
SRTP; everything also goes to one subscriber. The same server takes turns in the same run: it only
forwards, and it records all of it besides. Server and load are pinned to a core each. What the writer
thread does and what the kernel does for it are counted.

Prints the share of a core in both and the difference; exits with 1 when recording takes more than
40 % of a core, or when a packet is not in a journal.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing as mp
import os
import secrets
import statistics
import sys
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import uvloop

from mediaserver.journal import JournalReader, RecordKind
from mediaserver.messages import PeerId, RecordingId, RoomId, TrackId, TrackIntent
from mediaserver.sdp.model import Codec, Fingerprint, IceCredentials, Offer, Section
from tests.bench.forwarding import (
    OPUS_LIKE,
    PACKET,
    PAYLOAD_TYPE,
    LoadPeer,
    OurServer,
    Transport,
    _duplicate,
    cpu_seconds,
    loopback_only,
)

MOST = 0.40  # of a core
PICTURES = 30  # a second
ROOM = RoomId("bench")
LOOPS: list[asyncio.AbstractEventLoop] = []
"""Of the load; kept, because what waits on them would complain when they go."""


class Recorder(OurServer):
    """Peer 0 subscribes to all others, each of which publishes one video track."""

    def __init__(self, tracks: int) -> None:
        super().__init__()
        self._tracks = [TrackId(f"track{number}") for number in range(1, tracks + 1)]

    async def add(self, index: int, remote: Transport) -> Transport:
        peer_id = PeerId(f"p{index}")
        self.sfu.add_peer(ROOM, peer_id)
        if index:
            track = self._tracks[index - 1]
            self.sfu.expect_track(peer_id, TrackIntent(track, f"cid{index}", "video", "bench"))
            sections = (_section(0, "sendonly", index),)
        else:
            self.sfu.subscribe(peer_id, self._tracks)
            sections = tuple(_section(mid, "recvonly") for mid in range(len(self._tracks)))
        offer = Offer(
            sections=sections,
            ice=IceCredentials(remote.ufrag, remote.password),
            fingerprints=(Fingerprint("sha-256", remote.fingerprint),),
            bundled=frozenset(section.mid for section in sections),
        )
        answer = self.sfu.apply_offer(peer_id, offer).answer
        return Transport(answer.ice.ufrag, answer.ice.password, answer.fingerprint.value, self.port)

    async def record(self, directory: Path | None) -> None:
        """Into `directory`, or no more."""
        recording_id = RecordingId("RC_bench")
        if directory is None:
            await self.sfu.stop_recording(recording_id)
        else:
            directory.mkdir()
            self.sfu.start_recording(ROOM, recording_id, directory)


def _section(mid: int, direction: Any, publisher: int = 0) -> Section:
    return Section(
        mid=str(mid),
        kind="video",
        protocol="UDP/TLS/RTP/SAVPF",
        formats=(str(PAYLOAD_TYPE),),
        direction=direction,
        msid=("bench", f"cid{publisher}"),
        codecs=(Codec(PAYLOAD_TYPE, "VP8", 90000, 1),),
        ssrcs=(publisher,) if publisher else (),
    )


def serve(pipe: Connection, tracks: int) -> None:
    os.sched_setaffinity(0, {0})
    loopback_only()
    uvloop.install()

    async def run() -> None:
        server = Recorder(tracks)
        loop = asyncio.get_running_loop()
        requests: asyncio.Queue[Any] = asyncio.Queue()
        loop.add_reader(pipe.fileno(), lambda: requests.put_nowait(pipe.recv()))
        while (request := await requests.get()) is not None:
            match request:
                case "mark":
                    pipe.send((cpu_seconds(), server.forwarded()))
                case ("record", directory):
                    await server.record(directory)
                    pipe.send(None)
                case _:
                    pipe.send(await server.add(*request))
        loop.remove_reader(pipe.fileno())

    asyncio.run(run())
    os._exit(0)  # transports need no goodbye


class Load:
    """Publishers that take turns, a picture each, evenly over the thirtieth of a second."""

    def __init__(self, pipe: Connection, tracks: int, kilobits: int) -> None:
        self._pipe = pipe
        self._peers = [LoadPeer(index) for index in range(tracks + 1)]
        self._order = [*range(1, tracks + 1), 0]  # the subscriber last: there is something by then
        self._burst = max(1, round(kilobits * 1000 / 8 / PACKET / PICTURES))
        self._sent = [0] * (tracks + 1)
        self._picture = 0
        self._body = secrets.token_bytes(PACKET - 12)

    async def connect(self) -> None:
        for index in self._order:
            await self._peers[index].connect(self._pipe)
        self._out = [_duplicate(peer.socket.fileno()) for peer in self._peers]

    def run(self, seconds: float) -> int:
        """Packets sent."""
        before, start = sum(self._sent), time.perf_counter()
        publishers = self._peers[1:]
        apart = 1 / PICTURES / len(publishers)
        for number in range(int(seconds * PICTURES)):
            self._picture += 1
            for place, peer in enumerate(publishers):
                due = start + number / PICTURES + place * apart
                if (left := due - time.perf_counter()) > 0:
                    time.sleep(left)
                self._send(peer)
        time.sleep(0.5)
        return sum(self._sent) - before

    def _send(self, peer: LoadPeer) -> None:
        protect, index = peer.dtls._tx_srtp.protect, peer.index
        for number in range(self._burst):
            marker = 0x80 if number == self._burst - 1 else 0
            header = OPUS_LIKE.pack(
                0x80,
                PAYLOAD_TYPE | marker,
                self._sent[index] & 0xFFFF,
                self._picture * 90_000 // PICTURES & 0xFFFFFFFF,
                index,
            )
            self._out[index].sendto(protect(header + self._body), peer.address)
            self._sent[index] += 1


def compare(tracks: int, kilobits: int, seconds: float, rounds: int) -> bool:
    shares: dict[str, list[float]] = {"forwarding": [], "recording too": []}
    whole = True
    for _ in range(rounds):
        forwarding, recording, complete = _round(tracks, kilobits, seconds)
        shares["forwarding"].append(forwarding)
        shares["recording too"].append(recording)
        whole &= complete
    for name, seen in shares.items():
        values = ", ".join(f"{each:.1%}" for each in seen)
        print(f"{name:14} {statistics.median(seen):6.1%} of a core  ({values})")
    extra = statistics.median(shares["recording too"]) - statistics.median(shares["forwarding"])
    print(f"recording {tracks} tracks of {kilobits} kb/s costs {extra:.1%} of a core", end=" ")
    print(f"(at most {MOST:.0%})")
    return extra <= MOST and whole


def _round(tracks: int, kilobits: int, seconds: float) -> tuple[float, float, bool]:
    """A server of its own: its share of a core without and with recording, and whether all is kept.

    The load's event loop does not run meanwhile, so all of it has to end before consent does.
    """
    ours, theirs = mp.Pipe()
    process = mp.get_context("spawn").Process(target=serve, args=(theirs, tracks))
    process.start()
    load = Load(ours, tracks, kilobits)

    def share() -> tuple[float, int]:
        """Of a core while the load runs, and the packets it sent."""
        ours.send("mark")
        before, _ = ours.recv()
        began = time.perf_counter()
        sent = load.run(seconds)
        elapsed = time.perf_counter() - began
        ours.send("mark")
        return float((ours.recv()[0] - before) / elapsed), sent

    try:
        LOOPS.append(loop := asyncio.new_event_loop())
        loop.run_until_complete(asyncio.wait_for(load.connect(), 60))
        load.run(0.5)
        forwarding, _ = share()
        with tempfile.TemporaryDirectory() as folder:
            directory = Path(folder) / "journals"
            ours.send(("record", directory))
            ours.recv()
            recording, sent = share()
            ours.send(("record", None))
            ours.recv()
            return forwarding, recording, _kept(directory, tracks, sent)
    finally:
        ours.send(None)
        process.join(10)
        if process.is_alive():
            process.kill()


def _kept(directory: Path, tracks: int, sent: int) -> bool:
    journals = [JournalReader(path) for path in directory.glob("*.journal")]
    kept = sum(record.kind == RecordKind.RTP for journal in journals for record in journal)
    print(f"{kept} of {sent} packets in {len(journals)} journals")
    return len(journals) == tracks and kept == sent


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--tracks", type=int, default=25)
    parser.add_argument("--kilobits", type=int, default=2000, help="a second, of each track")
    parser.add_argument("--seconds", type=float, default=5.0, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=3, help="how often the two take turns")
    given = parser.parse_args()
    loopback_only()
    if (os.cpu_count() or 1) > 1:
        os.sched_setaffinity(0, set(range(1, os.cpu_count() or 2)))
    within = compare(given.tracks, given.kilobits, given.seconds, given.rounds)
    sys.stdout.flush()
    os._exit(0 if within else 1)  # transports need no goodbye


if __name__ == "__main__":
    main()
