"""The control side's handle on the media workers: starts them, talks to them, starts them again.

Session descriptions are read and written here, in the control process, so that the media loop
never spends its time on text.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from mediaserver import wire
from mediaserver.errors import MediaError, PortTaken, WorkerGone
from mediaserver.messages import (
    EVERY_KIND,
    DataLabel,
    Kind,
    MediaEvent,
    OfferApplied,
    OfferResult,
    PeerId,
    RecordingId,
    RoomId,
    SectionsNeeded,
    TrackId,
    TrackIntent,
    WorkerLost,
)
from mediaserver.sdp.negotiate import reduced
from mediaserver.sdp.parse import parse_offer
from mediaserver.sdp.render import render_answer

logger = logging.getLogger(__name__)

START_TIMEOUT = 20.0
STOP_TIMEOUT = 10.0
RESTART_DELAY = 1.0
CALL_TIMEOUT = 10.0
"""Seconds for any command; ending a recording waits for the disk, nothing else takes long."""

WATCH_INTERVAL = 5.0


class MediaWorkers:
    """One worker process for now; rooms are pinned to it. Keeps `facade.MediaPlane`."""

    def __init__(
        self,
        *,
        host: str = "0.0.0.0",  # noqa: S104 - a media server listens to the world
        udp_port: int = 0,
        public_ips: Sequence[str] = ("127.0.0.1",),
        log_level: str = "INFO",
    ) -> None:
        self._options = wire.WorkerOptions(host, udp_port, tuple(public_ips), log_level)
        self._handler: Callable[[MediaEvent], None] = lambda _event: None
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._calls: dict[int, asyncio.Future[Any]] = {}
        self._number = 0
        self._peers: set[PeerId] = set()
        self._stopping = False
        self._udp_port = udp_port

    @property
    def udp_port(self) -> int:
        return self._udp_port

    def set_event_handler(self, handler: Callable[[MediaEvent], None]) -> None:
        self._handler = handler

    async def start(self) -> None:
        await self._spawn()
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._supervise()), loop.create_task(self._watch())]

    async def stop(self) -> None:
        """Close the pipe; the worker ends its journals and leaves. Killed if it does not."""
        self._stopping = True
        for task in self._tasks:
            task.cancel()
        if self._writer is not None:
            self._writer.close()
        if self._process is not None and self._process.returncode is None:
            try:
                await asyncio.wait_for(self._process.wait(), STOP_TIMEOUT)
            except TimeoutError:
                self._process.kill()
                await self._process.wait()
        self._fail_calls()

    async def _spawn(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "mediaserver.worker",
                str(theirs.fileno()),
                pass_fds=[theirs.fileno()],
                stdin=asyncio.subprocess.DEVNULL,
                env=_environment(),
            )
        ours.setblocking(False)
        reader, writer = await asyncio.open_connection(sock=ours)
        wire.write(writer, self._options)
        try:
            ready: wire.Ready = await asyncio.wait_for(wire.read(reader), START_TIMEOUT)
        except (asyncio.IncompleteReadError, ConnectionError, TimeoutError) as error:
            writer.close()
            self._process.kill()
            await self._process.wait()
            raise WorkerGone("the media worker did not start; its log says why") from error
        if ready.error:
            writer.close()
            await self._process.wait()
            raise PortTaken(
                f"UDP {self._options.host}:{self._options.udp_port} can't be used: {ready.error}"
            )
        self._udp_port = ready.udp_port
        self._reader, self._writer = reader, writer

    async def _supervise(self) -> None:
        while True:
            await self._receive()
            logger.error("the media worker died; its rooms are ended and it is started again")
            if self._writer is not None:
                self._writer.close()
            self._writer = None  # until the next one is ready, calls fail at once
            self._fail_calls()
            lost, self._peers = tuple(self._peers), set()
            self._tell(WorkerLost(lost))
            await self._respawn()

    async def _respawn(self) -> None:
        while True:
            try:
                await self._spawn()
            except (MediaError, OSError) as error:
                logger.error("the media worker can't be started, trying again: %s", error)
                await asyncio.sleep(RESTART_DELAY)
            else:
                return

    async def _receive(self) -> None:
        """Hand out replies and events until the worker is gone."""
        assert self._reader is not None
        while True:
            try:
                message = await wire.read(self._reader)
            except (asyncio.IncompleteReadError, ConnectionError):
                return
            if isinstance(message, wire.Reply):
                self._resolve(message)
                continue
            self._tell(message)

    def _tell(self, event: MediaEvent) -> None:
        try:
            self._handler(event)
        except Exception:  # supervisor: one bad event must not cut off the media plane
            logger.exception("handling %s failed", type(event).__name__)

    async def _watch(self) -> None:
        """End a worker that no longer answers; the supervisor then starts another."""
        while True:
            await asyncio.sleep(WATCH_INTERVAL)
            try:
                await self._call("stats")
            except WorkerGone:
                if self._writer is not None and self._process is not None:
                    logger.error("the media worker does not answer and is ended")
                    self._process.kill()
            except MediaError as error:
                logger.error("the media worker is unwell: %s", error)

    def _resolve(self, reply: wire.Reply) -> None:
        future = self._calls.pop(reply.number, None)
        if future is None or future.done():
            return
        if reply.error is not None:
            future.set_exception(reply.error)
        else:
            future.set_result(reply.value)

    def _fail_calls(self) -> None:
        for future in self._calls.values():
            if not future.done():
                future.set_exception(WorkerGone("the media worker is gone"))
        self._calls.clear()

    async def _call(self, method: str, *arguments: object) -> Any:
        if self._writer is None or self._stopping:
            raise WorkerGone("the media worker is not running")
        self._number += 1
        future = asyncio.get_running_loop().create_future()
        self._calls[self._number] = future
        number = self._number
        wire.write(self._writer, wire.Call(number, method, arguments))
        try:
            return await asyncio.wait_for(future, CALL_TIMEOUT)
        except TimeoutError:
            raise WorkerGone(f"the media worker did not answer {method} in time") from None
        finally:
            self._calls.pop(number, None)

    # --- facade.MediaPlane

    async def add_peer(self, room: RoomId, peer: PeerId) -> None:
        await self._call("add_peer", room, peer)
        self._peers.add(peer)

    async def remove_peer(self, peer: PeerId) -> Mapping[PeerId, SectionsNeeded]:
        self._peers.discard(peer)
        result: Mapping[PeerId, SectionsNeeded] = await self._call("remove_peer", peer)
        return result

    async def expect_track(self, peer: PeerId, intent: TrackIntent) -> SectionsNeeded | None:
        result: SectionsNeeded | None = await self._call("expect_track", peer, intent)
        return result

    async def answer(self, peer: PeerId, offer_sdp: str) -> OfferResult:
        applied: OfferApplied = await self._call(
            "apply_offer", peer, reduced(parse_offer(offer_sdp))
        )
        return OfferResult(
            answer_sdp=render_answer(applied.answer),
            mid_to_track=applied.mid_to_track,
            published=applied.published,
            unpublished=applied.unpublished,
            attached=applied.attached,
            unsupported=applied.unsupported,
            requirements=applied.requirements,
        )

    async def subscribe(self, peer: PeerId, tracks: Sequence[TrackId]) -> SectionsNeeded | None:
        result: SectionsNeeded | None = await self._call("subscribe", peer, tuple(tracks))
        return result

    async def unsubscribe(self, peer: PeerId, tracks: Sequence[TrackId]) -> SectionsNeeded | None:
        result: SectionsNeeded | None = await self._call("unsubscribe", peer, tuple(tracks))
        return result

    async def set_track_muted(self, track: TrackId, muted: bool) -> None:
        await self._call("set_track_muted", track, muted)

    async def set_subscription_paused(self, peer: PeerId, track: TrackId, paused: bool) -> None:
        await self._call("set_subscription_paused", peer, track, paused)

    async def send_data(self, peers: Sequence[PeerId], label: DataLabel, payload: bytes) -> None:
        await self._call("send_data", tuple(peers), label, payload)

    async def start_recording(
        self,
        room: RoomId,
        recording: RecordingId,
        directory: Path,
        kinds: Collection[Kind] = EVERY_KIND,
    ) -> None:
        await self._call("start_recording", room, recording, directory, frozenset(kinds))

    async def last_media(self, recording: RecordingId) -> int | None:
        last: int | None = await self._call("last_media", recording)
        return last

    async def stop_recording(self, recording: RecordingId) -> bool:
        return bool(await self._call("stop_recording", recording))

    async def stats(self) -> Mapping[str, int | str]:
        result: Mapping[str, int | str] = await self._call("stats")
        return result


def _environment() -> dict[str, str]:
    """What a worker needs of this process's environment; secrets are not among it."""
    kept = ("PATH", "HOME", "LANG", "TZ", "TMPDIR", "VIRTUAL_ENV", "LD_LIBRARY_PATH")
    return {
        name: value
        for name, value in os.environ.items()
        if name in kept or name.startswith(("LC_", "PYTHON"))
    }
