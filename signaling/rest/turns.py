"""How many bodies may come at once: of one sender, and in all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from aiohttp import web

from signaling.errors import TooMany, Unavailable

EACH_AT_ONCE: Final = 32  # bodies of one sender
ALL_AT_ONCE: Final = 128  # each holds a megabyte or so of memory
COPIES_AT_ONCE: Final = 2  # bodies for one object or part by its link: one, and its repetition
LINKS_AT_ONCE: Final = 1024  # each holds some blocks of memory and a file


@dataclass(slots=True)
class Turns:
    """Who has how many bodies under way, of `all_at_once`.

    A sender may have as many as are still free, at most: who comes late finds a place though a few
    hold all they can get, and send as slowly as they may.
    """

    all_at_once: int = ALL_AT_ONCE
    taken: Counter[str] = field(default_factory=Counter)

    @contextmanager
    def turn(self, sender: str, most: int = EACH_AT_ONCE) -> Iterator[None]:
        """Raises TooMany, Unavailable."""
        held, free = self.taken[sender], self.all_at_once - self.taken.total()
        if held >= most:
            raise TooMany(
                f"{most} requests of yours are under way; wait for an answer before you send more",
                code="too_many_at_once",
                details={"limit": most},
            )
        if free <= held and (held or not free):
            raise Unavailable("too much is being received now", code="busy")
        self.taken[sender] += 1
        try:
            yield
        finally:
            self.taken[sender] -= 1
            if not self.taken[sender]:
                del self.taken[sender]


TURNS: Final = web.AppKey("turns", Turns)
"""Of those who send chunks, by identity."""
LINK_TURNS: Final = web.AppKey("link_turns", Turns)
"""Of those who have a link to an object of this server, by what it is for."""
