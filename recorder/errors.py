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


class RecorderError(Exception):
    """Base of all errors of this package. `code` is stable and fit for clients."""

    code = "recorder_error"


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
