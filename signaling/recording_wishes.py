"""How a recording shall be made: what whoever starts it says, and for the rest the room's settings."""

from __future__ import annotations

from typing import Any

from signaling.rest.bodies import RecordingStart
from signaling.room_settings import RoomSettings


def wishes(wanted: RecordingStart, room: RoomSettings) -> tuple[str, dict[str, Any]]:
    """The mode, and the `options` of the recording's row.

    In the mode `client` the server records nothing: the recording is what participants' browsers send.
    The options are kept for what is made of it.
    """
    options = {
        "layout": wanted.layout or room.layout,
        "quality": wanted.quality or room.quality,
        "audioOnly": room.audio_only if wanted.audio_only is None else wanted.audio_only,
        "tracks": bool(wanted.tracks),
    }
    return wanted.mode or room.recording_mode, options


def automatic_wishes(room: RoomSettings) -> tuple[str, dict[str, Any]]:
    """When nobody says anything."""
    return wishes(RecordingStart(), room)
