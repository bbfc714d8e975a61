"""Recordings in LiveKit's words: the body of a webhook for each change of status (pure).

A receiver of LiveKit's webhooks understands it as it is: `egress_started`, `egress_updated`,
`egress_ended` with an `EgressInfo` whose id is the recording's. What that has no words for is beside it
in `recording`, which such receivers pass over.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any, Final

from google.protobuf.json_format import MessageToDict
from livekit.protocol import egress, webhook

from recorder.finishing import NO_MEDIA
from recorder.lifecycle import END_REASON, EndReason, Status
from signaling.clock import iso
from signaling.rest.represent import file_path
from storage.catalog import FileRow, RecordingRow

_STATUS: Final = {
    Status.STARTING: egress.EgressStatus.EGRESS_STARTING,
    Status.RECORDING: egress.EgressStatus.EGRESS_ACTIVE,
    Status.PROCESSING: egress.EgressStatus.EGRESS_ENDING,
    Status.UPLOADING: egress.EgressStatus.EGRESS_ENDING,
    Status.RECORDED: egress.EgressStatus.EGRESS_COMPLETE,
    Status.FAILED: egress.EgressStatus.EGRESS_FAILED,
}
_EVENT: Final = {
    Status.STARTING: "egress_started",
    Status.RECORDED: "egress_ended",
    Status.FAILED: "egress_ended",
}


def body_of(row: RecordingRow, event_id: str, now: datetime) -> str:
    """The JSON to be sent. The status that is left out of protobuf's JSON for being 0 is in it."""
    event = webhook.WebhookEvent(
        event=_EVENT.get(Status(row.status), "egress_updated"),
        id=event_id,
        created_at=int(now.timestamp()),
        egress_info=_info(row, now),
    )
    told = MessageToDict(event)
    told["egressInfo"].setdefault("status", egress.EgressStatus.Name(event.egress_info.status))
    return json.dumps({**told, "recording": _recording(row)}, separators=(",", ":"))


def _info(row: RecordingRow, now: datetime) -> egress.EgressInfo:
    info = egress.EgressInfo(
        egress_id=row.id,
        room_name=row.room,
        source_type=egress.EgressSourceType.EGRESS_SOURCE_TYPE_SDK,
        status=_status(row),
        error=row.error or "" if row.status == Status.FAILED else "",
        details=str(row.metadata.get(END_REASON, "")),
        started_at=_nanoseconds(row.started_at),
        ended_at=_nanoseconds(row.stopped_at),
        updated_at=_nanoseconds(now),
        file_results=[_file(row, file) for file in row.files if not file.role],
    )
    if row.mode == "composite":
        info.room_composite.room_name = row.room
        info.room_composite.layout = str(row.options.get("layout", ""))
        info.room_composite.audio_only = bool(row.options.get("audioOnly"))
    return info


def _status(row: RecordingRow) -> egress.EgressStatus:
    reason = row.metadata.get(END_REASON)
    if row.status == Status.RECORDED and reason == EndReason.MAX_DURATION:
        return egress.EgressStatus.EGRESS_LIMIT_REACHED
    if row.status == Status.FAILED and reason == EndReason.HOST and row.error == NO_MEDIA:
        return egress.EgressStatus.EGRESS_ABORTED  # stopped before it began
    return _STATUS[Status(row.status)]


def _file(row: RecordingRow, file: FileRow) -> egress.FileInfo:
    started = _nanoseconds(row.started_at)
    duration = round(file.duration_seconds * 1e9)
    begins = started + round(file.start_seconds * 1e9) if started else 0
    return egress.FileInfo(
        filename=file.key,
        started_at=begins,
        ended_at=begins + duration if started else 0,
        duration=duration,
        size=file.size,
        location=file_path(row.id, file.id),
    )


def _recording(row: RecordingRow) -> dict[str, Any]:
    return {
        "id": row.id,
        "room": row.room,
        "callId": row.call_id,
        "status": row.status,
        "mode": row.mode,
        "startedBy": row.started_by,
        "startedAt": iso(row.started_at),
        "stoppedAt": iso(row.stopped_at),
        "durationSeconds": row.duration_seconds,
        "endReason": row.metadata.get(END_REASON),
        "error": row.error,
        "files": [
            {
                "id": file.id,
                "kind": file.kind,
                "participantId": file.participant_id,
                "contentType": file.content_type,
                "size": file.size,
                "provider": file.provider,
                "key": file.key,
                "sha256": file.sha256,
            }
            for file in row.files
            if not file.role
        ],
    }


def _nanoseconds(moment: datetime | None) -> int:
    """Unix time; 0 for never, as LiveKit has it."""
    return round(moment.timestamp() * 1e6) * 1000 if moment else 0
