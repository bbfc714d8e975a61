"""Who stands where: for every number of people, on every canvas."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.composite.layout import MOST_TILES, Rectangle, Seat, Tile, arrange, fit

SIZES = [(1280, 720), (1920, 1080)]


def cameras(count: int) -> list[Seat]:
    return [Seat(f"p{number}", "camera") for number in range(count)]


def rows_of(tiles: tuple[Tile, ...]) -> list[int]:
    """How many tiles each row has, from the top."""
    tops = [tile.rectangle.y for tile in tiles]
    return [tops.count(top) for top in sorted(set(tops))]


def apart(one: Rectangle, other: Rectangle) -> bool:
    return (
        one.x + one.width <= other.x
        or other.x + other.width <= one.x
        or one.y + one.height <= other.y
        or other.y + other.height <= one.y
    )


def check_sound(tiles: tuple[Tile, ...], size: tuple[int, int]) -> None:
    for tile in tiles:
        place = tile.rectangle
        numbers = (place.x, place.y, place.width, place.height)
        assert all(number % 2 == 0 for number in numbers), place
        assert place.x >= 0
        assert place.y >= 0
        assert place.width > 0
        assert place.height > 0
        assert place.x + place.width <= size[0]
        assert place.y + place.height <= size[1]
    for one, other in combinations(tiles, 2):
        assert apart(one.rectangle, other.rectangle), (one, other)


@pytest.mark.parametrize(
    ("count", "rows"),
    [
        (1, [1]), (2, [2]), (3, [2, 1]), (4, [2, 2]), (5, [3, 2]), (6, [3, 3]), (7, [3, 2, 2]),
        (8, [3, 3, 2]), (9, [3, 3, 3]), (10, [4, 3, 3]), (11, [4, 4, 3]), (12, [4, 4, 4]),
        (13, [4, 3, 3, 3]), (14, [4, 4, 3, 3]), (15, [4, 4, 4, 3]), (16, [4, 4, 4, 4]),
        (17, [5, 4, 4, 4]), (20, [5, 5, 5, 5]), (25, [5, 5, 5, 5, 5]),
    ],
)  # fmt: skip
@pytest.mark.parametrize("size", SIZES)
def test_a_grid_has_balanced_rows(count: int, rows: list[int], size: tuple[int, int]) -> None:
    tiles = arrange("grid", cameras(count), size)
    assert rows_of(tiles) == rows
    assert [tile.seat for tile in tiles] == cameras(count)
    assert len({(tile.rectangle.width, tile.rectangle.height) for tile in tiles}) == 1
    check_sound(tiles, size)


@pytest.mark.parametrize("count", [26, 30, 500])
def test_too_many_people_are_counted_in_the_last_place(count: int) -> None:
    tiles = arrange("grid", cameras(count), SIZES[0])
    assert len(tiles) == MOST_TILES
    assert [tile.seat for tile in tiles[:-1]] == cameras(MOST_TILES - 1)
    assert (tiles[-1].seat, tiles[-1].more) == (None, count - MOST_TILES + 1)


def test_one_alone_has_the_whole_picture() -> None:
    for layout in ("grid", "speaker"):
        (tile,) = arrange(layout, cameras(1), SIZES[0])
        assert tile.rectangle == Rectangle(0, 0, 1280, 720)


def test_nobody_leaves_the_picture_empty() -> None:
    for layout in ("grid", "speaker", "single"):
        assert arrange(layout, [], SIZES[0], speaker="p1", focus="p1") == ()


def test_a_screen_has_the_large_place_and_its_camera_comes_first() -> None:
    seats = [*cameras(3), Seat("p1", "screen")]
    for layout in ("grid", "speaker"):
        large, *column = arrange(layout, seats, SIZES[0], speaker="p0")
        assert large.seat == Seat("p1", "screen")
        assert [tile.seat for tile in column] == [seats[1], seats[0], seats[2]]
        assert large.rectangle.width > 3 * column[0].rectangle.width
        assert {tile.rectangle.x for tile in column} == {column[0].rectangle.x}


def test_of_two_screens_the_later_is_large() -> None:
    seats = [*cameras(2), Seat("p0", "screen"), Seat("p1", "screen")]
    large, *column = arrange("grid", seats, SIZES[0])
    assert large.seat == seats[3]
    assert [tile.seat for tile in column] == [seats[1], seats[0], seats[2]]


def test_the_speaker_is_large_and_the_others_keep_their_order() -> None:
    large, *column = arrange("speaker", cameras(4), SIZES[0], speaker="p2")
    assert large.seat == Seat("p2", "camera")
    assert [tile.seat.participant_id for tile in column if tile.seat] == ["p0", "p1", "p3"]


@pytest.mark.parametrize("speaker", [None, "somebody who left"])
def test_without_a_speaker_the_first_is_large(speaker: str | None) -> None:
    large, *_ = arrange("speaker", cameras(3), SIZES[0], speaker=speaker)
    assert large.seat == Seat("p0", "camera")


def test_a_long_column_counts_the_rest() -> None:
    tiles = arrange("speaker", cameras(40), SIZES[0], speaker="p0")
    check_sound(tiles, SIZES[0])
    shown = sum(tile.seat is not None for tile in tiles)
    assert shown + tiles[-1].more == 40


@pytest.mark.parametrize(
    ("speaker", "focus", "expected"),
    [
        (None, "p1", ["p1"]), ("p0", "p1", ["p1"]), ("p2", None, ["p2"]),
        (None, "absent", []), (None, None, []),
    ],
)  # fmt: skip
def test_single_shows_one(speaker: str | None, focus: str | None, expected: list[str]) -> None:
    tiles = arrange("single", cameras(3), SIZES[0], speaker=speaker, focus=focus)
    assert [tile.seat.participant_id for tile in tiles if tile.seat] == expected


def test_single_shows_the_screen_of_its_focus_beside_the_camera() -> None:
    seats = [*cameras(3), Seat("p1", "screen"), Seat("p2", "screen")]
    tiles = arrange("single", seats, SIZES[0], focus="p1")
    assert [tile.seat for tile in tiles] == [seats[3], seats[1]]


@given(
    layout=st.sampled_from(["grid", "speaker", "single"]),
    size=st.sampled_from(SIZES),
    sources=st.lists(
        st.tuples(st.integers(0, 40), st.sampled_from(["camera", "screen"])), max_size=60
    ),
    speaker=st.one_of(st.none(), st.integers(0, 40).map(lambda number: f"p{number}")),
)
def test_any_company_stands_within_the_picture_and_apart(
    layout: str, size: tuple[int, int], sources: list[tuple[int, str]], speaker: str | None
) -> None:
    seats = list(dict.fromkeys(Seat(f"p{number}", source) for number, source in sources))  # type: ignore[arg-type]
    tiles = arrange(layout, seats, size, speaker=speaker)
    check_sound(tiles, size)
    shown = [tile.seat for tile in tiles if tile.seat is not None]
    assert len(shown) == len(set(shown))
    if layout != "single":
        assert len(shown) + sum(tile.more for tile in tiles) == len(seats)


@given(
    picture=st.tuples(st.integers(1, 8000), st.integers(1, 8000)),
    box=st.tuples(
        st.integers(2, 1000).map(lambda n: 2 * n), st.integers(2, 600).map(lambda n: 2 * n)
    ),
)
def test_a_picture_fits_its_box_and_keeps_its_shape(
    picture: tuple[int, int], box: tuple[int, int]
) -> None:
    width, height = fit(picture, box)
    assert width % 2 == height % 2 == 0
    assert 2 <= width <= box[0]
    assert 2 <= height <= box[1]
    assert width >= box[0] - 1 or height >= box[1] - 1 or min(width, height) == 2
    assert (
        abs(width * picture[1] - height * picture[0]) <= 2 * max(picture) or min(width, height) == 2
    )
