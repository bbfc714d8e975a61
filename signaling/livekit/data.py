"""Data packets from one participant to others: who gets them and what they say of their sender.

Nothing that a client writes about itself is trusted. Payloads are never looked into, and unknown
kinds of packets pass: protobuf keeps fields it doesn't know.
"""

from __future__ import annotations

from typing import Final

from google.protobuf.message import DecodeError
from livekit.protocol import models

from mediaserver.messages import DataLabel, PeerId
from signaling.livekit.effects import Effect, SendData
from signaling.livekit.limits import MAX_RECENT_NONCES
from signaling.livekit.participant import Kind, Participant
from signaling.livekit.room_state import RoomState

_KIND_OF_LABEL: Final[dict[DataLabel, models.DataPacket.Kind]] = {
    "_reliable": models.DataPacket.Kind.RELIABLE,
    "_lossy": models.DataPacket.Kind.LOSSY,
}
SERVER: Final = PeerId("")
"""Who sends what the server itself says: nobody's id."""

RECORDING_TOPIC: Final = "recording"
"""What the server says of recordings. It has no sender, so a hidden participant, whose packets have
none either, may not use it."""

# Legacy, or meant for the server only.
_NOT_FORWARDED: Final = frozenset({"speaker", "metrics"})


def relay(room: RoomState, sender: PeerId, label: DataLabel, payload: bytes) -> list[Effect]:
    """At most one SendData. The sequence number stays: receivers deduplicate by it."""
    one = room.participants.get(sender)
    kind = _KIND_OF_LABEL.get(label)
    if one is None or kind is None or not one.grants.can_publish_data:
        return []
    try:
        packet = models.DataPacket.FromString(payload)
    except DecodeError:
        return []
    value = packet.WhichOneof("value")
    if value in _NOT_FORWARDED or (value == "transcription" and one.kind != Kind.AGENT):
        return []
    if _poses_as_the_server(one, packet) or _seen_before(one, packet, label):
        return []
    packet.kind = kind
    _sign(packet, one)
    if value == "user":
        _settle_user_packet(packet)
    recipients = _recipients(room, one, packet)
    if not recipients:
        return []
    return [SendData(sender, recipients, label, packet.SerializeToString())]


def from_server(room: RoomState, topic: str, payload: bytes) -> list[Effect]:
    """A user packet without a sender, which no participant can make."""
    recipients = tuple(room.participants)
    if not recipients:
        return []
    packet = models.DataPacket(
        kind=models.DataPacket.Kind.RELIABLE,
        user=models.UserPacket(payload=payload, topic=topic),
    )
    return [SendData(SERVER, recipients, "_reliable", packet.SerializeToString())]


def _poses_as_the_server(one: Participant, packet: models.DataPacket) -> bool:
    is_user = packet.WhichOneof("value") == "user"
    return one.hidden and is_user and packet.user.topic == RECORDING_TOPIC


def _seen_before(one: Participant, packet: models.DataPacket, label: DataLabel) -> bool:
    """A reliable packet sent again after a reconnect, or a message sent again by a retry."""
    if label == "_reliable" and packet.sequence:
        if packet.sequence <= one.last_reliable_sequence:
            return True
        one.last_reliable_sequence = packet.sequence
    nonce = packet.user.nonce if packet.WhichOneof("value") == "user" else b""
    if not nonce:
        return False
    if nonce in one.recent_nonces:
        return True
    one.recent_nonces[nonce] = None
    if len(one.recent_nonces) > MAX_RECENT_NONCES:
        del one.recent_nonces[next(iter(one.recent_nonces))]
    return False


def _sign(packet: models.DataPacket, one: Participant) -> None:
    if one.hidden:
        packet.participant_sid = ""
        packet.participant_identity = ""
        return
    packet.participant_sid = one.sid
    if not (packet.participant_identity and _speaks_for_another(packet, one)):
        packet.participant_identity = one.identity


def _speaks_for_another(packet: models.DataPacket, one: Participant) -> bool:
    """Agents may write what somebody else said: chat and text streams only."""
    if one.kind != Kind.AGENT:
        return False
    match packet.WhichOneof("value"):
        case "chat_message":
            return packet.chat_message.generated
        case "stream_header":
            return packet.stream_header.text_header.generated
        case _:
            return False


def _settle_user_packet(packet: models.DataPacket) -> None:
    """Fill the twins inside the user packet that older clients read, from the packet's level."""
    user = packet.user
    user.participant_sid = packet.participant_sid
    user.participant_identity = packet.participant_identity
    if packet.destination_identities:
        del user.destination_identities[:]
        user.destination_identities.extend(packet.destination_identities)
    else:
        packet.destination_identities.extend(user.destination_identities)


def _recipients(room: RoomState, one: Participant, packet: models.DataPacket) -> tuple[PeerId, ...]:
    identities = set(packet.destination_identities)
    sids = set(packet.user.destination_sids) if packet.WhichOneof("value") == "user" else set()
    everybody = not identities and not sids
    return tuple(
        other.sid
        for other in room.others(one)
        if everybody or other.identity in identities or other.sid in sids
    )
