"""`mediaserver serve|token|migrate|doctor`: the server, its keys, its database, its machine."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import resource
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import uvloop

from signaling.auth import TokenAuthority
from signaling.commands.parsing import command, duration
from signaling.commands.terminal import EXIT_REFUSED, tell
from signaling.datadir import api_keys, prepare_folder
from signaling.errors import SettingsError
from signaling.policy import room_grants
from signaling.rest.bodies import LONGEST_NAME
from signaling.settings import Settings, unbuilt_settings
from storage.catalog import migrate

if TYPE_CHECKING:
    from signaling.commands.parsing import Commands

log: Final = logging.getLogger(__name__)


def add_commands(commands: Commands) -> None:
    command(commands, "serve", "run the server", _serve)
    token = command(
        commands,
        "token",
        "print an access token for a room, or a sign-in link",
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
    command(commands, "migrate", "bring the database to this version", _migrate)
    command(
        commands,
        "doctor",
        "check this machine and the settings",
        _doctor,
        more="Prints a line for each part and starts nothing. Exit status 1 when a part fails.",
    )


def _serve(settings: Settings, _given: argparse.Namespace) -> int:
    from signaling.app import serve  # noqa: PLC0415 - the other commands start faster without

    _raise_file_limit()
    for name in unbuilt_settings():
        log.warning("%s is set, but what it is for is not built yet", name)
    if "rtc_tcp_port" in settings.model_fields_set:
        log.warning("MEDIASERVER_RTC_TCP_PORT is set, but media over TCP is not built yet")
    keys = api_keys(settings)
    uvloop.run(serve(settings, keys))
    return 0


def _raise_file_limit() -> None:
    """Every socket and journal is a file; the soft limit is often 1024, the hard one far above."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):  # some systems refuse "without limit"
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _token(settings: Settings, given: argparse.Namespace) -> int:
    keys = api_keys(settings)
    if given.sign_in:
        from signaling.app import sign_in_link  # noqa: PLC0415 - see _serve

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


def _migrate(settings: Settings, _given: argparse.Namespace) -> int:
    if not settings.database_url:
        prepare_folder(settings.data_dir, "MEDIASERVER_DATA_DIR")
    applied = asyncio.run(migrate(settings.database))
    tell(f"applied: {', '.join(applied)}" if applied else "the database is up to date")
    return 0


def _doctor(settings: Settings, _given: argparse.Namespace) -> int:
    from signaling.doctor import examine  # noqa: PLC0415 - see _serve

    findings = asyncio.run(examine(settings))
    for finding in findings:
        tell(f"{'ok  ' if finding.fine else 'FAIL'} {finding.part}: {finding.says}")
    return 0 if all(finding.fine for finding in findings) else EXIT_REFUSED
