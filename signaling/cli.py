"""The command line `mediaserver`; each group of commands is a module of `signaling.commands`.

Every setting is a flag of every command. A refusal is one line on stderr and exit status 2 for a
wrong setting or flag, 1 when the machine, the database or a store says no.
"""

from __future__ import annotations

import argparse
import os
import sys

from recorder.errors import RecorderError
from signaling.commands import recordings, server, storage
from signaling.commands.parsing import OneLineParser, settings_flags
from signaling.commands.terminal import EXIT_INTERRUPTED, EXIT_REFUSED, EXIT_WRONG, refuse
from signaling.errors import SettingsError, SignalingError
from signaling.logs import configure_logging
from signaling.settings import load_settings
from storage.errors import BadCatalogUrl, CatalogUnavailable, StorageError


def main(arguments: list[str] | None = None) -> None:
    """Entry point of the console script."""
    given = build_parser().parse_args(arguments)
    os.umask(0o077)  # what is written here is nobody else's business
    try:
        settings = load_settings(settings_flags(given))
        configure_logging(settings.log_level)
        sys.exit(given.run(settings, given))
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


def build_parser() -> argparse.ArgumentParser:
    parser = OneLineParser(
        prog="mediaserver",
        description="Self-hosted WebRTC media server: calls, recordings and their library.",
        epilog="Settings come from flags, the environment or a .env file, in this order.",
        allow_abbrev=False,
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    server.add_commands(commands)
    recordings.add_commands(commands)
    storage.add_commands(commands)
    return parser


if __name__ == "__main__":
    main()
