"""The real server: `mediaserver serve` in a process tree of its own, on free ports."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self
from urllib.parse import urlsplit

from tests.rig.tokens import KEY, SECRET
from tests.rig.waiting import until

COMMAND = str(Path(sys.executable).with_name("mediaserver"))
READY = re.compile(r"mediaserver is ready on (?P<url>http://\S+) \(media on UDP (?P<udp>\d+)\)")
SIGN_IN = re.compile(r"Sign in as host: (?P<link>http://\S+#token=\S+)")
OWN_FAULTS = (
    "Traceback (most recent call last)",
    "was never awaited",
    "exception was never retrieved",
    "Task was destroyed but it is pending",
)


class NotReady(AssertionError):
    """The server ended, or stayed silent, before it said that it is ready."""


def environment(data_dir: Path, settings: Mapping[str, str]) -> dict[str, str]:
    """Nothing of this shell but the path, so that no stray setting decides a test."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return {
        **kept,
        "PYTHONUNBUFFERED": "1",
        "MEDIASERVER_HOST": "127.0.0.1",
        "MEDIASERVER_PORT": "0",
        "MEDIASERVER_RTC_UDP_PORT": "0",
        "MEDIASERVER_PUBLIC_IP": "127.0.0.1",
        "MEDIASERVER_DRAIN_SECONDS": "10",
        "MEDIASERVER_DATA_DIR": str(data_dir),
        "MEDIASERVER_KEYS": f"{KEY}: {SECRET}",
        **settings,
    }


def members(session: int) -> list[int]:
    """The living processes of a session (zombies are not alive)."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError):
            # "pid (comm) state ppid pgrp session ...": comm may hold blanks and parentheses
            state, _, _, owner = (entry / "stat").read_text().rpartition(")")[2].split()[:4]
            if int(owner) == session and state != "Z":
                found.append(int(entry.name))
    return found


class MediaserverProcess:
    """One server and its data folder. Restarts keep the folder and the ports.

    As a context manager it starts, and at the end stops, checks that the log holds no traceback,
    and that no process was left behind.
    """

    started: ClassVar[list[MediaserverProcess]] = []  # for reports; conftest forgets the dead

    def __init__(self, data_dir: Path, settings: Mapping[str, str] | None = None) -> None:
        self.data_dir = data_dir
        self.log: list[str] = []
        self.base_url = ""
        self.udp_port = 0
        self.sign_in_link = ""
        self._settings = dict(settings or {})
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None
        self._signed_in: asyncio.Future[None] | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()
        if kind is None:
            self.assert_unharmed()

    @property
    def ws_url(self) -> str:
        return self.base_url.replace("http", "ws", 1)

    @property
    def pid(self) -> int:
        assert self._process is not None, "the server was not started"
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.returncode is None

    def text(self) -> str:
        return "".join(self.log)

    def assert_unharmed(self) -> None:
        for fault in OWN_FAULTS:
            if fault in self.text():
                raise AssertionError(f"{fault!r} in the server's log:\n{self.text()[-6000:]}")

    async def start(self, *, within: float = 30) -> None:
        """Back when the server said that it is ready. Raises `NotReady` with its output."""
        loop = asyncio.get_running_loop()
        self._signed_in = loop.create_future()
        self.data_dir.parent.mkdir(parents=True, exist_ok=True)
        self._process = await asyncio.create_subprocess_exec(
            COMMAND,
            "serve",
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=environment(self.data_dir, self._settings),
            cwd=self.data_dir.parent,  # not the checkout: its .env is the developer's
            start_new_session=True,
            limit=1 << 20,
        )
        if self not in self.started:
            self.started.append(self)
        self._reader = asyncio.create_task(self._read(self._process, self._signed_in))
        try:
            async with asyncio.timeout(within):
                await self._signed_in
        except TimeoutError:
            await self.kill9()
            raise NotReady(f"no ready line within {within:g} s:\n{self.text()}") from None
        self._settings["MEDIASERVER_PORT"] = str(urlsplit(self.base_url).port)
        self._settings["MEDIASERVER_RTC_UDP_PORT"] = str(self.udp_port)

    async def stop(self, *, within: float = 20) -> int | None:
        """SIGTERM, as an init system does it; the exit status. The tree must be gone then."""
        process = self._process
        if process is None or process.returncode is not None:
            return process.returncode if process else None
        process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(within):
                await process.wait()
        except TimeoutError:
            await self.kill9()
            raise AssertionError(
                f"SIGTERM did not end the server within {within:g} s:\n{self.text()[-4000:]}"
            ) from None
        try:
            await until(
                lambda: not members(process.pid), within=20, what="no process is left behind"
            )
        finally:
            await self.kill9()
        return process.returncode

    async def kill9(self) -> None:
        """SIGKILL to every process of the tree at once; back when all are gone."""
        process = self._process
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        for stray in members(process.pid):  # made a group of its own
            with contextlib.suppress(ProcessLookupError):
                os.kill(stray, signal.SIGKILL)
        await process.wait()
        await until(lambda: not members(process.pid), within=20, what="the killed tree is gone")
        if self._reader is not None:
            await self._reader

    async def restart(self, *, within: float = 30) -> None:
        """Start again on the same folder and ports, after `stop` or `kill9`."""
        assert not self.alive, "stop or kill the server first"
        await self.start(within=within)

    async def _read(
        self, process: asyncio.subprocess.Process, signed_in: asyncio.Future[None]
    ) -> None:
        assert process.stdout is not None
        async for raw in process.stdout:
            line = raw.decode(errors="replace")
            self.log.append(line)
            if found := READY.search(line):
                self.udp_port = int(found["udp"])
                # the printed name is for people; tests mean this machine's IPv4
                self.base_url = found["url"].replace("//localhost", "//127.0.0.1")
            if (found := SIGN_IN.search(line)) and not signed_in.done():
                self.sign_in_link = found["link"]
                signed_in.set_result(None)
        if not signed_in.done():
            await process.wait()
            signed_in.set_exception(
                NotReady(f"the server ended with {process.returncode}:\n{self.text()}")
            )


async def refused_start(
    data_dir: Path, settings: Mapping[str, str], *, within: float = 20
) -> tuple[int, str, str]:
    """A start that should fail: exit status, standard output, standard error."""
    process = await asyncio.create_subprocess_exec(
        COMMAND,
        "serve",
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment(data_dir, settings),
        cwd=next(folder for folder in data_dir.parents if folder.is_dir()),
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(within):
            out, err = await process.communicate()
    except TimeoutError:
        raise AssertionError(f"the server neither refused nor ended within {within:g} s") from None
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()
