"""Which sequence numbers there are, as the ranges they form. Pure.

A range takes eight bytes, however long it is, so that a set of half a million chunks that came in any
order costs a few bytes, and one of which every other is missing a few megabytes.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from copy import deepcopy
from typing import overload

NUMBER = "I"  # 32 bits, unsigned


class RangeSet(Sequence[tuple[int, int]]):
    """A growing set of numbers from 0 to 2**32 - 1; as a sequence, its ranges: first and last of each.

    The ranges ascend and have gaps between them.
    """

    __slots__ = ("_first", "_last")

    def __init__(self, numbers: Iterable[int] = ()) -> None:
        self._first = array(NUMBER)
        self._last = array(NUMBER)
        for number in numbers:
            self.add(number)

    def add(self, number: int) -> bool:
        """False when it was there already. Raises OverflowError for a number that none can be."""
        place = bisect_right(self._first, number)  # of the first range behind it
        if place and number <= self._last[place - 1]:
            return False
        joins_before = place > 0 and self._last[place - 1] == number - 1
        joins_behind = place < len(self._first) and self._first[place] == number + 1
        if joins_before and joins_behind:
            self._last[place - 1] = self._last[place]
            del self._first[place], self._last[place]
        elif joins_before:
            self._last[place - 1] = number
        elif joins_behind:
            self._first[place] = number
        else:
            self._first.insert(place, number)
            self._last.insert(place, number)
        return True

    def has(self, number: int) -> bool:
        place = bisect_left(self._last, number)  # of the first range that ends there or later
        return place < len(self._first) and self._first[place] <= number

    @property
    def next(self) -> int:
        """The number behind the highest; 0 of an empty set."""
        return self._last[-1] + 1 if self._last else 0

    @property
    def total(self) -> int:
        """How many numbers there are."""
        return sum(self._last) - sum(self._first) + len(self._first)

    def copy(self) -> RangeSet:
        return deepcopy(self)

    def __len__(self) -> int:
        return len(self._first)

    @overload
    def __getitem__(self, index: int) -> tuple[int, int]: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[tuple[int, int], ...]: ...
    def __getitem__(self, index: int | slice) -> tuple[int, int] | tuple[tuple[int, int], ...]:
        if isinstance(index, slice):
            return tuple(zip(self._first[index], self._last[index], strict=True))
        return self._first[index], self._last[index]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, RangeSet):
            return NotImplemented
        return list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"RangeSet({', '.join(f'{first}..{last}' for first, last in self)})"
