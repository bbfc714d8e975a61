"""`mediaserver storage check|migrate|usage`: where recordings rest."""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import TYPE_CHECKING, Final, get_args

from recorder.migrate import Migration, Moved, Plan
from signaling.clock import now
from signaling.commands.opening import opened
from signaling.commands.parsing import command, group, month
from signaling.commands.refusing import EXIT_REFUSED
from signaling.commands.terminal import StatusLine, counted, size, table, tell
from signaling.costs import Amount, Usage, usage_of
from signaling.errors import SettingsError, StartError
from signaling.settings import Settings
from signaling.storage_check import check_provider, providers_in_use
from signaling.storage_settings import NEEDED, Provider, given
from signaling.traffic import month_of
from storage.catalog import MEDIA_LIBRARY, Catalog, ServerLock
from storage.errors import CatalogInUse

if TYPE_CHECKING:
    from signaling.commands.parsing import Commands

PROVIDERS: Final = get_args(Provider)


def add_command(commands: Commands, name: str, help_text: str) -> None:
    actions = group(commands, name, help_text)
    check = command(
        actions,
        "check",
        "try out the stores with a small object",
        _check,
        form="[PROVIDER ...]",
        more=(
            "Writes, reads, lists, copies, hands out a link and deletes, prints a line for each"
            " step and what to change where it fails. Changes nothing else in the store. Exit"
            " status 1 when a step fails."
        ),
    )
    check.add_argument(
        "providers",
        metavar="PROVIDER",
        nargs="*",
        type=_provider,  # not `choices`: argparse would look for the empty list among them
        help=f"{', '.join(PROVIDERS)}; the main and the fallback provider when none is named",
    )
    migrate = command(
        actions,
        "migrate",
        "move stored files from one provider to another",
        _migrate,
        form="[--keep] [--dry-run] FROM TO",
        more=(
            "Each object is copied, read back and compared before the catalog names its new place,"
            " and only then removed at the old one. Works while the server runs. Run it again after"
            " an error or a crash: it goes on with what is left. Exit status 1 when a file could"
            " not be moved."
        ),
    )
    for end, what in (("source", "FROM"), ("target", "TO")):
        where = "the files are" if end == "source" else "they go"
        migrate.add_argument(
            end, metavar=what, choices=PROVIDERS, help=f"where {where}: {', '.join(PROVIDERS)}"
        )
    migrate.add_argument(
        "--keep",
        action="store_true",
        help="leave the objects at FROM; the server no longer knows of them",
    )
    migrate.add_argument(
        "--dry-run", action="store_true", help="only print which files would be moved"
    )
    usage = command(
        actions,
        "usage",
        "print what recordings take, by provider and room, and what it costs about",
        _usage,
        form="[--month MONTH]",
        more=(
            "Sent are bytes that the server sent itself; what browsers fetched from a bucket or a"
            " CDN by link is not in it. Prices are those of STORAGE_PRICES, or list prices."
        ),
    )
    usage.add_argument(
        "--month", type=month, help="month of what was sent, like 2026-11 (default: this month)"
    )


def _provider(text: str) -> str:
    if text not in PROVIDERS:
        raise argparse.ArgumentTypeError(f"must be one of {', '.join(PROVIDERS)}")
    return text


def _refuse_unconfigured(settings: Settings, provider: str) -> None:
    """Raises SettingsError."""
    for name, example in NEEDED[provider]:
        if not given(settings, name):
            raise SettingsError(
                f'{name}: the provider `{provider}` needs it; for example {name}="{example}"'
            )


# --- check ----------------------------------------------------------------------------------------


def _check(settings: Settings, wanted: argparse.Namespace) -> int:
    providers = tuple(dict.fromkeys(wanted.providers)) or providers_in_use(settings)
    for provider in providers:
        _refuse_unconfigured(settings, provider)
    return asyncio.run(_check_all(settings, providers))


async def _check_all(settings: Settings, providers: tuple[str, ...]) -> int:
    fine = True
    for provider in providers:
        async with aclosing(check_provider(settings, provider)) as steps:
            async for checked in steps:
                fine = fine and checked.fine
                verdict = "ok  " if checked.fine else "FAIL"
                took = checked.complaint or f"({checked.seconds * 1000:.0f} ms)"
                separator = " " if checked.fine else ": "
                tell(f"{verdict} {provider}: {checked.step}{separator}{took}")
    return 0 if fine else EXIT_REFUSED


# --- migrate --------------------------------------------------------------------------------------


def _migrate(settings: Settings, wanted: argparse.Namespace) -> int:
    if wanted.source == wanted.target:
        raise SettingsError("FROM and TO have to be two providers, for example local s3")
    for provider in (wanted.source, wanted.target):
        _refuse_unconfigured(settings, provider)
    return asyncio.run(_move_all(settings, wanted))


