"""Uploads in parts on the local disk. Everything here blocks, and runs in threads.

An upload is a folder `<root>/.incoming/<id>` with a file `upload` that says what it is to become,
and a file for each part, named by its number: the part's bytes and, behind them, the 32 bytes of
their SHA-256, which is the part's ETag. So one rename makes a part, or replaces it, whole.

What a crash may leave is told by names: `<id>.new` was not begun, `<id>.gone` was aborted, and a
file `completed` says that the object is there. It stays for a day, so that a client who lost the
answer may complete again. `sweep` removes all three, but never an unfinished upload.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from io import FileIO
from pathlib import Path
from typing import Final

from storage.errors import BadParts, ObjectNotFound, StoreUnavailable, UploadGone
from storage.objects import disk
from storage.objects.keys import INCOMING
from storage.objects.local_arrivals import Arrival, append
from storage.objects.part_sizes import MAX_PARTS, SMALLEST_PART
from storage.objects.signing import Part, UnfinishedUpload
from storage.objects.store import ObjectInfo
from storage.objects.threads import Cancelled

COMPLETED_KEPT: Final = 24 * 3600  # seconds
BEGINNING_KEPT: Final = 3600  # seconds: another process may be at it
DIGEST_BYTES: Final = hashlib.sha256().digest_size

_UPLOAD_ID = re.compile(r"[0-9a-f]{32}")
_DESCRIPTION, _COMPLETED = "upload", "completed"


@dataclass(frozen=True, slots=True)
class Upload:
    """What an upload is to become; `folder` is where its parts are."""

    folder: Path
    key: str
    content_type: str
    metadata: Mapping[str, str]
    begun_at: datetime


def begin(
    root: Path, key: str, content_type: str, metadata: Mapping[str, str], now: datetime
) -> str:
    """The id of a new upload. Raises BadKey, StoreUnavailable, StoreFull."""
    disk.locate(root, key)
    upload_id = secrets.token_hex(16)
    folder = root / INCOMING / upload_id
    fresh = folder.with_name(upload_id + ".new")
    said = {
        "key": key,
        "content_type": content_type,
        "metadata": dict(metadata),
        "begun_at": now.isoformat(),
    }
    with disk.translated(f"writing into the folder {root}"):
        fresh.mkdir(parents=True)
        try:
            _write(root, fresh / _DESCRIPTION, said)
            fresh.rename(folder)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
        disk.sync_folders(folder.parent, folder.parent)
    return upload_id


def find(root: Path, key: str, upload_id: str) -> Upload:
    """An unfinished upload of this key. Raises UploadGone, StoreUnavailable."""
    upload = _described(root, upload_id)
    if upload is None or upload.key != key or _completed(upload) is not None:
        raise _gone()
    return upload


def keep(root: Path, key: str, upload_id: str, number: int, arrival: Arrival) -> str:
    """Make what has arrived a part, durably; its ETag. Raises UploadGone, StoreUnavailable."""
    digest = arrival.sha256()
    arrival.write(digest)
    folder = find(root, key, upload_id).folder
    with disk.translated("storing a part"):
        try:
            arrival.place_at(folder / _part_name(number))
        except FileNotFoundError:  # aborted a moment ago
            raise _gone() from None
    return digest.hex()


def listed(root: Path, key: str, upload_id: str) -> tuple[Part, ...]:
    """The parts that have come. Raises UploadGone, StoreUnavailable."""
    upload = find(root, key, upload_id)
    with disk.translated("listing the parts of an upload"):
        numbers = sorted(int(path.name) for path in upload.folder.glob("[0-9]" * 5))
    found = []
    for number in numbers:
        with _part(upload, number) as (_, size, digest):
            found.append(Part(number, digest, size))
    return tuple(found)


def complete(
    root: Path, key: str, upload_id: str, parts: Sequence[Part], cancelled: Cancelled
) -> ObjectInfo:
    """Raises UploadGone, BadParts, BadKey, StoreUnavailable, StoreFull."""
    wanted = _checked(parts)
    made_of = hashlib.sha256(json.dumps(wanted).encode()).hexdigest()
    upload = _described(root, upload_id)
    if upload is None or upload.key != key:
        raise _gone()
    with disk.translated(f"completing {key!r}"), _alone(upload):
        if earlier := _completed(upload):
            return _again(root, upload, earlier == made_of)
        info = _assemble(root, upload, wanted, cancelled)
        with suppress(FileNotFoundError):  # aborted a moment ago, and too late
            _write(root, upload.folder / _COMPLETED, made_of)
        _remove_parts(upload.folder)
    return info


def abort(root: Path, key: str, upload_id: str) -> None:
    """Nothing happens when the upload is over. Raises StoreUnavailable."""
    upload = _described(root, upload_id)
    if upload is None or upload.key != key or _completed(upload) is not None:
        return
    gone = upload.folder.with_name(upload.folder.name + ".gone")
    with disk.translated("aborting an upload"), suppress(FileNotFoundError):
        upload.folder.rename(gone)
        disk.sync_folders(gone.parent, gone.parent)
        shutil.rmtree(gone, ignore_errors=True)


def unfinished(root: Path, prefix: str) -> list[UnfinishedUpload]:
    """Sorted by key and age. Raises StoreUnavailable."""
    found = []
    with disk.translated(f"listing the folder {root / INCOMING}"):
        for name in _names(root):
            upload = _described(root, name)
            if upload and upload.key.startswith(prefix) and _completed(upload) is None:
                found.append(UnfinishedUpload(upload.key, name, upload.begun_at))
    return sorted(found, key=lambda upload: (upload.key, upload.begun_at))


def sweep(root: Path) -> int:
    """Remove what is left of uploads that are over; returns how many there were."""
    now, swept = time.time(), 0
    with disk.translated(f"cleaning the folder {root / INCOMING}"):
        for name in _names(root):
            folder = root / INCOMING / name
            with suppress(FileNotFoundError, NotADirectoryError):
                if name.endswith(".gone") or (
                    name.endswith(".new") and now - folder.stat().st_mtime > BEGINNING_KEPT
                ):
                    shutil.rmtree(folder, ignore_errors=True)
                    swept += 1
                elif now - (folder / _COMPLETED).stat().st_mtime > COMPLETED_KEPT:
                    shutil.rmtree(folder, ignore_errors=True)
                else:
                    _remove_parts(folder)
    return swept


def check_number(number: int) -> None:
    """Raises BadParts."""
    if not 1 <= number <= MAX_PARTS:
        raise BadParts(f"parts have numbers from 1 to {MAX_PARTS}, not {number}")


def _checked(parts: Sequence[Part]) -> list[tuple[int, str]]:
    """Numbers and ETags in order; ETags as they were in a header are fine. Raises BadParts."""
    wanted = sorted((part.number, part.etag.strip('"').lower()) for part in parts)
    if not wanted:
        raise BadParts("an upload is completed with one part or more")
    for number, _ in wanted:
        check_number(number)
    if len({number for number, _ in wanted}) < len(wanted):
        raise BadParts("a part was named twice")
    return wanted


def _assemble(
    root: Path, upload: Upload, wanted: Sequence[tuple[int, str]], cancelled: Cancelled
) -> ObjectInfo:
    """One object of all parts. They are opened one at a time: there may be 10,000."""
    with disk.incoming(root) as (writing, temporary):
        for number, etag in wanted:
            with _part(upload, number) as (reading, size, digest):
                if digest != etag:
                    raise BadParts(f"part {number} has another ETag")
                if size < SMALLEST_PART and number != wanted[-1][0]:
                    raise BadParts(
                        f"part {number} has {size} bytes: all but the last"
                        f" have {SMALLEST_PART} or more"
                    )
                append(reading.fileno(), writing, size, cancelled)
        return disk.finish(
            root, upload.key, writing, temporary, upload.content_type, upload.metadata
        )


@contextmanager
def _part(upload: Upload, number: int) -> Iterator[tuple[FileIO, int, str]]:
    """A part's file, the size of its bytes, and its ETag. Raises BadParts, UploadGone."""
    with ExitStack() as stack:
        try:
            file = stack.enter_context((upload.folder / _part_name(number)).open("rb", buffering=0))
        except FileNotFoundError:
            if not upload.folder.is_dir():
                raise _gone() from None
            raise BadParts(f"part {number} was never sent") from None
        size = os.fstat(file.fileno()).st_size - DIGEST_BYTES
        yield file, size, os.pread(file.fileno(), DIGEST_BYTES, size).hex()


