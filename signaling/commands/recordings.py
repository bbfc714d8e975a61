"""`mediaserver recordings list|retry|reupload|prune`: what an operator does with recordings.

`signaling.commands.recording_checks` has the others: fsck, repair, render.
"""

from __future__ import annotations

import argparse
import asyncio
from typing import TYPE_CHECKING, Final

from recorder.journals import journals_root
from recorder.progress import Progress
from recorder.recovery import retry
from recorder.retention import Expired, Retention
from recorder.reupload import Outcome, Reupload, waiting_recordings
from signaling.clock import iso, now
from signaling.commands import recording_checks
from signaling.commands.opening import opened
from signaling.commands.parsing import command, group
from signaling.commands.refusing import EXIT_REFUSED
from signaling.commands.terminal import StatusLine, counted, size, tell
from signaling.errors import SettingsError
from signaling.jobs import SubprocessJobs
from signaling.settings import Settings
from signaling.stores import links_last, retention_policy
from storage.catalog import Catalog, ServerLock
from storage.errors import CatalogInUse

if TYPE_CHECKING:
    from signaling.commands.parsing import Commands

PAGE: Final = 200
PATIENCE: Final = 3  # recordings in a row that a store may refuse before the others are not tried


def add_command(commands: Commands, name: str, help_text: str) -> None:
    actions = group(commands, name, help_text)
    command(actions, "list", "list recordings, newest first", _list)
    again = command(
        actions,
        "retry",
        "have a failed recording finished once more",
        _retry,
        form="ID",
        more=(
            "Only a failed recording whose journals are kept can be finished again. A server that"
            " runs takes it up within seconds, otherwise the next start does."
        ),
    )
    again.add_argument("id", metavar="ID", help="a failed recording whose journals are kept")
    reupload = command(
        actions,
        "reupload",
        "try now to store what waits for storage",
        _reupload,
        form="(ID | --all)",
        more=(
            "Finished files that no store has taken yet, and files that went to the fallback"
            " provider, are tried again by themselves, with growing pauses; this ends the pause."
            " While the server runs it is told to try; otherwise the files are stored here."
            " Exit status 1 when something still waits at the end."
        ),
    )
    which = reupload.add_mutually_exclusive_group(required=True)
    which.add_argument("id", metavar="ID", nargs="?", help="a recording that waits for storage")
    which.add_argument("--all", action="store_true", help="all recordings that wait for storage")
    prune = command(
        actions,
        "prune",
        "remove now what RECORDING_RETENTION_* says has been kept long enough",
        _prune,
        form="[--dry-run]",
        more=(
            "The server does the same once an hour. What is being recorded, finished or stored, and"
            " what is shared by a link that is still valid, stays."
        ),
    )
    prune.add_argument(
        "--dry-run", action="store_true", help="only print what would be removed, and why"
    )
    recording_checks.add_commands(actions)


# --- list, retry ----------------------------------------------------------------------------------


def _list(settings: Settings, _given: argparse.Namespace) -> int:
    asyncio.run(_print_all(settings))
    return 0


async def _print_all(settings: Settings) -> None:
    catalog = await Catalog.open(settings.database)
    try:
        page_number = 1
        while True:
            found = await catalog.recordings.find(page=page_number, limit=PAGE)
            for row in found.items:
                seconds = f"{row.duration_seconds:.1f} s" if row.duration_seconds else "-"
                moment = iso(row.started_at or row.created_at)
                tell(f"{row.id}  {moment}  {row.status:<10}  {seconds:>10}  {row.room}")
            if page_number * PAGE >= found.total:
                break
            page_number += 1
        tell(f"{found.total} recordings")
    finally:
        await catalog.close()


def _retry(settings: Settings, given: argparse.Namespace) -> int:
    asyncio.run(_retry_one(settings, given.id))
    return 0


async def _retry_one(settings: Settings, recording_id: str) -> None:
    catalog = await Catalog.open(settings.database)
    try:
        row = await retry(catalog, settings.data_dir, recording_id)
    finally:
        await catalog.close()
    tell(f"{row.id} will be finished by the server that runs, or by its next start")


