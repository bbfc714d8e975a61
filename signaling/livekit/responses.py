"""Server messages, built. One function a message; none of them knows a room."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from google.protobuf.message import Message
from livekit.protocol import models, rtc

from mediaserver.messages import SectionsNeeded
from signaling.livekit.limits import (
    MAX_ECHO_BYTES,
    MAX_NAME_LENGTH,
    PROTOCOL_VERSION,
    SERVER_VERSION,
)

Action = rtc.LeaveRequest.Action
DisconnectReason = models.DisconnectReason
Reason = rtc.RequestResponse.Reason


def leave(action: Action, reason: DisconnectReason) -> rtc.SignalResponse:
    """`can_reconnect` is for protocols below 13, which don't know `action`."""
    return rtc.SignalResponse(
        leave=rtc.LeaveRequest(
            action=action, reason=reason, can_reconnect=action != Action.DISCONNECT
        )
    )


def update(*participants: models.ParticipantInfo) -> rtc.SignalResponse:
    return rtc.SignalResponse(update=rtc.ParticipantUpdate(participants=participants))


def track_published(cid: str, track: models.TrackInfo) -> rtc.SignalResponse:
    return rtc.SignalResponse(track_published=rtc.TrackPublishedResponse(cid=cid, track=track))


def answer(sdp: str, offer_id: int, mid_to_track: Mapping[str, str]) -> rtc.SignalResponse:
    """The id is the offer's: a browser discards an answer whose id is not its latest offer's."""
    return rtc.SignalResponse(
        answer=rtc.SessionDescription(
            type="answer", sdp=sdp, id=offer_id, mid_to_track_id=dict(mid_to_track)
        )
    )


def sections(needed: SectionsNeeded) -> rtc.SignalResponse:
    return rtc.SignalResponse(
        media_sections_requirement=rtc.MediaSectionsRequirement(
            num_audios=needed.audio, num_videos=needed.video
        )
    )


def room_update(room: models.Room) -> rtc.SignalResponse:
    return rtc.SignalResponse(room_update=rtc.RoomUpdate(room=room))


def track_subscribed(track_sid: str) -> rtc.SignalResponse:
    return rtc.SignalResponse(track_subscribed=rtc.TrackSubscribed(track_sid=track_sid))


def subscription_failed(track_sid: str, error: models.SubscriptionError) -> rtc.SignalResponse:
    return rtc.SignalResponse(
        subscription_response=rtc.SubscriptionResponse(track_sid=track_sid, err=error)
    )


def subscription_allowed(
    participant_sid: str, track_sid: str, *, allowed: bool
) -> rtc.SignalResponse:
    return rtc.SignalResponse(
        subscription_permission_update=rtc.SubscriptionPermissionUpdate(
            participant_sid=participant_sid, track_sid=track_sid, allowed=allowed
        )
    )


def refused(reason: Reason, message: str, request: object) -> rtc.SignalResponse:
    """A `request_response` that carries the offending request along, unless that is large.

    Raises TypeError for a request that has no place in it.
    """
    response = rtc.RequestResponse(
        reason=reason, message=message, request_id=getattr(request, "request_id", 0)
    )
    if isinstance(request, Message) and request.ByteSize() > MAX_ECHO_BYTES:
        request = _named(request)
    match request:
        case rtc.AddTrackRequest():
            response.add_track.CopyFrom(request)
        case rtc.MuteTrackRequest():
            response.mute.CopyFrom(request)
        case rtc.UpdateParticipantMetadata():
            response.update_metadata.CopyFrom(request)
        case rtc.PublishDataTrackRequest():
            response.publish_data_track.CopyFrom(request)
        case rtc.UnpublishDataTrackRequest():
            response.unpublish_data_track.CopyFrom(request)
        case _:
            raise TypeError(f"{type(request).__name__} can't be refused")
    return rtc.SignalResponse(request_response=response)


def _named(request: Message) -> Message:
    """Of a large request what its sender needs to find it again."""
    if isinstance(request, rtc.AddTrackRequest):
        return rtc.AddTrackRequest(cid=request.cid[:MAX_NAME_LENGTH])
    return type(request)()


def accepted(request_id: int) -> rtc.SignalResponse:
    return rtc.SignalResponse(
        request_response=rtc.RequestResponse(request_id=request_id, reason=Reason.OK)
    )


def refresh_token(token: str) -> rtc.SignalResponse:
    return rtc.SignalResponse(refresh_token=token)


def pong(unix_ms: int) -> rtc.SignalResponse:
    return rtc.SignalResponse(pong=unix_ms)


def pong_resp(last_ping_timestamp: int, unix_ms: int) -> rtc.SignalResponse:
    return rtc.SignalResponse(
        pong_resp=rtc.Pong(last_ping_timestamp=last_ping_timestamp, timestamp=unix_ms)
    )


def server_info(node_id: str) -> models.ServerInfo:
    return models.ServerInfo(
        edition=models.ServerInfo.Edition.Standard,
        version=SERVER_VERSION,
        protocol=PROTOCOL_VERSION,
        node_id=node_id,
    )


def ice_servers(urls: Iterable[str]) -> list[rtc.ICEServer]:
    listed = list(urls)
    return [rtc.ICEServer(urls=listed)] if listed else []