@contextmanager
def _alone(upload: Upload) -> Iterator[None]:
    """Two at once would need the room twice. Raises StoreUnavailable while another is at it."""
    with ExitStack() as stack:
        try:
            file = stack.enter_context((upload.folder / _DESCRIPTION).open("rb"))
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except FileNotFoundError:
            raise _gone() from None
        except BlockingIOError:
            raise StoreUnavailable(
                f"the upload of {upload.key!r} is just being completed", passing=True, undone=True
            ) from None
        yield


def _again(root: Path, upload: Upload, same: bool) -> ObjectInfo:
    """The answer to completing a second time."""
    if not same:
        raise _gone()
    try:
        return disk.head(root, upload.key)
    except ObjectNotFound:
        raise _gone() from None


def _described(root: Path, upload_id: str) -> Upload | None:
    """None when there is no such upload: also where its id is no id, which is never a path."""
    if not _UPLOAD_ID.fullmatch(upload_id):
        return None
    folder = root / INCOMING / upload_id
    with disk.translated("looking for an upload"):
        try:
            said = json.loads((folder / _DESCRIPTION).read_bytes())
            return Upload(
                folder,
                said["key"],
                said["content_type"],
                said["metadata"],
                datetime.fromisoformat(said["begun_at"]).astimezone(UTC),
            )
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (ValueError, LookupError, TypeError):  # not written by us
            return None


def _completed(upload: Upload) -> str | None:
    """A digest of the parts that the upload was completed with, None if it was not."""
    with disk.translated("looking for an upload"):
        try:
            return str(json.loads((upload.folder / _COMPLETED).read_bytes()))
        except FileNotFoundError:
            return None


def _write(root: Path, path: Path, content: object) -> None:
    arrival = Arrival(root)
    try:
        arrival.begin()
        arrival.write(json.dumps(content).encode())
        arrival.place_at(path)
    finally:
        arrival.close()


def _remove_parts(folder: Path) -> None:
    for path in folder.glob("[0-9]" * 5):
        path.unlink(missing_ok=True)


def _names(root: Path) -> list[str]:
    try:
        return sorted(os.listdir(root / INCOMING))
    except FileNotFoundError:
        return []


def _part_name(number: int) -> str:
    return f"{number:05}"


def _gone() -> UploadGone:
    return UploadGone("there is no such upload, or it is over")
