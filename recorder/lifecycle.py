"""The life of a recording, as a table.

    starting --media on disk--> recording --stopped--> processing --files made--> uploading
        |                            |                  ^   |                         |
        +---------- stopped, with media on disk --------+   |                         | stored
        |                            |                      |                         v
        +--------- gave up ----------+------ gave up -------+---- gave up        recorded
                      |                                               |
                      v                                               v
                    failed                                          failed

`recording` is said only when media is on disk. A stop that finds media although the event that says
so was not seen goes from `starting` to `processing` at once. After a restart whatever had not ended
is processed again from its journals: processing is idempotent, so `uploading` may go back to
`processing`. `recorded` and `failed` are final, but an operator may have a recording that failed, or
whose files were lost, processed again as long as its journals are kept.
"""

from __future__ import annotations

from enum import StrEnum

from recorder.errors import BadTransition


class Status(StrEnum):
    STARTING = "starting"
    RECORDING = "recording"
    PROCESSING = "processing"
    UPLOADING = "uploading"
    RECORDED = "recorded"
    FAILED = "failed"


class Step(StrEnum):
    """What happens to a recording."""

    MEDIA_ON_DISK = "media_on_disk"
    STOPPED = "stopped"
    RECOVERED = "recovered"
    FILES_MADE = "files_made"
    STORED = "stored"
    GAVE_UP = "gave_up"
    RETRIED = "retried"


TRANSITIONS: dict[tuple[Status, Step], Status] = {
    (Status.STARTING, Step.MEDIA_ON_DISK): Status.RECORDING,
    (Status.STARTING, Step.STOPPED): Status.PROCESSING,
    (Status.STARTING, Step.RECOVERED): Status.PROCESSING,
    (Status.STARTING, Step.GAVE_UP): Status.FAILED,
    (Status.RECORDING, Step.STOPPED): Status.PROCESSING,
    (Status.RECORDING, Step.RECOVERED): Status.PROCESSING,
    (Status.RECORDING, Step.GAVE_UP): Status.FAILED,
    (Status.PROCESSING, Step.RECOVERED): Status.PROCESSING,
    (Status.PROCESSING, Step.FILES_MADE): Status.UPLOADING,
    (Status.PROCESSING, Step.GAVE_UP): Status.FAILED,
    (Status.UPLOADING, Step.RECOVERED): Status.PROCESSING,
    (Status.UPLOADING, Step.STORED): Status.RECORDED,
    (Status.UPLOADING, Step.GAVE_UP): Status.FAILED,
    (Status.FAILED, Step.RETRIED): Status.PROCESSING,
    (Status.RECORDED, Step.RETRIED): Status.PROCESSING,
}


class EndReason(StrEnum):
    """Why no more media came to a recording: `endReason` in its metadata."""

    HOST = "host"  # somebody who may asked for it
    ROOM_EMPTY = "room_empty"
    MAX_DURATION = "max_duration"
    NO_MEDIA = "no_media"
    LOW_DISK = "low_disk"
    WRITE_FAILED = "write_failed"  # no journal could be written any more, though there was room
    MEDIA_LOST = "media_lost"  # the media worker died
    SHUTDOWN = "shutdown"
    CRASH = "crash"  # the server was killed; found at the next start
    REFUSED = "refused"  # it never began


END_REASON = "endReason"
"""The key in a recording's metadata. Said once: the first reason stays."""

ACTIVE = frozenset({Status.STARTING, Status.RECORDING})
"""Media may still come."""

FINAL = frozenset({Status.RECORDED, Status.FAILED})


def after(status: Status, step: Step) -> Status:
    """The status that `step` leads to from `status`. Raises BadTransition."""
    try:
        return TRANSITIONS[status, step]
    except KeyError:
        raise BadTransition(f"{step} can't happen to a recording that is {status}") from None
