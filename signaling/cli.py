"""The command line `mediaserver`; each command is a module of `signaling.commands`.

Every setting is a flag of every command. A refusal is one line on stderr and exit status 2 for a
wrong setting or flag, 1 when the machine, the database or a store says no.

Only the module of the command that was asked for is imported, and what it needs: a help text or a
token should not have to wait for a database library.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Final

from recorder.errors import RecorderError
from signaling.commands.refusing import (
    EXIT_INTERRUPTED,
    EXIT_REFUSED,
    EXIT_WRONG,
    OneLineParser,
    refuse,
)
from signaling.errors import SettingsError, SignalingError
from storage.errors import BadCatalogUrl, CatalogUnavailable, StorageError

COMMANDS: Final[Mapping[str, tuple[str, str]]] = {
    "serve": ("signaling.commands.serve", "run the server"),
    "token": (
        "signaling.commands.token",
        "print an access token for a room, or a sign-in link",
    ),
    "migrate": ("signaling.commands.migrate", "bring the database to this version"),
    "doctor": ("signaling.commands.doctor", "check this machine and the settings"),
    "recordings": (
        "signaling.commands.recordings",
        "look at recordings, and bring them where they belong",
    ),
    "storage": (
        "signaling.commands.storage",
        "try out, empty and count the stores of recordings",
    ),
}
"""Name -> the module whose `add_command` declares it, and its help text."""


def main(arguments: list[str] | None = None) -> None:
    """Entry point of the console script."""
    asked = sys.argv[1:] if arguments is None else arguments
    given = build_parser(asked).parse_args(asked)
    os.umask(0o077)  # what is written here is nobody else's business
    try:
        sys.exit(given.run(given))
    except SettingsError as error:
        refuse(error.message, EXIT_WRONG)
    except SignalingError as error:
        refuse(error.message, EXIT_REFUSED)
    except (BadCatalogUrl, CatalogUnavailable) as error:
        refuse(f"DATABASE_URL: {error}", EXIT_REFUSED)
    except (RecorderError, StorageError) as error:
        refuse(str(error), EXIT_REFUSED)
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)


def build_parser(asked: Sequence[str]) -> argparse.ArgumentParser:
    """Of the commands that are not `asked` for it knows the names and help texts only."""
    parser = OneLineParser(
        prog="mediaserver",
        description="Self-hosted WebRTC media server: calls, recordings and their library.",
        epilog="Settings come from flags, the environment or a .env file, in this order.",
        allow_abbrev=False,
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    wanted = next((each for each in asked if not each.startswith("-")), None)
    for name, (module, help_text) in COMMANDS.items():
        if name == wanted:
            _declare(module, commands, name, help_text)
        else:
            commands.add_parser(name, help=help_text)
    return parser


def _declare(module: str, *to: object) -> None:
    """Imports leave next to no garbage, and what they make stays: looking through it meanwhile, later
    and at the end would be a third of a short command's time.
    """
    gc.disable()
    try:
        importlib.import_module(module).add_command(*to)
    finally:
        gc.freeze()
        gc.enable()


if __name__ == "__main__":
    main()
