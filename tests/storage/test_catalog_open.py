"""Databases that can't be used say so in one plain sentence; those that can behave alike."""

from __future__ import annotations

import asyncio
import os
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import text

from storage.catalog import Catalog, migrate, pending_migrations
from storage.catalog.address import parse_address
from storage.catalog.database import Database
from storage.errors import BadCatalogUrl, CatalogUnavailable
from tests.storage.cluster import Cluster

NOBODY = 65534


pytestmark = pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")


def plain(error: BaseException) -> str:
    """The message, held to be one line without a driver's class names."""
    message = str(error)
    assert "\n" not in message
    assert "<class" not in message
    assert "sqlalche.me" not in message
    return message


# --- URLs -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "file"),
    [
        ("sqlite:////var/lib/a.db", "/var/lib/a.db"),
        ("sqlite:///data/a.db", f"{os.getcwd()}/data/a.db"),
        ("sqlite:///a b.db", f"{os.getcwd()}/a b.db"),
    ],
)
def test_a_sqlite_url_names_a_file(url: str, file: str) -> None:
    assert parse_address(url).file == Path(file)


def test_a_postgresql_url_is_shown_without_its_password() -> None:
    address = parse_address("postgresql://me:hunter2@db.example:5433/calls?sslmode=require")
    assert address.file is None
    assert address.shown == "postgresql://me:***@db.example:5433/calls?sslmode=require"
    assert address.url.password == "hunter2"
    assert dict(address.url.query) == {"ssl": "require"}


@pytest.mark.parametrize(
    "url",
    [
        "",
        "data/a.db",
        "sqlite://",
        "sqlite:///",
        "sqlite:///:memory:",
        "sqlite://data/a.db",
        "sqlite:///a.db?mode=ro",
        "mysql://me@host/db",
        "postgres://me@host/db",
        "postgresql+psycopg://me@host/db",
        "postgresql://me:hunter2@host",
        "postgresql://me:hunter2@host/db?colour=red",
        "postgresql://me:hunter2@host:port/db",
    ],
)
async def test_a_wrong_url_is_answered_with_an_example(url: str) -> None:
    for call in (Catalog.open, migrate, pending_migrations):
        with pytest.raises(BadCatalogUrl, match="write sqlite:///data/mediaserver") as caught:
            await call(url)
        assert "hunter2" not in plain(caught.value)


# --- SQLite ---------------------------------------------------------------------------------------


async def test_a_folder_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(CatalogUnavailable, match=r"missing/a\.db can't be used") as caught:
        await migrate(f"sqlite:///{tmp_path}/missing/a.db")
    plain(caught.value)


async def test_a_folder_in_place_of_the_file(tmp_path: Path) -> None:
    for call in (Catalog.open, migrate, pending_migrations):
        with pytest.raises(CatalogUnavailable, match="unable to open database file") as caught:
            await call(f"sqlite:///{tmp_path}")
        plain(caught.value)


async def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "a.db").write_bytes(b"a holiday photograph" * 1000)
    for call in (Catalog.open, migrate, pending_migrations):
        with pytest.raises(CatalogUnavailable, match="file is not a database") as caught:
            await call(f"sqlite:///{tmp_path}/a.db")
        plain(caught.value)


async def test_a_file_that_cannot_be_written() -> None:
    # not pytest's own folder, which nobody but its owner can enter
    with tempfile.TemporaryDirectory(prefix="mediaserver-readonly-") as name:
        folder = Path(name)
        url = f"sqlite:///{folder}/a.db"
        await migrate(url)
        (folder / "a.db").chmod(stat.S_IRUSR | stat.S_IROTH)
        folder.chmod(0o555)
        with without_privileges():
            for call in (Catalog.open, migrate):
                with pytest.raises(CatalogUnavailable, match=r"a\.db can't be used") as caught:
                    await call(url)
                plain(caught.value)
        folder.chmod(0o755)


@contextmanager
def without_privileges() -> Iterator[None]:
    """Root may write everything, so be somebody else."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


async def test_every_sqlite_connection_has_the_pragmas(tmp_path: Path) -> None:
    database = await Database.open(parse_address(f"sqlite:///{tmp_path}/a.db"))

    async def pragmas(together: asyncio.Barrier) -> list[object]:
        async with database.read() as connection:
            await together.wait()  # so that each has a connection of its own
            names = ("journal_mode", "busy_timeout", "synchronous", "foreign_keys")
            return [await connection.scalar(text(f"PRAGMA {name}")) for name in names]

    together = asyncio.Barrier(3)
    found = await asyncio.gather(*(pragmas(together) for _ in range(3)))
    await database.close()
    assert found == [["wal", 10_000, 2, 1]] * 3


async def test_a_reader_does_not_wait_for_a_writer(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/a.db"
    await migrate(url)
    database = await Database.open(parse_address(url))
    catalog = await Catalog.open(url)
    async with database.write() as connection:
        await connection.execute(text("DELETE FROM recordings"))
        assert (await catalog.recordings.find()).total == 0
    await catalog.close()
    await database.close()


# --- both -----------------------------------------------------------------------------------------


async def test_a_read_sees_one_state_throughout(url: str, catalog: Catalog) -> None:
    count = text("SELECT count(*) FROM recordings")
    database = await Database.open(parse_address(url))
    async with database.read() as connection:
        assert await connection.scalar(count) == 0
        await catalog.recordings.create(room="a", started_by="host")
        assert await connection.scalar(count) == 0
    async with database.read() as connection:
        assert await connection.scalar(count) == 1
    await database.close()


# --- PostgreSQL -----------------------------------------------------------------------------------


async def test_a_server_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(CatalogUnavailable, match="can't be used") as caught:
        await Catalog.open(f"postgresql://me:hunter2@/db?host={tmp_path}")
    assert "hunter2" not in plain(caught.value)


async def test_a_database_that_is_not_there(postgresql: Cluster) -> None:
    with pytest.raises(CatalogUnavailable, match='database "nowhere" does not exist') as caught:
        await Catalog.open(postgresql.url("nowhere"))
    plain(caught.value)


async def test_a_user_that_is_not_there(postgresql: Cluster) -> None:
    with pytest.raises(CatalogUnavailable, match='role "mallory" does not exist') as caught:
        await Catalog.open(postgresql.url("postgres", "mallory"))
    plain(caught.value)


async def test_a_user_without_rights(postgresql: Cluster) -> None:
    url = postgresql.new_database("private")
    await migrate(url)
    postgresql.query("private", "CREATE ROLE guest LOGIN")
    with pytest.raises(CatalogUnavailable, match="permission denied") as caught:
        await Catalog.open(postgresql.url("private", "guest"))
    plain(caught.value)


async def test_a_database_that_goes_away_and_one_that_comes_back(postgresql: Cluster) -> None:
    url = postgresql.new_database("fragile")
    await migrate(url)
    catalog = await Catalog.open(url)
    postgresql.query(
        "postgres", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname='fragile'"
    )
    await catalog.check()  # as after a restart of the server
    postgresql.query("postgres", "DROP DATABASE fragile WITH (FORCE)")
    with pytest.raises(CatalogUnavailable, match='database "fragile" does not exist') as caught:
        await catalog.check()
    plain(caught.value)
    await catalog.close()


async def test_postgresql_without_its_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "asyncpg", None)
    with pytest.raises(CatalogUnavailable, match="pip install asyncpg") as caught:
        await Catalog.open("postgresql://me@host/db")
    plain(caught.value)
