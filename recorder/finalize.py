"""The job that makes a recording's journals into files: `python -m recorder.finalize`.

    --journals DIR   where the journals are; locked, so that two jobs never work on one recording
    --output DIR     where the files go; made if need be

What it prints is described in `recorder.jobs`. It can be stopped at any instant and run again:
files are replaced whole, and the same journals give the same names. Whatever is wrong with a journal
that can't be read, or with a file that can't be made, does not keep the others from being made; it
is named in the result. What is in a journal was chosen by its sender.
"""

from __future__ import annotations

import argparse
import errno
import fcntl
import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mediaserver.errors import MediaError
from mediaserver.journal import JOURNAL_SUFFIX, JournalCut
from recorder.depacketize import CODECS
from recorder.errors import DiskFull, JobFailed, RecorderError
from recorder.integrity import TrackLedger, integrity_json
from recorder.jobs import FinalizedFile, FinalizeResult
from recorder.muxer import PARTIAL_SUFFIX, MuxedFile, mux
from recorder.plan import FilePlan, plan_files
from recorder.scan import ScannedTrack, scan_journal
from recorder.stream import ClockKey, LaneStream
from recorder.timeline import EpochClock, fit_clocks

EXIT_FAILED = 1
EXIT_ORPHANED = 3

_DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_DISK_TROUBLE = frozenset({*_DISK_FULL, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EIO})
_PROGRESS_STEP = 0.01
_EXPECTED = (RecorderError, MediaError, OSError)
_MAX_REASON = 300

Progress = Callable[[float], None]


def finalize(journals: Path, output: Path, on_progress: Progress) -> FinalizeResult:
    """Makes all files of one recording.

    Raises DiskFull when there is no room, JobFailed when the disk refuses for another reason;
    everything else ends up in the result.
    """
    output.mkdir(parents=True, exist_ok=True)
    for leftover in output.glob(f"*{PARTIAL_SUFFIX}"):
        leftover.unlink()
    paths = sorted(journals.glob(f"*{JOURNAL_SUFFIX}"))
    meter = _Meter(sum(path.stat().st_size for path in paths), on_progress)
    job = _Job(paths, meter)
    for number, plan in enumerate(plan_files(job.tracks), start=1):
        job.make(plan, output / f"{number:03d}-{plan.group}.{plan.container}")
    on_progress(1.0)
    return job.result()


class _Meter:
    """Bytes read in both passes -> progress, in steps worth telling."""

    def __init__(self, total: int, on_progress: Progress) -> None:
        self._total = max(2 * total, 1)
        self._done = 0
        self._told = 0.0
        self._on_progress = on_progress

    def add(self, count: int) -> None:
        self._done += count
        progress = min(self._done / self._total, 1.0)
        if progress - self._told >= _PROGRESS_STEP:
            self._told = progress
            self._on_progress(round(progress, 3))


class _Job:
    """One run over one recording's journals.

    This is the supervisor that keeps one bad journal, track or file from harming the others.
    """

    def __init__(self, paths: Sequence[Path], meter: _Meter) -> None:
        self._meter = meter
        self._failures: list[str] = []
        self._made: list[tuple[FilePlan, MuxedFile]] = []
        self.tracks: list[ScannedTrack] = []
        for path in paths:
            try:
                self.tracks.append(scan_journal(path, meter.add))
            except JournalCut:
                continue
            except Exception as error:  # noqa: BLE001
                self._fail(path.name, error)
        for track in self.tracks:
            if track.damaged:
                self._failures.append(f"{track.path.name}: damaged; what follows can't be read")
            if track.first_arrival_us is not None and track.mime_type not in CODECS:
                self._failures.append(f"{track.path.name}: {track.mime_type} can't be kept")
        self._clocks = self._fit_all()
        self._ledgers = {
            track.path.name: TrackLedger(
                track.header.track_id, track.participant_id, track.header.kind
            )
            for track in self.tracks
        }

    def make(self, plan: FilePlan, path: Path) -> None:
        """Makes one file. Raises JobFailed when the disk is to blame."""
        try:
            video = LaneStream(plan.video, self._clocks, self._ledgers, self._meter.add)
            audio = LaneStream(plan.audio, self._clocks, self._ledgers, self._meter.add)
            muxed = mux(plan, iter(video), iter(audio), path)
        except Exception as error:
            if getattr(error, "errno", None) in _DISK_TROUBLE:
                raise _refusal(error, f"{path.name}: ") from error
            self._fail(path.name, error)
            return
        if muxed is not None:
            self._made.append((plan, muxed))

    def _fit_all(self) -> dict[ClockKey, EpochClock]:
        """The clocks of all tracks. A participant with a track that has none is fitted by track."""
        participants: dict[str, list[ScannedTrack]] = {}
        for track in self.tracks:
            participants.setdefault(track.participant_id, []).append(track)
        clocks: dict[ClockKey, EpochClock] = {}
        for tracks in participants.values():
            try:
                clocks.update(_fit(tracks))
            except Exception:  # noqa: BLE001
                for track in tracks:
                    try:
                        clocks.update(_fit([track]))
                    except Exception as error:  # noqa: BLE001
                        self._fail(track.path.name, error)
                        self.tracks.remove(track)
        return clocks

    def _fail(self, name: str, error: Exception) -> None:
        said = str(error) if isinstance(error, _EXPECTED) else repr(error)
        self._failures.append(f"{name}: {said[:_MAX_REASON]}")

    def result(self) -> FinalizeResult:
        zero_us = min((muxed.zero_us for _, muxed in self._made), default=0.0)
        whole = not self._failures and all(track.clean for track in self.tracks)
        records = [track.last_record_us for track in self.tracks if track.last_record_us]
        offset_us = _worst_offset_us([plan for plan, _ in self._made], self._clocks)
        return FinalizeResult(
            files=tuple(_finalized(plan, muxed, zero_us) for plan, muxed in self._made),
            integrity=integrity_json(
                self._ledgers.values(), zero_us, offset_us, complete=whole and bool(self._made)
            ),
            failures=tuple(self._failures),
            first_media_us=round(zero_us) if self._made else None,
            last_arrival_us=max(records, default=None),
        )


