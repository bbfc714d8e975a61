"""Fixtures of every test that needs a real part. They fail, never skip, when a part is missing."""

from __future__ import annotations

import functools
import itertools
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path

import botocore.session
import pytest
import pytest_asyncio
from botocore.loaders import create_loader
from playwright.async_api import Browser

from tests.rig.browser import chromium, rig_pages
from tests.rig.ceph import Radosgw
from tests.rig.server import MediaserverProcess
from tests.storage.stores import Servers

_numbers = itertools.count(1)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[MediaserverProcess]:
    """A server for the tests of one module, which keep apart by their rooms."""
    async with MediaserverProcess(tmp_path_factory.mktemp("server") / "data") as process:
        yield process


@pytest.fixture
def server_unharmed(server: MediaserverProcess) -> Iterator[MediaserverProcess]:
    """The module's server, held to have logged no fault of its own when the test ends."""
    yield server
    assert server.alive, f"the server ended during the test:\n{server.text()[-6000:]}"
    server.assert_unharmed()


@pytest.fixture
def room(request: pytest.FixtureRequest) -> str:
    """A room name that no other test uses."""
    return f"{request.node.originalname.removeprefix('test_')}-{next(_numbers)}"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as launched:
        yield launched


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pages_url() -> AsyncIterator[str]:
    async with rig_pages() as url:
        yield url


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """For tests that run, kill and restart their own server."""
    return tmp_path / "data"


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    """Object stores' servers, each started at its first use."""
    with ExitStack() as stack:
        yield Servers(stack)


@pytest.fixture(scope="session")
def s3_gateway(servers: Servers) -> Radosgw:
    """A real S3, once for all tests."""
    return servers.s3


@pytest.fixture(scope="session", autouse=True)
def boto_reads_its_models_once() -> Iterator[None]:
    """They are large files of JSON, which the session of each store would parse anew."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(botocore.session, "create_loader", functools.cache(create_loader))
        yield


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files whose tests mostly wait lie evenly among those that compute, for workers side by side.

    What was asked for by file stays as it is: nothing is moved within a file.
    """
    files: dict[Path, list[pytest.Item]] = {}
    for item in items:
        files.setdefault(item.path, []).append(item)
    waiting = {path for path in files if path.parent.name == "crash"}
    ranks = {}
    for group in (waiting, files.keys() - waiting):
        for number, path in enumerate(path for path in files if path in group):
            ranks[path] = (number + 0.5) / len(group)
    items[:] = [item for path in sorted(files, key=ranks.__getitem__) for item in files[path]]


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """A failed test shows the end of the log of every server it ran."""
    outcome = yield
    report = outcome.get_result()  # type: ignore[attr-defined]
    if report.failed:
        for process in MediaserverProcess.started:
            report.sections.append((f"mediaserver {process.pid}", process.text()[-4000:]))


def pytest_runtest_logfinish() -> None:
    alive = [process for process in MediaserverProcess.started if process.alive]
    MediaserverProcess.started[:] = alive
