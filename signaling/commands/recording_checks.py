"""`mediaserver recordings fsck|repair|render`: whether all is there, mending it, and composites."""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from recorder.composite.spec import LAYOUTS, QUALITIES
from recorder.delivery import Deliverer
from recorder.depots import Depots
from recorder.findings import Finding
from recorder.fsck import Fsck, all_recordings
from recorder.journals import journals_root
from recorder.progress import Progress
from recorder.rendering import UNDER_WAY, Renderer, RenderStatus, request
from recorder.repair import Action, Mending, Repair, plan
from recorder.reupload import Reupload
from signaling.clock import now
from signaling.commands.opening import opened, sole_user
from signaling.commands.parsing import command
from signaling.commands.refusing import EXIT_REFUSED
from signaling.commands.terminal import StatusLine, counted, size, tell
from signaling.jobs import SubprocessJobs, default_at_once
from signaling.settings import Settings
from signaling.stores import links_last
from storage.catalog import Catalog, RenderRow

if TYPE_CHECKING:
    from signaling.commands.parsing import Commands

BY_OPERATOR: Final = "operator"
LOOK_EVERY: Final = 0.5  # seconds between two looks at a render that the server makes


def add_commands(actions: Commands) -> None:
    fsck = command(
        actions,
        "fsck",
        "check that every recording is whole, and that nothing is left over",
        _fsck,
        form="[--deep] [--json] [ID ...]",
        more=(
            "Reads kept journals record by record, asks the stores for every file's size, and looks"
            " for journals, chunks of participants' browsers and objects that no recording has."
            " Changes nothing, and works while the server runs. Each line says what to do. Exit"
            " status 1 when there is a problem; a note is none."
        ),
    )
    _add_ids(fsck)
    fsck.add_argument(
        "--deep",
        action="store_true",
        help="also read every file: SHA-256, and every packet of media (downloads all of it)",
    )
    fsck.add_argument("--json", action="store_true", help="one JSON object instead of lines")
    repair = command(
        actions,
        "repair",
        "mend what fsck finds, as far as there is something to mend it with",
        _repair,
        form="[--deep] [--dry-run] [ID ...]",
        more=(
            "Journals without a recording get one; failed recordings, and recordings whose files are"
            " gone, are made once more from kept journals; chunks that became no file are assembled once"
            " more; lost composites are rendered again; what waits for storage is due now; empty"
            " folders go. Nothing with media in it is ever"
            " removed. A server that runs does the work within seconds; otherwise it is done here."
            " Exit status 1 when something could not be mended."
        ),
    )
    _add_ids(repair)
    repair.add_argument("--deep", action="store_true", help="look as fsck --deep does")
    repair.add_argument(
        "--dry-run", action="store_true", help="only print what would be done, and why"
    )
    render = command(
        actions,
        "render",
        "make one video, or audio file, of a whole recording",
        _render,
        form=(
            "[--layout LAYOUT] [--quality QUALITY] [--audio-only] [--no-names] [--focus ID]"
            " [--wait] ID"
        ),
        more=(
            "The file is stored beside the recording's others. A server that runs takes the render"
            " up within seconds; otherwise it is made here. Exit status 1 when it failed."
        ),
    )
    render.add_argument("id", metavar="ID", help="a recording that is recorded")
    render.add_argument("--layout", choices=LAYOUTS, help="default: grid")
    render.add_argument("--quality", choices=tuple(QUALITIES), help="default: 720p")
    render.add_argument("--audio-only", action="store_true", help="everybody's sound, no picture")
    render.add_argument("--no-names", action="store_true", help="nobody's name in the picture")
    render.add_argument("--focus", metavar="ID", help="the participant whom `single` shows")
    render.add_argument(
        "--wait",
        action="store_true",
        help="stay until the server has made it, and say how far it is",
    )


def _add_ids(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "ids", metavar="ID", nargs="*", help="recordings to look at; all, and the stores, when none"
    )


# --- fsck -----------------------------------------------------------------------------------------


