"""Peers of a real media worker, with aiortc's RTCPeerConnection as the client."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import time
from collections.abc import AsyncIterator
from fractions import Fraction

import av
import numpy as np
import pytest
from aiortc import RTCPeerConnection, RTCSessionDescription, VideoStreamTrack
from aiortc.mediastreams import AudioStreamTrack

from mediaserver.errors import BadOffer, PortTaken, UnknownPeer, WorkerGone
from mediaserver.journal import JournalReader, RecordKind
from mediaserver.messages import (
    DataReceived,
    MediaEvent,
    PeerConnected,
    PeerId,
    RecordingFault,
    RecordingId,
    RecordingStalled,
    RecordingStarted,
    RoomId,
    SectionsNeeded,
    TrackId,
    TrackIntent,
    WorkerLost,
)
from mediaserver.workers import MediaWorkers

ROOM = RoomId("room")


class Events:
    """Collects events; `wait` gives the first that fits, also one that came before."""

    def __init__(self) -> None:
        self._seen: list[MediaEvent] = []
        self._changed = asyncio.Condition()

    def __call__(self, event: MediaEvent) -> None:
        self._seen.append(event)
        task = asyncio.get_running_loop().create_task(self._notify())
        task.add_done_callback(lambda _task: None)

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def wait_for(self, kind: type):
        async with self._changed:
            await asyncio.wait_for(
                self._changed.wait_for(lambda: any(isinstance(e, kind) for e in self._seen)), 10
            )
        return next(event for event in self._seen if isinstance(event, kind))

    async def wait(self, event: MediaEvent) -> MediaEvent:
        async with self._changed:
            await asyncio.wait_for(self._changed.wait_for(lambda: event in self._seen), timeout=10)
        return event


class Colour(VideoStreamTrack):
    """320x240 frames of one grey level that is known."""

    async def recv(self) -> av.VideoFrame:
        pts, time_base = await self.next_timestamp()
        frame = av.VideoFrame.from_ndarray(np.full((360, 320), 180, np.uint8), format="yuv420p")
        frame.pts, frame.time_base = pts, Fraction(time_base)
        return frame


class Client:
    """One RTCPeerConnection that lets the media worker answer."""

    def __init__(self, media: MediaWorkers, name: str) -> None:
        self.media = media
        self.peer_id = PeerId(name)
        self.connection = RTCPeerConnection()
        self.tracks: asyncio.Queue[object] = asyncio.Queue()
        self.connection.on("track", self.tracks.put_nowait)

    async def offer(self):
        await self.connection.setLocalDescription(await self.connection.createOffer())
        result = await self.media.answer(self.peer_id, self.connection.localDescription.sdp)
        await self.connection.setRemoteDescription(
            RTCSessionDescription(sdp=result.answer_sdp, type="answer")
        )
        return result

    async def publish(self, *tracks) -> None:
        for track in tracks:
            self.connection.addTransceiver(track, direction="sendonly")
            await self.media.expect_track(
                self.peer_id,
                TrackIntent(
                    TrackId(f"TR_{self.peer_id}_{track.kind}"),
                    track.id,
                    track.kind,
                    f"{self.peer_id}|TR_{track.kind}",
                    labels={"participantId": str(self.peer_id)},
                ),
            )
        await self.offer()


@pytest.fixture
async def media() -> AsyncIterator[MediaWorkers]:
    workers = MediaWorkers(host="127.0.0.1", log_level="WARNING")
    workers.events = Events()  # type: ignore[attr-defined]
    workers.set_event_handler(workers.events)
    await workers.start()
    yield workers
    await workers.stop()


@pytest.fixture
async def join(media: MediaWorkers):
    clients: list[Client] = []

    async def join(name: str) -> Client:
        client = Client(media, name)
        clients.append(client)
        await media.add_peer(ROOM, client.peer_id)
        return client

    yield join
    for client in clients:
        await client.connection.close()


async def test_a_subscriber_decodes_what_the_publisher_encoded(media, join) -> None:
    alice, bob = await join("alice"), await join("bob")
    await alice.publish(AudioStreamTrack(), Colour())
    bob.connection.addTransceiver("audio", direction="recvonly")
    bob.connection.addTransceiver("video", direction="recvonly")
    await media.subscribe(bob.peer_id, [TrackId("TR_alice_audio"), TrackId("TR_alice_video")])
    result = await bob.offer()
    assert sorted(result.mid_to_track.values()) == ["TR_alice_audio", "TR_alice_video"]
    await media.events.wait(PeerConnected(bob.peer_id))
    got = {track.kind: track for track in [await bob.tracks.get(), await bob.tracks.get()]}
    frame = await asyncio.wait_for(got["video"].recv(), 10)
    assert abs(float(frame.to_ndarray(format="gray").mean()) - 190) < 15
    sound = await asyncio.wait_for(got["audio"].recv(), 10)
    assert sound.sample_rate == 48000
    stats = await media.stats()
    assert stats["unprotect_errors"] == 0
    assert stats["protect_errors"] == 0


async def test_data_messages_reach_the_control_side_and_go_out_once_the_channel_opens(
    media, join
) -> None:
    alice = await join("alice")
    channel = alice.connection.createDataChannel("_reliable")
    received: asyncio.Queue[bytes] = asyncio.Queue()
    channel.on("message", received.put_nowait)
    channel.on("open", lambda: channel.send(b"up"))
    await media.send_data([alice.peer_id], "_reliable", b"queued before open")
    await alice.offer()
    await media.events.wait(DataReceived(alice.peer_id, "_reliable", b"up"))
    assert await asyncio.wait_for(received.get(), 5) == b"queued before open"


async def test_a_track_that_ends_asks_its_subscribers_for_a_fresh_offer(media, join) -> None:
    alice, bob = await join("alice"), await join("bob")
    await alice.publish(AudioStreamTrack())
    bob.connection.addTransceiver("audio", direction="recvonly")
    await bob.offer()
    assert await media.subscribe(bob.peer_id, [TrackId("TR_alice_audio")]) == SectionsNeeded(0, 0)
    assert (await bob.offer()).mid_to_track == {"0": "TR_alice_audio"}
    assert await media.remove_peer(alice.peer_id) == {bob.peer_id: SectionsNeeded(0, 0)}
    assert (await bob.offer()).mid_to_track == {}


async def test_a_recorded_room_leaves_journals_that_end_in_order(media, join, tmp_path) -> None:
    alice = await join("alice")
    await media.start_recording(ROOM, RecordingId("RC_1"), tmp_path)
    await alice.publish(AudioStreamTrack(), Colour())
    started = await media.events.wait_for(RecordingStarted)
    assert started.recording_id == "RC_1"
    assert abs(started.first_media_us / 1e6 - time.time()) < 10
    assert await media.stop_recording(RecordingId("RC_1"))
    assert not await media.stop_recording(RecordingId("RC_1"))
    (audio, *_rest) = sorted(tmp_path.glob("*.journal"))
    reader = JournalReader(audio)
    kinds = [record.kind for record in reader]
    assert reader.clean_end
    assert not reader.torn
    assert RecordKind.RTP in kinds
    assert reader.header.labels == {"participantId": "alice"}


async def test_a_recording_of_sound_leaves_nothing_of_the_pictures(media, join, tmp_path) -> None:
    alice = await join("alice")
    await alice.publish(AudioStreamTrack(), Colour())
    await media.start_recording(ROOM, RecordingId("RC_1"), tmp_path, ["audio"])
    await media.events.wait_for(RecordingStarted)
    bob = await join("bob")
    await bob.publish(Colour())
    await media.events.wait(PeerConnected(bob.peer_id))
    received = int((await media.stats())["received"])
    while int((await media.stats())["received"]) < received + 50:  # noqa: ASYNC110
        await asyncio.sleep(0)  # each round waits for the worker's answer
    assert await media.stop_recording(RecordingId("RC_1"))
    (audio,) = tmp_path.iterdir()
    assert JournalReader(audio).header.kind == "audio"


async def test_a_recording_of_sound_stalls_although_pictures_come(media, join, tmp_path) -> None:
    alice = await join("alice")
    await media.start_recording(ROOM, RecordingId("RC_1"), tmp_path / "missing", ["audio"])
    await alice.publish(AudioStreamTrack(), Colour())
    await media.events.wait(RecordingStalled(RecordingId("RC_1"), "No such file or directory"))


async def test_when_the_last_media_came(media, join, tmp_path) -> None:
    recording = RecordingId("RC_1")
    assert await media.last_media(recording) is None
    alice = await join("alice")
    await media.start_recording(ROOM, recording, tmp_path)
    assert await media.last_media(recording) is None
    await alice.publish(AudioStreamTrack())
    started = await media.events.wait_for(RecordingStarted)
    last = started.first_media_us
    while (last := await media.last_media(recording)) < started.first_media_us + 500_000:
        assert last >= started.first_media_us
    assert abs(last / 1e6 - time.time()) < 5
    await media.set_track_muted(TrackId("TR_alice_audio"), True)
    await media.stop_recording(recording)
    assert await media.last_media(recording) is None


@pytest.mark.parametrize(
    "text", ["", "v=0", "v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0\r\n", "\x00" * 99]
)
async def test_a_broken_offer_is_refused_and_the_worker_goes_on(media, join, text) -> None:
    alice = await join("alice")
    with pytest.raises(BadOffer):
        await media.answer(alice.peer_id, text)
    await alice.publish(AudioStreamTrack())
    await media.events.wait(PeerConnected(alice.peer_id))


async def test_an_unknown_peer_is_an_error(media) -> None:
    with pytest.raises(UnknownPeer):
        await media.subscribe(PeerId("nobody"), [])


async def test_a_taken_port_is_said_at_the_start(media) -> None:
    with pytest.raises(PortTaken, match=str(media.udp_port)):
        await MediaWorkers(host="127.0.0.1", udp_port=media.udp_port).start()


async def test_a_worker_that_dies_takes_its_peers_and_comes_back(media, join) -> None:
    alice = await join("alice")
    os.kill(media._process.pid, signal.SIGKILL)
    await media.events.wait(WorkerLost((alice.peer_id,)))
    with pytest.raises(WorkerGone):
        await media.subscribe(alice.peer_id, [])
    while True:
        with contextlib.suppress(WorkerGone):
            await media.stats()
            break
        await asyncio.sleep(0.05)
    bob = await join("bob")
    await bob.publish(AudioStreamTrack())
    await media.events.wait(PeerConnected(bob.peer_id))


async def test_a_journal_that_cannot_be_written_is_a_fault_and_the_call_goes_on(
    media, join, tmp_path
) -> None:
    alice = await join("alice")
    missing = tmp_path / "is not there"
    await media.start_recording(ROOM, RecordingId("RC_1"), missing)
    await alice.publish(AudioStreamTrack())
    await media.events.wait(RecordingFault(RecordingId("RC_1"), "No such file or directory"))
    await media.events.wait(RecordingStalled(RecordingId("RC_1"), "No such file or directory"))
    assert not await media.stop_recording(RecordingId("RC_1"))
    assert (await media.stats())["tracks"] == 1


async def test_a_muted_track_is_neither_forwarded_nor_recorded(media, join, tmp_path) -> None:
    alice, bob = await join("alice"), await join("bob")
    await alice.publish(AudioStreamTrack())
    track = TrackId("TR_alice_audio")
    await media.set_track_muted(track, True)
    bob.connection.addTransceiver("audio", direction="recvonly")
    await media.subscribe(bob.peer_id, [track])
    await bob.offer()
    await media.start_recording(ROOM, RecordingId("RC_1"), tmp_path)
    await media.events.wait(PeerConnected(alice.peer_id))
    await media.events.wait(PeerConnected(bob.peer_id))
    received = int((await media.stats())["received"])
    while int((await media.stats())["received"]) < received + 20:  # noqa: ASYNC110
        await asyncio.sleep(0)  # each round waits for the worker's answer
    assert (await media.stats())["forwarded"] == 0
    assert not await media.stop_recording(RecordingId("RC_1"))
    await media.set_track_muted(track, False)
    sound = (await bob.tracks.get()).recv()
    assert (await asyncio.wait_for(sound, 10)).sample_rate == 48000


def lose(client: Client, share: float, seed: int) -> None:
    """From now on this client loses that share of the RTP it sends, first transmissions or not."""
    (transceiver,) = [t for t in client.connection.getTransceivers() if t.kind == "video"]
    ice = transceiver.sender.transport.transport
    dice, send = random.Random(seed), ice._send

    async def lossy(data: bytes) -> None:
        is_rtp = 127 < data[0] < 192 and not 191 < data[1] < 224
        if not (is_rtp and dice.random() < share):
            await send(data)

    ice._send = lossy


async def test_what_is_lost_on_the_way_up_is_asked_for_and_comes(media, join) -> None:
    alice, bob = await join("alice"), await join("bob")
    await alice.publish(Colour())
    await media.events.wait(PeerConnected(alice.peer_id))
    lose(alice, share=0.2, seed=1)
    bob.connection.addTransceiver("video", direction="recvonly")
    await media.subscribe(bob.peer_id, [TrackId("TR_alice_video")])
    await bob.offer()
    picture = await bob.tracks.get()
    for _ in range(60):
        await asyncio.wait_for(picture.recv(), 10)
    stats = await media.stats()
    assert int(stats["nack_recovered"]) >= 3
    assert stats["nack_lost"] == 0


async def test_what_is_lost_on_the_way_down_is_sent_again_from_the_history(media, join) -> None:
    alice, bob = await join("alice"), await join("bob")
    await alice.publish(Colour())
    bob.connection.addTransceiver("video", direction="recvonly")
    await media.subscribe(bob.peer_id, [TrackId("TR_alice_video")])
    await bob.offer()
    picture = await bob.tracks.get()
    await asyncio.wait_for(picture.recv(), 10)
    (receiver,) = bob.connection.getReceivers()
    ice = receiver.transport.transport
    receive, dropped = ice._recv, set()

    async def lossy() -> bytes:
        """Loses the first copy of every eighth packet, before SRTP could see it."""
        while True:
            data = await receive()
            is_rtp = 127 < data[0] < 192 and not 191 < data[1] < 224
            if not is_rtp or data[3] % 8 or data[2:4] in dropped:
                return data
            dropped.add(data[2:4])

    ice._recv = lossy
    for _ in range(60):
        await asyncio.wait_for(picture.recv(), 10)
    assert len(dropped) >= 3
    assert int((await media.stats())["retransmitted"]) >= len(dropped) - 2
