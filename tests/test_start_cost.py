"""What a process imports before it does anything: large libraries only where they are used.

Every command, worker and job pays for its imports each time it starts. Nothing is timed here; what was
imported is read from real processes (`-X importtime` writes a line for each module).
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import tempfile
from asyncio.subprocess import PIPE
from collections.abc import Collection
from pathlib import Path

import pytest

from signaling.jobs import PROGRAMS

DATABASE = {"sqlalchemy", "alembic"}
WEB = {"aiohttp", "livekit", "google.protobuf"}
SETTINGS = {"pydantic", "pydantic_settings"}
SDKS = {"boto3", "botocore", "google.auth", "google.cloud", "vercel", "httpx", "httpx2"}
MEDIA = {"av", "numpy", "PIL", "aiortc", "aioice"}
UPGRADE = {"alembic", "mako", "pygments"}

SERVER_SIDE = DATABASE | WEB | SETTINGS | SDKS | {"jwt", "uvloop", "huey", "signaling", "storage"}
JOINING = {"recorder.muxer", "recorder.scan", "recorder.depacketize", "recorder.timeline"}
DRAWING = {"PIL", "recorder.composite"}


def environment(folder: Path) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "MEDIASERVER_DATA_DIR": str(folder),
        "MEDIASERVER_HOST": "127.0.0.1",
        "MEDIASERVER_PORT": "0",
        "MEDIASERVER_RTC_UDP_PORT": "0",
    }


async def imports_of(folder: Path, *command: str, until_line: bool = False) -> set[str]:
    """The modules that `python command` imports until its end; with `until_line` it is told to end when
    it has said something.
    """
    with tempfile.TemporaryFile() as words:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-X", "importtime", *command),
            stdin=PIPE,  # a job ends with it
            stdout=PIPE,
            stderr=words,
            cwd=folder,
            env=environment(folder),
        )
        assert process.stdout is not None
        try:
            if until_line:
                await process.stdout.readline()
                process.send_signal(signal.SIGTERM)
            await process.stdout.read()
            await process.wait()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        words.seek(0)
        lines = words.read().decode().splitlines()
    assert process.returncode == 0, [line for line in lines if not line.startswith("import time:")]
    return {line.split("|")[2].strip() for line in lines if line.startswith("import time:")}


def found(unwanted: Collection[str], imported: Collection[str]) -> list[str]:
    return sorted(
        each for each in imported if any(f"{each}.".startswith(f"{name}.") for name in unwanted)
    )


async def test_the_help_needs_no_library(tmp_path: Path) -> None:
    imported = await imports_of(tmp_path, "-m", "signaling.cli", "--help")
    assert "argparse" in imported
    assert not found(DATABASE | WEB | SETTINGS | SDKS | MEDIA | {"asyncio", "jwt"}, imported)


async def test_a_token_needs_neither_database_nor_server(tmp_path: Path) -> None:
    command = ("token", "--room", "standup", "--identity", "ada")
    imported = await imports_of(tmp_path, "-m", "signaling.cli", *command)
    assert {"jwt", "pydantic"} <= imported
    assert not found(DATABASE | WEB | SDKS | MEDIA | {"uvloop", "signaling.app"}, imported)


async def test_a_server_with_local_storage(tmp_path: Path) -> None:
    """From an empty folder to its end, and what looks into its database then."""
    imported = await imports_of(tmp_path, "-m", "signaling.cli", "serve", until_line=True)
    assert {"aiohttp", "sqlalchemy", "signaling.app", "storage.catalog.migration"} <= imported
    assert not found(UPGRADE | SDKS | MEDIA, imported)

    looked = await imports_of(tmp_path, "-m", "signaling.cli", "recordings", "list")
    assert "sqlalchemy" in looked
    assert not found(UPGRADE | SDKS | WEB | {"uvloop", "jwt", "numpy", "PIL"}, looked)


async def test_finishing_a_recording(tmp_path: Path) -> None:
    (tmp_path / "journals").mkdir()
    folders = ("--journals", str(tmp_path / "journals"), "--output", str(tmp_path / "files"))
    imported = await imports_of(tmp_path, "-m", "recorder.finalize", *folders)
    assert {"av", "recorder.muxer"} <= imported
    assert not found(SERVER_SIDE | DRAWING | {"numpy", "asyncio"}, imported)


@pytest.mark.parametrize(
    ("module", "unused"),
    [
        ("recorder.assemble", SERVER_SIDE | DRAWING | {"numpy", "asyncio"}),
        ("recorder.chunks.checking", SERVER_SIDE | DRAWING | JOINING | {"numpy", "asyncio"}),
        ("recorder.derived.pictures", SERVER_SIDE | DRAWING | JOINING | {"numpy", "asyncio"}),
        ("recorder.media.probe", SERVER_SIDE | DRAWING | JOINING | {"numpy", "asyncio"}),
        ("recorder.media.transcode", SERVER_SIDE | DRAWING | JOINING | {"asyncio"}),
        ("recorder.render", SERVER_SIDE | JOINING | {"asyncio"}),
        ("recorder.live.__main__", SERVER_SIDE | DRAWING | {"numpy", "asyncio"}),
        ("signaling.jobhost.__main__", DATABASE | WEB | SETTINGS | SDKS | MEDIA | {"uvloop"}),
        ("mediaserver.worker", DATABASE | WEB | SETTINGS | SDKS | {"numpy", "jwt", "recorder"}),
    ],
)
async def test_a_process_below_the_server(module: str, unused: set[str], tmp_path: Path) -> None:
    imported = await imports_of(tmp_path, "-c", f"import {module}")
    assert module in imported
    assert not found(unused, imported)


def test_every_job_is_looked_at() -> None:
    looked_at = Path(__file__).read_text()
    assert all(f'"{program.module}"' in looked_at for program in PROGRAMS.values())
