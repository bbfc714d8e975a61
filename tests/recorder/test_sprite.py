"""Small pictures in one image, and the cues that name them."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.derived.sprite import (
    CELL,
    Cue,
    Region,
    cues_text,
    fit,
    lay_out,
    sample_times,
    shows_something,
)

SIDES = st.integers(1, 16_384)


@given(SIDES, SIDES)
def test_a_picture_fits_its_box_and_keeps_its_shape(width: int, height: int) -> None:
    small = fit(width, height, CELL)
    assert small[0] <= CELL[0]
    assert small[1] <= CELL[1]
    assert small[0] % 2 == small[1] % 2 == 0
    if min(small) > 2:  # two pixels is the least
        scale = small[0] / width
        assert abs(small[1] - height * scale) <= 1 + height / width + 1e-9


@pytest.mark.parametrize(
    ("size", "small"),
    [
        ((1280, 720), (160, 90)),
        ((720, 1280), (50, 90)),
        ((640, 480), (120, 90)),
        ((64, 48), (64, 48)),
    ],
)
def test_small_sizes(size: tuple[int, int], small: tuple[int, int]) -> None:
    assert fit(*size, CELL) == small


@given(st.lists(st.tuples(st.integers(1, 80), st.integers(1, 45)), min_size=1, max_size=100))
def test_regions_lie_in_the_image_and_never_on_one_another(halves: list[tuple[int, int]]) -> None:
    sizes = [(2 * width, 2 * height) for width, height in halves]
    (width, height), regions = lay_out(sizes)
    seen = set()
    for region, size in zip(regions, sizes, strict=True):
        assert (region.width, region.height) == size
        assert region.x + region.width <= width
        assert region.y + region.height <= height
        seen.add((region.x, region.y))
    assert len(seen) == len(sizes)
    columns = max(size[0] for size in sizes), max(size[1] for size in sizes)
    assert all(region.x % columns[0] == region.y % columns[1] == 0 for region in regions)
    assert width <= 10 * columns[0]


@given(st.floats(0, 1e5), st.floats(0, 1e6))
def test_times_are_even_and_a_hundred_at_most(begin: float, length: float) -> None:
    times = sample_times(begin, begin + length)
    assert times[0] == begin
    assert 1 <= len(times) <= 100
    if len(times) > 2:
        steps = [after - before for before, after in pairwise(times)]
        assert max(steps) - min(steps) < 1e-6 * (begin + length)
        assert len(times) == 100 or 2.5 < steps[0] <= 5.0


def test_what_shows_nothing() -> None:
    size = 160 * 90
    assert not shows_something(bytes([16]) * size)
    assert not shows_something(bytes([235]) * size)
    assert not shows_something(bytes([16, 20, 24]) * (size // 3))  # noise in the dark
    assert not shows_something(bytes([16]) * (size - 200) + bytes([235]) * 200)  # a pointer
    assert shows_something(bytes(range(16, 136)) * (size // 120))
    assert not shows_something(b"")


def test_cues_name_regions() -> None:
    cues = [
        Cue(0.0, 5.0, Region(0, 0, 160, 90)),
        Cue(3599.9995, 36_061.25, Region(160, 90, 50, 90)),
    ]
    assert cues_text("a.strip.jpg", cues) == (
        "WEBVTT\n\n"
        "00:00:00.000 --> 00:00:05.000\na.strip.jpg#xywh=0,0,160,90\n\n"
        "01:00:00.000 --> 10:01:01.250\na.strip.jpg#xywh=160,90,50,90\n"
    )
