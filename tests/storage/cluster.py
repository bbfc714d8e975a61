"""A throwaway PostgreSQL cluster: real, private, without fsync, gone at the end."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

SERVER_PROGRAMS = "/usr/lib/postgresql/*/bin"  # where Debian puts them


@dataclass(frozen=True, slots=True)
class Cluster:
    """A running PostgreSQL server that listens on a Unix socket in `folder` only."""

    programs: Path
    folder: Path

    def run(self, program: str, *arguments: str) -> None:
        """Run one of PostgreSQL's programs; the server's own refuse to run as root."""
        account = "postgres" if os.geteuid() == 0 else None
        result = subprocess.run(
            [self.programs / program, *arguments],
            cwd=self.folder,
            user=account,
            group=account,
            extra_groups=[] if account else None,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,  # a pipe would be kept open by the server
            stderr=(self.folder / "errors").open("wb"),
            check=False,
        )
        if result.returncode:
            pytest.fail(f"{program} failed: {(self.folder / 'errors').read_text()}")

    def new_database(self, name: str) -> str:
        self.query("postgres", f"CREATE DATABASE {name} STRATEGY file_copy")
        return self.url(name)

    def query(self, database: str, statement: str) -> None:
        options = ("-q", "-v", "ON_ERROR_STOP=1", "-h", str(self.folder), "-U", "postgres")
        self.run("psql", *options, "-d", database, "-c", statement)

    def url(self, database: str, user: str = "postgres") -> str:
        return f"postgresql://{user}@/{database}?host={self.folder}"


@contextmanager
def running_cluster() -> Iterator[Cluster]:
    """A new cluster; fails the test, with what to install, where there is no PostgreSQL."""
    found = sorted(Path("/").glob(SERVER_PROGRAMS.lstrip("/")), key=lambda path: int(path.parts[4]))
    if not found:
        pytest.fail(
            f"these tests need a PostgreSQL server and there is none in {SERVER_PROGRAMS}; "
            "install it: apt-get install postgresql"
        )
    # not pytest's own folder: another user can't enter that, and socket paths must be short
    folder = Path(tempfile.mkdtemp(prefix="mediaserver-pg-"))
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder)
        cluster = Cluster(found[-1], folder)
        if os.geteuid() == 0:
            shutil.chown(folder, "postgres", "postgres")
        data = str(folder / "data")
        cluster.run(
            "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8",
            "--no-locale", "--no-sync",
        )  # fmt: skip
        options = f"-c listen_addresses= -c unix_socket_directories={folder} -c fsync=off"
        cluster.run("pg_ctl", "-D", data, "-w", "-l", f"{folder}/log", "-o", options, "start")
        stack.callback(cluster.run, "pg_ctl", "-D", data, "-w", "-m", "immediate", "stop")
        yield cluster
