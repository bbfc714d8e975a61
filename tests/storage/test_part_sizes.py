"""How objects are cut: never more than 10,000 parts, none too small, none too large."""

from __future__ import annotations

from itertools import accumulate, islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.objects.part_sizes import (
    LARGEST_OBJECT,
    LARGEST_PART,
    MAX_PARTS,
    MEBIBYTE,
    SMALLEST_PART,
    USUAL_PART,
    file_part_size,
    growing_part_sizes,
    part_size,
)

GIBIBYTE = 1 << 30


@given(st.integers(0, LARGEST_OBJECT))
def test_every_object_fits_the_limits_of_every_store(total: int) -> None:
    size = part_size(total)
    assert SMALLEST_PART <= size <= LARGEST_PART
    assert -(-total // size) <= MAX_PARTS
    assert size % MEBIBYTE == 0


@pytest.mark.parametrize(
    ("total", "size"),
    [
        (0, USUAL_PART),
        (1, USUAL_PART),
        (USUAL_PART * MAX_PARTS, USUAL_PART),
        (USUAL_PART * MAX_PARTS + 1, USUAL_PART + MEBIBYTE),
        (60 * GIBIBYTE, USUAL_PART),
        (100 * GIBIBYTE, 11 * MEBIBYTE),
        (LARGEST_OBJECT, 525 * MEBIBYTE),
    ],
)
def test_parts_are_as_usual_until_there_would_be_too_many(total: int, size: int) -> None:
    assert part_size(total) == size


def test_another_usual_size_is_kept() -> None:
    assert part_size(GIBIBYTE, SMALLEST_PART) == SMALLEST_PART
    assert part_size(60 * GIBIBYTE, SMALLEST_PART) == 7 * MEBIBYTE


@pytest.mark.parametrize("total", [-1, LARGEST_OBJECT + 1])
def test_what_no_store_takes_is_refused(total: int) -> None:
    with pytest.raises(ValueError, match="larger than any store takes"):
        part_size(total)


@pytest.mark.parametrize(
    ("total", "size"),
    [
        (0, USUAL_PART),
        (32 * USUAL_PART, USUAL_PART),
        (32 * USUAL_PART + 1, USUAL_PART + MEBIBYTE),
        (GIBIBYTE, 32 * MEBIBYTE),
        (60 * GIBIBYTE, 32 * MEBIBYTE),
        (32 * MEBIBYTE * MAX_PARTS, 32 * MEBIBYTE),
        (32 * MEBIBYTE * MAX_PARTS + 1, 33 * MEBIBYTE),
    ],
)
def test_a_large_file_goes_in_few_parts_none_of_them_long_to_repeat(total: int, size: int) -> None:
    assert file_part_size(total) == size


@pytest.mark.parametrize("usual", [SMALLEST_PART, USUAL_PART, 100 * MEBIBYTE])
def test_parts_of_a_stream_suffice_for_256_gibibytes(usual: int) -> None:
    sizes = list(growing_part_sizes(usual))
    assert len(sizes) == MAX_PARTS
    assert sizes == sorted(sizes)
    assert all(SMALLEST_PART <= size <= LARGEST_PART for size in sizes)
    assert sum(sizes) >= 256 * GIBIBYTE


def test_parts_of_a_stream_grow_only_with_what_is_large() -> None:
    sizes = list(growing_part_sizes(SMALLEST_PART))
    ends = list(accumulate(sizes))
    assert set(islice(sizes, MAX_PARTS // 2)) == {SMALLEST_PART}
    small = [size for size, end in zip(sizes, ends, strict=True) if end <= 100 * GIBIBYTE]
    assert max(small) <= 80 * MEBIBYTE, "three of them are in memory at a time"
