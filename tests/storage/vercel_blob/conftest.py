"""A store of Vercel Blob behind a network that fails when it is told to."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from storage.objects.vercel_blob import VercelBlobStore
from tests.rig.faults import FaultProxy, fault_proxy
from tests.rig.vercel import VercelRig
from tests.storage.contents import LARGE, counting
from tests.storage.stores import Servers
from tests.storage.vercel_blob.opening import opened


@pytest.fixture
def rig(servers: Servers) -> VercelRig:
    servers.vercel.empty()
    return servers.vercel


@pytest.fixture
def proxy(rig: VercelRig) -> Iterator[FaultProxy]:
    """Between the store and the rig, without faults at first."""
    with fault_proxy(rig.api_url) as running:
        yield running


@pytest_asyncio.fixture
async def store(rig: VercelRig, proxy: FaultProxy) -> AsyncIterator[VercelBlobStore]:
    async with opened(rig.token, proxy.url) as store:
        yield store


@pytest.fixture
def large_file(tmp_path: Path) -> Path:
    path = tmp_path / "large"
    path.write_bytes(counting(LARGE))
    return path
