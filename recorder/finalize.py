"""The job that makes a recording's journals into files: `python -m recorder.finalize`.

    --journals DIR   where the journals are; locked, so that two jobs never work on one recording
    --output DIR     where the files go; made if need be
    --options JSON   the recording's options; see `recorder.file_options`

What it prints is described in `recorder.jobs`. It can be stopped at any instant and run again:
files are replaced whole, and the same journals give the same names. Whatever is wrong with a journal
that can't be read, or with a file that can't be made, does not keep the others from being made; it
is named in the result. What is in a journal was chosen by its sender. What is made of a finished file
(pictures, playlists, single tracks) may fail too: then it is missing, and `notDerived` in the integrity
says what.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mediaserver.errors import MediaError
from mediaserver.journal import JOURNAL_SUFFIX, JournalCut, JournalReader
from recorder.depacketize import CODECS
from recorder.derived.hls import make_hls
from recorder.derived.thumbnails import derive
from recorder.derived.tracks import split_tracks
from recorder.errors import JobFailed, RecorderError
from recorder.file_options import FileOptions, parse_file_options
from recorder.integrity import TrackLedger, integrity_json
from recorder.job_process import DISK_TROUBLE, end_with_parent, refusal, say, say_last
from recorder.jobs import FinalizedFile, FinalizeResult
from recorder.local_files import locked, sweep_partial
from recorder.muxer import MuxedFile, mux
from recorder.plan import FilePlan, plan_files
from recorder.scan import ScannedTrack, scan_journal
from recorder.silence import Pictures, without_holes
from recorder.stream import ClockKey, LaneStream
from recorder.timeline import EpochClock, fit_clocks

_PROGRESS_STEP = 0.01
_EXPECTED = (RecorderError, MediaError, OSError)
_MAX_REASON = 300
_DERIVED_SHARE = 5
"""What is made of the files counts as a fifth of one pass over the journals."""

Progress = Callable[[float], None]


def finalize(
    journals: Path, output: Path, on_progress: Progress, options: FileOptions | None = None
) -> FinalizeResult:
    """Makes all files of one recording.

    Raises DiskFull when there is no room, JobFailed when the disk refuses for another reason;
    everything else ends up in the result.
    """
    output.mkdir(parents=True, exist_ok=True)
    sweep_partial(output)
    options = options or FileOptions()
    paths = sorted(journals.glob(f"*{JOURNAL_SUFFIX}"))
    if options.audio_only:
        paths = [path for path in paths if not _is_video(path)]
    job = _Job(paths, _Meter(sum(path.stat().st_size for path in paths), on_progress))
    for number, plan in enumerate(plan_files(job.tracks), start=1):
        job.make(plan, output / f"{number:03d}-{plan.group}.{plan.container}")
    job.derive(options)
    on_progress(1.0)
    return job.result()


def _is_video(path: Path) -> bool:
    """False too for a journal that can't be read: the scan says why."""
    try:
        return JournalReader(path).header.mime_type.lower().startswith("video/")
    except (MediaError, OSError):
        return False


class _Meter:
    """Bytes read in both passes, and what follows -> progress, in steps worth telling."""

    def __init__(self, total: int, on_progress: Progress) -> None:
        self.derived = total // _DERIVED_SHARE
        self._total = max(2 * total + self.derived, 1)
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
        self._derived: list[FinalizedFile] = []
        self._not_derived: list[str] = []
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
                track.header.track_id, track.participant_id, track.header.kind, track.source
            )
            for track in self.tracks
        }

    def make(self, plan: FilePlan, path: Path) -> None:
        """Makes one file. Raises JobFailed when the disk is to blame."""
        try:
            video = LaneStream(plan.video, self._clocks, self._ledgers, self._meter.add)
            audio = LaneStream(plan.audio, self._clocks, self._ledgers, self._meter.add)
            pictures = Pictures(iter(video))
            muxed = mux(plan, pictures, without_holes(iter(audio), pictures), path)
        except Exception as error:
            if getattr(error, "errno", None) in DISK_TROUBLE:
                raise refusal(error, f"{path.name}: ") from error
            self._fail(path.name, error)
            return
        if muxed is not None:
            self._made.append((plan, muxed))

    def derive(self, options: FileOptions) -> None:
        """Makes what is made of the files. Raises JobFailed when the disk is to blame."""
        originals = self._originals()
        for file in originals:
            for make in _derivations(file, options):
                try:
                    self._derived += make(file)
                except Exception as error:
                    sweep_partial(file.path.parent)
                    if getattr(error, "errno", None) in DISK_TROUBLE:
                        raise refusal(error, f"{file.path.name}: ") from error
                    self._not_derived.append(f"{file.path.name}: {_said(error)}")
            self._meter.add(self._meter.derived // len(originals))

    def _originals(self) -> list[FinalizedFile]:
        zero_us = self._zero_us()
        return [_finalized(plan, muxed, zero_us) for plan, muxed in self._made]

    def _zero_us(self) -> float:
        """Server time of the recording's first media."""
        return min((muxed.zero_us for _, muxed in self._made), default=0.0)

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
        self._failures.append(f"{name}: {_said(error)}")

    def result(self) -> FinalizeResult:
        zero_us = self._zero_us()
        whole = not self._failures and all(track.clean for track in self.tracks)
        records = [track.last_record_us for track in self.tracks if track.last_record_us]
        offset_us = _worst_offset_us([plan for plan, _ in self._made], self._clocks)
        files = (*self._originals(), *self._derived)
        integrity = integrity_json(
            self._ledgers.values(), zero_us, offset_us, complete=whole and bool(self._made)
        )
        integrity["files"] = [_file_json(file) for file in files]
        integrity["notDerived"] = list(self._not_derived)
        return FinalizeResult(
            files=files,
            integrity=integrity,
            failures=tuple(self._failures),
            first_media_us=round(zero_us) if self._made else None,
            last_arrival_us=max(records, default=None),
        )


def _derivations(
    file: FinalizedFile, options: FileOptions
) -> Iterator[Callable[[FinalizedFile], list[FinalizedFile]]]:
    if options.tracks:
        yield split_tracks
    if options.thumbnails:
        yield derive
    if options.wants_hls(file.duration_seconds):
        yield make_hls


def _said(error: Exception) -> str:
    return (str(error) if isinstance(error, _EXPECTED) else repr(error))[:_MAX_REASON]


def _file_json(file: FinalizedFile) -> dict[str, Any]:
    return {
        "file": file.path.name,
        "sha256": file.sha256,
        "durationSeconds": file.duration_seconds,
    }


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


def _mapping_in(text: str) -> Mapping[str, Any]:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise JobFailed(f"the options are not JSON: {error}") from error
    if not isinstance(value, dict):
        raise JobFailed("the options are not a JSON object")
    return value


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m recorder.finalize")
    parser.add_argument("--journals", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--options", default="{}", metavar="JSON")
    given = parser.parse_args(arguments)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in a terminal is meant for the server
    end_with_parent()

    def work() -> dict[str, Any]:
        options = parse_file_options(_mapping_in(given.options))
        with locked(given.journals):
            return finalize(
                given.journals, given.output, lambda value: say({"progress": value}), options
            ).to_json()

    return say_last(work)


if __name__ == "__main__":
    sys.exit(main())
