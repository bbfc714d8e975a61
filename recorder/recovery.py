"""What a killed server left behind, read from the disk and the catalog (requirement R4)."""

from __future__ import annotations

import asyncio
import logging
import re
import shutil
from pathlib import Path

from mediaserver.journal import JournalHeader, JournalReader
from recorder.errors import NothingToRetry, UnknownRecording
from recorder.finishing import Finisher, clear, forget_files
from recorder.journals import JOURNAL_PATTERN, journal_bytes, journals_root, sweep
from recorder.ledger import LOCAL
from recorder.lifecycle import ACTIVE, END_REASON, FINAL, EndReason, Status, Step, after
from storage.catalog import Catalog, RecordingRow

STARTED_BY_RECOVERY = "recovery"
UNKNOWN_ROOM = "unknown"

_RECORDING_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")

log = logging.getLogger(__name__)


async def unfinished(catalog: Catalog, finisher: Finisher, root: Path) -> list[str]:
    """Ids of all recordings that have to be finished, oldest first.

    None of them is `starting` or `recording` any more afterwards, so their rooms can be recorded
    again at once. Journals without a row get one. Raises what the catalog raises.
    """
    ids = []
    for row in await catalog.recordings.in_states(set(Status) - FINAL):
        if row.status in ACTIVE:
            metadata = {END_REASON: str(EndReason.CRASH), **row.metadata}
            await finisher.step(row, Step.RECOVERED, metadata=metadata)
        ids.append(row.id)
    await _settle(catalog, root)
    await asyncio.to_thread(sweep, root)
    for directory in await asyncio.to_thread(_directories, root):
        if directory.name not in ids and await adopt(catalog, directory):
            ids.append(directory.name)
    return ids


async def _settle(catalog: Catalog, root: Path) -> None:
    """Bring the ledger in line with recordings that are final."""
    for recording_id in {row.recording_id for row in await catalog.deliveries.in_states(LOCAL)}:
        row = await catalog.recordings.get(recording_id)
        if row is not None and row.status == Status.RECORDED:
            await clear(catalog, root, row)
        elif row is not None and row.status == Status.FAILED:
            await forget_files(catalog, row.id)


async def retry(catalog: Catalog, data_dir: Path, recording_id: str) -> RecordingRow:
    """Has a failed recording finished once more: by the server that runs, or the next start.

    Raises UnknownRecording, NothingToRetry, and what the catalog raises.
    """
    row = await catalog.recordings.get(recording_id)
    if row is None:
        raise UnknownRecording(f"there is no recording {recording_id}")
    if row.status != Status.FAILED:
        raise NothingToRetry(f"recording {recording_id} is {row.status}, only failed ones need it")
    if not await asyncio.to_thread(journal_bytes, journals_root(data_dir) / recording_id):
        raise NothingToRetry(f"no journals of recording {recording_id} are kept")
    again = after(Status.FAILED, Step.RETRIED)
    return await catalog.recordings.update(recording_id, {Status.FAILED}, status=again, error=None)


async def adopt(catalog: Catalog, directory: Path) -> bool:
    """True when there is something to finish in a directory that no running recording owns."""
    row = await catalog.recordings.get(directory.name)
    if row is not None:
        whole = row.status == Status.RECORDED and not (row.integrity or {}).get("failures")
        if whole:  # killed between the last status and the clean-up
            await asyncio.to_thread(shutil.rmtree, directory, ignore_errors=True)
        return False
    headers = await asyncio.to_thread(_headers, directory)
    if headers is None:
        await asyncio.to_thread(shutil.rmtree, directory, ignore_errors=True)
        return False
    labels = headers[0].labels if headers else {}
    log.warning("journals of recording %s have no row: they get one", directory.name)
    await catalog.recordings.create(
        id=directory.name,
        room=labels.get("room") or UNKNOWN_ROOM,
        started_by=STARTED_BY_RECOVERY,
        status=Status.PROCESSING,
        metadata={END_REASON: str(EndReason.CRASH)},
    )
    return True


def _directories(root: Path) -> list[Path]:
    if not root.is_dir():
        return []
    return sorted(
        path for path in root.iterdir() if path.is_dir() and _RECORDING_ID.fullmatch(path.name)
    )


def _headers(directory: Path) -> list[JournalHeader] | None:
    """The headers that can be read; None when there is no journal at all."""
    paths = sorted(directory.glob(JOURNAL_PATTERN))
    headers = []
    for path in paths:
        try:
            headers.append(JournalReader(path).header)
        except Exception as error:  # noqa: BLE001  supervises: one bad file does not stop the start
            log.warning("%s: %r", path, error)
    return headers if paths else None
