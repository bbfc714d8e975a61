"""The job that makes a participant's chunks into files: `python -m recorder.assemble --spec FILE`.

FILE is JSON:

    folder             where the chunks are: <part>/<sequence // 1000>/<sequence>
    output             where the files go; made if need be
    participantId, participantName
    recordingStartUs   unix time in microseconds at which the recording's time line begins; null: the
                       first media of these chunks is its beginning
    parts              by number: {mimeType?, source?, startedAt?, clockOffsetMs?, lastSequence?}
    reference          files of the server with this participant's sound: [{path, startSeconds}]
    thumbnails, hlsMinutes   as in `recorder.file_options`

What it prints is described in `recorder.jobs`. Each part with media becomes a file of the kind "client",
and what is made of it follows. It can be stopped at any instant and run again: chunks are only read,
files are replaced whole, and the same chunks give the same names. A part of which nothing can be played
is named in `failures`, and does not keep the others from being made.

In `integrity`, beside the tracks, `parts` says of each: `chunks`, `bytes` and `sha256` of what came, in
order; `missing` ranges of sequence numbers, the first ones and the last; `container`; `alignment` (how
its place on the time line was found, see `recorder.chunks.placing`); `headerOf`, the part that lent its
header, `pauses` (how long, and how that was found), `problem` and `decodedSeconds` where there is
something to say.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from recorder.chunks.assembly import AssembledPart, digest_of
from recorder.chunks.making import KIND, Part, PartMaker
from recorder.chunks.parts import PartChunks, numbers_in, open_part
from recorder.chunks.spec import Spec
from recorder.derived.hls import make_hls
from recorder.derived.thumbnails import derive
from recorder.errors import ChunksUnreadable, JobFailed, NothingRecorded, RecorderError
from recorder.job_process import DISK_TROUBLE, end_with_parent, refusal, say, say_last
from recorder.jobs import FinalizedFile, FinalizeResult
from recorder.local_files import locked, sweep_partial

_MAX_REASON: Final = 300
_STEP: Final = 0.01

Progress = Callable[[float], None]


def assemble(spec: Spec, on_progress: Progress) -> FinalizeResult:
    """Makes all files of one participant's chunks.

    Raises DiskFull when there is no room, JobFailed when the disk refuses for another reason;
    everything else ends up in the result.
    """
    spec.output.mkdir(parents=True, exist_ok=True)
    sweep_partial(spec.output)
    job = _Job(spec, _parts_of(spec), on_progress)
    for part in job.parts:
        job.make(part)
    job.derive()
    on_progress(1.0)
    return job.result()


def _parts_of(spec: Spec) -> list[Part]:
    """Those that came, and those that somebody said would come."""
    came = numbers_in(spec.folder) if spec.folder.is_dir() else []
    found = []
    for number in sorted({*came, *spec.parts}):
        folder = spec.folder / str(number)
        chunks = open_part(folder) if folder.is_dir() else PartChunks(folder, (), 0, 0, None)
        last = spec.parts.get(number, {}).get("lastSequence")
        found.append(Part(number, chunks, chunks.missing(last if isinstance(last, int) else None)))
    return found


class _Job:
    """One run over one set. Supervises: one bad part does no harm to the others."""

    def __init__(self, spec: Spec, parts: list[Part], on_progress: Progress) -> None:
        self.parts = parts
        self._spec = spec
        self._on_progress = on_progress
        self._told = 0.0
        self._failures: list[str] = []
        self._derived: list[FinalizedFile] = []
        self._not_derived: list[str] = []
        self._total = max(sum(part.chunks.size for part in parts), 1)
        self._done = 0  # bytes of the parts before
        chunks = {part.number: part.chunks for part in parts}
        self._maker = PartMaker(spec, chunks, self._tell)

    def make(self, part: Part) -> None:
        """Makes the file of a part. Raises JobFailed when the disk is to blame."""
        try:
            if part.chunks.size:
                self._maker.make(part)
            elif part.missing:
                raise ChunksUnreadable("none of its chunks came")
        except NothingRecorded as error:
            self._maker.undo(part, error)
            part.digest = digest_of(part.chunks)
        except Exception as error:  # noqa: BLE001  supervises: it is told, and the others are made
            self._maker.undo(part, error)
            part.problem = _said(error)
            part.digest = part.digest or digest_of(part.chunks)
        if (
            part.made is None and part.problem
        ) or part.lender is not None:  # so its chunks are kept
            self._failures.append(f"part {part.number}: {part.problem}")
        self._done += part.chunks.size

    def derive(self) -> None:
        """Makes what is made of the files. Raises JobFailed when the disk is to blame."""
        for file, made in self._originals():
            makers = [derive] if self._spec.options.thumbnails else []
            if self._spec.options.wants_hls(file.duration_seconds) and not made.reordered:
                makers.append(make_hls)
            for make in makers:
                try:
                    self._derived += make(file)
                except Exception as error:
                    sweep_partial(self._spec.output)
                    if getattr(error, "errno", None) in DISK_TROUBLE:
                        raise refusal(error, f"{file.path.name}: ") from error
                    self._not_derived.append(f"{file.path.name}: {_said(error)}")

    def result(self) -> FinalizeResult:
        whole = not self._failures and not any(part.missing or part.problem for part in self.parts)
        arrivals = [part.chunks.last_arrival for part in self.parts if part.chunks.last_arrival]
        begins = self._begins()
        return FinalizeResult(
            files=(*(file for file, _ in self._originals()), *self._derived),
            integrity={
                "tracks": list(self._tracks()),
                "audioVideoOffsetMs": None,
                "parts": [part.to_json() for part in self.parts],
                "notDerived": list(self._not_derived),
                "complete": whole
                and bool(begins)
                and all(ledger.complete for part in self.parts for ledger in part.ledgers),
            },
            failures=tuple(self._failures),
            first_media_us=round(min(begins) * 1e6) if begins else None,
            last_arrival_us=round(max(arrivals) * 1e6) if arrivals else None,
        )

    def _tracks(self) -> Iterator[dict[str, Any]]:
        for part in self.parts:
            for ledger in part.ledgers:
                yield ledger.to_json(-self._start_seconds(part) * 1e6)

    def _begins(self) -> list[float]:
        return [part.placed.begins for part in self.parts if part.made and part.placed]

    def _start_seconds(self, part: Part) -> float:
        """Of the part's file, on the recording's time line."""
        assert part.placed is not None
        start_us = self._spec.start_us
        zero = min(self._begins()) if start_us is None else start_us / 1e6
        return part.placed.begins - zero

    def _originals(self) -> list[tuple[FinalizedFile, AssembledPart]]:
        return [
            (self._finalized(part, part.made), part.made)
            for part in self.parts
            if part.made is not None and part.placed is not None
        ]

    def _finalized(self, part: Part, made: AssembledPart) -> FinalizedFile:
        width, height = made.picture or (None, None)
        return FinalizedFile(
            path=made.path,
            kind=KIND,
            participant_id=self._spec.participant_id,
            content_type=made.content_type,
            size=made.size,
            sha256=made.sha256,
            duration_seconds=round(made.duration_seconds, 3),
            width=width,
            height=height,
            start_seconds=round(self._start_seconds(part), 3),
            participant_name=self._spec.participant_name,
            source=self._spec.source(part.number),
        )

    def _tell(self, part: Part, share: float) -> None:
        progress = 0.95 * (self._done + share * part.chunks.size) / self._total
        if progress - self._told >= _STEP:
            self._told = progress
            self._on_progress(round(progress, 3))


def _said(error: Exception) -> str:
    expected = isinstance(error, RecorderError | OSError)
    return (str(error) if expected else repr(error))[:_MAX_REASON]


def read_spec(path: Path) -> Spec:
    """Raises JobFailed, OSError."""
    try:
        value = json.loads(path.read_bytes())
    except ValueError as error:
        raise JobFailed(f"the spec is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise JobFailed("the spec is not a JSON object")
    return Spec.from_json(value)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m recorder.assemble")
    parser.add_argument("--spec", type=Path, required=True)
    given = parser.parse_args(arguments)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in a terminal is meant for the server
    end_with_parent()

    def work() -> dict[str, Any]:
        spec = read_spec(given.spec)
        spec.output.mkdir(parents=True, exist_ok=True)
        with locked(spec.output):
            return assemble(spec, lambda value: say({"progress": value})).to_json()

    return say_last(work)


if __name__ == "__main__":
    sys.exit(main())
