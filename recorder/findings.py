"""What `recorder.fsck` can find. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Code(StrEnum):
    """What can be found. Stable, for programs."""

    JOURNAL_UNREADABLE = "journal_unreadable"
    JOURNAL_DAMAGED = "journal_damaged"
    JOURNAL_TORN = "journal_torn"
    JOURNALS_ORPHANED = "journals_orphaned"
    LEFTOVER = "leftover"
    FAILED = "recording_failed"
    INCOMPLETE = "recording_incomplete"
    UNFINISHED = "recording_unfinished"
    NO_FILES = "no_files"
    UNKNOWN = "unknown_recording"
    WAITING = "waiting_for_storage"
    LOCAL_COPY_MISSING = "local_copy_missing"
    OBJECT_MISSING = "object_missing"
    OBJECT_SIZE = "object_size"
    OBJECT_CHANGED = "object_changed"
    OBJECT_UNPLAYABLE = "object_unplayable"
    OBJECT_ORPHANED = "object_orphaned"
    CHUNKS_KEPT = "chunks_kept"
    CHUNKS_MISSING = "chunks_missing"
    CHUNKS_WAITING = "chunks_waiting"
    CHUNKS_ORPHANED = "chunks_orphaned"
    STORE_UNAVAILABLE = "store_unavailable"


NOTES = frozenset(
    {Code.JOURNAL_TORN, Code.LEFTOVER, Code.UNFINISHED, Code.WAITING, Code.CHUNKS_WAITING}
)


@dataclass(frozen=True, slots=True)
class Finding:
    """`subject` is a file name or key where it is about one; `todo` says what to do about it."""

    code: Code
    recording_id: str
    subject: str
    says: str
    todo: str

    @property
    def is_problem(self) -> bool:
        return self.code not in NOTES
