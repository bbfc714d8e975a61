"""Everything this package raises.

RecorderError
├── AlreadyRecording     the caller's: the room is being recorded; carries the recording's id
├── UnknownRecording     the caller's: no recording with that id
├── RecordingActive      the caller's: not while the recording runs or is being finished
├── BadTransition        our own fault: a status that can't follow the present one
├── DiskLow              the machine's: too little room to start another recording
├── MediaRefused         the media plane would not start to record
├── JournalsUnwritable   the machine's: the folder of journals can't be written
├── NoMedia              nothing was received before the recording stopped
├── BadPayload           the publisher's fault: an RTP payload that breaks its format
├── NothingToRetry       the caller's: only failed recordings whose journals are kept can be retried
├── NothingToRender      the caller's: the recording has no media yet, or none at all
├── BadRenderOptions     the caller's: a wish for a composite that can't be met; names the field
├── TooManyRenders       the caller's: as many renders of the recording wait as may
├── UnknownRender        the caller's: the recording has no such render
├── RecordingEnded       the caller's: the recording is over, and takes no more of participants' own
├── SetComplete          the caller's: the participant's chunks are complete, none can follow
├── ChunksMissing        the caller's: complete was said, but not all came; `details` say which
├── CopiesAwaited        the server stops while participants may still send what they recorded
├── ChunksUnreadable     the participant's fault: chunks nothing playable can be made of
│   ├── HeaderMissing    what says how to read them did not come
│   └── NothingRecorded  all of it came, and there is no media in it
├── ChunkRefused         the caller's: a chunk that can't be kept
│   ├── BadChunkNumber   a part or sequence that no chunk can have; `code` names it
│   ├── ChunkConflict    other bytes than those that are kept under the same number
│   ├── DigestMismatch   the bytes that came are not those that were sent
│   ├── ChunkTooLarge    more bytes than a chunk may have; carries the limit
│   └── ChunksTooMany    more than one participant may send of one recording; carries the limit
├── UploadError          what goes wrong with a file that a user brings
│   ├── BadUpload        the caller's: a name, size or parts that can't be; `code` names the field
│   ├── FileTooLarge     the caller's: more bytes than MAX_VIDEO_SIZE_MB allows
│   ├── FormatRefused    the caller's: a format that is not in ALLOWED_VIDEO_FORMATS
│   ├── TooManyUploads   the caller's: as many uploads under way as MAX_CONCURRENT_UPLOADS
│   ├── UnknownUpload    the caller's: no upload session with that key
│   ├── NotYourUpload    the caller's: somebody else's session, or the key of another object
│   ├── UploadOver       the caller's: the session was aborted or has expired
│   ├── UploadBusy       the caller's: the file is being received or finished by another request
│   ├── UploadIncomplete the caller's: not all bytes are in the store yet
│   ├── UploadDiffers    the caller's: what came is not what was announced
│   ├── OffsetConflict   the caller's: a piece that does not begin where the file ends; carries where
│   ├── WrongChecksum    the caller's: a piece that is not what its checksum says
│   └── FileRefused      the caller's: what is in the file; `code` and `status` are its own
├── LibraryError         what is asked of the media library and can't be
│   ├── UnknownMedia     the caller's: no media file with that id, or nothing of that name of it
│   ├── NotYourMedia     the caller's: somebody else's media file
│   ├── MediaDeleted     the caller's: the media file is deleted; it can be restored first
│   ├── BadRendition     the caller's: a rendition that the file can't have
│   ├── TooManyRenditions  the caller's: as many renditions of the user's files wait as may
│   ├── BadCaptions      the caller's: captions that are no WebVTT, or of no language
│   └── TooManyEntries   the caller's: as many tags or attachments of a file as there may be
├── JobFailed            a job died or reported an error
│   └── JobPostponed     the machine lacks what it may have later: memory, processes, descriptors
│       ├── DiskFull     there is no room for the files
│       └── JobHostLost  the process that runs jobs died, and the job with it
├── MuxFailed            a file could not be written, or did not read back as it was written
├── LocalCopyLost        a finished file is gone from the disk, or changed, before it was stored
└── StorageFailed        an object is not, or could not be made, what was stored
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any


class RecorderError(Exception):
    """Base of all errors of this package. `code` is stable and fit for clients, and so are `details`;
    an error may have a code of its own instead of its class's.
    """

    code = "recorder_error"

    def __init__(
        self,
        message: str = "",
        *,
        code: str | None = None,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code or type(self).code
        self.details = details


class AlreadyRecording(RecorderError):
    code = "already_recording"

    def __init__(self, recording_id: str) -> None:
        super().__init__(f"recording {recording_id} of this room is still running")
        self.recording_id = recording_id


class UnknownRecording(RecorderError):
    code = "unknown_recording"


class RecordingActive(RecorderError):
    code = "recording_active"


class NothingToRetry(RecorderError):
    code = "nothing_to_retry"


class BadTransition(RecorderError):
    code = "bad_transition"


class MediaRefused(RecorderError):
    code = "media_refused"


class JournalsUnwritable(RecorderError):
    code = "journals_unwritable"


class NoMedia(RecorderError):
    code = "no_media"


class BadPayload(RecorderError):
    code = "bad_payload"


class JobFailed(RecorderError):
    code = "job_failed"


class JobPostponed(JobFailed):
    code = "job_postponed"


class DiskFull(JobPostponed):
    code = "disk_full"


class JobHostLost(JobPostponed):
    code = "job_host_lost"


class NothingToRender(RecorderError):
    code = "nothing_to_render"


class BadRenderOptions(RecorderError):
    """`field` is what is wrong, `code` its own: `videoBitrate` gives `bad_video_bitrate`."""

    code = "bad_render_options"

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field} {problem}")
        self.field = field
        name = re.sub(r"\[\d+\]", "", field).rpartition(".")[2]
        self.code = "bad_" + re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()


class TooManyRenders(RecorderError):
    code = "too_many_renders"


class UnknownRender(RecorderError):
    code = "unknown_render"


class MuxFailed(RecorderError):
    code = "mux_failed"


class StorageFailed(RecorderError):
    code = "storage_failed"


class LocalCopyLost(RecorderError):
    code = "local_copy_lost"


class DiskLow(RecorderError):
    code = "disk_low"


class RecordingEnded(RecorderError):
    code = "recording_ended"


class SetComplete(RecorderError):
    code = "already_completed"


class ChunksMissing(RecorderError):
    """`details` are the state of the participant's chunks, as `ClientCopies.chunk_state` says it."""

    code = "chunks_missing"

    def __init__(self, message: str, details: Mapping[str, Any]) -> None:
        super().__init__(message)
        self.details = details


