"""The console script as a process of its own."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

SECRET = "known-to-the-command-line-tests-only"
KEYS = {"key": SECRET}


@dataclass(frozen=True, slots=True)
class Ended:
    status: int
    out: str
    err: str

    @property
    def complaint(self) -> str:
        """The one line of a refusal."""
        (line,) = self.err.splitlines()
        assert self.status in {1, 2}
        return line


async def started(
    folder: Path, *arguments: str, through: tuple[str, ...] = (), **environment: str
) -> Process:
    """`through` is a program, with its arguments, that starts the command."""
    return await asyncio.create_subprocess_exec(
        *through,
        sys.executable,
        "-m",
        "signaling.cli",
        *arguments,
        stdin=DEVNULL,
        stdout=PIPE,
        stderr=PIPE,
        cwd=folder,  # whose .env and data folder these are
        env={
            "PATH": os.environ["PATH"],
            "MEDIASERVER_HOST": "127.0.0.1",
            "MEDIASERVER_PORT": "0",
            "MEDIASERVER_RTC_UDP_PORT": "0",
            "MEDIASERVER_KEYS": f"key: {SECRET}",
            **environment,
        },
    )


async def run(
    folder: Path, *arguments: str, through: tuple[str, ...] = (), **environment: str
) -> Ended:
    process = await started(folder, *arguments, through=through, **environment)
    out, err = await process.communicate()
    assert process.returncode is not None
    return Ended(process.returncode, out.decode(), err.decode())


@asynccontextmanager
async def serving(folder: Path, **environment: str) -> AsyncIterator[tuple[Process, str, str]]:
    """A server; its base URL and its sign-in token."""
    process = await started(folder, "serve", **environment)
    assert process.stdout is not None
    try:
        ready = (await process.stdout.readline()).decode()
        found = re.fullmatch(
            r"mediaserver is ready on (http://localhost:\d+) \(media on UDP \d+\)\n", ready
        )
        assert found, ready
        sign_in = (await process.stdout.readline()).decode()
        prefix = f"Sign in as host: {found[1]}/#token="
        assert sign_in.startswith(prefix)
        yield process, found[1].replace("localhost", "127.0.0.1"), sign_in[len(prefix) :].strip()
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()
