"""Who stands where in the picture (pure).

All coordinates and sizes are even: chroma has half the resolution. `arrange` is a function of who is
there and nothing else, so the same people stand in the same places.

    grid      all alike, in balanced rows; a shared screen gets the large place, with the camera of
              who shares it first in the column beside it
    speaker   whoever speaks, or the shared screen, in the large place, the others in the column
    single    one participant (`focus`, or whoever speaks) and nobody else
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

SourceKind = Literal["camera", "screen"]

MOST_TILES: Final = 25
"""More people than that are counted in the last place, not shown."""
_COLUMN_SHARE: Final = 5  # the column beside the large place is one part of so many of the width
_GAP_SHARE: Final = 180  # and the gap between tiles one of so many of the height


@dataclass(frozen=True, slots=True)
class Rectangle:
    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Seat:
    """What can be shown in one place: a participant's camera, or the screen they share."""

    participant_id: str
    source: SourceKind
    name: str = ""


@dataclass(frozen=True, slots=True)
class Tile:
    """A place and who has it; `seat` is None for the place that counts `more` people."""

    rectangle: Rectangle
    seat: Seat | None
    more: int = 0


def arrange(
    layout: str,
    seats: Sequence[Seat],
    size: tuple[int, int],
    *,
    speaker: str | None = None,
    focus: str | None = None,
) -> tuple[Tile, ...]:
    """The tiles for `seats`, which come in the order of their arrival, on a canvas of `size`
    (width, height). `speaker` and `focus` are participants' ids."""
    shared = [seat for seat in seats if seat.source == "screen"]
    if layout == "single":
        chosen = focus if focus is not None else speaker
        seats = [seat for seat in seats if seat.participant_id == chosen]
        shared = [seat for seat in seats if seat.source == "screen"]
    if not seats:
        return ()
    if shared:
        return _stage(shared[-1], _sharer_first(shared[-1], seats), size)
    if layout == "speaker":
        large = next((seat for seat in seats if seat.participant_id == speaker), seats[0])
        return _stage(large, [seat for seat in seats if seat != large], size)
    return _grid(seats, size)


def fit(picture: tuple[int, int], box: tuple[int, int]) -> tuple[int, int]:
    """The largest even size of the shape of `picture` that fits into `box`, at least 2 x 2."""
    width, height = max(picture[0], 1), max(picture[1], 1)
    scale = min(box[0] / width, box[1] / height)
    return (
        max(2, min(_even(width * scale + 1), _even(box[0]))),
        max(2, min(_even(height * scale + 1), _even(box[1]))),
    )


def _sharer_first(screen: Seat, seats: Sequence[Seat]) -> list[Seat]:
    others = [seat for seat in seats if seat != screen]
    return sorted(others, key=lambda seat: seat.participant_id != screen.participant_id)


def _grid(seats: Sequence[Seat], size: tuple[int, int]) -> tuple[Tile, ...]:
    width, height = size
    if len(seats) == 1:
        return (Tile(Rectangle(0, 0, width, height), seats[0]),)
    gap = _gap(height)
    occupants = _occupants(seats, MOST_TILES)
    count = len(occupants)
    tile, columns = max(
        (
            (_shape(size, columns, math.ceil(count / columns)), columns)
            for columns in range(1, count + 1)
        ),
        key=lambda choice: (choice[0][0] * choice[0][1], choice[1]),
    )
    rows = math.ceil(count / columns)
    top = (height - rows * tile[1] - (rows - 1) * gap) / 2
    tiles: list[Tile] = []
    for row in range(rows):
        members = occupants[_cut(count, rows, row) : _cut(count, rows, row + 1)]
        left = (width - len(members) * tile[0] - (len(members) - 1) * gap) / 2
        for number, (seat, more) in enumerate(members):
            place = Rectangle(
                _even(left) + number * (tile[0] + gap), _even(top) + row * (tile[1] + gap), *tile
            )
            tiles.append(Tile(place, seat, more))
    return tuple(tiles)


def _cut(count: int, rows: int, row: int) -> int:
    """Where row `row` begins when `count` are spread over `rows`, the fuller rows first."""
    return row * (count // rows) + min(row, count % rows)


def _shape(size: tuple[int, int], columns: int, rows: int) -> tuple[int, int]:
    """The largest 16:9 tile of which so many fit."""
    gap = _gap(size[1])
    wide = (size[0] - (columns - 1) * gap) / columns
    high = (size[1] - (rows - 1) * gap) / rows
    width = _even(min(wide, high * 16 / 9))
    return max(2, width), max(2, _even(min(high, width * 9 / 16 + 1)))


def _stage(large: Seat, others: Sequence[Seat], size: tuple[int, int]) -> tuple[Tile, ...]:
    """One large place and, when there is anybody else, a column at its right."""
    width, height = size
    if not others:
        return (Tile(Rectangle(0, 0, width, height), large),)
    gap = _gap(height)
    small = (_even(width / _COLUMN_SHARE), _even(width / _COLUMN_SHARE * 9 / 16))
    wide = width - small[0] - gap
    tiles = [Tile(Rectangle(0, 0, wide, height), large)]
    column = _occupants(others, (height + gap) // (small[1] + gap))
    top = _even((height - len(column) * (small[1] + gap) + gap) / 2)
    for number, (seat, more) in enumerate(column):
        place = Rectangle(wide + gap, top + number * (small[1] + gap), *small)
        tiles.append(Tile(place, seat, more))
    return tuple(tiles)


def _occupants(seats: Sequence[Seat], places: int) -> list[tuple[Seat | None, int]]:
    """Who has the places: all, or as many as there is room for and the number of the rest."""
    if len(seats) <= places:
        return [(seat, 0) for seat in seats]
    shown: list[tuple[Seat | None, int]] = [(seat, 0) for seat in seats[: places - 1]]
    return [*shown, (None, len(seats) - places + 1)]


def _gap(height: int) -> int:
    return _even(height / _GAP_SHARE)


def _even(value: float) -> int:
    return int(value) & ~1
