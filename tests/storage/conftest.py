"""Every object store, and catalogs on both databases. The servers are real ones, and throwaway."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import zlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from storage.catalog import Catalog
from storage.objects import ObjectStore, RetryPolicy, StoredObject
from tests.storage.catalogs import migrated
from tests.storage.cluster import Cluster, running_cluster
from tests.storage.contents import LARGE, WEBM, Put, counting
from tests.storage.stores import STORES, Network, Servers, unfinished
from tests.storage.virtual_time import VirtualTime

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
        return await migrated(f"sqlite:///{tmp_path}/catalog.db")
    cluster: Cluster = request.getfixturevalue("postgresql")
    url = await migrated(cluster.url(SHARED_DATABASE))
    names = "recordings, calls, invites, traffic, room_settings, webhooks, uploads, media"
    cluster.query(SHARED_DATABASE, f"TRUNCATE {names} CASCADE")
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


@pytest.fixture(params=STORES)
def kind(request: pytest.FixtureRequest) -> str:
    """What kind of store the test gets; a test may choose others, by parametrising this."""
    kind: str = request.param
    return kind


@pytest_asyncio.fixture
async def store(
    kind: str, servers: Servers, root: Path, request: pytest.FixtureRequest
) -> AsyncIterator[ObjectStore]:
    """An empty store; nothing that a put began may be left in it at the end."""
    seed = zlib.crc32(request.node.name.encode())
    async with servers.store(kind, root, seed) as opened:
        yield opened
        assert await unfinished(opened) == []


@pytest.fixture
def put(store: ObjectStore, tmp_path: Path) -> Put:
    """Put bytes rather than a file."""

    async def put(key: str, content: bytes = b"content", content_type: str = WEBM) -> StoredObject:
        source = tmp_path / hashlib.sha256(key.encode(errors="replace") + content).hexdigest()
        source.write_bytes(content)
        return await store.put_file(key, source, content_type)

    return put


@pytest.fixture(params=["s3", "gcs", "vercel"])
def provider(request: pytest.FixtureRequest) -> str:
    """Whose server is behind a network; a test may choose others, by parametrising this."""
    provider: str = request.param
    return provider


@pytest.fixture
def policy() -> RetryPolicy:
    """A test may choose another, by parametrising this."""
    return RetryPolicy()


@pytest_asyncio.fixture
async def network(provider: str, policy: RetryPolicy, servers: Servers) -> AsyncIterator[Network]:
    await asyncio.to_thread(servers.empty, provider)
    proxy, time = servers.proxy(provider), VirtualTime()
    store = servers.connect(provider, proxy.url, time.retrier(policy))
    yield Network(store, proxy, time)
    proxy.down = False
    await store.close()


@pytest.fixture
def large_file(tmp_path: Path) -> Path:
    path = tmp_path / "large"
    path.write_bytes(counting(LARGE))
    return path
