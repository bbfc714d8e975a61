"""How commands are declared: a parser of its own for each, with every setting as a flag."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Final

from signaling.commands.refusing import OneLineParser
from signaling.logs import configure_logging
from signaling.settings import Settings, environment_name, flag_name, load_settings

LONGEST_DURATION: Final = 3650 * 86_400  # seconds
SETTING: Final = "setting_"

Run = Callable[[Settings, argparse.Namespace], int]
"""Carries a command out; its exit status."""


if TYPE_CHECKING:  # argparse has no public name for it
    Commands = argparse._SubParsersAction[OneLineParser]


def group(commands: Commands, name: str, help_text: str) -> Commands:
    """A command that has commands of its own."""
    parser = commands.add_parser(name, help=help_text, description=help_text, allow_abbrev=False)
    return parser.add_subparsers(metavar="ACTION", required=True)


def command(
    commands: Commands, name: str, help_text: str, run: Run, *, form: str = "", more: str = ""
) -> argparse.ArgumentParser:
    """`form` are its own arguments as the first line of its help shows them, where all settings would
    hide them; `more` follows the help text where the command is described at length.
    """
    parser = commands.add_parser(
        name,
        help=help_text,
        usage=" ".join(filter(None, ["%(prog)s", form, "[SETTING VALUE ...]"])),
        description=f"{help_text[:1].upper()}{help_text[1:]}. {more}".strip(),
        allow_abbrev=False,
    )
    parser.set_defaults(run=partial(_run, run))
    settings = parser.add_argument_group("settings (flag, environment name, default)")
    for field_name, field in Settings.model_fields.items():
        default = field.get_default()
        shown = f"; default {default}" if default not in ((), {}, "", None) else ""
        settings.add_argument(
            flag_name(field_name),
            dest=f"{SETTING}{field_name}",
            metavar="VALUE",
            help=f"{field.description} [{environment_name(field)}{shown}]".replace("%", "%%"),
        )
    return parser


def _run(run: Run, given: argparse.Namespace) -> int:
    """Raises SettingsError, and what `run` raises."""
    settings = load_settings(_settings_flags(given))
    configure_logging(settings.log_level)
    return run(settings, given)


def _settings_flags(given: argparse.Namespace) -> Mapping[str, str]:
    """The settings that were given as flags, by the names of their fields."""
    return {
        name.removeprefix(SETTING): value
        for name, value in vars(given).items()
        if name.startswith(SETTING) and value is not None
    }


def duration(text: str) -> timedelta:
    """`30m`, `6h`, `7d`, or seconds."""
    match = re.fullmatch(r"(\d{1,9})([smhd]?)", text)
    seconds = (
        int(match[1]) * {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}[match[2]] if match else 0
    )
    if not 0 < seconds <= LONGEST_DURATION:
        raise argparse.ArgumentTypeError("must be like 30m, 6h or 7d")
    return timedelta(seconds=seconds)


def month(text: str) -> str:
    """`2026-11`."""
    if not re.fullmatch(r"[0-9]{4}-(0[1-9]|1[0-2])", text):
        raise argparse.ArgumentTypeError("must be like 2026-11")
    return text