# --- reupload -------------------------------------------------------------------------------------


def _reupload(settings: Settings, given: argparse.Namespace) -> int:
    return asyncio.run(_reupload_now(settings, given.id))


async def _reupload_now(settings: Settings, recording_id: str | None) -> int:
    """None is all of them."""
    async with opened(settings) as (catalog, depots):
        root = journals_root(settings.data_dir)
        ids = await waiting_recordings(catalog, root, recording_id)
        if not ids:
            tell(await _at_rest(catalog, recording_id))
            return 0
        lock = ServerLock(settings.database)
        try:
            await lock.take(patience=0)
        except CatalogInUse:
            rows = await catalog.deliveries.hurry(recording_id)
            tell(f"{counted(rows, 'file')} due now: the server that runs does it within seconds")
            return 0
        try:
            work = Reupload(
                catalog,
                depots,
                SubprocessJobs(),
                root,
                clock=now,
                links_last=links_last(depots),
            )
            return await _store_all(work, ids)
        finally:
            await lock.release()


async def _at_rest(catalog: Catalog, recording_id: str | None) -> str:
    if recording_id is None:
        return "nothing waits for storage"
    row = await catalog.recordings.get(recording_id)
    if row is None or row.status == "recorded":
        return f"nothing of recording {recording_id} waits for storage"
    return f"recording {recording_id} is {row.status}: nothing of it waits for storage yet"


async def _store_all(work: Reupload, ids: list[str]) -> int:
    problems = bad_luck = 0
    for number, recording_id in enumerate(ids, start=1):
        problem = await _store(work, recording_id, f"{number} of {len(ids)}")
        problems += problem
        bad_luck = bad_luck + 1 if problem else 0
        if bad_luck == PATIENCE and number < len(ids):
            tell(
                f"{counted(len(ids) - number, 'recording')} not tried, as those before were refused"
            )
            break
    return EXIT_REFUSED if problems else 0


async def _store(work: Reupload, recording_id: str, place: str) -> bool:
    """True when something of it waits still."""
    progress = Progress()
    line = StatusLine(lambda: f"{recording_id} ({place}): {progress.fraction:.0%}")
    async with line.running():
        outcome = await work.once(recording_id, progress)
    tell(_said_of(outcome))
    return bool(outcome.problem)


def _said_of(outcome: Outcome) -> str:
    if outcome.problem:
        return f"FAIL {outcome.recording_id}: {outcome.status}, {outcome.problem}"
    return f"ok   {outcome.recording_id}: {outcome.status}"


# --- prune ----------------------------------------------------------------------------------------


def _prune(settings: Settings, given: argparse.Namespace) -> int:
    if retention_policy(settings).limits_nothing:
        raise SettingsError(
            "nothing is ever too old: set RECORDING_RETENTION_DAYS, RECORDING_RETENTION_BYTES or"
            ' RECORDING_RETENTION_ROOMS, for example RECORDING_RETENTION_DAYS="90"'
        )
    return asyncio.run(_prune_now(settings, dry_run=given.dry_run))


async def _prune_now(settings: Settings, *, dry_run: bool) -> int:
    async with opened(settings) as (catalog, depots):
        retention = Retention(
            catalog,
            depots,
            journals_root(settings.data_dir),
            retention_policy(settings),
            clock=now,
        )
        removed: list[Expired] = []
        due = await retention.due()
        for each in due:
            done = dry_run or await retention.remove(each)
            if done:
                removed.append(each)
            tell(f"{'' if done else 'FAIL '}{_described(each)}")
    total = f"{counted(len(removed), 'recording')}, {size(sum(_bytes(each) for each in removed))}"
    tell(f"{total} would be removed" if dry_run else f"{total} removed")
    return 0 if len(removed) == len(due) else EXIT_REFUSED


def _described(each: Expired) -> str:
    row = each.row
    ended = iso(row.stopped_at or row.created_at)
    return f"{row.id}  {ended}  {size(_bytes(each)):>9}  {row.room}: {each.reason}"


def _bytes(each: Expired) -> int:
    return each.row.size or 0