def _fsck(settings: Settings, given: argparse.Namespace) -> int:
    return asyncio.run(_check(settings, given))


async def _check(settings: Settings, given: argparse.Namespace) -> int:
    async with sole_user(settings) as alone:
        pass  # a deep look takes hours, during which a server may start
    async with opened(settings) as (catalog, depots):
        root = journals_root(settings.data_dir)
        fsck = Fsck(catalog, depots, root, deep=given.deep, served=not alone)
        findings = []
        async with _looking(fsck, quiet=given.json):
            async for each in fsck.run(given.ids):
                findings.append(each)
                if not given.json:
                    tell(_said_of(each))
    problems = sum(each.is_problem for each in findings)
    if given.json:
        tell(json.dumps(_report(fsck, findings)))
    else:
        tell(
            f"{_looked_at(fsck)}: {counted(problems, 'problem')}, "
            f"{counted(len(findings) - problems, 'note')}"
        )
    return EXIT_REFUSED if problems else 0


@asynccontextmanager
async def _looking(fsck: Fsck, *, quiet: bool) -> AsyncIterator[None]:
    if quiet:
        yield
        return
    async with StatusLine(lambda: _looked_at(fsck)).running():
        yield


def _looked_at(fsck: Fsck) -> str:
    looked = fsck.looked
    read = f", {size(looked.bytes)} read" if looked.bytes else ""
    return f"{counted(looked.recordings, 'recording')}, {counted(looked.files, 'file')}{read}"


def _report(fsck: Fsck, findings: list[Finding]) -> dict[str, Any]:
    return {
        "recordings": fsck.looked.recordings,
        "files": fsck.looked.files,
        "journals": fsck.looked.journals,
        "bytesRead": fsck.looked.bytes,
        "problems": sum(each.is_problem for each in findings),
        "findings": [
            {
                "code": each.code,
                "problem": each.is_problem,
                "recordingId": each.recording_id or None,
                "subject": each.subject or None,
                "says": each.says,
                "todo": each.todo,
            }
            for each in findings
        ],
    }


def _said_of(each: Finding) -> str:
    where = " ".join(filter(None, (each.recording_id, each.subject)))
    return (
        f"{'FAIL' if each.is_problem else 'note'} {each.code} {where}: {each.says} -> {each.todo}"
    )


# --- repair ---------------------------------------------------------------------------------------


def _repair(settings: Settings, given: argparse.Namespace) -> int:
    return asyncio.run(_mend(settings, given))


async def _mend(settings: Settings, given: argparse.Namespace) -> int:
    async with (
        sole_user(settings) as alone,
        opened(settings) as (catalog, depots),
    ):
        root = journals_root(settings.data_dir)
        fsck = Fsck(catalog, depots, root, deep=given.deep, served=not alone)
        async with _looking(fsck, quiet=False):
            findings = [each async for each in fsck.run(given.ids)]
        mendings = plan(findings, await _composites(catalog))
        left = [each for each in findings if each.is_problem and not plan([each])]
        for each in left:
            tell(_said_of(each))
        unmended = len(left)
        unmended += await _carry_out(Repair(catalog, root), mendings, dry_run=given.dry_run)
        if given.dry_run or not mendings:
            tell(f"{counted(len(mendings), 'thing')} to do")
        elif alone:
            unmended += await _work(settings, catalog, depots, mendings)
        else:
            tell("the server that runs does the rest within seconds")
    return EXIT_REFUSED if unmended else 0


async def _composites(catalog: Catalog) -> list[str]:
    """The keys of files that were rendered."""
    return [
        file.key
        async for row in all_recordings(catalog)
        for file in row.files
        if file.kind == "composite"
    ]


async def _carry_out(repair: Repair, mendings: list[Mending], *, dry_run: bool) -> int:
    """How many could not be."""
    unmended = 0
    for each in mendings:
        problem = "" if dry_run else await repair.do(each)
        unmended += bool(problem)
        where = each.recording_id or each.subject
        said = f"{each.action} {where}: {each.because}"
        tell(f"FAIL {said}; {problem}" if problem else f"{'todo' if dry_run else 'ok  '} {said}")
    return unmended


