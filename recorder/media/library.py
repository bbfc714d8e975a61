"""The library: what comes in, whose it is, what becomes of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final, Literal

from recorder.depots import Depots
from recorder.diskspace import free_bytes
from recorder.errors import RecorderError, TooManyEntries, TooManyRenditions, UnknownMedia
from recorder.jobs import Tools
from recorder.media.captioning import Captions
from recorder.media.inspection import Inspection
from recorder.media.intake import Intake
from recorder.media.limits import MediaLimits
from recorder.media.objects import PICTURES
from recorder.media.owned import OwnFiles
from recorder.media.purge import Trash
from recorder.media.renditions import rungs_of
from recorder.media.reports import Reports
from recorder.media.works import (
    CANCELLED,
    DONE,
    UNDER_WAY,
    Works,
    queued,
    rendition_of,
    replaced,
    without_mark,
)
from recorder.object_keys import media_prefix
from recorder.progress import Sleep
from recorder.uploads.limits import checked_name
from storage.catalog import Catalog, MediaChanges, MediaRow, Page, UploadRow
from storage.errors import StorageError

MOST_RENDITIONS: Final = 20
"""Renditions of one user's files that may wait at the same time."""
MOST_TAGS: Final = 50
MOST_ATTACHMENTS: Final = 200

