"""Access tokens as an embedding application mints them: with LiveKit's own server SDK."""

from __future__ import annotations

from datetime import timedelta

from livekit.api import AccessToken, VideoGrants

KEY = "rig"
SECRET = "known-to-the-rig-and-to-the-server-only"  # at least 32 characters


def participant_token(
    room: str,
    identity: str,
    *,
    name: str = "",
    host: bool = False,
    can_publish: bool = True,
    can_subscribe: bool = True,
    ttl: timedelta = timedelta(hours=1),
    key: str = KEY,
    secret: str = SECRET,
) -> str:
    """A token that joins `room` as `identity`; `host` adds control of it and its recordings."""
    grants = VideoGrants(
        room_join=True,
        room=room,
        can_publish=can_publish,
        can_subscribe=can_subscribe,
        room_admin=host or None,
        room_record=host or None,
    )
    token = AccessToken(key, secret).with_identity(identity).with_name(name or identity)
    return token.with_grants(grants).with_ttl(ttl).to_jwt()


def server_token(*, ttl: timedelta = timedelta(hours=1), secret: str = SECRET) -> str:
    """The embedding back end's own token: signed, without a subject, may do everything."""
    grants = VideoGrants(room_create=True, room_list=True, room_record=True)
    return AccessToken(KEY, secret).with_grants(grants).with_ttl(ttl).to_jwt()
