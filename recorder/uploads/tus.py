"""Uploads that arrive piece by piece and go on where they were cut: the server's side of tus.

An offset is told only when the bytes before it are on the disk (`spool`). One request at a time appends
to an upload. A client whose connection died comes back while its former request still waits for bytes
that will never come; so who waits takes over from one that has been silent, and what that one had is
kept. When the last byte is there the file goes to its store and into the library, once, whoever asks
how often; a store that is down is tried again by `look` and by whoever asks where the upload is.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Final, ParamSpec, TypeVar

from recorder.diskspace import FULL, DiskSpace
from recorder.errors import (
    BadUpload,
    DiskLow,
    FileTooLarge,
    JournalsUnwritable,
    OffsetConflict,
    RecorderError,
    UploadBusy,
    UploadOver,
    WrongChecksum,
)
from recorder.uploads.service import Uploads
from recorder.uploads.spool import Arrival, Spool
from storage.catalog import UploadRow
from storage.catalog.uploads import UploadRepository
from storage.errors import StorageError

log: Final = logging.getLogger(__name__)

FLUSH_BYTES: Final = 16 << 20
FLUSH_SECONDS: Final = 2.0
QUIET_SECONDS: Final = 3.0  # without a byte; then the next one may take over
LONGEST_WAIT: Final = 10.0  # seconds for the turn
STALL_SECONDS: Final = 45.0  # without a byte; then the client is gone

Given = ParamSpec("Given")
Result = TypeVar("Result")
Read = Callable[[], Awaitable[bytes]]
"""The next bytes of a request's body, b"" at its end. Raises BadUpload when it breaks off."""


@dataclass(frozen=True, slots=True)
class Piece:
    """What one request brings. `size` in bytes if the request says it; `checksum` of the whole piece
    by an `algorithm` that hashlib knows."""

    offset: int
    read: Read
    size: int | None = None
    algorithm: str | None = None
    checksum: bytes = b""


@dataclass(slots=True)
class _Turn:
    """A request that appends. `silent_since` is when it began to wait for bytes, on the loop's clock;
    None while it has some to write."""

    silent_since: float | None = None
    over: asyncio.Event = field(default_factory=asyncio.Event)
    waited_for: bool = False
    ended: RecorderError | None = None
    reading: asyncio.Timeout | None = None
    arrival: Arrival | None = None

    def end(self, why: RecorderError) -> None:
        """Read no more; what was read is kept."""
        self.ended = why
        if self.reading is not None:
            self.reading.reschedule(0)