Action = Literal["delete", "restore", "process", "tag"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one file of a batch: its row, or why nothing was done to it."""

    id: str
    row: MediaRow | None = None
    error: RecorderError | StorageError | None = None


class MediaLibrary:
    """`scratch` is a folder for files that jobs work on; `spare` bytes of its disk stay free.
    `threads` is how many each encoder gets. Every task is owned here and ends with `close`.

    `user` is whose files may be touched, None for whoever may touch all. Everything raises what the
    catalog raises, and what is about one file UnknownMedia and NotYourMedia.
    """

    def __init__(
        self,
        catalog: Catalog,
        depots: Depots,
        tools: Tools,
        scratch: Path,
        *,
        clock: Callable[[], datetime],
        limits: MediaLimits | None = None,
        thumbnails: bool = True,
        trash: timedelta = timedelta(days=30),
        threads: int = 2,
        spare: int = 0,
        free: Callable[[Path], int] = free_bytes,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._media = catalog.media
        self._depots = depots
        self._clock = clock
        self._thumbnails = thumbnails
        inspection = Inspection(depots, tools, scratch, limits or MediaLimits())
        self._works = Works(
            catalog,
            depots,
            tools,
            inspection,
            scratch,
            clock=clock,
            threads=threads,
            spare=spare,
            free=free,
            sleep=sleep,
        )
        self._files = OwnFiles(self._media, self._works, clock, trash)
        self._intake = Intake(self._media, depots, inspection, clock, thumbnails=thumbnails)
        self._trash = Trash(catalog, depots, self._works, self._files)
        self._reports = Reports()
        self._counting = asyncio.Lock()  # between what waits and what is wished for
        self.captions = Captions(self._files, depots)

    # --- coming in --------------------------------------------------------------------------------

    async def admit(self, upload: UploadRow) -> MediaRow:
        """See `Intake.admit`."""
        row = await self._intake.admit(upload)
        self._works.begin(row.id)
        return row

    # --- looking ----------------------------------------------------------------------------------

    async def get(self, media_id: str, user: str | None) -> MediaRow:
        """Also one that is in the trash."""
        return await self._files.get(media_id, user)

    async def find(self, user: str | None, **filters: Any) -> Page[MediaRow]:
        """Newest first; `filters` are those of `MediaRepository.find`."""
        return await self._media.find(
            user_id=user, deleted_since=self._files.kept_since(), **filters
        )

    # --- changing ---------------------------------------------------------------------------------

    async def describe(
        self,
        media_id: str,
        user: str | None,
        *,
        filename: str | None = None,
        tags: Sequence[str] | None = None,
    ) -> MediaRow:
        """Another name or other tags; None leaves what is there. Raises MediaDeleted, BadUpload
        for the name, TooManyEntries.
        """
        changes: MediaChanges = {}
        if filename is not None:
            changes["filename"] = checked_name(filename)
        if tags is not None:
            changes["tags"] = _distinct(tags)
        return await self._files.edit(media_id, user, lambda _: changes)

    async def process(
        self, media_id: str, user: str | None, renditions: Iterable[str] = ()
    ) -> MediaRow:
        """Has renditions made; without any, has the file looked into again, with new pictures.

        One that is there or on its way stays what it is. Raises MediaDeleted, BadRendition,
        TooManyRenditions.
        """
        wanted = list(dict.fromkeys(renditions))
        row = await self._files.living(media_id, user)
        for name in wanted:
            rungs_of(name, row.width, row.height)

        def change(now: MediaRow) -> MediaChanges:
            return _wishing(now, wanted, self._clock()) if wanted else self._again(now)

        async with self._counting:
            if wanted:
                await self._require_slots(row, len(wanted))
            elif row.status != "processing":
                await self._require_looks(row)
            row = await self._files.edit(media_id, user, change)
        self._works.begin(media_id)
        return row

    def _again(self, row: MediaRow) -> MediaChanges:
        kept = without_mark(row)
        pictures = [{"role": PICTURES}] if self._thumbnails and row.file_type == "video" else []
        return {"status": "processing", "derived": [*kept, *pictures]}

    async def _require_slots(self, row: MediaRow, more: int) -> None:
        waiting = 0
        for each in (await self._media.find(user_id=row.user_id, limit=1000)).items:
            waiting += sum(one["status"] in UNDER_WAY for one in each.renditions)
        if waiting + more > MOST_RENDITIONS:
            raise TooManyRenditions(
                f"{waiting} renditions of this user's files wait already; at most {MOST_RENDITIONS} may",
                details={"limit": MOST_RENDITIONS, "waiting": waiting},
            )

    async def _require_looks(self, row: MediaRow) -> None:
        under_way = await self._media.find(user_id=row.user_id, status="processing", limit=1)
        if under_way.total >= MOST_RENDITIONS:
            raise TooManyRenditions(
                f"{under_way.total} of this user's files are looked into already; at most"
                f" {MOST_RENDITIONS} may be",
                details={"limit": MOST_RENDITIONS, "waiting": under_way.total},
            )

    async def remove_rendition(self, media_id: str, user: str | None, name: str) -> MediaRow:
        """Cancels one that is under way, and removes one that is there; back when nothing is left of
        it. Raises UnknownMedia for a name that it has none of.
        """
        row = await self._files.get(media_id, user)
        found = rendition_of(row.renditions, name)
        if found is None:
            raise UnknownMedia(f"the media file has no rendition {name[:20]!r}")
        cancelled = {**found, "status": CANCELLED, "progress": 0.0, "files": []}
        row = await self._files.change(
            media_id, user, lambda now: {"renditions": replaced(now.renditions, cancelled)}
        )
        await self._works.end(media_id)
        store = self._depots.store(row.provider)
        # also what was stored of it just now, and stands in no row
        stored = [entry.key async for entry in store.list(media_prefix(media_id) + name)]
        await store.delete_many(stored)
        self._works.begin(media_id)
        return row

    async def attach(
        self, media_id: str, user: str | None, course_id: str, video_id: str | None, *, to: bool
    ) -> MediaRow:
        """To a video of a course, or (`to` is false) from it. Twice is once. Raises MediaDeleted,
        TooManyEntries.
        """
        entry = {"courseId": course_id, **({"videoId": video_id} if video_id else {})}

        def change(row: MediaRow) -> MediaChanges:
            others = [each for each in row.attachments if each != entry]
            if to and len(others) >= MOST_ATTACHMENTS:
                raise TooManyEntries(
                    f"a file is attached to {MOST_ATTACHMENTS} videos at most",
                    details={"limit": MOST_ATTACHMENTS},
                )
            return {"attachments": [*others, entry] if to else others}

        return await self._files.edit(media_id, user, change)

    async def watched(
        self,
        media_id: str,
        user: str | None,
        seconds: float,
        *,
        begins: bool,
        report: str | None = None,
    ) -> None:
        """Adds to what was watched; a view is counted when it `begins`. A `report` that was heard
        already, because its answer was lost, counts nothing. Raises MediaDeleted.
        """
        await self._files.living(media_id, user)
        with self._reports.once(media_id, report) as new:
            if new:
                await self._media.played(media_id, views=int(begins), seconds=seconds)

    # --- going and coming back --------------------------------------------------------------------

    async def delete(self, media_id: str, user: str | None) -> MediaRow:
        """Into the trash, where it stays for a while. Twice is once."""
        row = await self._files.change(
            media_id,
            user,
            lambda now: {} if now.deleted_at is not None else {"deleted_at": self._clock()},
        )
        await self._works.end(media_id)
        return row

    async def restore(self, media_id: str, user: str | None) -> MediaRow:
        """Out of the trash; one that is not there stays as it is."""
        row = await self._files.change(media_id, user, lambda _: {"deleted_at": None})
        self._works.begin(media_id)
        return row

    async def batch(
        self, ids: Sequence[str], user: str | None, action: Action, **options: Any
    ) -> list[Outcome]:
        """The same for each of many files; what can't be done to one is its own affair.

        `options` are those of the action: `tags` (which are added) or `renditions`.
        """
        outcomes = []
        for media_id in dict.fromkeys(ids):
            try:
                outcomes.append(
                    Outcome(media_id, await self._act(media_id, user, action, **options))
                )
            except (RecorderError, StorageError) as error:
                outcomes.append(Outcome(media_id, error=error))
        return outcomes

    async def _act(
        self,
        media_id: str,
        user: str | None,
        action: Action,
        tags: Sequence[str] = (),
        renditions: Sequence[str] = (),
    ) -> MediaRow:
        match action:
            case "delete":
                return await self.delete(media_id, user)
            case "restore":
                return await self.restore(media_id, user)
            case "process":
                return await self.process(media_id, user, renditions)
            case "tag":
                return await self._files.edit(
                    media_id, user, lambda row: {"tags": _distinct([*row.tags, *tags])}
                )

    # --- the server's side ------------------------------------------------------------------------

    async def recover(self) -> None:
        """Takes up what an earlier process left. Raises what the catalog raises."""
        await self._works.recover()

    async def look(self) -> None:
        """A chore, every few seconds: begins what waits."""
        await self._works.look()

    async def purge(self) -> int:
        """A chore, hourly: removes what was deleted long enough ago; how many files it were."""
        return await self._trash.empty()

    async def idle(self) -> None:
        """Returns when nothing is done here."""
        await self._works.idle()

    async def close(self) -> None:
        """Ends all tasks; what they did is taken up by `recover`."""
        await self._works.close()


def _distinct(tags: Sequence[str]) -> list[str]:
    """Raises TooManyEntries."""
    distinct = list(dict.fromkeys(tags))
    if len(distinct) > MOST_TAGS:
        raise TooManyEntries(f"a file has {MOST_TAGS} tags at most", details={"limit": MOST_TAGS})
    return distinct


def _wishing(row: MediaRow, names: Iterable[str], now: datetime) -> MediaChanges:
    """These renditions are wanted; those that are there or on their way stay what they are."""
    renditions = row.renditions
    for name in names:
        found = rendition_of(renditions, name)
        if found is None or found["status"] not in {*UNDER_WAY, DONE}:
            renditions = replaced(renditions, queued(name, now))
    return {"renditions": renditions}
