"""The command line: `mediaserver serve|token|migrate|doctor|recordings list|recordings retry`.

Every setting is a flag of every command. A refusal is one line on stderr and exit status 2 for a
wrong setting or flag, 1 when the machine says no.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import os
import re
import resource
import sys
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Final, Never

import uvloop

from recorder.errors import RecorderError
from signaling.auth import TokenAuthority
from signaling.datadir import api_keys
from signaling.errors import SettingsError, SignalingError
from signaling.logs import configure_logging
from signaling.policy import room_grants
from signaling.rest.bodies import LONGEST_NAME, iso
from signaling.settings import (
    Settings,
    environment_name,
    flag_name,
    load_settings,
    unbuilt_settings,
)
from storage.catalog import Catalog, migrate
from storage.errors import StorageError

EXIT_REFUSED: Final = 1
EXIT_WRONG: Final = 2
PAGE: Final = 200

log: Final = logging.getLogger(__name__)


class OneLineParser(argparse.ArgumentParser):
    """A wrong command line is told in one line, like a wrong setting."""

    def error(self, message: str) -> Never:
        self.exit(EXIT_WRONG, f"{self.prog}: {message}; `{self.prog} --help` lists what there is\n")


def main(arguments: list[str] | None = None) -> None:
    """Entry point of the console script."""
    given = build_parser().parse_args(arguments)
    try:
        settings = load_settings(_flags(given))
        configure_logging(settings.log_level)
        sys.exit(given.run(settings, given))
    except SettingsError as error:
        _refuse(error.message, EXIT_WRONG)
    except SignalingError as error:
        _refuse(error.message, EXIT_REFUSED)
    except StorageError as error:
        _refuse(f"DATABASE_URL: {error}", EXIT_REFUSED)
    except KeyboardInterrupt:
        sys.exit(130)


def build_parser() -> argparse.ArgumentParser:
    parser = OneLineParser(
        prog="mediaserver",
        description="Self-hosted WebRTC media server: calls, recordings and their library.",
        epilog="Settings come from flags, the environment or a .env file, in this order.",
        allow_abbrev=False,
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    _command(commands, "serve", "run the server", _serve)
    token = _command(
        commands, "token", "print an access token for a room, or a sign-in link", _token
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
        "--ttl", type=_duration, default=timedelta(hours=6), help="like 30m, 6h or 7d (default: 6h)"
    )
    token.add_argument(
        "--sign-in", action="store_true", help="print the host's sign-in link instead (24 hours)"
    )
    _command(commands, "migrate", "bring the database to this version", _migrate)
    _command(commands, "doctor", "check this machine and the settings", _doctor)
    recordings = commands.add_parser("recordings", help="look at recordings", allow_abbrev=False)
    actions = recordings.add_subparsers(metavar="ACTION", required=True)
    _command(actions, "list", "list recordings, newest first", _list_recordings)
    retry = _command(
        actions, "retry", "have the next start finish a failed recording once more", _retry
    )
    retry.add_argument("id", metavar="ID", help="a failed recording whose journals are kept")
    return parser


Run = Callable[[Settings, argparse.Namespace], int]


def _command(
    commands: argparse._SubParsersAction[OneLineParser], name: str, help_text: str, run: Run
) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=help_text, description=help_text, allow_abbrev=False)
    parser.set_defaults(run=run)
    group = parser.add_argument_group("settings (flag, environment name, default)")
    for field_name, field in Settings.model_fields.items():
        default = field.get_default()
        shown = f"; default {default}" if default not in ((), {}, "", None) else ""
        group.add_argument(
            flag_name(field_name),
            dest=f"setting_{field_name}",
            metavar="VALUE",
            help=f"{field.description} [{environment_name(field)}{shown}]".replace("%", "%%"),
        )
    return parser


def _flags(given: argparse.Namespace) -> Mapping[str, str]:
    prefix = "setting_"
    return {
        name.removeprefix(prefix): value
        for name, value in vars(given).items()
        if name.startswith(prefix) and value is not None
    }


def _serve(settings: Settings, _given: argparse.Namespace) -> int:
    from signaling.app import serve  # noqa: PLC0415 - the other commands start faster without

    os.umask(0o077)  # what the server writes is nobody else's business
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

        print(sign_in_link(settings.port, keys))
        return 0
    for flag, value in (("--room", given.room), ("--identity", given.identity)):
        if not value or len(value) > LONGEST_NAME or not value.isprintable():
            raise SettingsError(
                f"{flag} must be 1 to {LONGEST_NAME} printable characters;"
                " for example mediaserver token --room standup --identity ada --role host"
            )
    print(
        TokenAuthority(keys).mint(
            given.identity, room_grants(given.role, given.room), given.ttl, name=given.name
        )
    )
    return 0


def _migrate(settings: Settings, _given: argparse.Namespace) -> int:
    if not settings.database_url:
        from signaling.datadir import prepare_folder  # noqa: PLC0415

        prepare_folder(settings.data_dir, "MEDIASERVER_DATA_DIR")
    applied = asyncio.run(migrate(settings.database))
    print(f"applied: {', '.join(applied)}" if applied else "the database is up to date")
    return 0


def _doctor(settings: Settings, _given: argparse.Namespace) -> int:
    from signaling.doctor import examine  # noqa: PLC0415 - see _serve

    findings = asyncio.run(examine(settings))
    for finding in findings:
        print(f"{'ok  ' if finding.fine else 'FAIL'} {finding.part}: {finding.says}")
    return 0 if all(finding.fine for finding in findings) else EXIT_REFUSED


def _list_recordings(settings: Settings, _given: argparse.Namespace) -> int:
    asyncio.run(_print_recordings(settings))
    return 0


def _retry(settings: Settings, given: argparse.Namespace) -> int:
    return asyncio.run(_retry_recording(settings, given.id))


async def _retry_recording(settings: Settings, recording_id: str) -> int:
    from recorder.recovery import retry  # noqa: PLC0415 - see _serve

    catalog = await Catalog.open(settings.database)
    try:
        row = await retry(catalog, settings.data_dir, recording_id)
    except RecorderError as error:
        _refuse(str(error), EXIT_REFUSED)
    finally:
        await catalog.close()
    print(f"{row.id} will be finished by the next start of the server")
    return 0


async def _print_recordings(settings: Settings) -> None:
    catalog = await Catalog.open(settings.database)
    try:
        page_number = 1
        while True:
            found = await catalog.recordings.find(page=page_number, limit=PAGE)
            for row in found.items:
                seconds = f"{row.duration_seconds:.1f} s" if row.duration_seconds else "-"
                moment = iso(row.started_at or row.created_at)
                print(f"{row.id}  {moment}  {row.status:<10}  {seconds:>10}  {row.room}")
            if page_number * PAGE >= found.total:
                break
            page_number += 1
        print(f"{found.total} recordings")
    finally:
        await catalog.close()


def _duration(text: str) -> timedelta:
    match = re.fullmatch(r"(\d{1,9})([smhd]?)", text)
    seconds = (
        int(match[1]) * {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}[match[2]] if match else 0
    )
    if not 0 < seconds <= 3650 * 86_400:
        raise argparse.ArgumentTypeError("must be like 30m, 6h or 7d")
    return timedelta(seconds=seconds)


def _refuse(message: str, status: int) -> Never:
    print("mediaserver: " + " ".join(message.split()), file=sys.stderr)
    sys.exit(status)


if __name__ == "__main__":
    main()
