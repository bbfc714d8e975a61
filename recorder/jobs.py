"""What jobs are given and what they give back, and the port that runs them.

A job is a process of its own: `python -m recorder.finalize` makes journals into files,
`python -m recorder.render` makes files into a composite. It writes lines of JSON to its standard
output: any number of `{"progress": 0.0..1.0}` and, last, one `{"result": {...}}` in the form of
`FinalizeResult.to_json` (of a render the `files` alone matter, the composite first). When it fails it
writes `{"error": {"code", "message"}}` instead of the result and exits with a status other than 0;
the code is that of `DiskFull` when all it needs is room. It ends when its standard input reaches its
end, so it does not outlive the process that started it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from recorder.errors import JobFailed

JobKind = Literal["finalize", "render", "assemble", "probe", "transcode"]
"""`assemble` makes client chunks into files, `probe` looks into a file that a user brought, `transcode`
makes other sizes of it. See `signaling.jobs.PROGRAMS` for their modules.
"""

Integrity = Mapping[str, Any]
"""The recording's `integrity` as JSON values; see `recorder.integrity`."""


@dataclass(frozen=True, slots=True)
class FinalizedFile:
    """One finished media file on local disk.

    `start_seconds` counts from the first media of the whole recording; `source` is "camera" (with
    the microphone) or "screen" (with its sound). A file made of another one names it in
    `derived_from` (the file's name, beside it) and says in `role` what of it this is: "poster",
    "strip" (small pictures side by side), "cues" (which of them belongs to which time), "playlist"
    or "media" (what the playlist plays).
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
    role: str = ""
    derived_from: str | None = None


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
                    "role": file.role,
                    "derivedFrom": file.derived_from,
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
        role=value["role"],
        derived_from=value["derivedFrom"],
    )


def rendered_files(value: Mapping[str, Any]) -> tuple[FinalizedFile, ...]:
    """The files of a render's result, the composite first. Raises JobFailed when there is none."""
    try:
        files = tuple(_file_from(file) for file in value["files"])
    except (KeyError, TypeError, ValueError) as error:
        raise JobFailed(f"the job's result is not understood: {error!r}") from error
    if not files or files[0].kind != "composite":
        raise JobFailed("the job's result is not understood: it has no composite")
    return files


class JobRunner(Protocol):
    """Runs jobs somewhere else than in this process.

    Both raise JobPostponed when it may work later as things are, JobFailed when it should not. A
    caller that is cancelled cancels the job, and no process of it is left.
    """

    async def finalize(
        self,
        journals: Path,
        output: Path,
        on_progress: Callable[[float], None],
        options: Mapping[str, Any],
    ) -> FinalizeResult:
        """Makes the journals in `journals` into files in `output`; `options` are the recording's."""
        ...

    async def render(
        self, spec: Path, on_progress: Callable[[float], None]
    ) -> tuple[FinalizedFile, ...]:
        """Makes the composite that the JSON file `spec` describes; it comes first, what was made of
        it (poster, strip, cues) follows.
        """
        ...


class Tools(Protocol):
    """Runs jobs of any kind, as `JobRunner` does those that have methods of their own."""

    async def run(
        self, kind: JobKind, arguments: Sequence[str], on_progress: Callable[[float], None]
    ) -> dict[str, Any]:
        """The job's result as it said it. Raises JobPostponed, JobFailed."""
        ...
