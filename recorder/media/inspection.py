"""Looking into a stored object: its first and last bytes here, the rest in a process of its own."""

from __future__ import annotations

import asyncio
import hashlib
import json
import secrets
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from recorder.depots import Depots
from recorder.errors import FileRefused, JobFailed, JobPostponed
from recorder.jobs import Tools
from recorder.media.facts import Facts
from recorder.media.limits import MediaLimits, not_playable
from recorder.media.ranges import served
from recorder.media.sniff import HEAD, TAIL, disguise, sniff
from storage.catalog import MediaRow
from storage.objects import LocalFiles, ObjectStore

LARGEST_HASHED: Final = 200 << 20
"""Bytes of an object that is read back for its SHA-256."""
SAMPLES: Final = 16
SAMPLE: Final = 64 * 1024


class Inspection:
    """`scratch` is where jobs are told what to do, and put what they make."""

    def __init__(self, depots: Depots, tools: Tools, scratch: Path, limits: MediaLimits) -> None:
        self._depots = depots
        self._tools = tools
        self._scratch = scratch
        self._limits = limits

    async def facts(self, provider: str, key: str, size: int, filename: str) -> Facts:
        """Raises FileRefused, JobPostponed, and what the store raises."""
        store = self._depots.store(provider)
        head = await read(store, key, 0, min(HEAD, size))
        format = self._limits.check_format(sniff(head), f"{filename!r}")
        tail = await read(store, key, max(0, size - TAIL), size)
        if found := disguise(head, tail):
            raise FileRefused(
                f"{filename!r} is {format.upper()} and {found} at once: send the film alone",
                code="unsupported_format",
            )
        order = {"want": "facts", "format": format, "limits": self._limits.to_json()}
        async with self._folder() as folder:
            result = await self._probe(store, key, size, folder, order)
        facts = Facts.from_json(result.get("facts", {}))
        self._limits.check(facts)
        return facts

    async def pictures(
        self, row: MediaRow, format: str, folder: Path
    ) -> dict[str, tuple[int, int]]:
        """Role -> size of what is in `folder` then. Raises as `facts` does."""
        store = self._depots.store(row.provider)
        order = {
            "want": "pictures",
            "format": format,
            "output": str(folder),
            "durationSeconds": row.duration_seconds or 0.0,
        }
        result = await self._probe(store, row.storage_key, row.size, folder, order)
        return dict(result.get("pictures", {}))

    async def format_of(self, row: MediaRow) -> str:
        """As it was when it came in. Raises FileRefused when it is not what it was."""
        head = await read(self._depots.store(row.provider), row.storage_key, 0, HEAD)
        format = sniff(head)
        if format is None:
            raise not_playable("it is not the file any more that came in")
        return format

    async def fingerprint(self, provider: str, key: str, size: int) -> tuple[str, str | None]:
        """The hash of samples and size, and the SHA-256 of what is not too large to be read back."""
        store = self._depots.store(provider)
        digest = hashlib.sha256(f"{size}\n".encode())
        step = max(1, (size - SAMPLE) // max(1, SAMPLES - 1))
        offsets = range(0, max(1, size - SAMPLE + 1), step) if size > SAMPLES * SAMPLE else (0,)
        length = SAMPLE if size > SAMPLES * SAMPLE else size
        for offset in offsets:
            digest.update(await read(store, key, offset, offset + length))
        whole = await store.digest(key) if size <= LARGEST_HASHED else None
        return digest.hexdigest(), whole

    async def _probe(
        self, store: ObjectStore, key: str, size: int, folder: Path, order: dict[str, Any]
    ) -> dict[str, Any]:
        order = {**order, "size": size}
        if isinstance(store, LocalFiles):
            order |= {"source": str(store.path(key).absolute()), "remote": False}
            return await self._run(folder, order)
        async with served(store, key, size) as (address, ranges):
            try:
                return await self._run(folder, {**order, "source": str(address), "remote": True})
            except (JobPostponed, FileRefused):
                if ranges.failure is not None:  # nothing is known of the file then
                    raise ranges.failure from None
                raise

    async def _run(self, folder: Path, order: dict[str, Any]) -> dict[str, Any]:
        spec = folder / "probe.json"
        await asyncio.to_thread(spec.write_text, json.dumps(order))
        try:
            result = await self._tools.run("probe", ["--spec", str(spec)], lambda _: None)
        except JobPostponed:
            raise
        except JobFailed as error:  # the job tells of what is the file's own fault
            raise JobPostponed(f"the file could not be looked into: {error}") from error
        if refused := result.get("refused"):
            raise FileRefused(
                refused["message"],
                code=refused["code"],
                status=refused["status"],
                details=refused["details"],
            )
        return result

    @asynccontextmanager
    async def _folder(self) -> AsyncIterator[Path]:
        folder = self._scratch / f"probe-{secrets.token_hex(8)}"
        await asyncio.to_thread(folder.mkdir, parents=True)
        try:
            yield folder
        finally:
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


async def read(store: ObjectStore, key: str, start: int, end: int) -> bytes:
    """Some bytes of an object. Raises what the store raises."""
    return b"".join([block async for block in store.open(key, start, end)])
