"""`mediaserver doctor`: what a start needs, checked one by one, without starting."""

from __future__ import annotations

import importlib.metadata
import socket
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import Final

import pylibsrtp

from recorder.chunks.places import CHUNKS
from recorder.diskspace import DiskSpace
from recorder.errors import DiskLow
from recorder.journals import journals_root
from recorder.uploads.spool import SPOOL
from signaling.app import listening_socket
from signaling.commands.terminal import size
from signaling.datadir import prepare_folder
from signaling.errors import SignalingError
from signaling.rest.webapp import WEBROOT
from signaling.settings import Settings
from signaling.storage_check import check_provider, providers_in_use
from storage.catalog import Catalog, pending_migrations
from storage.errors import StorageError

OLDEST_PYTHON: Final = (3, 11)
PACKETS: Final = 5_000
PACKET_BYTES: Final = 1_200
WAITING: Final = {CHUNKS: "chunks", SPOOL: "unfinished uploads"}  # folders among the journals
SLOW_MICROSECONDS: Final = 20.0  # for one packet; a call of two needs a few hundred a second


@dataclass(frozen=True, slots=True)
class Finding:
    part: str
    fine: bool
    says: str


async def examine(settings: Settings) -> list[Finding]:
    """Every check, also after one has failed."""
    return [
        _python(),
        _srtp(),
        _attempt("HTTP port", lambda: _tcp_port(settings)),
        _attempt("media port", lambda: _udp_port(settings)),
        _attempt("data folder", lambda: _folder(settings)),
        _attempt("disk", lambda: _disk(settings)),
        _attempt("waiting to be stored", lambda: _waiting(settings)),
        await _attempt_async("database", lambda: _database(settings)),
        await _storage(settings),
        _webroot(),
    ]


def _python() -> Finding:
    fine = sys.version_info >= OLDEST_PYTHON
    return Finding("Python", fine, sys.version.split()[0] + ("" if fine else ", 3.11 is needed"))


def _srtp() -> Finding:
    """The packaged libsrtp: does it know AES-GCM, and how long does one packet take?"""
    version = importlib.metadata.version("pylibsrtp")
    try:
        policy = pylibsrtp.Policy(
            key=bytes(28),
            ssrc_type=pylibsrtp.Policy.SSRC_ANY_OUTBOUND,
            srtp_profile=pylibsrtp.Policy.SRTP_PROFILE_AEAD_AES_128_GCM,
        )
        session = pylibsrtp.Session(policy=policy)
    except pylibsrtp.Error as error:
        return Finding("SRTP", False, f"pylibsrtp {version} has no AES-GCM ({error})")
    payload = bytes(PACKET_BYTES)
    begin = time.thread_time()  # of this machine's processor, however busy it is now
    for sequence in range(PACKETS):
        session.protect(b"\x80\x60" + sequence.to_bytes(2, "big") + bytes(8) + payload)
    each = (time.thread_time() - begin) / PACKETS * 1e6
    return Finding(
        "SRTP", each < SLOW_MICROSECONDS, f"pylibsrtp {version}, AES-GCM, {each:.1f} µs a packet"
    )


def _tcp_port(settings: Settings) -> str:
    with listening_socket(settings) as listener:
        return f"TCP {listener.getsockname()[1]} is free"


def _udp_port(settings: Settings) -> str:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.bind((settings.host, settings.rtc_udp_port))
        return f"UDP {probe.getsockname()[1]} is free"


def _folder(settings: Settings) -> str:
    prepare_folder(settings.data_dir, "MEDIASERVER_DATA_DIR")
    if "local" in providers_in_use(settings):
        prepare_folder(settings.recordings_dir, "RECORDING_OUTPUT_DIR")
    return f"{settings.data_dir.absolute()} can be written"


def _disk(settings: Settings) -> str:
    space = DiskSpace(
        settings.data_dir, settings.disk_low_mb << 20, stop=settings.disk_stop_mb << 20
    )
    space.check()
    space.check_arrival()
    return f"{size(space.free)} free"


def _waiting(settings: Settings) -> str:
    """What lies in the data folder until it is a stored file."""
    root, found = journals_root(settings.data_dir), Counter[str]()
    for path in root.glob("*/**/*"):
        with suppress(FileNotFoundError):  # a server runs
            if path.is_file():
                folder = path.relative_to(root).parts[0]
                what = WAITING.get(folder, "work under way" if folder[0] == "." else "journals")
                found[what] += path.stat().st_size
    if not found.total():
        return f"nothing, in {root}"
    told = ", ".join(f"{size(count)} of {what}" for what, count in sorted(found.items()))
    return f"{told}, in {root}; `mediaserver recordings fsck` says what of it is left over"


async def _database(settings: Settings) -> str:
    pending = await pending_migrations(settings.database)
    if pending:
        return f"reachable, {len(pending)} migrations to apply (the start does it)"
    catalog = await Catalog.open(settings.database)
    try:
        await catalog.check()
    finally:
        await catalog.close()
    return "reachable and up to date"


async def _storage(settings: Settings) -> Finding:
    """The first step that fails with a provider in use; `mediaserver storage check` shows them all."""
    providers = providers_in_use(settings)
    for provider in providers:
        async with aclosing(check_provider(settings, provider)) as steps:
            async for checked in steps:
                if not checked.fine:
                    says = f"{provider}: {checked.step}: {checked.complaint}"
                    return Finding("storage", False, says)
    return Finding("storage", True, f"{' and '.join(providers)} can be written, read and emptied")


def _webroot() -> Finding:
    built = (WEBROOT / "index.html").is_file()
    return Finding("web application", built, "built" if built else "not built; run `make web`")


def _attempt(part: str, check: Callable[[], str]) -> Finding:
    try:
        return Finding(part, True, check())
    except (SignalingError, DiskLow, OSError) as error:
        return Finding(part, False, str(error))


async def _attempt_async(part: str, check: Callable[[], Awaitable[str]]) -> Finding:
    try:
        return Finding(part, True, await check())
    except (StorageError, OSError) as error:
        return Finding(part, False, str(error))