async def _work(
    settings: Settings, catalog: Catalog, depots: Depots, mendings: list[Mending]
) -> int:
    """Does what a server would; how many recordings and renders still wait."""
    waiting = 0
    work = Reupload(
        catalog,
        depots,
        SubprocessJobs(),
        journals_root(settings.data_dir),
        clock=now,
        links_last=links_last(depots),
    )
    made = {Action.ADOPT, Action.FINISH, Action.DELIVER}
    for recording_id in dict.fromkeys(m.recording_id for m in mendings if m.action in made):
        waiting += await _finish_here(work, recording_id)
    rendered = dict.fromkeys(m.recording_id for m in mendings if m.action == Action.RENDER)
    for recording_id in rendered:
        for row in await catalog.renders.of(recording_id):
            if row.status in UNDER_WAY:
                waiting += await _make_here(settings, catalog, depots, row)
    return waiting


async def _finish_here(work: Reupload, recording_id: str) -> bool:
    """True when something of it waits still."""
    progress = Progress()
    async with StatusLine(lambda: f"{recording_id}: {progress.fraction:.0%}").running():
        outcome = await work.once(recording_id, progress)
    verdict = "FAIL" if outcome.problem else "ok  "
    tell(" ".join([verdict, f"{recording_id}: {outcome.status}", outcome.problem]).rstrip())
    return bool(outcome.problem)


# --- render ---------------------------------------------------------------------------------------


def _render(settings: Settings, given: argparse.Namespace) -> int:
    return asyncio.run(_render_one(settings, given))


async def _render_one(settings: Settings, given: argparse.Namespace) -> int:
    options = {
        "layout": given.layout,
        "quality": given.quality,
        "audioOnly": given.audio_only,
        "names": not given.no_names,
        "focus": given.focus,
    }
    async with (
        sole_user(settings) as alone,
        opened(settings) as (catalog, depots),
    ):
        row = await request(catalog, given.id, options, BY_OPERATOR)
        if alone:
            return await _make_here(settings, catalog, depots, row)
        if not given.wait:
            tell(f"{row.id} is {row.status}: the server that runs takes it up within seconds")
            return 0
        return await _watch(catalog, row)


async def _make_here(settings: Settings, catalog: Catalog, depots: Depots, row: RenderRow) -> int:
    """Where no server is, which waits as long as a server would for a store that is away."""
    root = journals_root(settings.data_dir)
    renderer = Renderer(
        catalog,
        Deliverer(catalog, depots, root, clock=now),
        SubprocessJobs(),
        root,
        clock=now,
        threads=default_at_once(),
        spare=settings.disk_low_mb << 20,
    )
    try:
        renderer.begin(row.id)
        status = await _watch(catalog, row)
        await renderer.idle()
        return status
    finally:
        await renderer.close()


async def _watch(catalog: Catalog, row: RenderRow) -> int:
    """Until it is final."""

    def shown() -> str:
        return f"{row.id}: {row.status} {row.progress:.0%} {row.error or ''}".rstrip()

    async with StatusLine(shown).running():
        while row.status in UNDER_WAY:
            await asyncio.sleep(LOOK_EVERY)
            row = await catalog.renders.get(row.id) or _gone(row)
    if row.status == RenderStatus.DONE:
        recording = await catalog.recordings.get(row.recording_id)
        files = recording.files if recording else ()
        for file in files:
            if file.id == row.file_id:
                tell(f"ok   {row.id}: {size(file.size)}, {file.duration_seconds:.1f} s, {file.key}")
        return 0
    tell(f"FAIL {row.id}: {row.status}, {row.error}")
    return EXIT_REFUSED


def _gone(row: RenderRow) -> RenderRow:
    return replace(row, status=RenderStatus.CANCELLED, error="the recording was deleted")
