"""Pictures of files, decoded and scaled ahead of their time by a few threads.

A feed counts in ticks of the composite's frame rate; of several pictures that fall on one tick only
the last is scaled. The threads of a pool serve its feeds in turn, whoever is least ahead first, and
several pictures at a time, since every change of threads costs. The look-ahead is bounded: when all
feeds are full the threads wait.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import av

from recorder.composite.canvas import Planes, Scaler
from recorder.composite.sources import pictures

_HELD_PICTURES: Final = 48
"""About so many are held by all feeds together, which bounds their memory."""
_LEAST_AHEAD, _MOST_AHEAD = 3, 12  # pictures of one feed


@dataclass(frozen=True, slots=True)
class Picture:
    """A decoded frame and its planes as they fit into `box`."""

    tick: int
    frame: av.VideoFrame
    box: tuple[int, int]
    planes: Planes


class PictureFeed:
    """What one file shows, tick after tick. Made and closed by a pool."""

    def __init__(
        self,
        pool: FeedPool,
        path: Path,
        box: tuple[int, int],
        *,
        first_tick: int,
        tick_of: Callable[[float], int],
        start: float,
        threads: int,
    ) -> None:
        self.box = box
        """Width and height; may be set anew at any time."""
        self.fault: Exception | None = None
        self.ahead: deque[Picture] = deque()
        self.over = False
        self.busy = False
        self.made = self._made(path, first_tick, tick_of, start, threads)
        self._pool = pool
        self._current: Picture | None = None
        self._scaler = Scaler()

    def at(self, tick: int) -> Picture | None:
        """What is to be seen at a tick no earlier than the last that was asked for.

        Waits until it is known. None before the first picture.
        """
        for picture in self._pool.take(self, tick):
            self._current = picture
        if self._current is not None and self._current.box != self.box:
            frame = self._current.frame
            fitted = self._scaler.fitted(frame, self.box)
            self._current = Picture(self._current.tick, frame, self.box, fitted)
        return self._current

    def _made(
        self,
        path: Path,
        first_tick: int,
        tick_of: Callable[[float], int],
        start: float,
        threads: int,
    ) -> Iterator[Picture]:
        scaler = Scaler()
        held: tuple[int, av.VideoFrame] | None = None
        for time, frame in pictures(path, start=start, threads=threads):
            if self.over:
                return
            tick = max(tick_of(time), first_tick)
            if held is not None and tick > held[0]:
                yield from self._fitted(scaler, *held)
            held = (tick, frame)
        if held is not None:
            yield from self._fitted(scaler, *held)

    def _fitted(self, scaler: Scaler, tick: int, frame: av.VideoFrame) -> Iterator[Picture]:
        box = self.box
        try:
            yield Picture(tick, frame, box, scaler.fitted(frame, box))
        except (av.FFmpegError, ValueError):
            return  # a format that can't be scaled


class FeedPool:
    """`threads` decoders at work. Feeds are opened, asked and closed by one other thread."""

    def __init__(self, threads: int) -> None:
        self._threads_each = threads
        self._lock = threading.Lock()
        self._work = threading.Condition(self._lock)
        self._made = threading.Condition(self._lock)
        self._feeds: list[PictureFeed] = []
        self._wanted: PictureFeed | None = None
        self._closed = False
        self._threads = [
            threading.Thread(target=self._serve, name=f"pictures {number}", daemon=True)
            for number in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    def open(
        self,
        path: Path,
        box: tuple[int, int],
        *,
        first_tick: int,
        tick_of: Callable[[float], int],
        start: float,
        among: int,
    ) -> PictureFeed:
        """`tick_of` says on which tick a time of the file falls; `start` is the file's time of
        `first_tick`; `among` is how many feeds there will be."""
        threads = max(1, self._threads_each // max(among, 1))
        feed = PictureFeed(
            self, path, box, first_tick=first_tick, tick_of=tick_of, start=start, threads=threads
        )
        with self._lock:
            self._feeds.append(feed)
            self._work.notify()
        return feed

    def take(self, feed: PictureFeed, tick: int) -> list[Picture]:
        """The pictures of a feed up to a tick, once it is known that there are no more."""
        taken = []
        with self._lock:
            while True:
                while feed.ahead and feed.ahead[0].tick <= tick:
                    taken.append(feed.ahead.popleft())
                if feed.ahead or feed.over:
                    break
                self._wanted = feed
                self._work.notify()
                self._made.wait()
            self._wanted = None
            if not feed.over and len(feed.ahead) <= self._most // 2:
                self._work.notify()
        return taken

    def close_feed(self, feed: PictureFeed) -> None:
        with self._lock:
            self._feeds.remove(feed)
            feed.over = True
            while feed.busy:
                self._made.wait()
        _end(feed)

    def close(self) -> None:
        """Ends the threads and waits for them."""
        with self._lock:
            self._closed = True
            for feed in self._feeds:
                feed.over = True
            self._work.notify_all()
        for thread in self._threads:
            thread.join()
        for feed in self._feeds:
            _end(feed)

    @property
    def _most(self) -> int:
        return max(_LEAST_AHEAD, min(_HELD_PICTURES // max(len(self._feeds), 1), _MOST_AHEAD))

    def _serve(self) -> None:
        while (feed := self._next()) is not None:
            try:
                over = self._fill(feed)
            except Exception as error:  # noqa: BLE001
                feed.fault, over = error, True  # a file ends no more than its own feed
            with self._lock:
                feed.busy, feed.over = False, feed.over or over
                self._made.notify_all()

    def _next(self) -> PictureFeed | None:
        """Whom to serve, waited for; it is `busy` then. None when the pool is closed."""
        with self._lock:
            while not self._closed:
                hungry = [
                    feed
                    for feed in self._feeds
                    if not feed.busy and not feed.over and len(feed.ahead) <= self._most // 2
                ]
                if hungry:
                    feed = self._wanted if self._wanted in hungry else min(hungry, key=_lead)
                    assert feed is not None
                    feed.busy = True
                    return feed
                self._work.wait()
            return None

    def _fill(self, feed: PictureFeed) -> bool:
        """Whether there is nothing more in it."""
        for picture in feed.made:
            with self._lock:
                feed.ahead.append(picture)
                if self._wanted is feed:
                    self._made.notify_all()
                if self._closed or feed.over or len(feed.ahead) >= self._most:
                    return False
                if self._wanted not in (None, feed):
                    return False
        return True


def _lead(feed: PictureFeed) -> int:
    return feed.ahead[-1].tick if feed.ahead else -1


def _end(feed: PictureFeed) -> None:
    feed.ahead.clear()
    close = getattr(feed.made, "close", None)
    if close is not None:
        close()
