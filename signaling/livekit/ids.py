"""Identifiers that clients see. Prefixes are checked by clients, the rest is opaque to them."""

from __future__ import annotations

import secrets

from livekit.protocol import models

from mediaserver.messages import PeerId, TrackId

_SOURCE_LETTERS = {
    models.TrackSource.CAMERA: "C",
    models.TrackSource.MICROPHONE: "M",
    models.TrackSource.SCREEN_SHARE: "S",
    models.TrackSource.SCREEN_SHARE_AUDIO: "s",
}


def _random() -> str:
    """12 hexadecimal characters: unguessable enough for a room, no `|` and no space ever."""
    return secrets.token_hex(6)


def new_participant_sid() -> PeerId:
    return PeerId(f"PA_{_random()}")


def new_track_sid(kind: models.TrackType, source: models.TrackSource) -> TrackId:
    """The third and fourth letters tell people the kind and the source; clients don't look."""
    kind_letter = "V" if kind == models.TrackType.VIDEO else "A"
    return TrackId(f"TR_{kind_letter}{_SOURCE_LETTERS.get(source, 'U')}{_random()}")


def new_room_sid() -> str:
    return f"RM_{_random()}"


def new_node_id() -> str:
    return f"ND_{_random()}"
