"""Participants on LiveKit's own Python SDK, unmodified."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from livekit import rtc
from livekit.rtc.room import EventTypes

from tests.rig.server import MediaserverProcess
from tests.rig.tokens import participant_token

RATE = 48_000
# every event that a test may wait for; the SDK wants a callback for each
EVENTS: tuple[EventTypes, ...] = (
    "participant_connected",
    "participant_disconnected",
    "local_track_published",
    "local_track_unpublished",
    "local_track_republished",
    "track_published",
    "track_unpublished",
    "track_subscribed",
    "track_unsubscribed",
    "track_muted",
    "track_unmuted",
    "data_received",
    "connection_state_changed",
    "connected",
    "disconnected",
    "reconnecting",
    "reconnected",
    "room_updated",
)


@dataclass(frozen=True, slots=True)
class Event:
    name: str
    arguments: tuple[Any, ...]


class Participant:
    """One SDK room and everything it has said so far."""

    def __init__(self, identity: str) -> None:
        self.identity = identity
        self.room = rtc.Room()
        self.events: list[Event] = []
        self._news = asyncio.Event()
        for name in EVENTS:
            self.room.on(name, self._listener(name))

    def _listener(self, name: str) -> Callable[..., None]:
        def heard(*arguments: Any) -> None:
            self.events.append(Event(name, arguments))
            self._news.set()

        return heard

    @property
    def local(self) -> rtc.LocalParticipant:
        return self.room.local_participant

    def names(self, *wanted: str) -> list[str]:
        """The events so far, in order, of these kinds only."""
        return [event.name for event in self.events if event.name in wanted]

    async def heard(
        self,
        name: str,
        matches: Callable[..., bool] = lambda *_arguments: True,
        *,
        within: float = 15,
    ) -> tuple[Any, ...]:
        """Arguments of the first event `name` that matches, past or to come."""
        try:
            async with asyncio.timeout(within):
                while True:
                    self._news.clear()
                    for event in self.events:
                        if event.name == name and matches(*event.arguments):
                            return event.arguments
                    await self._news.wait()
        except TimeoutError:
            raise AssertionError(
                f"{self.identity} heard no such {name!r} within {within:g} s; "
                f"heard: {[event.name for event in self.events]}"
            ) from None

    async def subscribed(self, identity: str, kind: int, *, within: float = 15) -> rtc.Track:
        """The first track of this kind from `identity`, once it is subscribed."""
        track, _publication, _participant = await self.heard(
            "track_subscribed",
            lambda track, _pub, who: who.identity == identity and track.kind == kind,
            within=within,
        )
        assert isinstance(track, rtc.Track)
        return track


@contextlib.asynccontextmanager
async def joined(
    server: MediaserverProcess, room: str, identity: str, **token: Any
) -> AsyncIterator[Participant]:
    """A participant in the room; leaves it at the end."""
    participant = Participant(identity)
    async with asyncio.timeout(10):
        await participant.room.connect(server.ws_url, participant_token(room, identity, **token))
    try:
        yield participant
    finally:
        async with asyncio.timeout(10):
            await participant.room.disconnect()


@contextlib.asynccontextmanager
async def running(work: Any) -> AsyncIterator[None]:
    """Run a coroutine beside the block; cancelled at its end. Its failure is the block's."""
    task = asyncio.ensure_future(work)
    try:
        yield
        if task.done():
            task.result()
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def _play(source: rtc.AudioSource, hertz: float) -> None:
    step = RATE // 50
    position = 0
    while True:
        at = np.arange(position, position + step)
        wave = (np.sin(2 * np.pi * hertz * at / RATE) * 12_000).astype(np.int16)
        await source.capture_frame(rtc.AudioFrame(wave.tobytes(), RATE, 1, step))
        position += step


@contextlib.asynccontextmanager
async def tone(who: Participant, hertz: float) -> AsyncIterator[rtc.LocalTrackPublication]:
    """`who` publishes a sine tone as the microphone while the block runs."""
    source = rtc.AudioSource(RATE, 1, queue_size_ms=100)
    track = rtc.LocalAudioTrack.create_audio_track(f"{hertz:g} Hz", source)
    options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE, dtx=False)
    publication = await who.local.publish_track(track, options)
    async with running(_play(source, hertz)):
        yield publication
    await source.aclose()


async def hears(track: rtc.Track, hertz: float, *, within: float = 20) -> None:
    """Wait until half a second of `track` is this tone and hardly anything else."""
    stream = rtc.AudioStream(track, sample_rate=RATE, num_channels=1)
    heard = np.zeros(0, np.int16)
    peaks: list[float] = []
    try:
        async with asyncio.timeout(within):
            async for event in stream:
                heard = np.concatenate([heard, np.frombuffer(event.frame.data, np.int16)])
                if len(heard) < RATE // 2:
                    continue
                spectrum = np.abs(np.fft.rfft(heard * np.hanning(len(heard)))) ** 2
                near = slice(*(int((hertz + side) * len(heard) / RATE) for side in (-20, 21)))
                peaks.append(round(float(np.argmax(spectrum)) * RATE / len(heard), 1))
                if spectrum[near].sum() > 0.9 * spectrum.sum() > 0:
                    return
                heard = heard[:0]
    except TimeoutError:
        raise AssertionError(f"no {hertz:g} Hz within {within:g} s; peaks: {peaks}") from None
    finally:
        await stream.aclose()
    raise AssertionError(f"the track ended before {hertz:g} Hz was heard; peaks: {peaks}")


def picture(width: int, height: int, luma: int, blue: int, red: int) -> rtc.VideoFrame:
    """One colour, as I420."""
    quarter = (width // 2) * (height // 2)
    data = bytes([luma]) * (width * height) + bytes([blue]) * quarter + bytes([red]) * quarter
    return rtc.VideoFrame(width, height, rtc.VideoBufferType.I420, data)


async def colour(event: rtc.VideoFrameEvent) -> tuple[int, int, int]:
    """Mean luma and chroma of a received frame: (Y, Cb, Cr)."""
    frame = event.frame.convert(rtc.VideoBufferType.I420)
    planes = [np.frombuffer(frame.get_plane(index) or b"", np.uint8) for index in range(3)]
    luma, blue, red = (round(float(plane.mean())) for plane in planes)
    return luma, blue, red
