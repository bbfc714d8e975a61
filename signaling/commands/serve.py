"""`mediaserver serve`: the server."""

from __future__ import annotations

import argparse
import contextlib
import logging
import resource
from typing import TYPE_CHECKING, Final

import uvloop

from signaling.app import serve
from signaling.commands.parsing import command
from signaling.datadir import api_keys
from signaling.settings import Settings, unbuilt_settings

if TYPE_CHECKING:
    from signaling.commands.parsing import Commands

log: Final = logging.getLogger(__name__)


def add_command(commands: Commands, name: str, help_text: str) -> None:
    command(commands, name, help_text, _serve)


def _serve(settings: Settings, _given: argparse.Namespace) -> int:
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
