"""What a job that assembles chunks is told: see `recorder.assemble`. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recorder.chunks.placing import Reference
from recorder.errors import JobFailed
from recorder.file_options import FileOptions, parse_file_options


@dataclass(frozen=True, slots=True)
class Spec:
    """`references` have their times in unix seconds; none without a time line."""

    folder: Path
    output: Path
    participant_id: str
    participant_name: str
    start_us: int | None
    parts: Mapping[int, Mapping[str, Any]]
    references: tuple[Reference, ...]
    options: FileOptions

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Spec:
        """Raises JobFailed naming what is wrong."""
        try:
            start_us = value["recordingStartUs"]
            found = value.get("reference", ()) if start_us is not None else ()
            return cls(
                folder=Path(value["folder"]),
                output=Path(value["output"]),
                participant_id=str(value["participantId"]),
                participant_name=str(value.get("participantName") or ""),
                start_us=None if start_us is None else int(start_us),
                parts={int(number): facts for number, facts in value["parts"].items()},
                references=tuple(
                    Reference(Path(one["path"]), start_us / 1e6 + float(one["startSeconds"]))
                    for one in found
                ),
                options=parse_file_options(value),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise JobFailed(f"the spec is not understood: {error!r}") from error

    def source(self, number: int) -> str:
        """ "camera" or "screen"."""
        return "screen" if self.parts.get(number, {}).get("source") == "screen" else "camera"
