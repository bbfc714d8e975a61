"""What is left of damaged media: the words that `webm` and `fmp4` give and `salvage` reads. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final, TypeAlias

from recorder.chunks.run_reader import RunReader
from recorder.errors import ChunksUnreadable

MOST_BREAKS: Final = 1000
"""Media that breaks off more often than this is noise."""


@dataclass(frozen=True, slots=True)
class Hole:
    """Here something is missing; what follows begins anew."""


@dataclass(frozen=True, slots=True)
class Absent:
    """`count` bytes that something before relies on, and nobody has."""

    count: int


Piece: TypeAlias = bytes | Hole | Absent


@dataclass(slots=True)
class Damage:
    """What a cleaner met: the first problem in words, how often it had to begin anew."""

    problem: str | None = None
    breaks: int = 0
    torn: bool = False  # the media ends in the middle of something

    def note(self, problem: str) -> None:
        self.problem = self.problem or problem

    def broke(self) -> None:
        """Raises ChunksUnreadable when it is too often."""
        self.breaks += 1
        if self.breaks > MOST_BREAKS:
            raise ChunksUnreadable(f"the media breaks off more than {MOST_BREAKS} times")


Cleaner: TypeAlias = Callable[[Iterable[RunReader], Damage, bytes], Iterator[Piece]]
"""Runs of chunks -> whole elements of one container, from its header on, or from the one that is given
(else empty). Raises ChunksUnreadable, HeaderMissing."""
