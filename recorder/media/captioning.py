"""Captions of media files: kept beside them, one file a language.

Each file of captions has a key of its own, that no other ever has: so whoever changes the row decides
what it names, and two at once can't leave a row whose captions somebody else has just removed.
"""

from __future__ import annotations

import hashlib
import logging
import secrets
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

from recorder.depots import Depots
from recorder.errors import BadCaptions, RecorderError, UnknownMedia
from recorder.media.captions import (
    CONTENT_TYPE,
    MOST_LANGUAGES,
    canonical_language,
    check_captions,
)
from recorder.media.objects import find_captions
from recorder.media.owned import OwnFiles
from recorder.object_keys import media_prefix
from storage.catalog import MediaChanges, MediaRow
from storage.errors import StorageError

log = logging.getLogger(__name__)


class Captions:
    """`user` as in OwnFiles, and so is what is raised of a file that is somebody else's or gone."""

    def __init__(self, files: OwnFiles, depots: Depots) -> None:
        self._files = files
        self._depots = depots

    async def put(
        self, media_id: str, user: str | None, language: str, data: bytes, label: str = ""
    ) -> MediaRow:
        """In place of those of this language. Raises BadCaptions, and what the store raises."""
        language, cues = canonical_language(language), check_captions(data)
        row = await self._files.living(media_id, user)
        _check_number(row, language)
        key = f"{media_prefix(media_id)}captions.{language}.{secrets.token_hex(6)}.vtt"
        entry = {
            "language": language,
            "label": label,
            "key": key,
            "contentType": CONTENT_TYPE,
            "size": len(data),
            "sha256": hashlib.sha256(data).hexdigest(),
            "cues": cues,
        }
        store = self._depots.store(row.provider)
        await store.put_stream(key, _once(data), CONTENT_TYPE)
        try:
            return await self._exchange(media_id, user, language, entry)
        except RecorderError:  # the row is as it was; after anything else, who knows
            with suppress(StorageError):  # goes with the file at last
                await store.delete(key)
            raise

    async def remove(self, media_id: str, user: str | None, language: str) -> MediaRow:
        """Raises UnknownMedia when there are none."""
        return await self._exchange(media_id, user, language, None)

    async def _exchange(
        self, media_id: str, user: str | None, language: str, entry: dict[str, Any] | None
    ) -> MediaRow:
        """The row with `entry` in place of its captions of the language, or with none of it."""
        replaced: list[str] = []

        def change(row: MediaRow) -> MediaChanges:
            old = find_captions(row, language)
            if entry is None and old is None:
                raise UnknownMedia(f"there are no captions in {language[:20]!r}")
            _check_number(row, language)
            replaced[:] = [old["key"]] if old is not None else []
            others = [each for each in row.captions if each is not old]
            new = [*others, entry] if entry is not None else others
            return {"captions": sorted(new, key=lambda each: str(each["language"]))}

        row = await self._files.edit(media_id, user, change)
        try:
            await self._depots.store(row.provider).delete_many(replaced)
        except StorageError as error:  # no row names them: they go with the file
            log.warning("old captions of %s are still there: %s", media_id, error)
        return row


def _check_number(row: MediaRow, language: str) -> None:
    if find_captions(row, language) is None and len(row.captions) >= MOST_LANGUAGES:
        raise BadCaptions(f"there are captions in {MOST_LANGUAGES} languages already")


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data