def _refusal(error: Exception, what: str = "") -> JobFailed:
    if getattr(error, "errno", None) in _DISK_FULL:
        return DiskFull(f"the disk is full: {what}{error}")
    return JobFailed(f"{what}{error}")


def _fit(tracks: Sequence[ScannedTrack]) -> dict[ClockKey, EpochClock]:
    """The clocks of tracks of one participant."""
    return fit_clocks(
        {
            (track.path.name, epoch): observation
            for track in tracks
            for epoch, observation in track.observations.items()
        }
    )


def _worst_offset_us(plans: Sequence[FilePlan], clocks: dict[ClockKey, EpochClock]) -> float | None:
    """See `recorder.integrity`: None unless every file with both kinds was aligned on reports."""
    worst: float | None = None
    for plan in plans:
        if not (plan.audio and plan.video):
            continue
        residuals = [_residual_us(lane, clocks) for lane in (plan.audio, plan.video)]
        if None in residuals:
            return None
        worst = max(worst or 0.0, sum(residual for residual in residuals if residual))
    return worst


def _residual_us(lane: Sequence[ScannedTrack], clocks: dict[ClockKey, EpochClock]) -> float | None:
    worst = 0.0
    for track in lane:
        for epoch in track.observations:
            clock = clocks.get((track.path.name, epoch))
            if clock is not None:
                if clock.sender is None:
                    return None
                worst = max(worst, clock.sender.residual_us)
    return worst


def _finalized(plan: FilePlan, muxed: MuxedFile, zero_us: float) -> FinalizedFile:
    width, height = muxed.picture or (None, None)
    return FinalizedFile(
        path=muxed.path,
        kind="participant",
        participant_id=plan.participant_id,
        content_type=muxed.content_type,
        size=muxed.size,
        sha256=muxed.sha256,
        duration_seconds=round(muxed.duration_seconds, 3),
        width=width,
        height=height,
        start_seconds=round((muxed.zero_us - zero_us) / 1e6, 3),
        participant_name=plan.participant_name,
        source=plan.group,
    )


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Waits until no other job works on this directory."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _end_with_parent() -> None:
    """The parent holds the other end of standard input; when it dies, so does this process."""
    while os.read(sys.stdin.fileno(), 4096):
        pass
    os._exit(EXIT_ORPHANED)


def _say(value: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m recorder.finalize")
    parser.add_argument("--journals", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in a terminal is meant for the server
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        with _locked(options.journals):
            result = finalize(
                options.journals, options.output, lambda value: _say({"progress": value})
            )
    except (JobFailed, OSError) as error:
        failure = error if isinstance(error, JobFailed) else _refusal(error)
        _say({"error": {"code": failure.code, "message": str(failure)}})
        return EXIT_FAILED
    _say({"result": result.to_json()})
    return 0


if __name__ == "__main__":
    sys.exit(main())
