"""`mediaserver token`: access tokens and the host's sign-in link, made here and now."""

from __future__ import annotations

import argparse
from datetime import timedelta
from typing import TYPE_CHECKING

from signaling.auth import TokenAuthority, sign_in_link
from signaling.commands.parsing import command, duration
from signaling.commands.terminal import tell
from signaling.datadir import api_keys
from signaling.errors import SettingsError
from signaling.policy import LONGEST_NAME, room_grants
from signaling.settings import Settings

if TYPE_CHECKING:
    from signaling.commands.parsing import Commands


def add_command(commands: Commands, name: str, help_text: str) -> None:
    token = command(
        commands,
        name,
        help_text,
        _token,
        form="(--room ROOM --identity IDENTITY [--name NAME] [--role ROLE] [--ttl TTL] | --sign-in)",
    )
    token.add_argument("--room", help="room the token is for")
    token.add_argument("--identity", help="who the token is for, unique in the room")
    token.add_argument("--name", default="", help="name shown to others")
    token.add_argument(
        "--role",
        choices=("host", "participant", "audience"),
        default="participant",
        help="host may also record and invite, audience only watches (default: participant)",
    )
    token.add_argument(
        "--ttl", type=duration, default=timedelta(hours=6), help="like 30m, 6h or 7d (default: 6h)"
    )
    token.add_argument(
        "--sign-in", action="store_true", help="print the host's sign-in link instead (24 hours)"
    )


def _token(settings: Settings, given: argparse.Namespace) -> int:
    keys = api_keys(settings)
    if given.sign_in:
        tell(sign_in_link(settings.port, keys))
        return 0
    for flag, value in (("--room", given.room), ("--identity", given.identity)):
        if not value or len(value) > LONGEST_NAME or not value.isprintable():
            raise SettingsError(
                f"{flag} must be 1 to {LONGEST_NAME} printable characters;"
                " for example mediaserver token --room standup --identity ada --role host"
            )
    grants = room_grants(given.role, given.room)
    tell(TokenAuthority(keys).mint(given.identity, grants, given.ttl, name=given.name))
    return 0
