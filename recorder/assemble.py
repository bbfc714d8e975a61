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
its place on the time line was found, see `recorder.chunks.placing`); `problem` and `decodedSeconds`
where there is something to say.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from recorder.chunks.assembly import AssembledPart, assemble_part, digest_of
from recorder.chunks.checking import Checked, check_file
from recorder.chunks.hearing import compare
from recorder.chunks.parts import PartChunks, numbers_in, open_part
from recorder.chunks.placing import Placed, Reference, place, said_to_begin
from recorder.chunks.settling import named
from recorder.derived import derive, make_hls
from recorder.errors import ChunksUnreadable, JobFailed, RecorderError
from recorder.file_options import FileOptions, parse_file_options
from recorder.integrity import MAX_ENTRIES, TrackLedger
from recorder.job_process import DISK_TROUBLE, end_with_parent, refusal, say, say_last
from recorder.jobs import FinalizedFile, FinalizeResult
from recorder.local_files import locked, sweep_partial

KIND: Final = "client"
_MAX_REASON: Final = 300
_STEP: Final = 0.01
_ASSEMBLED, _CHECKED = 0.4, 0.9  # of the work on all parts

Progress = Callable[[float], None]


@dataclass(frozen=True, slots=True)
class Spec:
    """See the module. `references` have their times in unix seconds; none without a time line."""

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


@dataclass(slots=True)
class _Part:
    """What is known of a part, more and more."""

    number: int
    chunks: PartChunks
    missing: list[list[int]]
    digest: str = ""
    made: AssembledPart | None = None
    checked: Checked | None = None
    placed: Placed | None = None
    problem: str | None = None
    ledgers: list[TrackLedger] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        told: dict[str, Any] = {
            "part": self.number,
            "chunks": self.chunks.chunks,
            "bytes": self.chunks.size,
            "sha256": self.digest,
            "missing": named(self.missing, MAX_ENTRIES - 1),
            "container": self.made.container if self.made else None,
        }
        if self.placed is not None:
            told["alignment"] = self.placed.to_json()
        if self.checked is not None and self.checked.until is not None:
            told["decodedSeconds"] = self.checked.until
        if self.problem is not None:
            told["problem"] = self.problem
        return told


def assemble(spec: Spec, on_progress: Progress) -> FinalizeResult:
    """Makes all files of one participant's chunks.

    Raises DiskFull when there is no room, JobFailed when the disk refuses for another reason;
    everything else ends up in the result.
    """
    spec.output.mkdir(parents=True, exist_ok=True)
    sweep_partial(spec.output)
    numbers = sorted({*_numbers(spec.folder), *spec.parts})
    job = _Job(spec, [_looked_at(spec, number) for number in numbers], on_progress)
    for part in job.parts:
        job.make(part)
    job.derive()
    on_progress(1.0)
    return job.result()


def _numbers(folder: Path) -> list[int]:
    return numbers_in(folder) if folder.is_dir() else []


def _looked_at(spec: Spec, number: int) -> _Part:
    folder = spec.folder / str(number)
    chunks = open_part(folder) if folder.is_dir() else PartChunks(folder, (), 0, 0, None)
    last = spec.parts.get(number, {}).get("lastSequence")
    return _Part(number, chunks, chunks.missing(last if isinstance(last, int) else None))


class _Job:
    """One run over one set. Supervises: one bad part does no harm to the others."""

    def __init__(self, spec: Spec, parts: list[_Part], on_progress: Progress) -> None:
        self.parts = parts
        self._spec = spec
        self._on_progress = on_progress
        self._told = 0.0
        self._failures: list[str] = []
        self._derived: list[FinalizedFile] = []
        self._not_derived: list[str] = []
        self._total = max(sum(part.chunks.size for part in parts), 1)
        self._done = 0  # bytes of the parts before

    def make(self, part: _Part) -> None:
        """Makes the file of a part. Raises JobFailed when the disk is to blame."""
        try:
            if part.chunks.size:
                self._assemble(part)
                self._check(part)
                self._place(part)
            elif part.missing:
                raise ChunksUnreadable("none of its chunks came")
        except Exception as error:
            sweep_partial(self._spec.output)
            if getattr(error, "errno", None) in DISK_TROUBLE:
                raise refusal(error, f"part {part.number}: ") from error
            if part.made is not None:
                part.made.path.unlink(missing_ok=True)
            part.made, part.ledgers = None, []
            part.problem = _said(error)
            self._failures.append(f"part {part.number}: {part.problem}")
            part.digest = part.digest or digest_of(part.chunks)
        self._done += part.chunks.size

    def _assemble(self, part: _Part) -> None:
        read = 0

        def on_bytes(count: int) -> None:
            nonlocal read
            read += count
            self._tell(part, _ASSEMBLED * min(read / part.chunks.size, 1.0))

        made = assemble_part(
            part.chunks,
            self._spec.output / self._stem(part.number),
            lambda kind: self._ledger(part.number, kind),
            on_bytes,
            lacks_end=bool(part.missing) and part.missing[-1][0] > part.chunks.runs[-1].last,
        )
        part.made, part.digest, part.problem = made, made.digest, made.problem
        part.ledgers = list(made.ledgers)

    def _stem(self, number: int) -> str:
        return f"{self._spec.folder.name}.{number:03d}-{self._spec.source(number)}"

    def _ledger(self, number: int, kind: str) -> TrackLedger:
        track = f"{KIND}/{number}/{kind}"
        return TrackLedger(track, self._spec.participant_id, kind, KIND)

    def _check(self, part: _Part) -> None:
        """Decodes the file. Raises ChunksUnreadable when nothing of it can be."""
        assert part.made is not None
        reached = 0.0

        def on_progress(progress: float) -> None:
            nonlocal reached
            reached = progress
            self._tell(part, _ASSEMBLED + (_CHECKED - _ASSEMBLED) * progress)

        part.checked = check_file(part.made.path, on_progress)
        end_us = round(part.made.duration_seconds * 1e6)
        if part.checked is None:
            part.problem = part.problem or "a decoder did not survive it"
            for ledger in part.ledgers:
                ledger.not_decodable(reached * end_us, end_us)
            return
        for ledger, found in zip(part.ledgers, part.checked.streams, strict=False):
            for begin_us, stop_us in found.undecodable:
                ledger.not_decodable(begin_us, stop_us)
            for at_us, width, height in found.sizes:
                ledger.resolution(at_us, (width, height))
        if not any(stream.decoded for stream in part.checked.streams):
            raise ChunksUnreadable("nothing in it can be decoded")

    def _place(self, part: _Part) -> None:
        made, chunks = part.made, part.chunks
        assert made is not None
        assert chunks.last_arrival is not None
        bound = chunks.last_arrival - made.duration_seconds if made.origin is None else made.origin
        said = said_to_begin(self._spec.parts.get(part.number, {}), made.zero)
        heard = self._spec.references if self._spec.source(part.number) == "camera" else ()
        references = heard if _has(part, "audio") else ()
        part.placed = place(made.path, said, bound, references, compare)

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

    def _start_seconds(self, part: _Part) -> float:
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

    def _finalized(self, part: _Part, made: AssembledPart) -> FinalizedFile:
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

    def _tell(self, part: _Part, share: float) -> None:
        progress = 0.95 * (self._done + share * part.chunks.size) / self._total
        if progress - self._told >= _STEP:
            self._told = progress
            self._on_progress(round(progress, 3))


def _has(part: _Part, kind: str) -> bool:
    return any(ledger.kind == kind for ledger in part.ledgers)


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
