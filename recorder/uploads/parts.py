"""Whether the parts in a store make the file that was announced. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from recorder.errors import BadUpload, UploadIncomplete
from recorder.uploads.limits import part_count, size_of_part
from storage.objects import Part

MOST_NAMED = 100  # numbers of parts in an answer


@dataclass(frozen=True, slots=True)
class Plan:
    """How a file of `size` bytes is cut."""

    size: int
    part_size: int

    @property
    def count(self) -> int:
        return part_count(self.size, self.part_size)

    def size_of(self, number: int) -> int:
        return size_of_part(self.size, self.part_size, number)

    def check_numbers(self, numbers: Sequence[int]) -> None:
        """Raises BadUpload."""
        if not numbers or any(not 1 <= number <= self.count for number in numbers):
            raise BadUpload(
                f"partNumbers have to be from 1 to {self.count}",
                code="bad_part_numbers",
                details={"parts": self.count},
            )

    def check_named(self, parts: Sequence[Part]) -> None:
        """What a client says there is, where the store knows. Raises BadUpload for numbers that
        stand twice or that no part has.
        """
        _check_distinct(part.number for part in parts)
        if strange := [part.number for part in parts if not 1 <= part.number <= self.count]:
            raise BadUpload(
                f"`parts` names part {strange[0]}, and the file has {self.count}", code="bad_parts"
            )

    def check(self, parts: Iterable[Part]) -> tuple[Part, ...]:
        """The parts in order. A size of 0 is one that nobody knows.

        Raises UploadIncomplete where parts are missing or of another size, BadUpload where numbers
        stand twice or no part has them.
        """
        ordered = sorted(parts, key=lambda part: part.number)
        _check_distinct(part.number for part in ordered)
        found = {part.number: part for part in ordered}
        missing = [number for number in range(1, self.count + 1) if number not in found]
        wrong = [
            part.number
            for part in ordered
            if not 1 <= part.number <= self.count
            or (part.size and part.size != self.size_of(part.number))
        ]
        if missing or wrong:
            raise UploadIncomplete(
                f"{len(missing)} of {self.count} parts have not arrived"
                f" and {len(wrong)} are not of the size that was agreed on: send them (again)",
                details={
                    "missing": missing[:MOST_NAMED],
                    "wrongSize": wrong[:MOST_NAMED],
                    "partSize": self.part_size,
                    "parts": self.count,
                },
            )
        return tuple(ordered)


def _check_distinct(numbers: Iterable[int]) -> None:
    seen: set[int] = set()
    for number in numbers:
        if number in seen:
            raise BadUpload(f"part {number} stands twice in `parts`", code="bad_parts")
        seen.add(number)
