"""Who is there when, from what is in the files (pure).

Times are seconds on the render's time line, whose 0 is where the first source begins.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from recorder.composite.layout import Seat
from recorder.composite.spec import RenderSource

REJOIN_SECONDS: Final = 3.0
"""Who is away for less keeps their place."""
STILL_SECONDS: Final = 3.0
"""A camera that gives no picture for longer was off."""
LINGER_SECONDS: Final = 1.0
"""Its last picture is shown for so long."""


@dataclass(frozen=True, slots=True)
class Span:
    """From `start` until before `end`, in seconds."""

    start: float
    end: float

    def __contains__(self, at: float) -> bool:
        return self.start <= at < self.end


@dataclass(frozen=True, slots=True)
class Extent:
    """What is in a file, in its own time: stretches with pictures, and of sound the whole."""

    pictures: tuple[Span, ...] = ()
    sound: Span | None = None

    @property
    def start(self) -> float:
        return min(span.start for span in self._spans())

    @property
    def end(self) -> float:
        return max(span.end for span in self._spans())

    def _spans(self) -> tuple[Span, ...]:
        return self.pictures if self.sound is None else (*self.pictures, self.sound)

    def __bool__(self) -> bool:
        return bool(self._spans())


@dataclass(frozen=True, slots=True)
class Footage:
    """A source and what is in it. `shift` is the file's time 0 on the render's time line."""

    source: RenderSource
    extent: Extent
    shift: float

    @property
    def sound(self) -> Span | None:
        return _shifted(self.extent.sound, self.shift) if self.extent.sound else None

    @property
    def pictures(self) -> tuple[Span, ...]:
        return tuple(_shifted(span, self.shift) for span in self.extent.pictures)


@dataclass(frozen=True, slots=True)
class _Guest:
    seat: Seat
    there: tuple[Span, ...]
    showing: tuple[tuple[Span, int], ...]  # number of the footage


class Schedule:
    """All that is known beforehand: `zero` is the recording's time of the render's time 0."""

    def __init__(self, sources: Sequence[tuple[RenderSource, Extent]]) -> None:
        """`sources` are those that have something in them, at least one."""
        self.zero = min(source.start_seconds for source, _ in sources)
        self.footage = tuple(
            Footage(source, extent, source.start_seconds - self.zero) for source, extent in sources
        )
        self.seconds = max(each.shift + each.extent.end for each in self.footage)
        self._guests = self._seat_guests()
        spans = [span for guest in self._guests for span in guest.there]
        spans += [span for guest in self._guests for span, _ in guest.showing]
        self.changes = tuple(sorted({time for span in spans for time in (span.start, span.end)}))
        """The times at which `seats` or `showing` may give something else."""

    def changed_between(self, before: float, at: float) -> bool:
        """Whether one of `changes` lies after `before` and not after `at`."""
        return bisect_right(self.changes, before) < bisect_right(self.changes, at)

    def seats(self, at: float) -> tuple[Seat, ...]:
        """Who is there, in the order of their first arrival."""
        return tuple(
            guest.seat for guest in self._guests if any(at in span for span in guest.there)
        )

    def showing(self, seat: Seat, at: float) -> int | None:
        """The number of the footage that has a picture for the seat, None when there is none.

        Of two, the one that began later: it is what followed a reconnect.
        """
        guest = next(guest for guest in self._guests if guest.seat == seat)
        return max(
            ((span.start, number) for span, number in guest.showing if at in span),
            default=(0.0, None),
            key=lambda found: found[0],
        )[1]

    def _seat_guests(self) -> tuple[_Guest, ...]:
        seats: dict[tuple[str, str], list[int]] = {}
        for number, each in enumerate(self.footage):
            if each.extent.pictures or each.source.source == "camera":
                seats.setdefault((each.source.participant_id, each.source.source), []).append(
                    number
                )
        guests = [self._guest(numbers) for numbers in seats.values()]
        return tuple(sorted(guests, key=lambda guest: guest.there[0].start))

    def _guest(self, numbers: Sequence[int]) -> _Guest:
        members = [self.footage[number] for number in numbers]
        screen = members[0].source.source == "screen"
        first = members[0].source
        spans = [
            span for each in members for span in (each.pictures if screen else (_whole(each),))
        ]
        names = (each.source.participant_name for each in members)
        return _Guest(
            Seat(
                first.participant_id,
                "screen" if screen else "camera",
                next((name for name in names if name), first.participant_id),
            ),
            merged(spans, REJOIN_SECONDS),
            tuple((span, number) for number in numbers for span in self.footage[number].pictures),
        )


def _whole(footage: Footage) -> Span:
    return Span(footage.shift + footage.extent.start, footage.shift + footage.extent.end)


def _shifted(span: Span, shift: float) -> Span:
    return Span(span.start + shift, span.end + shift)


def merged(spans: Iterable[Span], gap: float) -> tuple[Span, ...]:
    """Spans in order, those that are no more than `gap` apart made one."""
    result: list[Span] = []
    for span in sorted(spans, key=lambda span: span.start):
        if result and span.start - result[-1].end <= gap:
            result[-1] = Span(result[-1].start, max(result[-1].end, span.end))
        else:
            result.append(span)
    return tuple(result)
