"""One part of a set of chunks on its way to a file: made, read with another header if need be, decoded,
and placed on the time line.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from recorder.chunks.assembly import AssembledPart, assemble_part
from recorder.chunks.checking import Checked, check_file
from recorder.chunks.comparing import compare
from recorder.chunks.headers import Header, lent_headers
from recorder.chunks.part_clock import LONGEST_US
from recorder.chunks.parts import PartChunks
from recorder.chunks.pauses import NO_PAUSES, Pauses, corrected
from recorder.chunks.placing import (
    Placed,
    Reference,
    Stretch,
    hear_stretches,
    place,
    said_to_begin,
    stretches_between,
)
from recorder.chunks.reading_back import keeps_time
from recorder.chunks.settling import named
from recorder.chunks.spec import Spec
from recorder.errors import ChunksUnreadable, HeaderMissing, MuxFailed
from recorder.integrity import MAX_ENTRIES, TrackLedger
from recorder.job_process import DISK_TROUBLE, refusal
from recorder.local_files import sweep_partial

KIND: Final = "client"
_ASSEMBLED, _CHECKED = 0.4, 0.9  # of the work on a part
_MOST_BAD: Final = 0.1  # of the time, with a header that was lent


@dataclass(slots=True)
class Part:
    """What is known of a part, more and more."""

    number: int
    chunks: PartChunks
    missing: list[list[int]]
    digest: str = ""
    made: AssembledPart | None = None
    checked: Checked | None = None
    placed: Placed | None = None
    problem: str | None = None
    lender: int | None = None  # the part whose header it has
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
        if self.lender is not None:
            told["headerOf"] = self.lender
        if self.made is not None and self.made.pauses.found:
            told["pauses"] = self.made.pauses.to_json()
        if self.problem is not None:
            told["problem"] = self.problem
        return told


class PartMaker:
    """`chunks` are those of all parts of the set; `tell` hears which share of a part is done."""

    def __init__(
        self, spec: Spec, chunks: Mapping[int, PartChunks], tell: Callable[[Part, float], None]
    ) -> None:
        self._spec = spec
        self._chunks = chunks
        self._tell = tell

    def make(self, part: Part) -> None:
        """The file of a part that has chunks, checked and placed.

        Raises HeaderMissing, ChunksUnreadable, MuxFailed, OSError, and whatever libraries raise.
        """
        self._make(part)
        self._place(part)

    def _make(self, part: Part) -> None:
        try:
            self._assemble(part)
        except HeaderMissing as missing:
            self.undo(part, missing)
            self._borrow(part, missing)
        else:
            self._check(part)

    def _borrow(self, part: Part, missing: HeaderMissing) -> None:
        """With the header of another part, if one fits. Raises HeaderMissing when none does."""
        tried = []
        for header in lent_headers(part.number, self._chunks, self._spec.parts):
            tried.append(str(header.part))
            try:
                self._assemble(part, header)
                self._check(part)
                _require_fit(part)
            except (ChunksUnreadable, MuxFailed) as error:
                self.undo(part, error)
                continue
            part.lender = header.part
            part.problem = f"{missing}; the rest is read with the header of part {header.part}"
            return
        if tried:
            raise HeaderMissing(f"{missing}; no other part's fits (tried: {', '.join(tried)})")
        raise missing

    def undo(self, part: Part, error: Exception) -> None:
        """Nothing is left of an attempt. Raises JobFailed when the disk is to blame."""
        sweep_partial(self._spec.output)
        if getattr(error, "errno", None) in DISK_TROUBLE:
            raise refusal(error, f"part {part.number}: ") from error
        if part.made is not None:
            part.made.path.unlink(missing_ok=True)
        part.made, part.checked, part.ledgers = None, None, []

    def _assemble(self, part: Part, header: Header | None = None) -> None:
        read = 0

        def on_bytes(count: int) -> None:
            nonlocal read
            read += count
            self._tell(part, _ASSEMBLED * min(read / part.chunks.size, 1.0))

        make = partial(
            assemble_part,
            part.chunks,
            self._spec.output / self._stem(part.number),
            lambda kind: self._ledger(part.number, kind),
            lacks_end=bool(part.missing) and part.missing[-1][0] > part.chunks.runs[-1].last,
            header=header,
        )
        # what no sound can confirm is not looked for
        made = make(on_bytes, pauses=None if self._heard_by_server(part) else NO_PAUSES)
        if made.pauses.found and made.pauses != (heard := self._pauses_heard(part, made)):
            made = make(lambda _: None, pauses=heard)
        part.made, part.digest, part.problem = made, made.digest, made.problem
        part.ledgers = list(made.ledgers)

    def _stem(self, number: int) -> str:
        return f"{self._spec.folder.name}.{number:03d}-{self._spec.source(number)}"

    def _ledger(self, number: int, kind: str) -> TrackLedger:
        track = f"{KIND}/{number}/{kind}"
        return TrackLedger(track, self._spec.participant_id, kind, KIND)

    def _check(self, part: Part) -> None:
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

    def _place(self, part: Part) -> None:
        assert part.made is not None
        made = part.made
        # one that a pause is in sounds like nothing that the server has
        longest = max(
            _stretches(made), key=lambda each: (each[1] or made.duration_seconds) - each[0]
        )
        references = self._references(part, made)
        part.placed = place(made.path, *self._clocks(part, made), references, compare, longest)

    def _pauses_heard(self, part: Part, made: AssembledPart) -> Pauses:
        """The pauses of a part as the server's sound has them; none where that can't be heard."""
        references = self._references(part, made)
        if not references:
            return NO_PAUSES
        roughly = place(made.path, *self._clocks(part, made), (), compare)
        heard = hear_stretches(made.path, roughly, _stretches(made), references, compare)
        return corrected(made.pauses, heard)

    def _clocks(self, part: Part, made: AssembledPart) -> tuple[float | None, float]:
        """When a part began, by its page's clock, and at the latest."""
        chunks = part.chunks
        assert chunks.last_arrival is not None
        bound = chunks.last_arrival - made.duration_seconds if made.origin is None else made.origin
        latest = () if chunks.runs[0].first == 0 else (LONGEST_US / 1e6,)
        return said_to_begin(self._spec.parts.get(part.number, {}), made.zero, *latest), bound

    def _references(self, part: Part, made: AssembledPart) -> Sequence[Reference]:
        sounds = any(ledger.kind == "audio" for ledger in made.ledgers)
        return self._spec.references if sounds and self._heard_by_server(part) else ()

    def _heard_by_server(self, part: Part) -> bool:
        """May what the server recorded have the same sound?"""
        return bool(self._spec.references) and self._spec.source(part.number) == "camera"


def _stretches(made: AssembledPart) -> list[Stretch]:
    return stretches_between([(begin / 1e6, end / 1e6) for begin, end in made.pauses.spans()])


def _require_fit(part: Part) -> None:
    """Raises ChunksUnreadable unless nearly all of a part can be decoded with a header that was lent."""
    assert part.made is not None
    length_us = part.made.duration_seconds * 1e6
    streams = part.checked.streams if part.checked else []
    bad_us = [sum(end - begin for begin, end in each.undecodable) for each in streams]
    decoded = bool(streams) and all(each.decoded for each in streams)
    demuxer = "mp4" if part.made.container == "mp4" else "matroska"
    if (
        not decoded
        or max(bad_us) > _MOST_BAD * length_us
        or not keeps_time(part.made.path, demuxer)
    ):
        raise ChunksUnreadable("it can't be decoded with the header of another part")