class TusUploads:
    """`quiet`, `wait` and `stall` are in seconds; see the constants. Rows that are handed out have
    in `received` what is durable.
    """

    def __init__(
        self,
        uploads: Uploads,
        rows: UploadRepository,
        spool: Spool,
        space: DiskSpace,
        *,
        quiet: float = QUIET_SECONDS,
        wait: float = LONGEST_WAIT,
        stall: float = STALL_SECONDS,
    ) -> None:
        self._uploads = uploads
        self._rows = rows
        self._spool = spool
        self._space = space
        self._quiet = quiet
        self._wait = wait
        self._stall = stall
        self._turns: dict[str, _Turn] = {}
        uploads.subscribe(self._over)

    # --- what clients ask for ---------------------------------------------------------------------

    async def create(
        self,
        user: str,
        filename: str,
        size: int,
        content_type: str,
        course_id: str | None,
        told: str,
        room: str | None = None,
    ) -> UploadRow:
        """`told` is the client's metadata as it came. Raises what `Uploads.initiate` raises."""
        row = await self._uploads.initiate(
            user,
            filename,
            size,
            content_type,
            course_id,
            method="tus",
            room=room,
            metadata={"tus": told},
        )
        try:
            await _on_disk(self._spool.create, row.id)
        except (DiskLow, JournalsUnwritable):
            await self._uploads.abort(row)
            raise
        return row

    async def append_first(self, row: UploadRow, piece: Piece) -> UploadRow:
        """The piece that came with the creation. What is not kept as a whole ends the upload: the
        client was never told where it is.
        """
        try:
            return await self.append(row, piece)
        except (RecorderError, StorageError):
            with suppress(RecorderError, StorageError):  # refused by the library: over already
                await self.terminate(row)
            raise

    async def look_up(self, row: UploadRow) -> UploadRow:
        """How far the upload is. All of its bytes means that the file is in the library.

        Who asks has mostly lost a connection, whose request may be about to end: that is waited for
        a little, so that what it brought is told. Raises what `append` raises of an upload that is over.
        """
        if row.status != "open":
            return await self._finish(row)
        try:
            async with self._turn(row.id, 2 * self._quiet):
                length = await _on_disk(self._length, row)
        except UploadBusy:
            turn = self._turns.get(row.id)
            if turn is None or turn.arrival is None:
                raise
            return replace(row, received=turn.arrival.durable)
        return await self._settled(row, length)

    async def append(self, row: UploadRow, piece: Piece) -> UploadRow:
        """At the last byte the file is taken into the library first.

        Raises OffsetConflict, FileTooLarge, WrongChecksum (and the piece is gone), BadUpload when the
        request broke off (and what came of it is kept, unless it had a checksum), UploadBusy, DiskLow,
        UploadOver; FileRefused when the library does not want it; StorageError, StorageFailed when the
        store can't take it now (then it waits).
        """
        if row.status != "open":
            row = await self._finish(row)
            if piece.offset != row.size:
                raise OffsetConflict(row.size)
            return row
        async with self._turn(row.id, self._wait) as turn:
            with await _on_disk(self._open, row) as arrival:
                turn.arrival = arrival
                if arrival.start != piece.offset:
                    raise OffsetConflict(arrival.start)
                if piece.size is not None and arrival.start + piece.size > row.size:
                    raise _too_much(row)
                await self._take(row, arrival, piece, turn)
        return await self._settled(row, arrival.durable)

    async def terminate(self, row: UploadRow) -> None:
        """The client wants it no more. Raises UploadBusy, UploadOver as `Uploads.abort`."""
        await self._uploads.abort(row)

    # --- what is looked after ---------------------------------------------------------------------

    async def look(self) -> None:
        """Finish what came as a whole, remove the files of uploads that are over."""
        sizes = await asyncio.to_thread(self._spool.sizes)  # before the rows: none is too young
        if not sizes:
            return
        rows = {row.id: row for row in await self._rows.in_states({"open"}) if row.method == "tus"}
        for name in sizes.keys() - self._turns.keys():
            row = rows.get(name)
            if row is None:
                await self._remove(name)
            elif sizes[name] == row.size:
                with suppress(RecorderError, StorageError):  # told by who finishes
                    await self.look_up(row)

    async def _over(self, row: UploadRow) -> None:
        """A session ended, here or elsewhere: who still appends stops, and the file goes."""
        if row.method != "tus":
            return
        if turn := self._turns.get(row.id):
            turn.end(UploadOver(f"the upload session is {row.status}"))
        await self._remove(row.id)

    async def _remove(self, name: str) -> None:
        try:
            await asyncio.to_thread(self._spool.remove, name)
        except OSError as error:  # `look` comes again
            log.warning("the file of upload %s can't be removed: %s", name, error.strerror)

    async def _settled(self, row: UploadRow, length: int) -> UploadRow:
        if length == row.size:
            await self._uploads.take_file(row, self._spool.path(row.id))
            return await self._uploads.own(row.id, None)
        return replace(row, received=length)

    async def _finish(self, row: UploadRow) -> UploadRow:
        """Wait for what is being finished. Raises how it ended unless that was well."""
        await self._uploads.finish(row)
        return await self._uploads.own(row.id, None)

    def _length(self, row: UploadRow) -> int:
        with self._open(row) as arrival:
            return arrival.durable

    def _open(self, row: UploadRow) -> Arrival:
        try:
            return self._spool.open(row.id)
        except FileNotFoundError:
            raise UploadOver(
                "the upload is over, or what came of it was lost: begin anew"
            ) from None

    # --- one piece --------------------------------------------------------------------------------

    @asynccontextmanager
    async def _turn(self, upload_id: str, wait: float) -> AsyncIterator[_Turn]:
        """Raises UploadBusy when another request does not let go, or one waits already."""
        loop = asyncio.get_running_loop()
        last = loop.time() + wait
        while other := self._turns.get(upload_id):
            if other.waited_for or loop.time() >= last:
                raise UploadBusy("another request is sending bytes of this upload")
            since = other.silent_since or loop.time()
            if loop.time() >= since + self._quiet:
                other.end(UploadBusy("another request of the same upload took over"))
            other.waited_for = True
            try:
                async with asyncio.timeout_at(min(last, loop.time() + self._quiet)):
                    await other.over.wait()
            except TimeoutError:
                pass
            finally:
                other.waited_for = False
        turn = self._turns[upload_id] = _Turn()
        try:
            yield turn
        finally:
            del self._turns[upload_id]
            turn.over.set()

    async def _take(self, row: UploadRow, arrival: Arrival, piece: Piece, turn: _Turn) -> None:
        """All of the piece, or none, or as much as came; then the catalog knows how far we are."""
        if piece.algorithm is not None:
            await _on_disk(arrival.check_with, piece.algorithm)
        try:
            await self._receive(row, arrival, piece, turn)
            if piece.algorithm is not None and arrival.digest() != piece.checksum:
                raise WrongChecksum("the piece is not what Upload-Checksum says")
        except (FileTooLarge, WrongChecksum):
            await _on_disk(arrival.discard)
            raise
        except (BadUpload, UploadBusy, UploadOver, DiskLow, JournalsUnwritable):
            await _on_disk(arrival.discard if piece.algorithm else arrival.keep)
            await self._uploads.touch(row, arrival.durable)
            raise
        await _on_disk(arrival.keep)
        if arrival.durable < row.size:
            await self._uploads.touch(row, arrival.durable)

    async def _receive(self, row: UploadRow, arrival: Arrival, piece: Piece, turn: _Turn) -> None:
        loop = asyncio.get_running_loop()
        flushed, flushed_at = arrival.end, loop.time()
        while block := await self._next(piece, turn):
            if arrival.end + len(block) > row.size:
                raise _too_much(row)
            await _on_disk(arrival.write, block)
            late = loop.time() >= flushed_at + FLUSH_SECONDS
            if late or arrival.end >= flushed + FLUSH_BYTES:
                await _on_disk(self._flush, arrival)
                await self._uploads.touch(row, arrival.durable)
                flushed, flushed_at = arrival.end, loop.time()

    async def _next(self, piece: Piece, turn: _Turn) -> bytes:
        if turn.ended is not None:
            raise turn.ended
        turn.silent_since = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(self._stall) as turn.reading:
                return await piece.read()
        except TimeoutError:
            raise turn.ended or UploadBusy("the client fell silent") from None
        finally:
            turn.reading = turn.silent_since = None

    def _flush(self, arrival: Arrival) -> None:
        arrival.flush()
        self._space.check()


def _too_much(row: UploadRow) -> FileTooLarge:
    return FileTooLarge(
        f"Upload-Length said {row.size} bytes, this is more",
        code="beyond_upload_length",
        details={"limitBytes": row.size},
    )


async def _on_disk(
    call: Callable[Given, Result], *given: Given.args, **more: Given.kwargs
) -> Result:
    """In a thread. Raises DiskLow, JournalsUnwritable for what the operating system says."""
    try:
        return await asyncio.to_thread(call, *given, **more)
    except OSError as error:
        reason = error.strerror or str(error)
        if error.errno in FULL:
            raise DiskLow(f"the disk of the spool is full: {reason}") from error
        raise JournalsUnwritable(f"the spool can't be written: {reason}") from error