async def _move_all(settings: Settings, wanted: argparse.Namespace) -> int:
    async with opened(settings) as (catalog, depots):
        migration = Migration(
            catalog, depots, wanted.source, wanted.target, clock=now, keep=wanted.keep
        )
        if wanted.dry_run:
            return _tell_plan(await migration.plan(), wanted)
        async with _only_one(settings):
            await migration.check_places()
            if cleared := await migration.clear_interrupted():
                tell(f"{counted(cleared, 'object')} of an interrupted run removed")
            plan, moved = await migration.plan(), Moved()
            began = time.monotonic()
            line = StatusLine(lambda: progress_line(plan, moved, time.monotonic() - began))
            async with line.running():
                await migration.run(plan, moved)
    return _tell_result(plan, moved, wanted)


@asynccontextmanager
async def _only_one(settings: Settings) -> AsyncIterator[None]:
    """Raises StartError while another one moves files, on whatever machine."""
    lock = ServerLock(settings.database, "mover")
    try:
        await lock.take(patience=0)
    except CatalogInUse:
        raise StartError(
            "another `mediaserver storage migrate` is at work; wait for its end"
        ) from None
    try:
        yield
    finally:
        await lock.release()


def _tell_plan(plan: Plan, wanted: argparse.Namespace) -> int:
    for move in plan.moves:
        tell(f"{size(move.file.size):>9}  {move.file.key}")
    _tell_unsettled(plan)
    total = f"{counted(plan.files, 'file')}, {size(plan.bytes)}"
    tell(f"{total} would go from {wanted.source} to {wanted.target}")
    return 0


def _tell_result(plan: Plan, moved: Moved, wanted: argparse.Namespace) -> int:
    for failure in moved.failures:
        tell(f"FAIL {failure.key}: {failure.reason}")
    _tell_unsettled(plan)
    if moved.gone:
        tell(f"{counted(moved.gone, 'file')} deleted or moved meanwhile")
    if moved.untried:
        tell(f"{counted(moved.untried, 'file')} not tried: run this again when the cause is gone")
    total = f"{counted(moved.files, 'file')}, {size(moved.bytes)}"
    tell(f"{total} moved from {wanted.source} to {wanted.target}")
    return EXIT_REFUSED if moved.failures or moved.untried else 0


def _tell_unsettled(plan: Plan) -> None:
    if plan.unsettled:
        tell(f"{counted(plan.unsettled, 'file')} left alone: the server still has them in hand")


def progress_line(plan: Plan, moved: Moved, seconds: float) -> str:
    """How far a run is after so many seconds, at what pace, and how long it may take still."""
    rate = moved.bytes / seconds if seconds > 0 else 0.0
    left = max(0, plan.bytes - moved.bytes)
    remaining = f"{_clock_time(left / rate)} to go" if rate else "no pace yet"
    return (
        f"{moved.files} of {counted(plan.files, 'file')}, {size(moved.bytes)} of {size(plan.bytes)},"
        f" {rate / 1e6:.1f} MB/s, {remaining}"
    )


def _clock_time(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"


# --- usage ----------------------------------------------------------------------------------------


def _usage(settings: Settings, wanted: argparse.Namespace) -> int:
    asked = wanted.month or month_of(now())
    for line in usage_lines(asyncio.run(_count(settings, asked))):
        tell(line)
    return 0


async def _count(settings: Settings, asked: str) -> Usage:
    catalog = await Catalog.open(settings.database)
    try:
        stored = await catalog.usage.stored()
        sent = await catalog.usage.traffic(asked)
    finally:
        await catalog.close()
    return usage_of(asked, stored, sent, settings.prices)


def usage_lines(usage: Usage) -> list[str]:
    """Two tables: by provider with the totals, and by room."""
    head = ("storage", "files", "minutes", f"sent in {usage.month}", "USD a month")
    providers = [
        ("provider", *head),
        *((provider, *_cells(amount)) for provider, amount in usage.providers.items()),
        ("all", *_cells(usage.totals)),
    ]
    lines = table(providers, left=1)
    if usage.rooms:
        rooms = [
            ("room", "provider", *head),
            *(
                (_printable(room), provider, *_cells(amount))
                for (room, provider), amount in usage.rooms.items()
            ),
        ]
        lines += ["", *table(rooms, left=2)]
    return lines


def _cells(amount: Amount) -> tuple[str, ...]:
    return (
        size(amount.storage_bytes),
        str(amount.files),
        f"{amount.minutes:.1f}",
        size(amount.egress_bytes),
        f"{amount.monthly_cost_usd:.2f}",
    )


def _printable(room: str) -> str:
    """Clients choose the names of rooms; a terminal obeys control characters."""
    if room == MEDIA_LIBRARY:
        return "(media library)"
    return room if room.isprintable() else ascii(room)
