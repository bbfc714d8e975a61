"""Both object stores, and catalogs on both databases. PostgreSQL is real: a throwaway cluster."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from storage.catalog import Catalog, migrate
from storage.objects import LocalStore, MemoryStore, ObjectStore
from tests.storage.cluster import Cluster, running_cluster

SHARED_DATABASE = "catalog"  # emptied rather than made anew for each test: ten times as fast
_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Cluster]:
    with running_cluster() as cluster:
        cluster.new_database(SHARED_DATABASE)
        yield cluster


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database that nobody has migrated yet."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/catalog.db"
    cluster: Cluster = request.getfixturevalue("postgresql")
    return cluster.new_database(f"catalog_{next(_numbers)}")


@pytest_asyncio.fixture(params=["sqlite", "postgresql"])
async def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A migrated database without rows."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path}/catalog.db"
        await migrate(url)
        return url
    cluster: Cluster = request.getfixturevalue("postgresql")
    url = cluster.url(SHARED_DATABASE)
    await migrate(url)
    cluster.query(SHARED_DATABASE, "TRUNCATE recordings, calls, invites CASCADE")
    return url


@pytest_asyncio.fixture
async def catalog(url: str) -> AsyncIterator[Catalog]:
    opened = await Catalog.open(url)
    yield opened
    await opened.close()


@pytest_asyncio.fixture
async def second_catalog(url: str) -> AsyncIterator[Catalog]:
    """The same database through another pool, as another process has it."""
    opened = await Catalog.open(url)
    yield opened
    await opened.close()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture(params=["local", "memory"])
def store(request: pytest.FixtureRequest, root: Path) -> ObjectStore:
    return LocalStore(root) if request.param == "local" else MemoryStore()
