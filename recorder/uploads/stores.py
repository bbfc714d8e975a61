"""The stores as uploads see them: what signs, what lists parts, and removing what has come."""

from __future__ import annotations

import logging
from typing import Final

from recorder.depots import Depots
from recorder.object_keys import original_key
from storage.catalog import UploadRow
from storage.errors import StorageError
from storage.objects import Multipart, ObjectStore, Part, PartLister

# A link to a part of these is a permission to put the object, in parts or not.
LINKS_OUTLAST: Final = frozenset({"vercel-blob"})

log = logging.getLogger(__name__)


def kept_key(row: UploadRow) -> str:
    """Where the file is when it is done: also where it arrived, unless that can be overwritten."""
    return original_key(row.metadata["mediaId"], row.metadata["extension"])


class UploadStores:
    """`local` signs for the local store, which can't do so by itself."""

    def __init__(self, depots: Depots, local: object = None) -> None:
        self._depots = depots
        self._local = local

    def store(self, provider: str) -> ObjectStore:
        """Raises StoreMisconfigured."""
        return self._depots.store(provider)

    def signer(self, provider: str) -> object:
        """What may be a Signer, FormSigner, Multipart, PartLister of this provider's store."""
        if provider == "local" and self._local is not None:
            return self._local
        return self._depots.store(provider)

    def forgets_links(self, provider: str) -> bool:
        """Are links to the parts of an upload of no use when it is over?"""
        return provider not in LINKS_OUTLAST

    async def parts(self, row: UploadRow) -> tuple[Part, ...] | None:
        """What the store has of an upload in parts; None where it can't tell. Raises UploadGone."""
        signer = self.signer(row.provider)
        if row.upload_id is None or not isinstance(signer, PartLister):
            return None
        return await signer.parts(row.storage_key, row.upload_id)

    async def remove(self, row: UploadRow) -> bool:
        """Everything of a file that is not kept. False when the store refuses, which is told in the
        log: `Finisher.sweep` tries again.
        """
        try:
            signer = self.signer(row.provider)
            if row.upload_id is not None and isinstance(signer, Multipart):
                await signer.abort(row.storage_key, row.upload_id)
            await self.store(row.provider).delete_many({row.storage_key, kept_key(row)})
        except StorageError as error:
            log.warning("what came of upload %s is not removed yet: %s", row.id, error)
            return False
        return True
