"""The composite's sound, made ahead of the picture in a thread of its own.

Blocks of a fixed length are mixed, limited and encoded; each comes with how loud every participant
was, since the picture may depend on it. The look-ahead is bounded.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from recorder.composite.encoder import Packet, SoundEncoder
from recorder.composite.mixer import SAMPLE_RATE, Limiter, Samples, Voice, levels
from recorder.composite.schedule import Footage
from recorder.composite.sources import sounds
from recorder.composite.speaker import WINDOW_SECONDS

BLOCK_SECONDS: Final = 0.5
LOOK_AHEAD: Final = 6
"""Blocks."""

_BLOCK: Final = int(BLOCK_SECONDS * SAMPLE_RATE)
_WINDOW: Final = int(WINDOW_SECONDS * SAMPLE_RATE)


@dataclass(frozen=True, slots=True)
class SoundBlock:
    """`levels` has, for each window of the block, the root mean square by participant."""

    packets: Sequence[Packet]
    levels: Sequence[dict[str, float]]


class Soundtrack:
    """Asked for block after block by one thread; `close` it in the end."""

    def __init__(
        self,
        footage: Sequence[Footage],
        seconds: float,
        encoder: SoundEncoder,
        *,
        with_levels: bool,
    ) -> None:
        self._footage = sorted(
            (each for each in footage if each.sound is not None), key=_begin_of, reverse=True
        )
        self._samples = round(seconds * SAMPLE_RATE)
        self._encoder = encoder
        self._with_levels = with_levels
        self._changed = threading.Condition()
        self._ahead: deque[SoundBlock] = deque()
        self._over = False
        self._closed = False
        self._fault: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="soundtrack", daemon=True)
        self._thread.start()

    def next(self) -> SoundBlock | None:
        """The next block, waited for; None after the last. Raises what ended the thread."""
        with self._changed:
            while not self._ahead and not self._over:
                self._changed.wait()
            self._changed.notify_all()
            if self._ahead:
                return self._ahead.popleft()
            if self._fault is not None:
                raise self._fault
            return None

    def close(self) -> None:
        """Ends the thread and waits for it."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join()

    def _run(self) -> None:
        try:
            for block in self._blocks():
                with self._changed:
                    while len(self._ahead) >= LOOK_AHEAD and not self._closed:
                        self._changed.wait()
                    if self._closed:
                        return
                    self._ahead.append(block)
                    self._changed.notify_all()
        except Exception as error:  # noqa: BLE001
            self._fault = error  # raised again by `next`
        finally:
            with self._changed:
                self._over = True
                self._changed.notify_all()

    def _blocks(self) -> Iterator[SoundBlock]:
        limiter = Limiter()
        voices: list[tuple[Footage, Voice]] = []
        behind = Limiter.SLICE
        left = self._samples
        for start in range(0, self._samples, _BLOCK):
            mix, heard = self._mixed(voices, start)
            ready = limiter.push(mix)
            if start + _BLOCK >= self._samples:
                ready = np.concatenate([ready, limiter.flush()], axis=1)
                behind = 0
            ready = ready[:, :left]
            left -= ready.shape[1]
            packets = self._encoder.encode(ready)
            if not behind:
                packets += self._encoder.flush()
            yield SoundBlock(packets, heard)

    def _mixed(
        self, voices: list[tuple[Footage, Voice]], start: int
    ) -> tuple[Samples, list[dict[str, float]]]:
        """One block from sample `start` on; opens who begins in it and drops who is over."""
        while self._footage and _begin_of(self._footage[-1]) * SAMPLE_RATE < start + _BLOCK:
            footage = self._footage.pop()
            stretches = _unharmed(sounds(footage.source.path))
            voices.append((footage, Voice(stretches, footage.shift)))
        mix = np.zeros((2, _BLOCK), np.float32)
        heard: list[dict[str, float]] = [{} for _ in range(_BLOCK // _WINDOW)]
        for footage, voice in voices:
            if not self._with_levels or footage.source.source != "camera":
                voice.add_to(mix, start)
                continue
            own = np.zeros_like(mix)
            voice.add_to(own, start)
            mix += own
            for window, level in zip(heard, levels(own, _WINDOW), strict=True):
                participant = footage.source.participant_id
                window[participant] = max(level, window.get(participant, 0.0))
        voices[:] = [entry for entry in voices if not entry[1].over]
        return mix, heard


def _begin_of(footage: Footage) -> float:
    assert footage.sound is not None
    return footage.sound.start


def _unharmed(stretches: Iterator[tuple[float, Samples]]) -> Iterator[tuple[float, Samples]]:
    """What a file does to a library ends its own sound and nobody else's."""
    while True:
        try:
            stretch = next(stretches, None)
        except Exception:  # noqa: BLE001
            return
        if stretch is None:
            return
        yield stretch
