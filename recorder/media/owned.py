"""Whose a media file is, and whether it is still there for them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from recorder.errors import MediaDeleted, NotYourMedia, UnknownMedia
from recorder.media.works import Change, Works
from storage.catalog import MediaChanges, MediaRow
from storage.catalog.media import MediaRepository
from storage.errors import RowNotFound


class OwnFiles:
    """`user` is whose files may be touched, None for whoever may touch all.

    What was deleted longer than `trash` ago is gone for everybody, whether its objects were removed
    already or not: so nobody brings back what is just being removed.
    """

    def __init__(
        self,
        media: MediaRepository,
        works: Works,
        clock: Callable[[], datetime],
        trash: timedelta,
    ) -> None:
        self._media = media
        self._works = works
        self._clock = clock
        self._trash = trash

    def kept_since(self) -> datetime:
        """What was deleted before this moment is gone."""
        return self._clock() - self._trash

    async def get(self, media_id: str, user: str | None) -> MediaRow:
        """Also one that is in the trash. Raises UnknownMedia, NotYourMedia."""
        row = await self._media.get(media_id)
        if row is None or self._is_gone(row):
            raise _unknown(media_id)
        if user is not None and row.user_id != user:
            raise NotYourMedia("the media file is somebody else's")
        return row

    async def living(self, media_id: str, user: str | None) -> MediaRow:
        """Raises UnknownMedia, NotYourMedia, MediaDeleted."""
        return alive(await self.get(media_id, user))

    async def change(self, media_id: str, user: str | None, change: Change) -> MediaRow:
        """The row after `change`, also of one in the trash. Raises UnknownMedia, NotYourMedia."""

        def checked(row: MediaRow) -> MediaChanges:
            if self._is_gone(row):
                raise _unknown(media_id)
            return change(row)

        await self.get(media_id, user)
        try:
            return await self._works.edit(media_id, checked)
        except RowNotFound:
            raise _unknown(media_id) from None

    async def edit(self, media_id: str, user: str | None, change: Change) -> MediaRow:
        """The same of one that is not in the trash. Raises MediaDeleted, too."""
        await self.living(media_id, user)
        return await self.change(media_id, user, lambda row: change(alive(row)))

    def _is_gone(self, row: MediaRow) -> bool:
        return row.deleted_at is not None and row.deleted_at < self.kept_since()


def alive(row: MediaRow) -> MediaRow:
    """Raises MediaDeleted."""
    if row.deleted_at is not None:
        raise MediaDeleted(f"media file {row.id} is deleted; restore it first")
    return row


def _unknown(media_id: str) -> UnknownMedia:
    return UnknownMedia(f"there is no media file {media_id[:40]!r}")
