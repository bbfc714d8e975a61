"""One server at a time on a database, on both kinds."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from storage.catalog import Catalog, ServerLock, migrate
from storage.errors import BadCatalogUrl, CatalogInUse, CatalogUnavailable
from tests.storage.cluster import Cluster


async def taken(url: str, **options: float) -> ServerLock:
    lock = ServerLock(url)
    await lock.take(**options)
    return lock


async def test_the_second_is_refused_until_the_first_has_gone(empty_url: str) -> None:
    lock = await taken(empty_url)
    with pytest.raises(CatalogInUse, match="another mediaserver uses the database"):
        await taken(empty_url, patience=0)
    assert await lock.check()
    await lock.release()
    await (await taken(empty_url, patience=0)).release()


async def test_it_is_in_nobody_elses_way(empty_url: str) -> None:
    lock = await taken(empty_url)
    await migrate(empty_url)
    catalog = await Catalog.open(empty_url)
    assert (await catalog.recordings.find()).total == 0
    await catalog.close()
    await lock.release()


async def test_a_lock_that_postgresql_forgot_is_taken_again(postgresql: Cluster) -> None:
    url = postgresql.new_database("forgetful")
    lock = await taken(url)
    postgresql.query(
        "postgres",
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname='forgetful'",
    )
    assert await lock.check()
    with pytest.raises(CatalogInUse):
        await taken(url, patience=0)
    await lock.release()


async def test_a_lock_that_somebody_else_took_meanwhile_is_missed(postgresql: Cluster) -> None:
    url = postgresql.new_database("unfaithful")
    first = await taken(url)
    postgresql.query(
        "postgres",
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname='unfaithful'",
    )
    second = await taken(url)
    assert not await first.check()
    assert await second.check()
    await first.release()
    await second.release()


async def test_one_sqlite_file_by_two_names_is_one_database(tmp_path: Path) -> None:
    os.symlink(tmp_path / "a.db", tmp_path / "b.db")
    lock = await taken(f"sqlite:///{tmp_path}/a.db")
    with pytest.raises(CatalogInUse):
        await taken(f"sqlite:///{tmp_path}/b.db", patience=0)
    await lock.release()


async def test_a_database_that_can_not_be_locked(tmp_path: Path) -> None:
    with pytest.raises(CatalogUnavailable, match="can't be used"):
        await taken(f"sqlite:///{tmp_path}/missing/a.db")
    with pytest.raises(CatalogUnavailable, match="can't be used"):
        await taken(f"postgresql://me@/db?host={tmp_path}")
    with pytest.raises(BadCatalogUrl):
        await taken("mysql://me@host/db")
