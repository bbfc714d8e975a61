"""Who is there when."""

from __future__ import annotations

from pathlib import Path

from recorder.composite.layout import Seat
from recorder.composite.schedule import Extent, Schedule, Span
from recorder.composite.spec import RenderSource

ALICE, BOB = Seat("alice", "camera", "Alice"), Seat("bob", "camera", "Bob")
SCREEN = Seat("bob", "screen", "Bob")


def source(who: str, at: float = 0.0, kind: str = "camera") -> RenderSource:
    return RenderSource(Path(f"{who}.webm"), who, who.title(), kind, at, "")


def both(start: float, end: float) -> Extent:
    return Extent((Span(start, end),), Span(start, end))


def sound(start: float, end: float) -> Extent:
    return Extent((), Span(start, end))


def test_time_begins_with_the_first_source() -> None:
    schedule = Schedule([(source("alice", 7.0), both(0, 2)), (source("bob", 5.0), both(0.5, 9))])
    assert (schedule.zero, schedule.seconds) == (5.0, 9.0)
    assert schedule.seats(0.4) == ()
    assert schedule.seats(1.0) == (BOB,)
    assert schedule.seats(2.5) == (BOB, ALICE)
    assert schedule.seats(9.0) == ()


def test_a_short_absence_keeps_the_seat_and_a_long_one_does_not() -> None:
    schedule = Schedule(
        [(source("bob", at), both(0, 2)) for at in (0.0, 4.0, 20.0)]
        + [(source("alice"), both(0, 22))]
    )
    assert BOB in schedule.seats(3.0)
    assert schedule.showing(BOB, 3.0) is None
    assert schedule.showing(BOB, 5.0) == 1
    assert schedule.seats(10.0) == (ALICE,)
    assert schedule.seats(21.0) == (BOB, ALICE)


def test_of_two_files_the_later_has_the_picture() -> None:
    schedule = Schedule([(source("bob"), both(0, 6)), (source("bob", 4.0), both(0, 6))])
    assert [schedule.showing(BOB, at) for at in (3.0, 5.0, 9.0)] == [0, 1, 1]
    assert schedule.seats(5.0) == (BOB,)


def test_a_screen_is_there_as_long_as_its_pictures() -> None:
    schedule = Schedule(
        [
            (source("bob"), sound(0, 10)),
            (source("bob", 2.0, "screen"), Extent((Span(0, 3),), Span(0, 8))),
        ]
    )
    assert schedule.seats(3.0) == (BOB, SCREEN)
    assert schedule.seats(6.0) == (BOB,)
    assert schedule.seconds == 10.0


def test_sound_of_a_screen_alone_has_no_seat() -> None:
    schedule = Schedule([(source("alice"), both(0, 2)), (source("bob", 0, "screen"), sound(0, 2))])
    assert schedule.seats(1.0) == (ALICE,)


def test_every_change_is_announced() -> None:
    schedule = Schedule([(source("alice"), both(0, 2)), (source("bob", 1.0), both(0, 2))])
    assert schedule.changes == (0.0, 1.0, 2.0, 3.0)
    assert schedule.changed_between(0.9, 1.0)
    assert not schedule.changed_between(1.0, 1.9)


def test_who_has_no_name_is_called_by_id() -> None:
    nameless = RenderSource(Path("a.webm"), "PA_1", "", "camera", 0.0, "")
    assert Schedule([(nameless, both(0, 1))]).seats(0.5) == (Seat("PA_1", "camera", "PA_1"),)
