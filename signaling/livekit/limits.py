"""Numbers of the client protocol, in one place. Durations are seconds, sizes bytes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

# What clients are told about this server. RPC needs >= 1.8.0; up to 1.13.6 browsers don't publish
# VP9 and AV1 as one stream per layer, which this server could not forward.
SERVER_VERSION: Final = "1.13.5"
PROTOCOL_VERSION: Final = 17
# `request_response` with reason OK goes only to clients that know it.
OK_RESPONSE_PROTOCOL: Final = 15

PING_INTERVAL: Final = 5
PING_TIMEOUT: Final = 15
# What is forwarded, and so what clients may publish. Video first: one client falls back to the
# first entry when its own codec is missing.
PUBLISH_CODECS: Final = ("video/VP8", "video/H264", "video/VP9", "video/AV1", "audio/opus")

MAX_NAME_LENGTH: Final = 256  # characters; identity, room and participant name alike
# The reference allows 512 KiB of metadata. With 64 the join of a room of 50 stays below the 16 MiB
# that clients take in one frame.
MAX_METADATA_BYTES: Final = 64 * 1024
MAX_ATTRIBUTES_BYTES: Final = 64 * 1024
MAX_TRACKS_BYTES: Final = 64 * 1024  # what one participant's tracks say of themselves, together
MAX_TRACK_BYTES: Final = 8 * 1024  # and one track alone
MAX_LIST_ITEMS: Final = 16  # layers, features, capabilities: lists that clients fill
MAX_ECHO_BYTES: Final = 8 * 1024  # a refused request that is larger is not sent back
# Browsers send the token in the request line, so a refreshed one must not outgrow it: with more
# metadata and attributes than this a client keeps the token it has.
MAX_REFRESHED_CLAIMS_BYTES: Final = 16 * 1024
MAX_SIGNAL_BYTES: Final = 2 * 1024 * 1024
MAX_JOIN_REQUEST_BYTES: Final = 1024 * 1024  # after decompression
MAX_PENDING_TRACKS: Final = 20
MAX_TRACKS: Final = 200  # published by one participant
MAX_WISHES: Final = 2000  # track sids one subscriber may have told us anything about
MAX_PERMISSION_RULES: Final = 2000
MAX_RECENT_NONCES: Final = 256
MAX_MALFORMED_MESSAGES: Final = 10
# What a request costs its sender; others cost 1. These make work for the whole room.
REQUEST_COSTS: Final = {"offer": 5, "subscription_permission": 5}


@dataclass(frozen=True, slots=True)
class ConferenceLimits:
    """Times and queue sizes of a running conference. The defaults are the reference server's."""

    tick: float = 0.5  # how often deadlines are looked at
    departure_timeout: float = 20.0  # an empty room is kept this long
    connect_timeout: float = 60.0  # a participant that never became ACTIVE is removed
    signal_grace: float = 20.0  # a connected participant without a socket is kept this long
    token_refresh: float = 300.0
    token_min_life: float = 600.0
    room_update_interval: float = 5.0
    wish_patience: float = 60.0  # a subscription to a track that doesn't exist yet
    silence_timeout: float = 3.0 * PING_TIMEOUT  # a socket that says nothing is closed
    media_timeout: float = 10.0  # one call to the media plane
    # Changes of one participant are told at most this often, and not faster than this many bytes
    # a second for each listener; what changes in between is told together.
    announce_interval: float = 0.05
    announce_rate: float = 256 * 1024
    requests_per_second: float = 100.0  # of one session; above it the reader waits
    request_burst: float = 200.0
    # Queued for one socket; beyond it the socket is closed. One message always fits.
    outgoing_messages: int = 1024
    outgoing_bytes: int = 8 * 1024 * 1024
    # Media commands of one room that wait; beyond it the readers of the room's sockets wait too.
    room_commands: int = 256
    room_offer_bytes: int = 8 * 1024 * 1024
    data_bytes: int = 16 * 1024 * 1024  # data packets of one room on their way to the media plane
