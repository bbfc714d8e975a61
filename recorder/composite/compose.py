"""The render itself: what the spec says -> one file.

Three kinds of threads overlap: a feed for each picture that is on the canvas, the soundtrack, and
here whoever pastes new pictures and hands the canvas to the encoder, which has threads of its own.
Decoders are open for what is to be seen and heard just now; nothing is kept that was used.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import av

from recorder.composite.canvas import Canvas, Planes
from recorder.composite.encoder import CompositeFile
from recorder.composite.feeds import FeedPool, PictureFeed
from recorder.composite.labels import Label, label, placeholder
from recorder.composite.layout import Tile, arrange
from recorder.composite.probing import probe
from recorder.composite.schedule import Extent, Schedule
from recorder.composite.soundtrack import BLOCK_SECONDS, SoundBlock, Soundtrack
from recorder.composite.speaker import LOOK_AHEAD_SECONDS, WINDOW_SECONDS, SpeakerChooser
from recorder.composite.spec import RenderSource, RenderSpec
from recorder.errors import BadRenderOptions, NothingToRender, RecorderError

PROBED = 0.03
"""The part of a render's progress that reading the sources takes."""
_PROGRESS_STEP = 0.01

Progress = Callable[[float], None]


class RenderCancelled(Exception):
    """Somebody wants the render no more."""


@dataclass(frozen=True, slots=True)
class Composite:
    """`start_seconds` is the recording's time of the file's time 0. `failures` say which sources
    could not be read, and why."""

    seconds: float
    start_seconds: float
    failures: tuple[str, ...]


def compose(
    spec: RenderSpec, on_progress: Progress, cancelled: Callable[[], bool] = lambda: False
) -> Composite:
    """Makes `spec.output`, or nothing.

    Raises NothingToRender without any media, BadRenderOptions when the focus was not there,
    RenderCancelled as soon as `cancelled` says so, and what the encoder and the disk raise.
    """
    sources, failures = _probe_all(spec.sources, on_progress, cancelled)
    if not sources:
        reasons = "; ".join(failures) or "no source has any media"
        raise NothingToRender(f"there is nothing to render: {reasons}")
    schedule = Schedule(sources)
    focus = spec.options.focus
    if focus is not None and all(each.source.participant_id != focus for each in schedule.footage):
        raise BadRenderOptions("focus", "names a participant who is not in the recording")
    render = _Render(spec, schedule)
    try:
        render.run(on_progress, cancelled)
        seconds = render.file.finish()
    finally:
        render.close()
    return Composite(seconds, schedule.zero, (*failures, *render.failures))


def _probe_all(
    sources: Sequence[RenderSource], on_progress: Progress, cancelled: Callable[[], bool]
) -> tuple[list[tuple[RenderSource, Extent]], list[str]]:
    found, failures = [], []
    for number, source in enumerate(sources):
        if cancelled():
            raise RenderCancelled
        try:
            extent = probe(source.path, screen=source.source == "screen")
            if extent:
                found.append((source, extent))
            else:
                failures.append(f"{source.path.name}: nothing in it can be read")
        except (av.FFmpegError, OSError, ValueError, RecorderError) as error:
            failures.append(f"{source.path.name}: {error}")
        on_progress(round(PROBED * (number + 1) / len(sources), 3))
    return found, failures


@dataclass(slots=True)
class _Spot:
    """A tile on the canvas and what it shows: a picture of `feed`, or a placeholder."""

    tile: Tile
    planes: Planes
    label: Label | None
    footage: int | None = None
    feed: PictureFeed | None = None
    shown: Planes | None = None


