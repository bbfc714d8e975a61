"""Client messages and what they do: one handler a message, found in a table.

What the table does not name is ignored, also messages that a newer client knows and we do not.
In a single-connection session that covers `answer` and `trickle`: the server never offers and has
all its candidates in the answer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from livekit.protocol import rtc

from mediaserver.messages import PeerId
from signaling.livekit import publishing, responses, subscribing
from signaling.livekit.admission import Admission, is_name, merge_attributes, too_large
from signaling.livekit.effects import Effect, RefreshToken
from signaling.livekit.limits import MAX_NAME_LENGTH, MAX_TRACKS, OK_RESPONSE_PROTOCOL
from signaling.livekit.participant import Moment
from signaling.livekit.responses import Action, DisconnectReason, Reason
from signaling.livekit.room_state import Origin, RoomState

Handler = Callable[[Origin, Any], list[Effect]]

# What a client may give as its own reason; anything else is CLIENT_INITIATED.
_OWN_REASONS: Final = frozenset(
    {
        DisconnectReason.USER_UNAVAILABLE,
        DisconnectReason.USER_REJECTED,
        DisconnectReason.AGENT_ERROR,
    }
)


def enter(
    room: RoomState,
    sid: PeerId,
    admission: Admission,
    now: Moment,
    ice_servers: list[rtc.ICEServer],
) -> list[Effect]:
    """A session begins: `join`, then whatever the join request carries along.

    Existing tracks are subscribed to before the first offer is answered, so that this very answer
    can carry them.
    """
    effects = room.join(sid, admission, now, ice_servers)
    origin = Origin(room, room.participants[sid], now)
    for request in admission.request.add_track_requests[:MAX_TRACKS]:
        effects += publishing.add_track(origin, request)
    effects += subscribing.subscribe_to_existing(room, origin.one)
    if admission.request.publisher_offer.sdp:
        effects += publishing.offer(origin, admission.request.publisher_offer)
    return effects


def handle(origin: Origin, request: rtc.SignalRequest) -> list[Effect]:
    name = request.WhichOneof("message")
    handler = HANDLERS.get(name) if name else None
    return handler(origin, getattr(request, name)) if name and handler else []


def _ping(origin: Origin, _unix_ms: int) -> list[Effect]:
    return [origin.reply(responses.pong(origin.now.unix_ms))]


def _ping_req(origin: Origin, request: rtc.Ping) -> list[Effect]:
    return [origin.reply(responses.pong_resp(request.timestamp, origin.now.unix_ms))]


def _leave(origin: Origin, request: rtc.LeaveRequest) -> list[Effect]:
    own = request.reason in _OWN_REASONS
    reason = request.reason if own else DisconnectReason.CLIENT_INITIATED
    return origin.room.left(origin.one, reason)


def _update_metadata(origin: Origin, request: rtc.UpdateParticipantMetadata) -> list[Effect]:
    """Name and metadata replace when not empty; attributes merge, an empty value deletes."""
    one = origin.one
    if not one.grants.can_update_own_metadata:
        message = "the token does not allow updating metadata"
        return [origin.reply(responses.refused(Reason.NOT_ALLOWED, message, request))]
    metadata = request.metadata or one.metadata
    attributes = merge_attributes(one.attributes, request.attributes)
    if too_large(metadata, attributes) or len(request.name) > MAX_NAME_LENGTH:
        message = "name, metadata or attributes are too large"
        short = _without_values(request)
        return [origin.reply(responses.refused(Reason.LIMIT_EXCEEDED, message, short))]
    if not is_name(request.name):
        message = "the name has characters that no name has"
        short = _without_values(request)
        return [origin.reply(responses.refused(Reason.INVALID_REQUEST, message, short))]
    one.metadata = metadata
    one.attributes = attributes
    one.name = request.name or one.name
    announced = origin.room.announce(one, origin.now, include_self=True)
    effects: list[Effect] = []
    if one.client.protocol >= OK_RESPONSE_PROTOCOL:
        effects.append(origin.reply(responses.accepted(request.request_id)))
    return [*effects, *announced, RefreshToken(one.sid)]


def _without_values(request: rtc.UpdateParticipantMetadata) -> rtc.UpdateParticipantMetadata:
    """The client knows what it sent; there is no need to send megabytes back."""
    return rtc.UpdateParticipantMetadata(request_id=request.request_id)


def _publish_data_track(origin: Origin, request: rtc.PublishDataTrackRequest) -> list[Effect]:
    message = "data tracks are not supported"
    return [origin.reply(responses.refused(Reason.NOT_ALLOWED, message, request))]


def _unpublish_data_track(origin: Origin, request: rtc.UnpublishDataTrackRequest) -> list[Effect]:
    return [origin.reply(responses.refused(Reason.NOT_FOUND, "no such track", request))]


# --- simulate: clients that test their own reactions ----------------------------------------------


def _simulate(origin: Origin, request: rtc.SimulateScenario) -> list[Effect]:
    room, one = origin.room, origin.one
    match request.WhichOneof("scenario"):
        case "leave_request_full_reconnect":
            return room.expel(one, Action.RECONNECT, DisconnectReason.CLIENT_INITIATED)
        case "server_leave":
            return room.expel(one, Action.DISCONNECT, DisconnectReason.SERVER_SHUTDOWN)
        case "node_failure" | "migration":
            return room.drop(one, DisconnectReason.SIGNAL_CLOSE)
        case _:
            return []


HANDLERS: Final[Mapping[str, Handler]] = {
    "offer": publishing.offer,
    "add_track": publishing.add_track,
    "mute": publishing.mute,
    "subscription": subscribing.subscription,
    "track_setting": subscribing.settings,
    "subscription_permission": subscribing.permission,
    "leave": _leave,
    "simulate": _simulate,
    "ping": _ping,
    "ping_req": _ping_req,
    "update_metadata": _update_metadata,
    "publish_data_track_request": _publish_data_track,
    "unpublish_data_track_request": _unpublish_data_track,
}
