"""What a finalize job is given and what it gives back, and the port that runs it.

The job itself is `python -m recorder.finalize`, a process of its own. It writes lines of JSON to
its standard output: any number of `{"progress": 0.0..1.0}` and, last, one `{"result": {...}}` in
the form of `FinalizeResult.to_json`. When it fails it writes `{"error": {"code", "message"}}`
instead of the result and exits with a status other than 0; the code is that of `DiskFull` when all
it needs is room. It ends when its standard input reaches its end, so it does not outlive the process
that started it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from recorder.errors import JobFailed

Integrity = Mapping[str, Any]
"""The recording's `integrity` as JSON values; see `recorder.integrity`."""


@dataclass(frozen=True, slots=True)
class FinalizedFile:
    """One finished media file on local disk.

    `start_seconds` counts from the first media of the whole recording; `source` is "camera" (with
    the microphone) or "screen" (with its sound).
    """

    path: Path
    kind: str
    participant_id: str
    content_type: str
    size: int
    sha256: str  # hexadecimal
    duration_seconds: float
    width: int | None
    height: int | None
    start_seconds: float
    participant_name: str = ""
    source: str = ""


@dataclass(frozen=True, slots=True)
class FinalizeResult:
    """All files of one recording; none when no media was received.

    `failures` are reasons why some tracks' media did not become a file; their journals are worth
    keeping. `first_media_us` and `last_arrival_us` are the server's unix time in microseconds of
    the first medium and of the last record, None without media.
    """

    files: tuple[FinalizedFile, ...]
    integrity: Integrity
    failures: tuple[str, ...] = ()
    first_media_us: int | None = None
    last_arrival_us: int | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            "files": [
                {
                    "path": str(file.path),
                    "kind": file.kind,
                    "participantId": file.participant_id,
                    "contentType": file.content_type,
                    "size": file.size,
                    "sha256": file.sha256,
                    "durationSeconds": file.duration_seconds,
                    "width": file.width,
                    "height": file.height,
                    "startSeconds": file.start_seconds,
                    "participantName": file.participant_name,
                    "source": file.source,
                }
                for file in self.files
            ],
            "integrity": dict(self.integrity),
            "failures": list(self.failures),
            "firstMediaUs": self.first_media_us,
            "lastArrivalUs": self.last_arrival_us,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> FinalizeResult:
        """Raises JobFailed when `value` is not what `to_json` gives."""
        try:
            return cls(
                files=tuple(_file_from(file) for file in value["files"]),
                integrity=value["integrity"],
                failures=tuple(value["failures"]),
                first_media_us=value["firstMediaUs"],
                last_arrival_us=value["lastArrivalUs"],
            )
        except (KeyError, TypeError, ValueError) as error:
            raise JobFailed(f"the job's result is not understood: {error!r}") from error


def _file_from(value: Mapping[str, Any]) -> FinalizedFile:
    return FinalizedFile(
        path=Path(value["path"]),
        kind=value["kind"],
        participant_id=value["participantId"],
        content_type=value["contentType"],
        size=value["size"],
        sha256=value["sha256"],
        duration_seconds=value["durationSeconds"],
        width=value["width"],
        height=value["height"],
        start_seconds=value["startSeconds"],
        participant_name=value["participantName"],
        source=value["source"],
    )


class JobRunner(Protocol):
    """Runs finalize jobs somewhere else than in this process."""

    async def finalize(
        self, journals: Path, output: Path, on_progress: Callable[[float], None]
    ) -> FinalizeResult:
        """Makes the journals in `journals` into files in `output`.

        Raises JobPostponed when it may work later as things are, JobFailed when it should not.
        """
        ...
