"""`mediaserver migrate`: the database as this version wants it."""

from __future__ import annotations

import argparse
import asyncio
from typing import TYPE_CHECKING

from signaling.commands.parsing import command
from signaling.commands.terminal import tell
from signaling.datadir import prepare_folder
from signaling.settings import Settings
from storage.catalog import migrate

if TYPE_CHECKING:
    from signaling.commands.parsing import Commands


def add_command(commands: Commands, name: str, help_text: str) -> None:
    command(commands, name, help_text, _migrate)


def _migrate(settings: Settings, _given: argparse.Namespace) -> int:
    if not settings.database_url:
        prepare_folder(settings.data_dir, "MEDIASERVER_DATA_DIR")
    applied = asyncio.run(migrate(settings.database))
    tell(f"applied: {', '.join(applied)}" if applied else "the database is up to date")
    return 0
