"""Upload sessions: announced, sent straight into a store or through this server, completed.

A session is a row of the catalog. The truth about its bytes is in the store, so a process that is
killed at any moment loses nothing: what was being finished is finished by the next one, and a second
`complete` gives the same media file.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from recorder.depots import Depots
from recorder.diskspace import DiskSpace
from recorder.errors import (
    BadUpload,
    NotYourUpload,
    UnknownUpload,
    UploadBusy,
    UploadOver,
)
from recorder.object_keys import MEDIA_ROOT
from recorder.uploads.arrivals import Arrivals
from recorder.uploads.beginning import Beginning, Method
from recorder.uploads.finishing import GIVE_UP_AFTER, Admission, Finisher, Listener
from recorder.uploads.limits import UploadLimits
from recorder.uploads.meter import UploadProgress
from recorder.uploads.parts import Plan
from recorder.uploads.stores import UploadStores
from storage.catalog import Catalog, MediaRow, UploadRow
from storage.errors import StatusConflict, StorageError, StoreUnavailable
from storage.objects import FormSigner, Multipart, Part, SignedForm, SignedRequest

PART_LIFE: Final = timedelta(minutes=15)  # of the link to one part
MOST_LINKS: Final = 100  # of one request

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Parts:
    """A file that goes in `count` parts of `size` bytes; the last may be smaller."""

    size: int
    count: int


@dataclass(frozen=True, slots=True)
class Through:
    """A file that goes through this server, whose floor above signs the address."""

    fields: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class SignedPart:
    number: int
    request: SignedRequest


class Uploads:
    """`local` signs for the local store. `clock` gives times of rows; speeds are by the loop's.

    Methods with a row take any version of it: what counts is what the catalog says. All raise
    CatalogUnavailable and, where the store is asked, StoreUnavailable.
    """

    def __init__(
        self,
        catalog: Catalog,
        depots: Depots,
        library: Admission,
        limits: UploadLimits,
        *,
        clock: Callable[[], datetime],
        local: object = None,
        space: DiskSpace | None = None,
    ) -> None:
        self.limits = limits
        self._rows = catalog.uploads
        self._stores = UploadStores(depots, local)
        self._clock = clock
        self._finisher = Finisher(catalog, self._stores, library, clock, self._over)
        self._beginning = Beginning(self._rows, self._stores, depots.main, clock, space)
        self._arrivals = Arrivals(self._stores)
        self._receiving: set[str] = set()
        self._listeners: list[Listener] = []

    def subscribe(self, listener: Listener) -> None:
        """`listener` hears of every session that is over: done, failed, aborted or expired."""
        self._listeners.append(listener)

    # --- beginning --------------------------------------------------------------------------------

    async def initiate(
        self,
        user: str,
        filename: str,
        size: int,
        content_type: str,
        course_id: str | None = None,
        *,
        method: Method | None = None,
        room: str | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> UploadRow:
        """A new session. `size` in bytes; `method` is chosen by size and store when it is not said.
        `room` is the one that the user's token lets into, whose people share a limit.

        Raises BadUpload, FileTooLarge, FormatRefused, TooManyUploads, DiskLow.
        """
        file = self.limits.check(filename, size, content_type)
        told = {**(metadata or {}), **({"room": room} if room else {})}
        row = await self._beginning.begin(
            self.limits, user, file, course_id=course_id, method=method, metadata=told
        )
        self._arrivals.expect(row)
        return row

    async def ticket(self, row: UploadRow) -> SignedForm | Parts | Through:
        """How the file of a new session is sent; nothing of tus."""
        match row.method:
            case "form":
                signer = self._stores.signer(row.provider)
                assert isinstance(signer, FormSigner)
                return await signer.sign_post(
                    row.storage_key,
                    self.limits.timeout,
                    row.content_type,
                    largest=row.size,
                    smallest=row.size,
                )
            case "multipart":
                plan = plan_of(row)
                return Parts(plan.part_size, plan.count)
            case _:
                return Through({"key": row.storage_key, "Content-Type": row.content_type})

    async def own(self, session_key: str, user: str | None) -> UploadRow:
        """The user's session, anybody's for None. Raises UnknownUpload, NotYourUpload."""
        row = await self._rows.get(session_key)
        if row is None:
            raise UnknownUpload("there is no upload session with this key")
        if user is not None and row.user_id != user:
            raise NotYourUpload("the upload session is somebody else's")
        return row

    # --- on the way -------------------------------------------------------------------------------

    async def sign_parts(self, row: UploadRow, numbers: Sequence[int]) -> list[SignedPart]:
        """Links to parts, as often as they are asked for. Raises BadUpload, UploadOver."""
        if row.method != "multipart" or row.upload_id is None:
            raise BadUpload("this file is not sent in parts: post it to `uploadUrl`")
        if len(numbers) > MOST_LINKS:
            raise BadUpload(
                f"ask for at most {MOST_LINKS} links at a time", code="bad_part_numbers"
            )
        plan = plan_of(row)
        plan.check_numbers(numbers)
        row = await self._renew(row)
        signer = self._stores.signer(row.provider)
        assert isinstance(signer, Multipart)
        assert row.upload_id is not None
        life = min(PART_LIFE, self.limits.timeout)
        signed = []
        for number in numbers:
            request = await signer.sign_part(
                row.storage_key, row.upload_id, number, life, plan.size_of(number)
            )
            signed.append(SignedPart(number, request))
        return signed

    async def take_stream(self, row: UploadRow, blocks: AsyncIterator[bytes]) -> None:
        """The file itself, through this server. What `blocks` raises leaves nothing, and comes out.

        Raises UploadOver, UploadBusy while another request sends it.
        """
        # nothing may be put any more when it is looked into: what is here excludes what is there
        if row.id in self._receiving or self._finisher.is_at(row.id):
            raise UploadBusy("another request is sending or completing this file")
        self._receiving.add(row.id)
        try:
            row = await self.own(row.id, None)
            if row.status != "open" or row.method != "stream":
                raise _over(row)
            store = self._stores.store(row.provider)
            stored = await store.put_stream(
                row.storage_key,
                blocks,
                row.content_type,
                on_progress=lambda count: self._arrivals.tell(row, count),
            )
            await self._renew(row, received=stored.size)
        except UploadOver:
            if row.status == "open":  # it was when this began, and was aborted meanwhile
                await self._stores.remove(row)
            raise
        finally:
            self._receiving.discard(row.id)

    async def expect_form(self, storage_key: str) -> None:
        """Raises UploadOver for a form of a session that is over, though it is signed still: nobody
        would look for what it puts. What is outside of the media library is not ours to say.
        """
        if not storage_key.startswith(MEDIA_ROOT) or self._arrivals.expects(storage_key):
            return
        rows = await self._rows.in_states({"open"})  # of an earlier process
        if not any(row.method == "form" and row.storage_key == storage_key for row in rows):
            raise UploadOver("the upload session of this form is over")

    def form_arrived(self, storage_key: str, received: int) -> None:
        """So many bytes of the form that puts this key are here; nothing of any other key."""
        self._arrivals.tell_of_form(storage_key, received)

    async def touch(self, row: UploadRow, received: int | None = None) -> UploadRow:
        """A sign of life; `received` is how many bytes have come in all. Seldom written down, so
        that it may be called often. Raises UploadOver.
        """
        if received is not None:
            self._arrivals.tell(row, received)
        left = row.expires_at - self._clock()
        if left > self.limits.timeout * 0.95 and received != row.size:
            return row
        return await self._renew(row, received)

    async def tell(self, row: UploadRow, received: int) -> UploadRow:
        """What a client says of what it has sent past this server. Raises BadUpload, UploadOver."""
        if row.status != "open":
            raise _over(row)
        if not 0 <= received <= row.size:
            raise BadUpload(f"bytesUploaded is from 0 to {row.size}", code="bad_bytes_uploaded")
        return await self.touch(row, received)

    async def progress(self, row: UploadRow) -> UploadProgress:
        """How far the bytes are; those that go past this server are asked for in the store."""
        return await self._arrivals.progress(row)

    # --- the end ----------------------------------------------------------------------------------

    async def complete(
        self, row: UploadRow, storage_key: str, parts: Sequence[Part] | None = None
    ) -> MediaRow:
        """The media file; the same one again when it is called again.

        `parts` may be left out, and their ETags be "", where the store can list them. Raises
        NotYourUpload, UploadIncomplete, BadUpload, UploadOver; UploadDiffers and FileRefused, then
        the session has failed and nothing of the file is kept.
        """
        if storage_key != row.storage_key:
            raise NotYourUpload("storageKey is not the key of this upload session")
        if row.id in self._receiving:
            raise UploadBusy("the file is still being sent")
        return await self._finisher.finish(row, parts)

    async def finish(self, row: UploadRow) -> MediaRow:
        """`complete` of a file whose object is in the store."""
        return await self._finisher.finish(row)

    async def take_file(self, row: UploadRow, path: Path) -> MediaRow:
        """Put a whole local file into the store, and finish. Raises SourceUnreadable, and as above.

        The file may go when this has returned, or raised an UploadError. When the store can't take
        it now, it is kept for longer than a client is waited for.
        """
        try:
            return await self._finisher.finish(row, file=path)
        except StorageError:
            with suppress(UploadOver, StorageError):
                await self._renew(row, received=row.size, life=GIVE_UP_AFTER)
            raise

    async def abort(self, row: UploadRow) -> UploadRow:
        """End a session and remove what has come. Again, it is the same. Raises UploadBusy while
        it is being finished, UploadOver when it is done.
        """
        if row.status == "aborted":
            return row
        try:
            row = await self._rows.update(
                row.id, {"open"}, status="aborted", finished_at=self._clock()
            )
        except StatusConflict as conflict:
            if conflict.status == "aborted":  # by another request just now, which removes it all
                return await self.own(row.id, None)
            if conflict.status == "finishing":
                raise UploadBusy("the file is just being checked") from None
            raise UploadOver(f"the upload session is {conflict.status} already") from None
        await self._stores.remove(row)
        await self._over(row)
        return row

    # --- looked after -----------------------------------------------------------------------------

    async def look(self) -> int:
        """A chore: what expired is ended, and what a killed process was finishing is finished.
        Returns how many sessions expired.
        """
        await self._finisher.resume()
        expired = 0
        for row in await self._rows.expired(self._clock()):
            expired += await self._expire(row)
        return expired

    async def sweep(self) -> None:
        """A chore, every few minutes: what arrived after the end of its session is removed."""
        await self._finisher.sweep()

    async def upload_ids(self) -> frozenset[str]:
        """The stores' ids of multipart uploads of sessions that go on."""
        rows = await self._rows.in_states(("open", "finishing"))
        return frozenset(row.upload_id for row in rows if row.upload_id is not None)

    async def close(self) -> None:
        """Stop what is being finished; the next process goes on."""
        await self._finisher.close()

    async def _expire(self, row: UploadRow) -> int:
        if await self._lives(row):
            return 0
        try:
            row = await self._rows.update(
                row.id, {"open"}, status="expired", finished_at=self._clock()
            )
        except StatusConflict:
            return 0
        await self._stores.remove(row)
        await self._over(row)
        return 1

    async def _lives(self, row: UploadRow) -> bool:
        """Is it being received or finished, or have bytes come since it was last written down? Then
        it is given more time.
        """
        found = row.received
        if row.method == "form":  # through this server, and nobody renews it meanwhile
            found = self._arrivals.of(row)
        elif row.method == "multipart":
            try:
                found = await self._arrivals.at_store(row)
            except StoreUnavailable as error:
                log.warning(
                    "upload %s does not expire before its parts are known: %s", row.id, error
                )
                return True
        at_work = row.id in self._receiving or self._finisher.is_at(row.id)
        if not at_work and found <= row.received:
            return False
        self._arrivals.tell(row, max(found, self._arrivals.of(row)))
        with suppress(UploadOver):
            await self._renew(row, received=found)
        return True

    # --- inside -----------------------------------------------------------------------------------

    async def _renew(
        self, row: UploadRow, received: int | None = None, *, life: timedelta = timedelta()
    ) -> UploadRow:
        expires_at = max(row.expires_at, self._clock() + max(self.limits.timeout, life))
        known = self._arrivals.of(row) if received is None else received
        try:
            return await self._rows.update(
                row.id, {"open"}, expires_at=expires_at, received=max(known, row.received)
            )
        except StatusConflict as conflict:
            raise UploadOver(f"the upload session is {conflict.status}") from None

    async def _over(self, row: UploadRow) -> None:
        self._arrivals.forget(row)
        for listener in self._listeners:
            await listener(row)


def plan_of(row: UploadRow) -> Plan:
    assert row.part_size is not None
    return Plan(row.size, row.part_size)


def _over(row: UploadRow) -> UploadOver:
    return UploadOver(f"the upload session is {row.status}", details={"status": row.status})
