"""`mediaserver doctor`: what a server would find on this machine."""

from __future__ import annotations

import argparse
import asyncio
from typing import TYPE_CHECKING

from signaling.commands.parsing import command
from signaling.commands.refusing import EXIT_REFUSED
from signaling.commands.terminal import tell
from signaling.doctor import examine
from signaling.settings import Settings

if TYPE_CHECKING:
    from signaling.commands.parsing import Commands


def add_command(commands: Commands, name: str, help_text: str) -> None:
    command(
        commands,
        name,
        help_text,
        _doctor,
        more="Prints a line for each part and starts nothing. Exit status 1 when a part fails.",
    )


def _doctor(settings: Settings, _given: argparse.Namespace) -> int:
    findings = asyncio.run(examine(settings))
    for finding in findings:
        tell(f"{'ok  ' if finding.fine else 'FAIL'} {finding.part}: {finding.says}")
    return 0 if all(finding.fine for finding in findings) else EXIT_REFUSED