class CopiesAwaited(RecorderError):
    code = "copies_awaited"


class ChunksUnreadable(RecorderError):
    code = "chunks_unreadable"


class HeaderMissing(ChunksUnreadable):
    """The header of another part may do."""

    code = "header_missing"


class NothingRecorded(ChunksUnreadable):
    """A recorder that was stopped before its first picture or sound: nothing is lost."""

    code = "nothing_recorded"


class ChunkRefused(RecorderError):
    """Nothing of the chunk was kept. `details` are fit for clients, and so is the message."""

    code = "chunk_refused"


class BadChunkNumber(ChunkRefused):
    code = "bad_chunk_number"


class ChunkConflict(ChunkRefused):
    code = "chunk_conflict"


class DigestMismatch(ChunkRefused):
    code = "digest_mismatch"


class ChunkTooLarge(ChunkRefused):
    code = "chunk_too_large"


class ChunksTooMany(ChunkRefused):
    """Bytes of a set, or their number: `code` is chunks_too_many_bytes or chunks_too_many."""

    code = "chunks_too_many"


class UploadError(RecorderError):
    """`details` are fit for clients, and so is the message."""

    code = "upload_error"


class BadUpload(UploadError):
    code = "bad_upload"


class FileTooLarge(UploadError):
    code = "file_too_large"


class FormatRefused(UploadError):
    code = "unsupported_format"


class TooManyUploads(UploadError):
    """`retry_after` in seconds: when one of those under way is over at the latest, or sooner."""

    code = "too_many_uploads"

    def __init__(self, message: str, *, retry_after: float, details: Mapping[str, Any]) -> None:
        super().__init__(message, details=details)
        self.retry_after = retry_after


class UnknownUpload(UploadError):
    code = "unknown_upload"


class NotYourUpload(UploadError):
    code = "not_your_upload"


class UploadOver(UploadError):
    code = "upload_over"


class UploadBusy(UploadError):
    code = "upload_busy"


class UploadIncomplete(UploadError):
    code = "upload_incomplete"


class UploadDiffers(UploadError):
    code = "size_mismatch"


class OffsetConflict(UploadError):
    """`offset` in bytes is where the next piece has to begin."""

    code = "offset_conflict"

    def __init__(self, offset: int) -> None:
        super().__init__(f"the next byte is number {offset}", details={"offset": offset})
        self.offset = offset


class WrongChecksum(UploadError):
    code = "checksum_mismatch"


class FileRefused(UploadError):
    """Raised by the media library's `admit`. `status` is the HTTP status that fits, 415 mostly."""

    code = "file_refused"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        status: int = 415,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message, code=code, details=details)
        self.status = status


class LibraryError(RecorderError):
    code = "library_error"


class UnknownMedia(LibraryError):
    code = "media_not_found"


class NotYourMedia(LibraryError):
    code = "not_your_media"


class MediaDeleted(LibraryError):
    code = "media_deleted"


class BadRendition(LibraryError):
    code = "bad_rendition"


class TooManyRenditions(LibraryError):
    code = "too_many_renditions"


class BadCaptions(LibraryError):
    code = "bad_captions"


class TooManyEntries(LibraryError):
    """Of tags or attachments, of one file."""

    code = "too_many_entries"