class _Render:
    def __init__(self, spec: RenderSpec, schedule: Schedule) -> None:
        self._spec = spec
        self._options = spec.options
        self._schedule = schedule
        self._size = (spec.width, spec.options.height)
        self._ticks = max(1, round(schedule.seconds * spec.options.fps))
        self._pool = FeedPool(0 if self._options.audio_only else spec.threads)
        self._feeds: dict[int, PictureFeed] = {}
        self._spots: list[_Spot] = []
        self.failures: list[str] = []
        follows = self._options.layout == "speaker" or (
            self._options.layout == "single" and self._options.focus is None
        )
        self.file = CompositeFile(spec)
        self._sound = Soundtrack(
            schedule.footage,
            self._ticks / spec.options.fps,
            self.file.sound,
            with_levels=follows and not self._options.audio_only,
        )
        self._heard_until = 0.0
        self._speakers = _Speakers(schedule) if follows else None

    def run(self, on_progress: Progress, cancelled: Callable[[], bool]) -> None:
        fps = self._options.fps
        canvas = None if self._options.audio_only else Canvas(*self._size)
        told = PROBED
        step = round(BLOCK_SECONDS * fps) if canvas is None else 1
        for tick in range(0, self._ticks, step):
            if cancelled():
                raise RenderCancelled
            self._hear_until(tick / fps + 2 * LOOK_AHEAD_SECONDS)
            if canvas is not None:
                self._draw(canvas, tick)
                self.file.show(canvas, tick)
            progress = PROBED + (1 - PROBED) * tick / self._ticks
            if progress - told >= _PROGRESS_STEP:
                told = progress
                on_progress(round(progress, 3))
        self._hear_until(float("inf"))
        for number in list(self._feeds):
            self._close_feed(number)

    def close(self) -> None:
        self._sound.close()
        self._pool.close()
        self.file.discard()

    def _hear_until(self, seconds: float) -> None:
        """Takes the sound up to there into the file."""
        while self._heard_until < seconds:
            block = self._sound.next()
            if block is None:
                self._heard_until = float("inf")
                return
            if self._speakers is not None:
                self._speakers.hear(self._heard_until, block)
            self.file.mux(block.packets)
            self._heard_until += BLOCK_SECONDS

    # --- pictures ---------------------------------------------------------------------------------

    def _draw(self, canvas: Canvas, tick: int) -> None:
        at = (tick + 0.5) / self._options.fps
        speaker_changed = self._speakers is not None and self._speakers.turn(at)
        if (
            tick == 0
            or speaker_changed
            or self._schedule.changed_between(at - 1 / self._options.fps, at)
        ):
            self._arrange(canvas, tick, at)
        for spot in self._spots:
            self._update(canvas, spot, tick)

    def _arrange(self, canvas: Canvas, tick: int, at: float) -> None:
        """Who is to be seen from this tick on, and where; opens and closes feeds."""
        tiles = arrange(
            self._options.layout,
            self._schedule.seats(at),
            self._size,
            speaker=self._speakers.speaker if self._speakers else None,
            focus=self._options.focus,
        )
        if tiles != tuple(spot.tile for spot in self._spots):
            canvas.clear()
            self._spots = [self._spot(canvas, tile) for tile in tiles]
        for spot in self._spots:
            seat = spot.tile.seat
            spot.footage = None if seat is None else self._schedule.showing(seat, at)
        wanted = {spot.footage for spot in self._spots} - {None}
        for number in self._feeds.keys() - wanted:
            self._close_feed(number)
        for spot in self._spots:
            place = spot.tile.rectangle
            spot.feed = None
            if spot.footage is not None:
                box = (place.width, place.height)
                spot.feed = self._feeds.get(spot.footage) or self._open_feed(
                    spot.footage, box, tick, len(wanted)
                )
                spot.feed.box = box

    def _spot(self, canvas: Canvas, tile: Tile) -> _Spot:
        place = tile.rectangle
        name = tile.seat.name if tile.seat is not None and self._options.names else ""
        return _Spot(tile, canvas.planes.part(place), label(name, (place.width, place.height)))

    def _open_feed(self, number: int, box: tuple[int, int], tick: int, others: int) -> PictureFeed:
        footage, fps = self._schedule.footage[number], self._options.fps
        shift = footage.shift
        feed = self._pool.open(
            footage.source.path,
            box,
            first_tick=tick,
            tick_of=lambda time: int((time + shift) * fps + 0.5),
            start=tick / fps - shift,
            among=others,
        )
        self._feeds[number] = feed
        return feed

    def _close_feed(self, number: int) -> None:
        feed = self._feeds.pop(number)
        self._pool.close_feed(feed)
        if feed.fault is not None:
            name = self._schedule.footage[number].source.path.name
            self.failures.append(f"{name}: {feed.fault!r}")

    def _update(self, canvas: Canvas, spot: _Spot, tick: int) -> None:
        """Pastes what is new in a spot."""
        picture = spot.feed.at(tick) if spot.feed is not None else None
        planes = picture.planes if picture is not None else self._placeholder(spot.tile)
        if planes is spot.shown:
            return
        canvas.paste(spot.tile.rectangle, planes)
        spot.shown = planes
        if spot.label is not None:
            spot.label.paint(spot.planes)

    def _placeholder(self, tile: Tile) -> Planes:
        size = (tile.rectangle.width, tile.rectangle.height)
        if tile.seat is None:
            return placeholder(f"+{tile.more}", "", size)
        return placeholder(tile.seat.name, tile.seat.participant_id, size)


class _Speakers:
    """Whoever speaks, known ahead of the picture, and turned to when they begin."""

    def __init__(self, schedule: Schedule) -> None:
        self._schedule = schedule
        self._chooser = SpeakerChooser()
        self._turns: list[tuple[float, str | None]] = []
        self.speaker: str | None = None

    def hear(self, at: float, block: SoundBlock) -> None:
        """`block` begins at `at` seconds."""
        for number, heard in enumerate(block.levels):
            time = at + number * WINDOW_SECONDS
            there = dict.fromkeys((seat.participant_id for seat in self._schedule.seats(time)), 0.0)
            speaker = self._chooser.hear(
                {name: heard.get(name, level) for name, level in there.items()}
            )
            last = self._turns[-1][1] if self._turns else self.speaker
            if speaker != last:
                self._turns.append((time - LOOK_AHEAD_SECONDS, speaker))

    def turn(self, at: float) -> bool:
        """Whether `speaker` is somebody else from `at` on."""
        before = self.speaker
        while self._turns and self._turns[0][0] <= at:
            self.speaker = self._turns.pop(0)[1]
        return self.speaker != before
